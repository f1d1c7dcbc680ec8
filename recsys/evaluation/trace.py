"""A trace: the events of a file as numbers, with the questions that an evaluation asks on the way.

Every method that is evaluated, Freshet's and the baselines, takes a trace and answers its questions in order: before a line
that is `asked`, it ranks what the line's session will meet next; then it learns the line, if that is `counted`. So one form
serves both ways of testing: in the prequential one every line is asked and counted, in the frozen one the lines of the first
file are counted and those of the second are not.
"""

from typing import NamedTuple

import numpy as np

from recsys.compiled import I32, I64, Bools

NOTHING = -1
"""Fills the places of an answer that has fewer items than were asked for."""


class Trace(NamedTuple):
    """Columns of one length, in the order in which they are learned; items, users and sessions are numbered from 0.

    An answer to a trace is a matrix of item numbers, questions × at, best first, filled up with `NOTHING`.
    """

    user: I32
    session: I32
    """A number for each session of the file; the lines of one need not stand together."""
    item: I32
    time: I64
    """Event time in milliseconds."""
    asked: Bools
    counted: Bools


class Baskets(NamedTuple):
    """The purchases of a file, basket by basket in the order of time; lines `start[b]` to `start[b + 1]` are those of basket b.

    An answer is a matrix of item numbers, asked baskets × at, best first, filled up with `NOTHING`: what was expected in each
    asked basket before it was known. Every basket is learned after that.
    """

    user: I32
    time: I64
    """Event time in milliseconds."""
    asked: Bools
    start: I64
    """One more than there are baskets."""
    item: I32
    """Of each line; distinct within a basket."""


def earlier(number: I32) -> I64:
    """How many earlier places have the same number.

    >>> earlier(np.array([4, 5, 4, 4], np.int32))
    array([0, 0, 1, 2])
    """
    order = np.argsort(number, kind="stable")
    place = np.arange(len(number))
    begins = np.concatenate((np.ones(min(len(number), 1), np.bool_), np.diff(number[order]) != 0))
    found = np.empty(len(number), np.int64)
    found[order] = place - np.maximum.accumulate(np.where(begins, place, 0))
    return found
