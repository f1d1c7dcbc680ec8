"""Sequential rules: what came after this item, and how soon."""

import numpy as np

from recsys.compiled import F64, I32, I64, Bools, compiled_maker
from recsys.evaluation.baselines.answers import Progress, sheet, slices
from recsys.evaluation.baselines.best import Leaders, count, fill, leaders, offer
from recsys.evaluation.baselines.chains import NONE, chain
from recsys.evaluation.baselines.pairs import FREE, Pairs, add, pairs
from recsys.evaluation.trace import Trace

STEPS = 10
"""How far back a line makes rules."""


def sequential_rules(trace: Trace, items: int, at: int, progress: Progress) -> I32:
    """SR: w(x → y) = Σ 1/d over all places where y came d ≤ 10 lines after x; the score is that of the session's last item.

    Kamehkhosh, Jannach, Ludewig, 2017, "A comparison of frequent pattern techniques and a deep learning method for
    session-based recommendation"; Ludewig, Jannach, 2018, "Evaluation of session-based recommendation algorithms". Rules are
    not pruned.
    """
    answers, row = sheet(trace.asked, at)
    before = chain(trace.session, np.ones(len(trace.item), np.bool_))
    counted_before = chain(trace.session, trace.counted)
    rules, popular = pairs(items), leaders(items, at)
    score = np.empty(at)
    for start, stop in slices(len(trace.item), progress):
        columns = (trace.item, trace.asked, trace.counted, row, before, counted_before)
        rules = _sequential_rules(start, stop, *columns, rules, popular, score, answers)
    return answers


@compiled_maker
def _sequential_rules(
    start: int, stop: int, item: I32, asked: Bools, counted: Bools, row: I64, before: I32, counted_before: I32,
    rules: Pairs, popular: Leaders, score: F64, answers: I32,
) -> Pairs:  # fmt: skip
    for line in range(start, stop):
        if asked[line]:
            best = answers[row[line]]
            found = 0
            if before[line] != NONE:
                last = item[before[line]]
                for i in range(rules.begin[last], rules.begin[last] + rules.places[last]):
                    if rules.other[i] != FREE and (found < len(best) or rules.weight[i] >= score[found - 1]):
                        found = offer(best, score, found, rules.other[i], rules.weight[i])
            fill(best, found, popular)
        if counted[line]:
            earlier = counted_before[line]
            distance = 1
            while earlier != NONE and distance <= STEPS:
                rules = add(rules, item[earlier], item[line], 1.0 / distance)
                earlier = counted_before[earlier]
                distance += 1
            count(popular, item[line], 1.0)
    return rules
