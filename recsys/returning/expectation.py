"""The expectation: what will be in a user's next basket, and what is learned when the basket comes.

Of a user's candidates, p(c) = exp(w·f(c)) / Σ exp(w·f(b)), see `recsys.learner`. The basket's items among the candidates are
what was chosen, in equal parts; a basket with none of them, and a user's first basket, teach nothing.
"""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I32, I64, U64, compiled, compiled_beside
from recsys.hashing import NONE
from recsys.index import slot
from recsys.learner import Weights, softmax
from recsys.learner import learn as step
from recsys.returning.basket_fold import Deltas, Lines, count_event, event_end, is_purchase, no_deltas, opens_basket, room_for
from recsys.returning.candidates import Breadth, Candidates, Shop, choose, no_candidates
from recsys.returning.evidence import Evidence, clear, no_evidence
from recsys.returning.features import FEATURES, PARTS, describe, explain
from recsys.returning.purchases import Purchases
from recsys.returning.repurchase import Repurchase


class Desk(NamedTuple):
    """Where one user's candidates are laid out; used again for the next."""

    evidence: Evidence
    candidates: Candidates
    features: F64
    linear: F64
    """w·f of each candidate."""
    probability: F64
    chosen: F64


class Expected(NamedTuple):
    """For each user the likeliest items, ties by hash: matrices of users × `top_n`, `NONE` where there are fewer."""

    item: U64
    probability: F64
    """Among the user's candidates, whose probabilities add up to 1."""
    parts: F64
    """Users × items × `PARTS`: of w·f, see `features.explain`."""
    source: U64
    """The held item that says most for this one, `NONE` where none does."""


def desk(shop: Shop, breadth: Breadth) -> Desk:
    """A desk for these rows and so many candidates."""
    room = breadth.room
    return Desk(
        no_evidence(shop.rows.other.shape[1], len(shop.popular)),
        no_candidates(room),
        np.zeros((room, FEATURES)),
        np.zeros(room),
        np.zeros(room),
        np.zeros(room),
    )


def expect(
    purchases: Purchases, now: I64, shop: Shop, weights: Weights, breadth: Breadth, top_n: int, at: Desk | None = None
) -> Expected:
    """The `top_n` likeliest items of each user at the user's `now`, an event time in milliseconds; at a new desk, if none is
    given."""
    shape = (len(now), top_n)
    expected = Expected(np.zeros(shape, np.uint64), np.zeros(shape), np.zeros((*shape, PARTS)), np.zeros(shape, np.uint64))
    _expect(purchases, now, shop, weights.weight, breadth, at or desk(shop, breadth), np.zeros(top_n, np.int32), expected)
    return expected


def learn_and_count(
    purchases: Purchases, tables: Repurchase, table: I32, bought: Lines, gap_ms: float,
    shop: Shop, weights: Weights, breadth: Breadth,
) -> Deltas:  # fmt: skip
    """Counts a batch as `basket_fold.count` does, and changes `weights` by each basket before it is counted.

    Of a basket whose lines come one by one, the first teaches. What is known of items is that before the batch.
    """
    deltas = no_deltas(room_for(bought))
    used = _learn_and_count(purchases, tables, table, bought, deltas, gap_ms, shop, weights, breadth, desk(shop, breadth))
    return Deltas._make(column[:used] for column in deltas)


@compiled
def lay_out(at: Desk, purchases: Purchases, u: int, shop: Shop, now: int, weight: F64, breadth: Breadth) -> int:
    """Lays out the candidates of a user with their probabilities; returns how many. The desk is to be cleared after use."""
    n = choose(at.candidates, at.evidence, purchases, u, shop, now, breadth)
    describe(at.features, at.candidates, n, at.evidence, purchases, u, shop.sales, now)
    if n > 0:
        softmax(at.features, n, weight, at.linear, at.probability)
    return n


@compiled
def teach(at: Desk, n: int, item: U64, weights: Weights) -> None:
    """Learns from a basket of these items, of a user whose candidates are laid out."""
    at.chosen[:n] = 0.0
    hits = 0
    for i in range(len(item)):
        place = slot(at.evidence.slots, item[i])
        c = at.evidence.candidate[place] - 1
        if at.evidence.slots[place] != NONE and c >= 0 and at.chosen[c] == 0.0:
            at.chosen[c] = 1.0
            hits += 1
    if hits > 0:
        for c in range(n):
            at.chosen[c] /= hits
        step(at.features, n, at.probability, at.chosen, weights.weight, weights.squares)


@compiled
def best_of(at: Desk, n: int, best: I32) -> int:
    """Fills `best` with the places of the likeliest candidates, ties by hash; returns how many there are."""
    found = 0
    item = at.candidates.item
    for c in range(n):
        i = found
        if found == len(best):
            i -= 1
            if not _before(at.linear[c], item[c], at.linear[best[i]], item[best[i]]):
                continue
        while i > 0 and _before(at.linear[c], item[c], at.linear[best[i - 1]], item[best[i - 1]]):
            best[i] = best[i - 1]
            i -= 1
        best[i] = c
        found = min(found + 1, len(best))
    return found


@compiled
def _before(score: float, item: int, other_score: float, other: int) -> bool:
    return score > other_score or (score == other_score and item < other)


@compiled_beside
def _expect(
    purchases: Purchases, now: I64, shop: Shop, weight: F64, breadth: Breadth, at: Desk, best: I32, expected: Expected
) -> None:
    for u in range(len(now)):
        n = lay_out(at, purchases, u, shop, now[u], weight, breadth)
        for i in range(best_of(at, n, best)):
            c = best[i]
            expected.item[u, i] = at.candidates.item[c]
            expected.probability[u, i] = at.probability[c]
            expected.source[u, i] = at.candidates.source[c]
            explain(expected.parts[u, i], at.features[c], weight)
        clear(at.evidence)


@compiled
def _learn_and_count(
    purchases: Purchases, tables: Repurchase, table: I32, bought: Lines, deltas: Deltas, gap_ms: float,
    shop: Shop, weights: Weights, breadth: Breadth, at: Desk,
) -> int:  # fmt: skip
    used = 0
    begin = 0
    while begin < len(bought.item):
        end = event_end(bought, begin)
        u = bought.user[begin]
        if teaches(purchases, bought, begin, end, gap_ms):
            n = lay_out(at, purchases, u, shop, bought.time[begin], weights.weight, breadth)
            teach(at, n, bought.item[begin:end], weights)
            clear(at.evidence)
        used = count_event(purchases, tables, table[u], bought, begin, end, deltas, used, gap_ms)
        begin = end
    return used


@compiled
def teaches(purchases: Purchases, bought: Lines, begin: int, end: int, gap_ms: float) -> bool:
    """Whether an event opens a user's second basket or a later one."""
    return (
        is_purchase(bought, begin)
        and purchases.baskets[bought.user[begin]] > 0
        and opens_basket(purchases, bought, begin, end, gap_ms)
    )
