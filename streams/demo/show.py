"""How the demo shows itself: a live view on a terminal, plain lines elsewhere."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TextIO

from rich.console import Console
from rich.live import Live

from streams.demo.board import Picture
from streams.demo.view import rows_for, view
from streams.demo.words import deed, milliseconds, reason, share, short
from streams.shop.catalogue import Catalogue

PLAIN_S = 2.0
"""Seconds between two plain lines of numbers."""
PLAIN_ITEMS = 3


class Show(Protocol):
    """What the demo tells people while it runs."""

    def phase(self, text: str) -> AbstractContextManager[object]:
        """Something begins that takes a while."""

    def say(self, text: str) -> None:
        """A line that stays."""

    def refresh(self, picture: Picture) -> None:
        """The shop is open, and looks like this."""

    def close(self) -> None:
        """The shop is closed: what was shown live goes away."""


class PlainShow:
    """Lines, one after the other."""

    def __init__(self, out: TextIO, catalogue: Catalogue) -> None:
        self.out = out
        self.catalogue = catalogue
        self._told = 0.0
        self._answered: float | None = None

    def phase(self, text: str) -> AbstractContextManager[object]:
        self.say(f"{text} …")
        return nullcontext()

    def say(self, text: str) -> None:
        print(text, file=self.out, flush=True)

    def refresh(self, picture: Picture) -> None:
        if picture.elapsed - self._told < PLAIN_S:
            return
        self._told = picture.elapsed
        self.say(
            f"{picture.elapsed:5.1f} s  {picture.events:,} events, {picture.rate:.0f}/s"
            f"  {picture.published:,} recommendations  p50 {milliseconds(picture.p50)}, p99 {milliseconds(picture.p99)}"
            f"  next item recommended {share(picture.recommended, picture.asked)}"
            f" (most popular {share(picture.popular, picture.asked)})"
        )
        if picture.did and picture.shown and picture.answered != self._answered:
            self._answered = picture.answered
            verb, what = deed(self.catalogue, picture.did[-1])
            items = ", ".join(
                f"{short(self.catalogue, shown.item_id)} ({reason(self.catalogue, shown)})"
                for shown in picture.shown[:PLAIN_ITEMS]
            )
            self.say(f"         {picture.user} {verb} {what}: {items}")

    def close(self) -> None:
        """Nothing to take away."""


class LiveShow:
    """A view that changes in place. Lines that stay are above it."""

    def __init__(self, console: Console, catalogue: Catalogue, seconds: float) -> None:
        self.console = console
        self.catalogue = catalogue
        self.seconds = seconds
        self._live: Live | None = None

    def phase(self, text: str) -> AbstractContextManager[object]:
        return self.console.status(f"{text} …")

    def say(self, text: str) -> None:
        self.console.print(text, soft_wrap=True, highlight=False, markup=False)

    def refresh(self, picture: Picture) -> None:
        if self._live is None:
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(view(picture, self.catalogue, self.seconds, rows_for(self.console)), refresh=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
