"""Features: what is known of a user's candidates as seventeen numbers each, the learner's f(c).

All counts are decayed to now, and a feature that is not named for an item is 0.

    every item   A / max A
    held         1, ln k / 2, ln(fb + 1e−3) / 3, ln(f60 + 1e−3) / 3, ln(f200 + 1e−3) / 3, ln((O + 5) / (E + 5)),
                 ln(A + 1e−3) / 4, ln(1 + n) / 5, ln((nr + 0.1) / (n + 0.5)) / 3, ln((nq + 0.05) / (nr + 0.2)) / 3
    not held     ln(A + 1e−3) / 4, ln(1 + n) / 5, the two trends likewise, ln(1 + age in days) / 6, ln((m + 1) / (n + 2))
"""

import numpy as np

from recsys.compiled import F64, compiled
from recsys.index import NOWHERE
from recsys.returning.candidates import Candidates
from recsys.returning.evidence import Evidence
from recsys.returning.purchases import BASKET_FADE, HALF_LIFE_60_MS, HALF_LIFE_200_MS, Purchases, fade
from recsys.returning.sales import DAY_MS, FAST_TREND_MS, HALF_LIFE_MS, TREND_MS, Sales

FEATURES = 17
FIRST = np.zeros(FEATURES)
"""What the weights start with: that an item is held counts 2, its A beside the largest 1."""
FIRST[:2] = 1.0, 2.0

PARTS = 3
BOUGHT_AGAIN, ALSO_BOUGHT, TRENDING = 0, 1, 2
"""The parts of a score: the user's own purchases, those of others beside them, and what sells."""
PART = np.array([1, 0, 0, 0, 0, 0, 0, 1, 2, 2, 2, 1, 2, 2, 2, 2, 2])
"""Of each feature, the part that it is reckoned to."""
LEAST_EVIDENCE = 1e-3


@compiled
def describe(
    features: F64, candidates: Candidates, n: int, evidence: Evidence, purchases: Purchases, u: int, sales: Sales, now: int
) -> None:
    """Fills the rows of `features` for the first `n` candidates of user `u`."""
    for c in range(n):
        row = features[c]
        row[:] = 0.0
        a = candidates.evidence[c]
        if evidence.largest[0] > 0.0:
            row[0] = a / evidence.largest[0]
        s = candidates.sold[c]
        sold, recent, newest, to_new, observed, expected, age = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        if s != NOWHERE and sales.landmark[s] != 0:
            landmark = sales.landmark[s]
            worth = fade(landmark, now, HALF_LIFE_MS)
            sold, to_new = sales.n[s] * worth, sales.m[s] * worth
            recent = sales.nr[s] * fade(landmark, now, TREND_MS)
            newest = sales.nq[s] * fade(landmark, now, FAST_TREND_MS)
            age = max(now - sales.first[s], 0) / DAY_MS
        if s != NOWHERE:
            observed, expected = sales.observed[s], sales.expected[s]
        trend = np.log((recent + 0.1) / (sold + 0.5)) / 3.0
        fast_trend = np.log((newest + 0.05) / (recent + 0.2)) / 3.0
        h = candidates.held[c]
        if h >= 0:
            time = purchases.time[u, h]
            row[1] = 1.0
            row[2] = np.log(purchases.k[u, h]) / 2.0
            fb = purchases.fb[u, h] * BASKET_FADE ** (purchases.baskets[u] - purchases.basket[u, h])
            row[3] = np.log(fb + 1e-3) / 3.0
            row[4] = np.log(purchases.f60[u, h] * fade(time, now, HALF_LIFE_60_MS) + 1e-3) / 3.0
            row[5] = np.log(purchases.f200[u, h] * fade(time, now, HALF_LIFE_200_MS) + 1e-3) / 3.0
            row[6] = np.log((observed + 5.0) / (expected + 5.0))
            row[7] = np.log(a + LEAST_EVIDENCE) / 4.0
            row[8] = np.log(1.0 + sold) / 5.0
            row[9] = trend
            row[10] = fast_trend
        else:
            row[11] = np.log(a + LEAST_EVIDENCE) / 4.0
            row[12] = np.log(1.0 + sold) / 5.0
            row[13] = trend
            row[14] = fast_trend
            row[15] = np.log(1.0 + age) / 6.0
            row[16] = np.log((to_new + 1.0) / (sold + 2.0))


@compiled
def explain(parts: F64, features: F64, weight: F64) -> None:
    """Adds the three parts of one candidate's w·f to `parts`; they add up to it, and each may be below 0.

    What others' purchases add is seen from no evidence at all, so it is 0 where A is 0.

    >>> parts = np.zeros(PARTS)
    >>> explain(parts, np.array([1.0, 1.0, *[0.0] * 15]), FIRST)
    >>> parts
    array([2., 1., 0.])
    """
    for j in range(len(weight)):
        parts[PART[j]] += weight[j] * features[j]
    nothing = np.log(LEAST_EVIDENCE) / 4.0
    if features[1] > 0.0:
        parts[ALSO_BOUGHT] -= weight[7] * nothing
        parts[BOUGHT_AGAIN] += weight[7] * nothing
    else:
        parts[ALSO_BOUGHT] -= weight[11] * nothing
        parts[TRENDING] += weight[11] * nothing
