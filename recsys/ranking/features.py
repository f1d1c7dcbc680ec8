"""Features: what is known of a user's candidates as twenty-one numbers each, the learner's f(c).

F, P, A, C, r and n as in `recsys.ranking.evidence`; L is the session's length, n′ the interactions with the trend's half-life.

     0  ln(F + 1e−4) / 4                   9  ln(1 + n) / 5
     1  F                                 10  ln((n′ + 0.1) / (n + 0.5)) / 3
     2  ln(1e−3 + P(c|h₀)) / 4            11  ln(1 + age in days) / 10
     3  ln(1e−3 + Σ 0.7^d P(c|older)) / 4 12  in session · ln(1 + L) / 2
     4  share of the last 5 that support  13  newest · ln(1 + L) / 2
     5  in session                        14  (2), where L = 1
     6  0.8^r                             15  (0) · ln(1 + L) / 2
     7  is the newest                     16  in session · (9)
     8  ln(times seen in session)         17  in session · (0)
    18  ln(1 + 20 C) / 3
    19  (18) / (1 + n)                    20  (18) / (1 + n of h₀)
"""

import numpy as np

from recsys.compiled import F64, I64, compiled
from recsys.index import NOWHERE
from recsys.known import Known
from recsys.ranking.evidence import ALIKE_WEIGHT, RECENT, Evidence, Extent, entry_of
from recsys.ranking.past import fade
from recsys.rows import TREND_HALF_LIFE_MS

FEATURES = 21
FIRST = np.zeros(FEATURES)
"""What the weights start with: the order of F."""
FIRST[0] = 4.0
DAY_MS = 86_400_000.0
LOG_F, LOG_P = np.log(1e-4) / 4.0, np.log(1e-3) / 4.0
"""Of an item that nothing speaks for."""
NO_TREND = np.log(0.1 / 0.5) / 3.0

TERMS = RECENT + 4 + RECENT
"""What a score is made of: what each recent item says, repeats, popularity; what the user bought, and others beside it; and
what the descriptions of the recent items say."""
REPEAT_TERM = RECENT
TRENDING_TERM = RECENT + 1
BOUGHT_AGAIN_TERM = RECENT + 2
ALSO_BOUGHT_TERM = RECENT + 3
ALIKE_TERMS = RECENT + 4
"""The first of them."""


@compiled
def describe(features: F64, chosen: I64, f: F64, n: int, e: Evidence, extent: Extent, known: Known) -> None:
    """Fills a row of `features` for each of the first `n` candidates: entries `chosen`, whose F are `f`."""
    long = np.log(1.0 + extent.length) / 2.0
    seed = 1.0 / (1.0 + e.met[entry_of(e, e.recent[0])])
    for c in range(n):
        at, row = chosen[c], features[c]
        row[:] = 0.0
        row[0], row[1] = np.log(f[c] + 1e-4) / 4.0, f[c]
        row[2], row[3] = np.log(1e-3 + e.newest[at]) / 4.0, np.log(1e-3 + e.older[at]) / 4.0
        row[4] = e.support[at] / RECENT
        place = e.place[at]
        met, trend, age = e.met[at], 0.0, 0.0
        if place != NOWHERE and known.landmark[place] != 0:
            recent = known.trend[place] * min(fade(known.landmark[place], extent.now, TREND_HALF_LIFE_MS), 1.0)
            trend = max(recent - e.own_trend[at], 0.0) if at < extent.own else recent
            age = max(extent.now - known.first[place], 0) / DAY_MS
        row[9], row[10], row[11] = np.log(1.0 + met) / 5.0, np.log((trend + 0.1) / (met + 0.5)) / 3.0, np.log(1.0 + age) / 10.0
        if extent.length == 1:
            row[14] = row[2]
        row[15] = row[0] * long
        if e.times[at] > 0:
            row[5], row[6], row[8] = 1.0, 0.8 ** e.rank[at], np.log(e.times[at])
            row[12], row[16], row[17] = long, row[9], row[0]
            if e.rank[at] == 0:
                row[7], row[13] = 1.0, long
        if e.alike[at] > 0.0:
            row[18] = np.log(1.0 + 20.0 * e.alike[at]) / 3.0
            row[19], row[20] = row[18] / (1.0 + met), row[18] * seed


@compiled
def split(terms: F64, row: F64, weight: F64, e: Evidence, at: int, length: int, repeat: float) -> None:
    """Fills `terms` with the share of each kind of evidence in the learned score of a candidate; they add up to 1.

    A feature counts from where it stands for an item that nothing speaks for, so w · (f − f₀) is what the evidence adds.
    The features are reckoned to what other items say, to the repeat, to popularity, or to descriptions; F, which holds all but
    popularity, in proportion of its parts; what other items say, in proportion of what each adds to A or to C. A kind that
    speaks against the item has no share.
    """
    long = np.log(1.0 + length) / 2.0
    viewed = weight[2] * (row[2] - LOG_P) + weight[3] * (row[3] - LOG_P) + weight[4] * row[4]
    if length == 1:
        viewed += weight[14] * (row[14] - LOG_P)
    again = weight[5] * row[5] + weight[6] * row[6] + weight[7] * row[7] + weight[8] * row[8]
    again += weight[12] * row[12] + weight[13] * row[13] + weight[16] * row[16] + weight[17] * row[17]
    both = weight[0] * (row[0] - LOG_F) + weight[1] * row[1] + weight[15] * (row[15] - LOG_F * long)
    popular = weight[9] * row[9] + weight[10] * (row[10] - NO_TREND) + weight[11] * row[11]
    described = weight[18] * row[18] + weight[19] * row[19] + weight[20] * row[20]
    if row[1] > 0.0:
        viewed += both * e.total[at] / row[1]
        again += both * repeat / row[1]
        described += both * ALIKE_WEIGHT * e.alike[at] / row[1]
    said = 0.0
    for d in range(RECENT):
        said += e.terms[at, d]
    viewed = max(viewed, 0.0) if said > 0.0 else 0.0
    again = max(again, 0.0) if repeat > 0.0 else 0.0
    popular = max(popular, 0.0)
    described = max(described, 0.0) if e.alike[at] > 0.0 else 0.0
    together = viewed + again + popular + described
    if together <= 0.0:
        viewed, again, popular, described = e.total[at], repeat, 0.0, ALIKE_WEIGHT * e.alike[at]
        together = viewed + again + described
    for d in range(RECENT):
        terms[d] = viewed / together * e.terms[at, d] / said if said > 0.0 else 0.0
        terms[ALIKE_TERMS + d] = described / together * e.alike_terms[at, d] / e.alike[at] if e.alike[at] > 0.0 else 0.0
    terms[REPEAT_TERM], terms[TRENDING_TERM] = again / together, popular / together


LEARNED = {
    "how much speaks for it": (0, 1, 15),
    "what it was met with, of the newest item": (2, 14),
    "what it was met with, of the items before": (3,),
    "how many items speak for it": (4,),
    "that it was met in this visit": (5, 6, 7, 8, 12, 13, 16, 17),
    "how often people meet it": (9,),
    "whether it gains": (10,),
    "how long it has been there": (11,),
    "what it is described like": (18, 19, 20),
}
"""In words, which features belong together, as `split` takes them."""


def added(row: F64, weight: F64) -> dict[str, float]:
    """What each of `LEARNED` adds to the w · f of a candidate with these features, beside an item that nothing speaks for; the
    largest first, either way.

    >>> row = np.zeros(FEATURES)
    >>> row[[0, 2, 3, 10]] = LOG_F, LOG_P, LOG_P, NO_TREND
    >>> row[9] = 0.5
    >>> added(row, np.full(FEATURES, 2.0))
    {'how often people meet it': 1.0}
    """
    none = np.zeros(FEATURES)
    none[[0, 2, 3, 10]] = LOG_F, LOG_P, LOG_P, NO_TREND
    if row[14]:
        none[14] = LOG_P
    if row[0]:
        none[15] = LOG_F * row[15] / row[0]
    each = weight * (row - none)
    found = {name: round(float(each[[*which]].sum()), 6) for name, which in LEARNED.items()}
    return dict(sorted(((name, part) for name, part in found.items() if part), key=lambda named: -abs(named[1])))
