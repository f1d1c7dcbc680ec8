"""Lessons: what a returning customer bought next teaches the learner, with what was known before the basket was counted."""

from recsys.compiled import F64, I32, U64, compiled, compiled_beside
from recsys.fold import PURCHASE
from recsys.hashing import NONE
from recsys.index import slot
from recsys.learner import Weights
from recsys.ranking.past import Past
from recsys.returning.candidates import Breadth, Shop
from recsys.returning.evidence import clear
from recsys.returning.expectation import Desk, lay_out, teach
from recsys.returning.purchases import Purchases

BURST = 40
DAY_MS = 86_400_000
"""Whoever has done `BURST` things within `DAY_MS` teaches nothing: a robot must not swing what all others are shown."""


@compiled
def first_new(past: Past, u: int, new: int, baskets: int) -> int:
    """The place of the interaction that is a lesson, the first of the `new` newest; -1 where none is.

    `baskets` are the user's before it.
    """
    first = past.length[u] - new
    if new == 0 or first <= 0 or baskets == 0:
        return -1
    if first >= BURST and past.time[u, first] - past.time[u, first - BURST] < DAY_MS:
        return -1
    return first  # type: ignore[no-any-return]


@compiled_beside
def learn_from(
    past: Past, event: U64, new: I32, before: Purchases, after: Purchases, shop: Shop, weights: Weights, breadth: Breadth,
    desk: Desk, probability: F64,
) -> None:  # fmt: skip
    """Learns from the first new basket of each user, bought with `before` in hand; `event` are the event ids of the histories.

    Fills `probability` with how likely the first new item was to be bought.
    """
    for u in range(len(new)):
        first = first_new(past, u, new[u], before.baskets[u])
        if first < 0:
            continue
        n = lay_out(desk, before, u, shop, past.time[u, first], weights.weight, breadth)
        at = slot(desk.evidence.slots, past.item[u, first])
        if desk.evidence.slots[at] != NONE and desk.evidence.candidate[at] > 0:
            probability[u] = desk.probability[desk.evidence.candidate[at] - 1]
        i = first
        while i < past.length[u] and past.kind[u, i] != PURCHASE:
            i += 1
        if i < past.length[u] and after.baskets[u] > before.baskets[u]:
            end = i + 1
            while (
                end < past.length[u]
                and event[u, end] == event[u, i]
                and past.time[u, end] == past.time[u, i]
                and past.kind[u, end] == PURCHASE
            ):
                end += 1
            if past.time[u, i] != past.time[u, first]:
                clear(desk.evidence)
                n = lay_out(desk, before, u, shop, past.time[u, i], weights.weight, breadth)
            teach(desk, n, past.item[u, i:end], weights)
        clear(desk.evidence)
