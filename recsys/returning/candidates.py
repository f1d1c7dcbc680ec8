"""Candidates: the few items among which a user's next basket is looked for.

All held items; the others with the largest A(c) · n_c^−0.2; those that sell most.
"""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I32, I64, U64, compiled
from recsys.hashing import NONE
from recsys.index import Index, find, slot
from recsys.returning.evidence import Evidence, Neighbourhood, gather, met
from recsys.returning.purchases import HELD, Purchases, fade
from recsys.returning.sales import HALF_LIFE_MS, Sales

POPULARITY_NORM = -0.2
LEAST_SOLD = 1e-3
"""An item of which less is sold, or nothing is known, is taken to sell this much."""


class Breadth(NamedTuple):
    """How many candidates there are at most of each kind."""

    held: int
    others: int
    popular: int

    @property
    def room(self) -> int:
        return self.held + self.others + self.popular


EVERYTHING = Breadth(HELD, 60, 20)
NEW_ITEMS = Breadth(0, 150, 50)
"""For what the user has not bought; such a choice is learned with weights of its own."""


class Shop(NamedTuple):
    """What is known of items."""

    sales: Sales
    sold: Index
    """Of the places in `sales`."""
    rows: Neighbourhood
    popular: U64
    """The items that sell most, best first; those of the last day are new enough."""


class Candidates(NamedTuple):
    """The candidates of one user, columns of one length, of which the first are filled."""

    item: U64
    held: I32
    """The place among the user's held items, -1 for an item that is not held."""
    sold: I32
    """The place among the sales, `NOWHERE` for an item of which none are known."""
    evidence: F64
    """A(c), see `evidence`."""
    source: U64
    """The held item that says most for it, `NONE` where none does."""
    best: I64
    """Scratch: slots in the evidence by falling worth."""
    worth: F64


def no_candidates(room: int) -> Candidates:
    """Room for so many candidates."""
    return Candidates(
        np.zeros(room, np.uint64),
        np.zeros(room, np.int32),
        np.zeros(room, np.int32),
        np.zeros(room, np.float64),
        np.zeros(room, np.uint64),
        np.zeros(room, np.int64),
        np.zeros(room, np.float64),
    )


@compiled
def choose(
    candidates: Candidates, evidence: Evidence, purchases: Purchases, u: int, shop: Shop, now: int, breadth: Breadth
) -> int:
    """Fills `evidence`, which is free, and `candidates` for user `u`; returns how many there are."""
    gather(evidence, purchases, u, shop.rows, now)
    held = purchases.held[u]
    n = 0
    for f in range(min(held, breadth.held)):
        n = _add(candidates, n, evidence, evidence.used[f], shop.sold)
    n = _add_others(candidates, n, evidence, held, shop, now, breadth.others)
    for i in range(min(breadth.popular, len(shop.popular))):
        if shop.popular[i] == 0:
            break
        at = met(evidence, shop.popular[i])
        if evidence.held[at] == 0 and evidence.candidate[at] == 0:
            n = _add(candidates, n, evidence, at, shop.sold)
    return n


@compiled
def _add(candidates: Candidates, n: int, evidence: Evidence, at: int, sold: Index) -> int:
    evidence.candidate[at] = n + 1
    candidates.item[n] = evidence.slots[at]
    candidates.held[n] = evidence.held[at] - 1
    candidates.sold[n] = find(sold, evidence.slots[at])
    candidates.evidence[n] = evidence.total[at]
    candidates.source[n] = evidence.source[at]
    return n + 1


@compiled
def _add_others(candidates: Candidates, n: int, evidence: Evidence, held: int, shop: Shop, now: int, room: int) -> int:
    """Adds the items that are not held and have the largest A(c) · n_c^−0.2, ties by hash."""
    best, worth = candidates.best, candidates.worth
    found = 0
    # As in `gather`, the loop takes its arrays by name.
    slots, total, used = evidence.slots, evidence.total, evidence.used
    keys, places, sold, landmark = shop.sold.keys, shop.sold.place, shop.sales.n, shop.sales.landmark
    for f in range(held, evidence.filled[0]):
        at = used[f]
        key = slot(keys, slots[at])
        n_c = 0.0
        if keys[key] != NONE:
            place = places[key]
            n_c = sold[place] * fade(landmark[place], now, HALF_LIFE_MS)
        score = total[at] * max(n_c, LEAST_SOLD) ** POPULARITY_NORM
        i = found
        if found == room:
            i -= 1
            if score < worth[i] or (score == worth[i] and slots[at] > slots[best[i]]):
                continue
        while i > 0 and (worth[i - 1] < score or (worth[i - 1] == score and slots[best[i - 1]] > slots[at])):
            best[i], worth[i] = best[i - 1], worth[i - 1]
            i -= 1
        best[i], worth[i] = at, score
        found = min(found + 1, room)
    for i in range(found):
        n = _add(candidates, n, evidence, best[i], shop.sold)
    return n
