"""Baselines of the next basket that only count: what all buy, and what this customer bought before."""

import numpy as np

from recsys.compiled import F64, I32, I64, Bools, compiled_maker
from recsys.evaluation.baselines.answers import Progress, sheet, slices
from recsys.evaluation.baselines.best import Leaders, count, fill, leaders, offer_by_count
from recsys.evaluation.baselines.chains import NONE, chain
from recsys.evaluation.trace import Baskets

DECAY = 0.95
"""What a basket is worth beside the customer's next one, where recency counts."""


def most_popular(baskets: Baskets, items: int, at: int, progress: Progress) -> I32:
    """The items in the most baskets so far."""
    answers, row = sheet(baskets.asked, at)
    popular = leaders(items, at)
    for start, stop in slices(len(baskets.user), progress):
        _most_popular(start, stop, baskets.asked, baskets.start, baskets.item, row, popular, answers)
    return answers


def personal_top(baskets: Baskets, items: int, at: int, progress: Progress) -> I32:
    """GP-TopFreq: the items in the most baskets of this customer, then the most popular.

    Li, Jullien, Ariannezhad, de Rijke, 2023, "A next basket recommendation reality check".
    """
    return _personal(baskets, items, at, progress, 1.0)


def recency_weighted(baskets: Baskets, items: int, at: int, progress: Progress) -> I32:
    """The items with the largest Σ 0.95^b over this customer's baskets with them, b baskets before the last; then as above."""
    return _personal(baskets, items, at, progress, DECAY)


def _personal(baskets: Baskets, items: int, at: int, progress: Progress, decay: float) -> I32:
    answers, row = sheet(baskets.asked, at)
    before = chain(baskets.user, np.ones(len(baskets.user), np.bool_))
    popular = leaders(items, at)
    scores, scored, score = np.zeros(items), np.empty(items, np.int32), np.empty(at)
    for start, stop in slices(len(baskets.user), progress):
        columns = (baskets.asked, baskets.start, baskets.item, row, before)
        _personal_counts(start, stop, *columns, decay, popular, scores, scored, score, answers)
    return answers


@compiled_maker
def _most_popular(start: int, stop: int, asked: Bools, begin: I64, item: I32, row: I64, popular: Leaders, answers: I32) -> None:
    for basket in range(start, stop):
        if asked[basket]:
            fill(answers[row[basket]], 0, popular)
        for line in range(begin[basket], begin[basket + 1]):
            count(popular, item[line], 1.0)


@compiled_maker
def _personal_counts(
    start: int, stop: int, asked: Bools, begin: I64, item: I32, row: I64, before: I32, decay: float,
    popular: Leaders, scores: F64, scored: I32, score: F64, answers: I32,
) -> None:  # fmt: skip
    for basket in range(start, stop):
        if asked[basket]:
            filled = 0
            worth = 1.0
            earlier = before[basket]
            while earlier != NONE and worth > 0.0:
                for line in range(begin[earlier], begin[earlier + 1]):
                    if scores[item[line]] == 0.0:
                        scored[filled] = item[line]
                        filled += 1
                    scores[item[line]] += worth
                worth *= decay
                earlier = before[earlier]
            best = answers[row[basket]]
            found = 0
            for i in range(filled):
                found = offer_by_count(best, score, found, scored[i], scores[scored[i]], popular.counts)
                scores[scored[i]] = 0.0
            fill(best, found, popular)
        for line in range(begin[basket], begin[basket + 1]):
            count(popular, item[line], 1.0)
