"""The steps of a benchmark, for whoever watches."""

from collections.abc import Callable

Show = Callable[[str, float], None]
"""Is told what is done now, and which part of everything, 0 to 1, is done."""


class Steps:
    """Knows how many there are.

    >>> steps = Steps(2, lambda what, part: print(what, part))
    >>> steps.begin("one")
    one 0.0
    >>> steps.part(0.5)
    one 0.25
    >>> steps.begin("two")
    two 0.5
    """

    def __init__(self, total: int, show: Show) -> None:
        self._total = total
        self._show = show
        self._begun = 0
        self._what = ""
        self.prefix = ""
        """Put before the name of each: the run it belongs to."""

    def begin(self, what: str) -> None:
        """The one before is done."""
        self._what = f"{self.prefix}{what}"
        self._show(self._what, self._begun / self._total)
        self._begun += 1

    def part(self, done: float) -> None:
        """This part of the step, 0 to 1, is done."""
        self._show(self._what, (self._begun - 1 + min(1.0, max(0.0, done))) / self._total)
