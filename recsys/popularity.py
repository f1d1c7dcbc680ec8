"""Popularity: the most popular items of each item shard, kept as the rows are, and of all shards together.

With forward decay an item's level changes only when the item is met, so the strongest `KEPT` items of a shard follow exactly
from the strongest before and the rows that changed. Levels are base-2 logarithms of decayed interactions, comparable over
items and time.
"""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I64, U64
from recsys.rows import Rows
from recsys.rules import Rules

KEPT = 32
"""Items remembered in each shard: up to so many are the most popular exactly, more with near certainty, as shards are even."""

ENTRY = np.dtype([("item", np.uint64), ("level", np.float64), ("interactions", np.int64)])


class Popular(NamedTuple):
    """Items by falling popularity, ties by hash."""

    item: U64
    level: F64
    """log₂ of the decayed interactions, plus the landmark in half-lives."""
    interactions: I64


def unpack(*packed: bytes | None) -> Popular:
    """The popular items of some shards together, from their stored bytes."""
    table = np.frombuffer(b"".join(value for value in packed if value), ENTRY)
    return _sorted(table["item"], table["level"], table["interactions"])


def pack(popular: Popular) -> bytes:
    table = np.empty(len(popular.item), ENTRY)
    table["item"], table["level"], table["interactions"] = popular
    return table.tobytes()


def update(popular: Popular, rows: Rows, changed: I64, rules: Rules) -> Popular:
    """The shard's popular items after the rows in the places `changed` changed.

    A level is forgotten when its item is not among the strongest any more, and known again from the row when it is met.
    """
    items = rows.item[changed]
    stays = ~(popular.item[:, None] == items).any(axis=1)
    level = np.log2(np.maximum(rows.popularity[changed], np.finfo(np.float64).tiny))
    if rules.half_life_ms:
        level += rows.landmark[changed] / rules.half_life_ms
    merged = _sorted(
        np.concatenate((popular.item[stays], items)),
        np.concatenate((popular.level[stays], level)),
        np.concatenate((popular.interactions[stays], rows.interactions[changed])),
    )
    return Popular._make(column[:KEPT] for column in merged)


def decayed(popular: Popular, now_ms: float, rules: Rules) -> F64:
    """The decayed interactions at `now_ms`, at most what they were at the items' own time."""
    age = now_ms / rules.half_life_ms if rules.half_life_ms else 0.0
    result: F64 = np.exp2(np.minimum(popular.level - age, np.log2(popular.interactions)))
    return result


def _sorted(item: U64, level: F64, interactions: I64) -> Popular:
    order = np.lexsort((item, -level))
    return Popular(item[order], level[order], interactions[order])
