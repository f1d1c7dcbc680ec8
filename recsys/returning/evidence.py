"""Evidence: what the newest lines that a user bought say, by the rows of their items, for each other item.

    A(c) = Σ over the newest 50 held items x: 0.8^(baskets since, 0 the last) · P(c|x)     P(c|x) = w_xc / (n_x + 1)

The lines are taken from the held items, each once, where it was bought last. Item-to-item co-occurrence: Linden, Smith, York,
2003, "Amazon.com recommendations: item-to-item collaborative filtering".
"""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F32, F64, I32, I64, U64, compiled
from recsys.hashing import NONE
from recsys.index import NOWHERE, Index, find, slot
from recsys.returning.purchases import HELD, Purchases, fade

LINES = 50
"""The newest held items that speak for others."""
LINE_FADE = 0.8
"""What a line says is worth this much less with each basket since."""


class Neighbourhood(NamedTuple):
    """The rows of some items, as `recsys.rows.Rows` has them, with the index of their places."""

    where: Index
    length: I32
    other: U64
    weight: F32
    popularity: F64
    landmark: I64
    half_life_ms: float
    """0 for no decay."""


class Evidence(NamedTuple):
    """An open-addressing table of the items of which a user's purchases speak, and of those held; all 0 where it is free."""

    slots: U64
    total: F64
    """A(c)."""
    strongest: F64
    """The largest term of the sum."""
    source: U64
    """The item that it comes from."""
    held: I32
    """One more than the place among the held items, of an item that is held."""
    candidate: I32
    """One more than the place among the candidates, of an item that is one."""
    used: I64
    """The slots that are filled, in the order in which their items were met; held items come first."""
    filled: I64
    """How many they are; one number."""
    largest: F64
    """The largest total; one number."""


def no_evidence(width: int, others: int) -> Evidence:
    """A free table for rows of `width` neighbours and `others` more items."""
    size = 1 << int(2 * (HELD + LINES * width + others)).bit_length()
    return Evidence(
        np.zeros(size, np.uint64),
        np.zeros(size, np.float64),
        np.zeros(size, np.float64),
        np.zeros(size, np.uint64),
        np.zeros(size, np.int32),
        np.zeros(size, np.int32),
        np.zeros(size, np.int64),
        np.zeros(1, np.int64),
        np.zeros(1, np.float64),
    )


@compiled
def gather(evidence: Evidence, purchases: Purchases, u: int, rows: Neighbourhood, now: int) -> None:
    """Fills a free table with what user `u` holds, and what the newest of it says at `now`."""
    held = purchases.held[u]
    for h in range(held):
        evidence.held[met(evidence, purchases.item[u, h])] = h + 1
    # The inner loop runs thousands of times a user: it takes the arrays by name and calls only what takes one of them.
    slots, total, strongest, source = evidence.slots, evidence.total, evidence.strongest, evidence.source
    used, other, weight = evidence.used, rows.other, rows.weight
    filled, largest = held, 0.0
    for h in range(held - 1, max(held - LINES, 0) - 1, -1):
        x = purchases.item[u, h]
        r = find(rows.where, x)
        if r == NOWHERE:
            continue
        factor = 1.0
        if rows.half_life_ms > 0.0:
            factor = fade(rows.landmark[r], now, rows.half_life_ms)
        strength = LINE_FADE ** (purchases.baskets[u] - purchases.basket[u, h]) * factor / (rows.popularity[r] * factor + 1.0)
        for i in range(rows.length[r]):
            term = strength * weight[r, i]
            if not 0.0 < term < np.inf:
                continue
            at = slot(slots, other[r, i])
            if slots[at] == NONE:
                slots[at] = other[r, i]
                used[filled] = at
                filled += 1
            total[at] += term
            if term > strongest[at]:
                strongest[at], source[at] = term, x
            largest = max(largest, total[at])
    evidence.filled[0], evidence.largest[0] = filled, largest


@compiled
def met(evidence: Evidence, item: int) -> int:
    """The slot of an item, which is in the table from now on."""
    at = slot(evidence.slots, item)
    if evidence.slots[at] == NONE:
        evidence.slots[at] = item
        evidence.used[evidence.filled[0]] = at
        evidence.filled[0] += 1
    return at


@compiled
def clear(evidence: Evidence) -> None:
    """Makes the table free again."""
    for f in range(evidence.filled[0]):
        at = evidence.used[f]
        evidence.slots[at], evidence.source[at] = 0, 0
        evidence.total[at], evidence.strongest[at] = 0.0, 0.0
        evidence.held[at], evidence.candidate[at] = 0, 0
    evidence.filled[0], evidence.largest[0] = 0, 0.0
