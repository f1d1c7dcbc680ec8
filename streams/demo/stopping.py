"""Stopping: Ctrl-C and its kin close the shop while it is open, and interrupt at any other time."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopping:
    """Installed once, in the main thread. It interrupts once at most, so that everything can be taken down."""

    def __init__(self) -> None:
        self.asked = False
        """Whether somebody wants the shop to close."""
        self._open = self._interrupted = False

    def install(self) -> None:
        for number in SIGNALS:
            signal.signal(number, lambda *_: self.stop())

    def stop(self) -> None:
        """What a signal does. Raises `KeyboardInterrupt`, once, while the shop is not open."""
        if self._open and not self.asked:
            self.asked = True
        elif not self._interrupted:
            self._interrupted = True
            raise KeyboardInterrupt

    @contextmanager
    def open(self) -> Iterator[None]:
        """While the shop is open, the first signal only asks."""
        self._open = True
        try:
            yield
        finally:
            self._open = False
