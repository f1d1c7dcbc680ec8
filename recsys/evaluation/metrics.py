"""Metrics: how good answers are, question by question, and what the lists of a method are like together.

With L the items of an answer, k the places it had, R what came (the next item, or the items of the next basket), H = L ∩ R
and N the items there are; an item that stands in an answer more than once counts at its first place:

    hit_rate   1 if H is not empty, else 0                  Deshpande, Karypis, 2004, "Item-based top-N recommendation …"
    mrr        1 / place of the first of H, else 0          Voorhees, 1999, "The TREC-8 question answering track report"
    ndcg       Σ_H 1/log₂(1+place) / the most it could be   Järvelin, Kekäläinen, 2002, "Cumulated gain-based evaluation …"
    precision  |H| / k                                      Herlocker et al., 2004, "Evaluating collaborative filtering …"
    recall     |H| / |R|                                    the same
    f1         harmonic mean of precision and recall        van Rijsbergen, 1979, "Information retrieval"
    accuracy   (TP + TN) / N = 1 − |L ∪ R without H| / N    Gunawardana, Shani, 2009, "A survey of accuracy evaluation …"
    coverage   items in at least one list / N               Ge et al., 2010, "Beyond accuracy"
    novelty    mean −log₂(n/Σn) of L, / log₂ Σn             Zhou et al., 2010, "Solving the apparent diversity-accuracy …"
    diversity  1 − items two lists share / could share      the same, there "personalisation"

All are fractions between 0 and 1. `accuracy` is near 1 for every method where N is large: it is given because it is asked for,
and says little. In `novelty` n are the interactions learned of an item: 1 is a list of items met at most once, 0 that of the
only item ever met. `diversity` is over all pairs of lists: unlike the diversity within a list it needs no distance between
items, and any distance made of co-occurrences would be a fault of the methods that recommend what occurs together.
"""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I32, I64, compiled_maker
from recsys.evaluation.trace import NOTHING, Baskets


class PerQuestion(NamedTuple):
    """Of each question, in the order of the answers."""

    hit_rate: F64
    mrr: F64
    ndcg: F64
    precision: F64
    recall: F64
    f1: F64
    accuracy: F64


class OfLists(NamedTuple):
    """Of all lists of a method together."""

    coverage: float
    novelty: float
    diversity: float


def next_item(answers: I32, target: I32, catalogue: int) -> PerQuestion:
    """The metrics of each answer (a row of `answers`), where the next item was `target`; there are `catalogue` items.

    Raises ValueError where the shapes do not fit, or an item is not below `catalogue`.

    >>> answers = np.array([[7, 3, NOTHING], [1, 2, 3]], np.int32)
    >>> next_item(answers, np.array([3, 9], np.int32), 10).mrr
    array([0.5, 0. ])
    """
    return next_basket(answers, np.arange(len(target) + 1, dtype=np.int64), target, catalogue)


def next_basket(answers: I32, start: I64, item: I32, catalogue: int) -> PerQuestion:
    """The metrics of each answer, where the next basket q was the distinct items `item[start[q]:start[q + 1]]`, at least one.

    Raises ValueError where the shapes do not fit, a basket is empty, or an item is not below `catalogue`.

    >>> answers = np.array([[7, 3, 5, 1]], np.int32)
    >>> found = next_basket(answers, np.array([0, 3]), np.array([3, 1, 2], np.int32), 10)
    >>> found.recall.round(3), found.precision, found.f1.round(3), found.accuracy
    (array([0.667]), array([0.5]), array([0.571]), array([0.7]))
    """
    _check(answers, catalogue)
    if len(start) != len(answers) + 1 or start[0] != 0 or start[-1] != len(item):
        raise ValueError(f"{len(answers)} answers, but not as many questions")
    if (np.diff(start) < 1).any():
        raise ValueError("a question without anything that came next")
    if len(item) and (item.min() < 0 or item.max() >= catalogue):
        raise ValueError(f"an item that came next is not one of the {catalogue} there are")
    found = PerQuestion(*np.zeros((len(PerQuestion._fields), len(answers))))
    _measure(answers, start, item, float(catalogue), *found)
    return found


def bought(baskets: Baskets) -> tuple[I64, I32]:
    """What came in the asked baskets alone, as `next_basket` takes it: starts and items.

    >>> time, start = np.zeros(2, np.int64), np.array([0, 2, 3])
    >>> bought(Baskets(np.zeros(2, np.int32), time, np.array([False, True]), start, np.array([4, 5, 6], np.int32)))
    (array([0, 1]), array([6], dtype=int32))
    """
    size = np.diff(baskets.start)
    start = np.concatenate((np.zeros(1, np.int64), np.cumsum(size[baskets.asked])))
    return start, baskets.item[np.repeat(baskets.asked, size)]


def of_lists(answers: I32, interactions: I64) -> OfLists:
    """Coverage, novelty and diversity of the lists in `answers`; `interactions` of each item there is, as far as was learned.

    Raises ValueError where a list has an item that `interactions` does not have. Empty lists are left out.

    >>> of_lists(np.array([[0, 1], [0, 2]], np.int32), np.array([2, 1, 1, 0]))
    OfLists(coverage=0.75, novelty=0.75, diversity=0.5)
    """
    _check(answers, len(interactions))
    learned = float(interactions.sum())
    information = np.zeros(len(interactions))
    if learned > 1.0:
        information = np.log2(learned / np.maximum(interactions, 1)) / np.log2(learned)
    lists_with = np.zeros(len(interactions), np.int64)
    length = np.zeros(len(answers), np.int64)
    total = np.zeros(len(answers))
    _lists(answers, information, np.full(len(interactions), -1, np.int64), lists_with, length, total)
    answered = length > 0
    novelty = float((total[answered] / length[answered]).mean()) if answered.any() else 0.0
    coverage = int(np.count_nonzero(lists_with)) / len(interactions) if len(interactions) else 0.0
    return OfLists(coverage, novelty, _diversity(lists_with, length))


def summary(each: PerQuestion, lists: OfLists) -> dict[str, float]:
    """The metrics of a method by name: means over the questions (0 where there are none), and those of its lists."""
    means = {name: float(values.mean()) if len(values) else 0.0 for name, values in each._asdict().items()}
    return means | lists._asdict()


def _check(answers: I32, catalogue: int) -> None:
    if answers.size and (answers.min() < NOTHING or answers.max() >= catalogue):
        raise ValueError(f"an answer has an item that is not one of the {catalogue} there are")


def _diversity(lists_with: I64, length: I64) -> float:
    """1 − Σ |A ∩ B| / Σ min(|A|, |B|), over all pairs of lists: from how many lists have each item, and from their lengths.

    Where all lists have k items this is the mean of 1 − |A ∩ B| / k. Of one list alone it is 0.
    """
    with_item = lists_with.astype(np.float64)
    shared = float((with_item * (with_item - 1.0)).sum()) / 2.0
    # Σ min(|A|, |B|) is Σ over l ≥ 1 of the pairs in which both have at least l items.
    at_least = np.cumsum(np.bincount(length)[::-1])[::-1][1:].astype(np.float64)
    possible = float((at_least * (at_least - 1.0)).sum()) / 2.0
    return 1.0 - shared / possible if possible else 0.0


@compiled_maker
def _measure(
    answers: I32, start: I64, item: I32, catalogue: float,
    hit_rate: F64, mrr: F64, ndcg: F64, precision: F64, recall: F64, f1: F64, accuracy: F64,
) -> None:  # fmt: skip
    at = answers.shape[1]
    gain = 1.0 / np.log2(np.arange(at) + 2.0)
    ideal = np.cumsum(gain)
    for q in range(len(answers)):
        relevant = start[q + 1] - start[q]
        shown = 0
        hits = 0
        gained = 0.0
        for place in range(at):
            answer = answers[q, place]
            if answer == NOTHING:
                continue
            repeated = False
            for earlier in range(place):
                repeated |= answers[q, earlier] == answer
            if repeated:
                continue
            shown += 1
            for line in range(start[q], start[q + 1]):
                if item[line] == answer:
                    hits += 1
                    gained += gain[place]
                    if hits == 1:
                        mrr[q] = 1.0 / (place + 1)
                    break
        accuracy[q] = 1.0 - (shown + relevant - 2 * hits) / catalogue
        if hits:
            hit_rate[q] = 1.0
            ndcg[q] = gained / ideal[min(relevant, at) - 1]
            precision[q] = hits / at
            recall[q] = hits / relevant
            f1[q] = 2.0 * hits / (at + relevant)


@compiled_maker
def _lists(answers: I32, information: F64, newest: I64, lists_with: I64, length: I64, total: F64) -> None:
    """Of each item the lists it is in; of each list its distinct items and their information. `newest` begins as −1."""
    for q in range(len(answers)):
        for place in range(answers.shape[1]):
            answer = answers[q, place]
            if answer == NOTHING or newest[answer] == q:
                continue
            newest[answer] = q
            lists_with[answer] += 1
            length[q] += 1
            total[q] += information[answer]
