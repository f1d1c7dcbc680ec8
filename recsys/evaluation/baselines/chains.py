"""Chains through a trace: from a line back to the last one before it of the same session, or of the same item."""

import numpy as np

from recsys.compiled import I32, Bools, compiled_maker
from recsys.evaluation.trace import Trace

NONE = -1
"""Where there is no earlier line."""


def chain(key: I32, link: Bools) -> I32:
    """Of each line the last earlier one with the same key that is a link; `NONE` without one.

    >>> chain(np.array([5, 5, 2, 5], np.int32), np.array([True, False, True, True])).tolist()
    [-1, 0, -1, 0]
    """
    before = np.empty(len(key), np.int32)
    _chain(key, link, np.full(size(key), NONE, np.int32), before)
    return before


def size(key: I32) -> int:
    """One more than the largest key."""
    return int(key.max()) + 1 if len(key) else 0


def first_meetings(trace: Trace) -> Bools:
    """Whether a line is the first counted one of its item in its session: the sessions as sets of items.

    >>> column = np.array([0, 0, 0], np.int32)
    >>> trace = Trace(column, column, column, np.zeros(3, np.int64), np.ones(3, bool), np.array([False, True, True]))
    >>> first_meetings(trace).tolist()
    [False, True, False]
    """
    lines = np.flatnonzero(trace.counted)
    code = trace.session[lines].astype(np.int64) * size(trace.item) + trace.item[lines]
    first = np.zeros(len(trace.item), np.bool_)
    first[lines[np.unique(code, return_index=True)[1]]] = True
    return first


@compiled_maker
def _chain(key: I32, link: Bools, newest: I32, before: I32) -> None:
    for line in range(len(key)):
        before[line] = newest[key[line]]
        if link[line]:
            newest[key[line]] = line
