"""The blend: the two rankings of a customer who has bought, by what comes next and by what is bought next, as one.

    score(c) = (1 − λ) · p_click(c) + λ · p_buy(c)

λ is how far the ranking by purchases is to be believed, learned for each of two situations: the newest interaction is a
purchase (0), or it is none (1). Of what came next, y, that ranking is responsible by

    r = λ p_buy(y) / ((1 − λ) p_click(y) + λ p_buy(y))

and λ is the mean of all r so far, those of a prior among them: the on-line form of expectation maximization for a mixture whose
parts are given. Cappé, Moulines, 2009, "On-line expectation–maximization algorithm for latent data models".
"""

from collections.abc import Sequence

import numpy as np

from recsys.compiled import F64, I32, I64, U64, Bools, compiled, compiled_beside
from recsys.fold import PURCHASE
from recsys.hashing import NONE
from recsys.histories import REFUNDED_PURCHASE
from recsys.known import Known
from recsys.ranking.candidates import Desk
from recsys.ranking.evidence import RECENT
from recsys.ranking.features import ALSO_BOUGHT_TERM, BOUGHT_AGAIN_TERM, TERMS, TRENDING_TERM
from recsys.ranking.lessons import probability_of
from recsys.ranking.past import Past
from recsys.ranking.rank import Ranked, empty, fill_up, insert
from recsys.returning.expectation import Expected
from recsys.returning.features import ALSO_BOUGHT, BOUGHT_AGAIN, TRENDING
from recsys.returning.lessons import first_new

SITUATIONS = 2
JUST_BOUGHT, OTHERWISE = 0, 1
FIRST_SHARE = np.array([0.9, 0.1])
"""λ in each situation before anything is learned."""
PRIOR = 20.0
"""Lessons as which that counts."""


def begin() -> F64:
    """The sums of r and the number of lessons, of each situation, before anything is learned.

    >>> share(begin(), JUST_BOUGHT), share(begin(), OTHERWISE)
    (0.9, 0.1)
    """
    return np.stack((PRIOR * FIRST_SHARE, np.full(SITUATIONS, PRIOR)), axis=1)


@compiled
def share(sums: F64, situation: int) -> float:
    """λ."""
    return sums[situation, 0] / sums[situation, 1]  # type: ignore[no-any-return]


@compiled
def situation(kind: int) -> int:
    """The situation after an interaction of this kind."""
    return JUST_BOUGHT if kind in (PURCHASE, REFUNDED_PURCHASE) else OTHERWISE


@compiled
def learn(sums: F64, situation: int, p_click: float, p_buy: float) -> None:
    """What came next had these probabilities; where neither ranking had it among its candidates, it teaches nothing.

    >>> sums = begin()
    >>> learn(sums, OTHERWISE, 0.1, 0.9)
    >>> sums[OTHERWISE]
    array([ 2.5, 21. ])
    """
    mix = share(sums, situation)
    together = (1.0 - mix) * p_click + mix * p_buy
    if 0.0 < together < np.inf:
        sums[situation, 0] += mix * p_buy / together
        sums[situation, 1] += 1.0


def blend(clicks: Ranked, bought: Expected, mix: F64, at: I64, hidden: U64, popular: U64, level: F64, ranked: Ranked) -> None:
    """Ranks the users in the places `at` of `ranked`: `clicks` and `bought` are their rankings with all candidates."""
    terms, taken = np.zeros(TERMS), np.zeros(bought.item.shape[1], np.bool_)
    _blend(clicks, bought, mix, at, hidden, popular, level, ranked, terms, taken)


@compiled_beside
def _blend(
    clicks: Ranked, bought: Expected, mix: F64, at: I64, hidden: U64, popular: U64, level: F64, ranked: Ranked, terms: F64,
    taken: Bools,
) -> None:  # fmt: skip
    for b in range(len(at)):
        r, buy = at[b], mix[b]
        empty(ranked, r)
        for d in range(RECENT):
            ranked.recent[r, d] = clicks.recent[b, d]
        taken[:] = False
        found = 0
        for i in range(clicks.item.shape[1]):
            item = clicks.item[b, i]
            if item == NONE:
                break
            for t in range(TERMS):
                terms[t] = clicks.terms[b, i, t] * (1.0 - buy)
            score, source = clicks.score[b, i] * (1.0 - buy), clicks.source[b, i]
            for j in range(len(taken)):
                if bought.item[b, j] == item:
                    taken[j] = True
                    score += buy * bought.probability[b, j]
                    if _add(terms, bought, b, j, buy):
                        source = bought.source[b, j]
                    break
            found = insert(ranked, r, found, item, score, terms, source, hidden[r])
        for j in range(len(taken)):
            if bought.item[b, j] == NONE:
                break
            if not taken[j]:
                terms[:] = 0.0
                item, score = bought.item[b, j], buy * bought.probability[b, j]
                source = bought.source[b, j] if _add(terms, bought, b, j, buy) else clicks.source[b, 0]
                found = insert(ranked, r, found, item, score, terms, source, hidden[r])
        fill_up(ranked, r, found, popular, level, hidden[r], terms)


@compiled
def _add(terms: F64, bought: Expected, b: int, j: int, buy: float) -> bool:
    """Adds the terms of a bought item's share of the score; whether what others bought beside a held item has a part in it.

    A part that speaks against the item has no share.
    """
    again = max(bought.parts[b, j, BOUGHT_AGAIN], 0.0)
    beside = max(bought.parts[b, j, ALSO_BOUGHT], 0.0)
    trend = max(bought.parts[b, j, TRENDING], 0.0)
    if bought.source[b, j] == bought.item[b, j]:
        again, beside = again + beside, 0.0
    elif bought.source[b, j] == NONE:
        trend, beside = trend + beside, 0.0
    together = again + beside + trend
    if not 0.0 < together < np.inf:
        again, beside, trend, together = 0.0, 0.0, 1.0, 1.0
    score = buy * bought.probability[b, j]
    terms[BOUGHT_AGAIN_TERM] += score * again / together
    terms[ALSO_BOUGHT_TERM] += score * beside / together
    terms[TRENDING_TERM] += score * trend / together
    return beside > 0.0  # type: ignore[no-any-return]


def as_probabilities(clicks: Ranked) -> None:
    """Scores of candidates that no learner made into probabilities: their part of each user's sum."""
    together = clicks.score.sum(axis=1)
    together[together <= 0.0] = 1.0
    clicks.score[:] /= together[:, None]
    clicks.terms[:] /= together[:, None, None]


def learn_shares(
    past: Past, new: I32, baskets: I32, likely: F64, known: Known, weights: Sequence[F64], sums: Sequence[F64], of: I32,
    desk: Desk,
) -> None:  # fmt: skip
    """Learns from the first of each customer's `new` newest interactions, which was bought with the probability `likely`.

    `baskets` are the customers' before these; `of` says whose `weights` of the ranking by clicks, and whose `sums`.
    """
    for w, (weight, these) in enumerate(zip(weights, sums, strict=True)):
        _learn_shares(past, np.where(of == w, new, 0).astype(np.int32), baskets, likely, known, weight, these, desk)


@compiled_beside
def _learn_shares(past: Past, new: I32, baskets: I32, likely: F64, known: Known, weight: F64, sums: F64, desk: Desk) -> None:
    for u in range(len(new)):
        first = first_new(past, u, new[u], baskets[u])
        if first > 0:
            length, target = past.length[u], past.item[u, first]
            p_click = probability_of(desk, past, u, first, length, target, known, weight)
            learn(sums, situation(past.kind[u, first - 1]), p_click, likely[u])
