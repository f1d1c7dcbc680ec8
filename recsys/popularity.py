"""Popularity: the most popular items of each item shard, kept as the rows are, and of all shards together.

With forward decay the order of two items changes only when one of them is met, so the strongest `KEPT` items of a shard follow
exactly from the strongest before and the rows that changed. Levels are base-2 logarithms of decayed interactions, comparable
over items and time; they are made anew from what is stored, so another half-life orders all items alike.
"""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I64, U64
from recsys.rows import Rows
from recsys.rules import Rules

POPULAR_TO_SPARE = 200
"""Popular items kept beyond `top_n`, to fill the places of those that a user must not be shown."""
KEPT = 32
"""Items remembered in each shard: up to so many are the most popular exactly, more with near certainty, as shards are even."""

ENTRY = np.dtype([("item", np.uint64), ("popularity", np.float64), ("landmark", np.int64), ("interactions", np.int64)])


class Popular(NamedTuple):
    """Items by falling popularity, ties by hash."""

    item: U64
    popularity: F64
    """Decayed interactions, worth what they were at the landmark."""
    landmark: I64
    """Event time in milliseconds."""
    interactions: I64
    level: F64
    """log₂ of the decayed interactions, plus the landmark in half-lives."""


def unpack(rules: Rules, *packed: bytes | None) -> Popular:
    """The popular items of some shards together, from their stored bytes."""
    table = np.frombuffer(b"".join(value for value in packed if value), ENTRY)
    return sorted_by_level(rules, *(table[name] for name in ENTRY.names or ()))


def pack(popular: Popular) -> bytes:
    table = np.empty(len(popular.item), ENTRY)
    for name in ENTRY.names or ():
        table[name] = getattr(popular, name)
    return table.tobytes()


def update(popular: Popular, rows: Rows, changed: I64, rules: Rules) -> Popular:
    """The shard's popular items after the rows in the places `changed` changed.

    An item is forgotten when it is not among the strongest any more, and known again from its row when it is met.
    """
    items = rows.item[changed]
    stays = ~(popular.item[:, None] == items).any(axis=1)
    merged = sorted_by_level(
        rules,
        np.concatenate((popular.item[stays], items)),
        np.concatenate((popular.popularity[stays], rows.popularity[changed])),
        np.concatenate((popular.landmark[stays], rows.landmark[changed])),
        np.concatenate((popular.interactions[stays], rows.interactions[changed])),
    )
    return Popular._make(column[:KEPT] for column in merged)


def foremost(popular: Popular, rules: Rules) -> Popular:
    """Of these items the ones that ranking fills up with."""
    return Popular._make(column[: rules.top_n + POPULAR_TO_SPARE] for column in popular)


def decayed(popular: Popular, now_ms: float, rules: Rules) -> F64:
    """The decayed interactions at `now_ms`, at most what they were at the items' own time."""
    age = now_ms / rules.half_life_ms if rules.half_life_ms else 0.0
    result: F64 = np.exp2(np.minimum(popular.level - age, np.log2(popular.interactions)))
    return result


def sorted_by_level(rules: Rules, item: U64, popularity: F64, landmark: I64, interactions: I64) -> Popular:
    """These items by falling popularity."""
    level = np.log2(np.maximum(popularity, np.finfo(np.float64).tiny))
    if rules.half_life_ms:
        level = level + landmark / rules.half_life_ms
    order = np.lexsort((item, -level))
    return Popular(item[order], popularity[order], landmark[order], interactions[order], level[order])
