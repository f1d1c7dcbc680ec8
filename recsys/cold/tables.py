"""Tables: what is popular in a context, as one partition counts it, in bounded room.

A table has `ROOM` items. While no more were met in its context, it counts exactly. Then a new item takes the place of the least
popular one and goes on with its popularity, which is noted as `inherited`: an item of more than a `ROOM`th of the context's
popularity is never missing, and `popularity - inherited` is what was counted of it for certain since it came (Metwally,
Agrawal, El Abbadi, 2005, "Efficient computation of frequent and top-k elements in data streams"; with forward decay: Cormode,
Shkapenyuk, Srivastava, Xu, 2009). One interaction is taken after the other, so it does not matter where batches end.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recsys import popularity
from recsys.compiled import F64, I32, I64, U64, compiled
from recsys.hashing import NONE
from recsys.popularity import Popular
from recsys.rules import Rules

ROOM = 64
ENTRY = np.dtype(
    [
        ("item", np.uint64),
        ("popularity", np.float64),
        ("inherited", np.float64),
        ("landmark", np.int64),
        ("interactions", np.int64),
    ]
)


class Tables(NamedTuple):
    """Some tables: tables × `ROOM`, `length` of them filled, in the order in which their items came."""

    item: U64
    popularity: F64
    """Decayed interactions at the landmark, with the inherited ones."""
    inherited: F64
    landmark: I64
    """Event time in milliseconds."""
    interactions: I64
    """Since the item came into the table."""
    length: I32


class Lines(NamedTuple):
    """Interactions in the order of the topic: columns of one length. One with the item `NONE` empties its table."""

    table: I32
    item: U64
    time: I64


def unpack(packed: Sequence[bytes | None]) -> Tables:
    """Tables from their stored bytes (None: an empty one)."""
    shape = (len(packed), ROOM)
    tables = Tables(
        np.zeros(shape, np.uint64),
        np.zeros(shape),
        np.zeros(shape),
        np.zeros(shape, np.int64),
        np.zeros(shape, np.int64),
        np.zeros(len(packed), np.int32),
    )
    for t, value in enumerate(packed):
        entries = np.frombuffer(value or b"", ENTRY)
        tables.length[t] = len(entries)
        for name in ENTRY.names or ():
            getattr(tables, name)[t, : len(entries)] = entries[name]
    return tables


def pack(tables: Tables, t: int) -> bytes:
    """The bytes to store of table `t`."""
    entries = np.empty(tables.length[t], ENTRY)
    for name in ENTRY.names or ():
        entries[name] = getattr(tables, name)[t, : len(entries)]
    return entries.tobytes()


def count(tables: Tables, lines: Lines, rules: Rules) -> None:
    """Counts interactions: changes `tables` in place.

    >>> tables = unpack([None])
    >>> count(tables, Lines(np.zeros(2, np.int32), np.array([7, 7], np.uint64), np.zeros(2, np.int64)), Rules())
    >>> int(tables.interactions[0, 0]), together(tables, Rules()).item
    (2, array([7], dtype=uint64))
    """
    _count(tables, lines, rules.half_life_ms)


def together(tables: Tables, rules: Rules) -> Popular:
    """What is popular in all of these tables together, by what was counted for certain."""
    there = np.arange(ROOM) < tables.length[:, None]
    landmark = tables.landmark[there]
    item, of = np.unique(tables.item[there], return_inverse=True)
    newest = np.zeros(len(item), np.int64)  # of each item: beside one event far ahead those of all others would be nothing
    np.maximum.at(newest, of, landmark)
    age = (newest[of] - landmark) / rules.half_life_ms if rules.half_life_ms else np.zeros(len(landmark))
    certain = (tables.popularity[there] - tables.inherited[there]) * np.exp2(-age)
    interactions = np.zeros(len(item), np.int64)
    np.add.at(interactions, of, tables.interactions[there])
    decayed: F64 = np.bincount(of, certain, len(item)).astype(np.float64)
    return popularity.sorted_by_level(rules, item, decayed, newest, interactions)


@compiled
def _count(tables: Tables, lines: Lines, half_life: float) -> None:
    for k in range(len(lines.item)):
        t, y = lines.table[k], lines.item[k]
        if y == NONE:
            tables.length[t] = 0
            continue
        i = 0
        while i < tables.length[t] and tables.item[t, i] != y:
            i += 1
        if i == tables.length[t]:
            if i < tables.item.shape[1]:
                tables.length[t] += 1
                tables.popularity[t, i], tables.landmark[t, i] = 0.0, lines.time[k]
            else:
                i = _least(tables, t, half_life)
            tables.item[t, i] = y
            tables.inherited[t, i], tables.interactions[t, i] = tables.popularity[t, i], 0
        age = (lines.time[k] - tables.landmark[t, i]) / half_life if half_life > 0.0 else 0.0
        if age > 0.0:
            tables.popularity[t, i] = tables.popularity[t, i] * 2.0**-age + 1.0
            tables.inherited[t, i] *= 2.0**-age
            tables.landmark[t, i] = lines.time[k]
        else:
            tables.popularity[t, i] += 2.0**age
        tables.interactions[t, i] += 1


@compiled
def _least(tables: Tables, t: int, half_life: float) -> int:
    """The place of the least popular item of a full table, of equals that of the largest hash."""
    least, lowest = 0, np.inf
    for i in range(tables.length[t]):
        level = np.log2(tables.popularity[t, i])
        if half_life > 0.0:
            level += tables.landmark[t, i] / half_life
        if level < lowest or (level == lowest and tables.item[t, i] > tables.item[t, least]):
            least, lowest = i, level
    return least
