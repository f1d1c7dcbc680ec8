"""Once: of what a user bought and holds, what people hardly ever buy again.

Of item c, with n and m its baskets and those of users who did not hold it, both decayed, and ρ the share of bought lines that
were bought again in the whole shop, the share of its purchases that were by users who held it already is

    ρ_c = (n_c − m_c + ρ) / (n_c + 1)

so an item of which little is known is taken to be like the others; below a tenth it is bought once.
"""

import numpy as np

from recsys.compiled import I32, I64, U64, compiled
from recsys.index import NOWHERE, Index, find
from recsys.returning.purchases import HELD, Purchases, fade
from recsys.returning.sales import HALF_LIFE_MS, Sales

HARDLY = 0.1
PRIOR = 1.0
"""Baskets as which the shop's share counts."""


def bought_once(purchases: Purchases, now: I64, sales: Sales, sold: Index, share: float) -> U64:
    """Users × items that each user holds and that are bought once, `NONE` where there are fewer.

    `now` is an event time of each user in milliseconds, `sold` says where the sales of an item are, `share` is ρ.
    """
    users = len(now)
    if not purchases.held.any():
        return np.zeros((users, 0), np.uint64)
    found = np.zeros((users, HELD), np.uint64)
    filled = np.zeros(users, np.int32)
    _bought_once(purchases, now, sales, sold, share, found, filled)
    return found[:, : int(filled.max(initial=0))]


@compiled
def share_again(n: float, m: float, share: float) -> float:
    """ρ_c.

    >>> share_again(0.0, 0.0, 0.25), share_again(9.0, 6.0, 0.0)
    (0.25, 0.3)
    """
    return (max(n - m, 0.0) + PRIOR * share) / (n + PRIOR)


@compiled
def once_of_user(purchases: Purchases, u: int, now: int, sales: Sales, sold: Index, share: float, found: U64) -> int:
    """Puts the same of one user into `found`, which has `HELD` places; returns how many there are."""
    filled = 0
    for h in range(purchases.held[u]):
        item = purchases.item[u, h]
        place = find(sold, item)
        n, m = 0.0, 0.0
        if place != NOWHERE:
            worth = fade(sales.landmark[place], now, HALF_LIFE_MS)
            n, m = sales.n[place] * worth, sales.m[place] * worth
        if share_again(n, m, share) < HARDLY:
            found[filled] = item
            filled += 1
    return filled


@compiled
def _bought_once(purchases: Purchases, now: I64, sales: Sales, sold: Index, share: float, found: U64, filled: I32) -> None:
    for u in range(len(now)):
        filled[u] = once_of_user(purchases, u, now[u], sales, sold, share, found[u])
