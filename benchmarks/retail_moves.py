"""What pandas makes of Online Retail's own columns of moves between segments: every customer on every day, counted anew.

Amounts are put into the sketch's buckets first, for near an edge a customer would else stand elsewhere.
"""

from collections import Counter
from math import ceil, log

import numpy as np
import pandas as pd

FIFTHS = (0.2, 0.4, 0.6, 0.8)
GAMMA = 1.01 / 0.99
EXACT = 200
GRID = (
    ("lost", "hibernating", "about to sleep", "promising", "new"),
    ("hibernating", "hibernating", "about to sleep", "potential loyalist", "potential loyalist"),
    ("at risk", "at risk", "needs attention", "potential loyalist", "potential loyalist"),
    ("at risk", "at risk", "loyal", "loyal", "champions"),
    ("cannot lose", "cannot lose", "loyal", "loyal", "champions"),
)
"""By the mean of F and M, and by R: as the README names them."""


def moves(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """By day, how many customers went from which segment to which."""
    found = {}
    before: dict[str, str] = {}
    days = table.time.dt.strftime("%Y-%m-%d")
    for day in sorted(days.unique()):
        past = table[days <= day]
        now = segments(past)
        moved = Counter(
            f"{was} → {segment}" for user, segment in now.items() if (was := before.get(user, "no order")) != segment
        )
        found[day] = dict(moved)
        before = now
    return found


def segments(table: pd.DataFrame) -> dict[str, str]:
    """Of all who bought by then."""
    buyers = table[table.bought].groupby("CustomerID")
    if not len(buyers):
        return {}
    last = buyers.time.max().dt.normalize().astype("int64").to_numpy()
    signed = table.amount.where(table.bought, -table.amount).groupby(table.CustomerID).sum().reindex(buyers.size().index)
    orders = np.array([number(each) for each in buyers.event.nunique().tolist()])
    paid = np.array([amount(each) for each in signed.tolist()])
    recency, frequency, monetary = (np.searchsorted(np.quantile(values, FIFTHS), values) for values in (-last, orders, paid))
    return {
        str(user): GRID[(f + m + 3) // 2 - 1][4 - r]
        for user, r, f, m in zip(
            buyers.size().index, recency.tolist(), frequency.tolist(), monetary.tolist(), strict=True
        )
    }  # fmt: skip


def number(orders: int) -> int:
    return orders if orders <= EXACT else EXACT + ceil(log(orders / EXACT) / log(GAMMA))


def amount(millionths: int) -> int:
    return 0 if millionths < 1 else max(1, ceil(log(millionths / 1e6 * 1e6) / log(GAMMA)))
