"""Popularity: the most popular items of each item shard, kept as the rows are, and of all shards together.

With forward decay the order of two items changes only when one of them is met, so the strongest `KEPT` items of a shard follow
exactly from the strongest before and the rows that changed. Levels are base-2 logarithms of decayed interactions, comparable
over items and time; they are made anew from what is stored, so another half-life orders all items alike.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from recsys.compiled import F64, I64, U64, compiled
from recsys.index import among
from recsys.packing import starts
from recsys.rows import Rows
from recsys.rules import Rules

POPULAR_TO_SPARE = 200
"""Popular items kept beyond `top_n`, to fill the places of those that a user must not be shown."""
KEPT = 32
"""Items remembered in each shard: up to so many are the most popular exactly, more with near certainty, as shards are even."""

ENTRY = np.dtype([("item", np.uint64), ("popularity", np.float64), ("landmark", np.int64), ("interactions", np.int64)])
WORDS = ENTRY.itemsize // 8


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


def update(stored: Sequence[bytes | None], rows: Rows, places: Sequence[I64], rules: Rules) -> list[bytes]:
    """What is stored of some shards after their rows in these places changed.

    An item is forgotten when it is not among the strongest any more, and known again from its row when it is met.
    """
    values = [value or b"" for value in stored]
    before, at = np.frombuffer(b"".join(values), ENTRY), np.concatenate(places)
    changed = np.empty(len(at), ENTRY)
    for name in ENTRY.names or ():
        changed[name] = getattr(rows, name)[at]
    strongest, length = np.empty((len(values), KEPT, WORDS), np.uint64), np.zeros(len(values), np.int64)
    _update(
        _words(before), levels(rules, before["popularity"], before["landmark"]),
        starts(np.array([*map(len, values)]) // ENTRY.itemsize),
        _words(changed), levels(rules, changed["popularity"], changed["landmark"]), starts(np.array([*map(len, places)])),
        strongest, np.empty(KEPT), length,
    )  # fmt: skip
    return [table[:n].tobytes() for table, n in zip(strongest, length.tolist(), strict=True)]


def _words(entries: Any) -> U64:
    """Entries as lines of words, the first of which is the item."""
    words: U64 = entries.view(np.uint64).reshape(-1, WORDS)
    return words


@compiled
def _update(
    before: U64, level_before: F64, begins: I64, changed: U64, level_changed: F64, changes: I64, strongest: U64, level: F64,
    length: I64,
) -> None:  # fmt: skip
    """Of each shard sorts what was stored, without what has changed, and what has changed into `strongest`.

    `level` is scratch.
    """
    for shard in range(len(length)):
        n = 0
        for i in range(begins[shard], begins[shard + 1]):
            stays = True
            for k in range(changes[shard], changes[shard + 1]):
                if changed[k, 0] == before[i, 0]:
                    stays = False
            if stays:
                n = _insert(before[i], level_before[i], strongest[shard], level, n)
        for k in range(changes[shard], changes[shard + 1]):
            n = _insert(changed[k], level_changed[k], strongest[shard], level, n)
        length[shard] = n


@compiled
def _insert(entry: U64, own: float, strongest: U64, level: F64, n: int) -> int:
    """Puts an entry of a level among the `n` strongest, if it belongs there; returns how many there are."""
    place = n
    while place > 0 and (level[place - 1] < own or (level[place - 1] == own and strongest[place - 1, 0] > entry[0])):
        place -= 1
    if place == len(strongest):
        return n
    n = min(n + 1, len(strongest))
    for i in range(n - 1, place, -1):
        level[i] = level[i - 1]
        for word in range(WORDS):
            strongest[i, word] = strongest[i - 1, word]
    level[place] = own
    for word in range(WORDS):
        strongest[place, word] = entry[word]
    return n


def pack(popular: Popular) -> bytes:
    """The bytes to store."""
    table = np.empty(len(popular.item), ENTRY)
    for name in ENTRY.names or ():
        table[name] = getattr(popular, name)
    return table.tobytes()


def first(popular: Popular, most: int) -> Popular:
    """The most popular of these."""
    return Popular._make(column[:most] for column in popular)


def foremost(popular: Popular, rules: Rules) -> Popular:
    """Of these items the ones that ranking fills up with."""
    return first(popular, rules.top_n + POPULAR_TO_SPARE)


def without(popular: Popular, gone: U64) -> Popular:
    """The others than these (sorted hashes)."""
    if not len(gone):
        return popular
    stays = ~among(popular.item, gone)
    return Popular._make(column[stays] for column in popular)


def decayed(popular: Popular, now_ms: float, rules: Rules) -> F64:
    """The decayed interactions at `now_ms`, at most what they were at the items' own time."""
    age = now_ms / rules.half_life_ms if rules.half_life_ms else 0.0
    result: F64 = np.exp2(np.minimum(popular.level - age, np.log2(popular.interactions)))
    return result


def sorted_by_level(rules: Rules, item: U64, popularity: F64, landmark: I64, interactions: I64) -> Popular:
    """These items by falling popularity."""
    level = levels(rules, popularity, landmark)
    order = np.lexsort((item, -level))
    return Popular(item[order], popularity[order], landmark[order], interactions[order], level[order])


def levels(rules: Rules, popularity: F64, landmark: I64) -> F64:
    """log₂ of decayed interactions, plus their landmarks in half-lives."""
    level: F64 = np.log2(np.maximum(popularity, np.finfo(np.float64).tiny))
    return level + landmark / rules.half_life_ms if rules.half_life_ms else level
