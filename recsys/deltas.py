"""Deltas: what a batch adds to the rows of items."""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F32, I32, I64, U32, U64, compiled


class Deltas(NamedTuple):
    """What a batch adds to the rows of items, in the order of the topic.

    With `other` `NONE` one more interaction with `item`; in the table of baskets, one more basket with it.
    """

    partition: I32
    offset: I64
    time: I64
    item: U64
    other: U64
    weight: F32
    counts: U32


def room_for(deltas: int) -> Deltas:
    """Room for so many deltas."""
    return Deltas(
        np.empty(deltas, np.int32),
        np.empty(deltas, np.int64),
        np.empty(deltas, np.int64),
        np.empty(deltas, np.uint64),
        np.empty(deltas, np.uint64),
        np.empty(deltas, np.float32),
        np.empty(deltas, np.uint32),
    )


def first(deltas: Deltas, used: int) -> Deltas:
    """The first `used` of them.

    >>> len(first(room_for(3), 2).item)
    2
    """
    return Deltas._make(column[:used] for column in deltas)


@compiled
def put(d: Deltas, used: int, partition: int, offset: int, time: int, item: int, other: int, weight: float, counts: int) -> int:
    """Writes a delta after the `used` ones; returns how many there are then."""
    d.partition[used], d.offset[used], d.time[used] = partition, offset, time
    d.item[used], d.other[used] = item, other
    d.weight[used], d.counts[used] = weight, counts
    return used + 1
