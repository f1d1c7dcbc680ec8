"""Interpolation: what items' numbers were at any time, from what they were at some."""

from array import array
from collections import defaultdict

import numpy as np

from recsys.compiled import F64

Subject = tuple[str, ...]
"""Whose number it is: of one kind, item and currency."""


class Curves:
    """Numbers over time, known at some times.

    >>> curves = Curves()
    >>> for time_ms, price in ((0, 10.0), (4_000, 12.0)):
    ...     curves.add(("price", "mug"), time_ms, price)
    >>> curves.at(("price", "mug"), 1_000), curves.at(("price", "mug"), 9_000), curves.at(("price", "pot"), 0)
    (10.5, 12.0, None)
    """

    def __init__(self) -> None:
        self._times: dict[Subject, array[int]] = defaultdict(lambda: array("q"))
        self._numbers: dict[Subject, array[float]] = defaultdict(lambda: array("d"))
        self._drawn: dict[Subject, tuple[F64, F64]] = {}

    def add(self, subject: Subject, time_ms: int, number: float) -> None:
        """Takes in that it was this number at this time."""
        self._times[subject].append(time_ms)
        self._numbers[subject].append(number)
        self._drawn.pop(subject, None)

    def at(self, subject: Subject, time_ms: int) -> float | None:
        """The number on the straight line between the known ones before and after; before the first and after the last one
        that one. Of several at one time the mean is known. None where none is."""
        if subject not in self._times:
            return None
        if subject not in self._drawn:
            self._drawn[subject] = self._draw(subject)
        return float(np.interp(time_ms, *self._drawn[subject]))

    def _draw(self, subject: Subject) -> tuple[F64, F64]:
        times, place = np.unique(np.array(self._times[subject], np.int64), return_inverse=True)
        sums = np.bincount(place, weights=np.array(self._numbers[subject], np.float64))
        return times.astype(np.float64), sums / np.bincount(place)
