"""The sheet on which a baseline writes its answers, and the slices in which it goes through a file."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from recsys.compiled import I32, I64, Bools
from recsys.evaluation.trace import NOTHING

Progress: TypeAlias = Callable[[int], None]
"""Takes how many lines (of a trace) or baskets are done."""

SLICE = 10_000
"""Lines or baskets between two reports of progress."""


def sheet(asked: Bools, at: int) -> tuple[I32, I64]:
    """Answers without any item yet, questions × at; and of each line (or basket) the row of its answer.

    >>> sheet(np.array([True, False, True]), 2)[0].shape
    (2, 2)
    """
    row = np.cumsum(asked, dtype=np.int64) - 1
    return np.full((int(asked.sum()), at), NOTHING, np.int32), row


def slices(n: int, progress: Progress) -> Iterator[tuple[int, int]]:
    """Start and stop of each slice of `n` lines; `progress` hears of each that is done.

    >>> list(slices(25_000, print))
    10000
    20000
    25000
    [(0, 10000), (10000, 20000), (20000, 25000)]
    """
    for start in range(0, n, SLICE):
        stop = min(start + SLICE, n)
        yield start, stop
        progress(stop)
