"""Counts: how often that was met which is behind the terms of a score. Whole numbers, never decayed.

| term | what is counted |
|---|---|
| of a recent item | the sessions in which it and this item were met close to one another: `count` of the pair, in its row |
| repeat | how often the user met the item in this session |
| bought again | the user's baskets that have the item, among those since which it was held |
| also bought | as of a recent item, in the row of the item that is held |
| trending | the item's interactions |

0 where there are none: a recent item may speak for another by way of a third, and an item be known from an earlier session; and
where it is not known.
"""

import numpy as np

from recsys.compiled import I64, U64, compiled, compiled_beside
from recsys.hashing import NONE
from recsys.index import NOWHERE, find
from recsys.known import Known
from recsys.popularity import Popular
from recsys.ranking.evidence import RECENT
from recsys.ranking.features import ALSO_BOUGHT_TERM, BOUGHT_AGAIN_TERM, REPEAT_TERM, TRENDING_TERM
from recsys.ranking.past import Past, session_start
from recsys.ranking.rank import Ranked
from recsys.returning.purchases import Purchases, place_of


def count(ranked: Ranked, past: Past, customers: I64, purchases: Purchases, known: Known, popular: Popular) -> None:
    """Fills `ranked.counts`; `customers` are the places of those users who bought, `purchases` what they hold."""
    place = np.full(len(past.length), NOWHERE, np.int64)
    place[customers] = np.arange(len(customers))
    order = np.argsort(popular.item)
    _count(ranked, past, place, purchases, known, popular.item[order], popular.interactions[order])


@compiled_beside
def _count(
    ranked: Ranked, past: Past, place: I64, purchases: Purchases, known: Known, popular: U64, interactions: I64
) -> None:  # fmt: skip
    for u in range(len(ranked.item)):
        end = past.length[u]
        start = session_start(past, u, end) if end > 0 else 0
        for i in range(ranked.item.shape[1]):
            item, terms, counts = ranked.item[u, i], ranked.terms[u, i], ranked.counts[u, i]
            if item == NONE:
                break
            for d in range(RECENT):
                if terms[d] > 0.0:
                    counts[d] = together(known, ranked.recent[u, d], item)
            for k in range(start, end):
                counts[REPEAT_TERM] += past.item[u, k] == item
            if terms[BOUGHT_AGAIN_TERM] > 0.0 and place[u] != NOWHERE:
                h = place_of(purchases, place[u], item)
                if h >= 0:
                    counts[BOUGHT_AGAIN_TERM] = purchases.k[place[u], h]
            if terms[ALSO_BOUGHT_TERM] > 0.0:
                counts[ALSO_BOUGHT_TERM] = together(known, ranked.source[u, i], item)
            if terms[TRENDING_TERM] > 0.0 or ranked.score[u, i] <= 0.0:  # without any term it is told to be popular
                counts[TRENDING_TERM] = _interactions(known, popular, interactions, item)


@compiled
def together(known: Known, source: int, item: int) -> int:
    """`count` of an item in the row of another, 0 where it is not there."""
    place = find(known.where, source)
    if place == NOWHERE or known.row[place] == NOWHERE:
        return 0
    line = known.row[place]
    for i in range(known.length[line]):
        if known.other[line, i] == item:
            return known.counts[line, i]  # type: ignore[no-any-return]
    return 0


@compiled
def _interactions(known: Known, popular: U64, interactions: I64, item: int) -> int:
    """Of the two numbers that may be known the larger, which is the newer one."""
    place, found = find(known.where, item), 0
    if place != NOWHERE:
        found = known.interactions[place]
    at = np.searchsorted(popular, item)
    if at < len(popular) and popular[at] == item:
        found = max(found, interactions[at])
    return found
