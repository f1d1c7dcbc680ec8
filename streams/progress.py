"""Progress of a long command, on stderr: a bar on a terminal, elsewhere a line every few seconds."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

PLAIN_S = 5.0
"""Seconds between two lines where stderr is no terminal."""


class Progress:
    """What is done of a task, how fast, and how long it will take.

    `verb` says what happens, `noun` what is counted: "producing", "events".
    """

    def __init__(self, verb: str, noun: str, console: Console | None = None) -> None:
        self._verb = verb
        self._noun = noun
        self._console = console or Console(stderr=True)
        self._begun = self._shown = time.monotonic()
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[count]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(verb, total=None, count="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def show(self, part: float | None, count: int) -> None:
        """`part` of the task, 0 to 1, is done (None: not known), and `count` things so far."""
        now = time.monotonic()
        seconds = max(now - self._begun, 1e-3)
        if self._console.is_terminal:
            rate = f"{count:,} {self._noun}, {count / seconds:,.0f}/s"
            self._bar.update(self._task, total=None if part is None else 1.0, completed=part or 0.0, count=rate)
        elif now - self._shown >= PLAIN_S:
            self._shown = now
            self._console.print(f"{self._verb}: {plain(self._noun, part, count, seconds)}", highlight=False, soft_wrap=True)


def plain(noun: str, part: float | None, count: int, seconds: float) -> str:
    """The line for where no bar can be drawn.

    >>> plain("events", 0.25, 12_000, 6.0)
    '12,000 events, 2,000/s, 25 %, 18 s left'
    """
    done = f"{count:,} {noun}, {count / seconds:,.0f}/s"
    return done if not part else f"{done}, {part:.0%}".replace("%", " %") + f", {seconds / part - seconds:.0f} s left"
