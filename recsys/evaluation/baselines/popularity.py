"""The most popular: the same answer for everybody, however much it is theirs."""

import numpy as np

from recsys.compiled import I32, I64, Bools, compiled_maker
from recsys.evaluation.baselines.answers import Progress, sheet, slices
from recsys.evaluation.baselines.best import Leaders, count, fill, leaders
from recsys.evaluation.trace import Trace

HALF_LIFE_MS = 86_400_000.0
"""Of `trending`: a day of event time."""
RESCALED = 512
"""Half-lives after which decayed counts are related to a later time, long before they overflow."""


def most_popular(trace: Trace, items: int, at: int, progress: Progress) -> I32:
    """The items with the most counted lines so far."""
    answers, row = sheet(trace.asked, at)
    popular = leaders(items, at)
    for start, stop in slices(len(trace.item), progress):
        _most_popular(start, stop, trace.item, trace.asked, trace.counted, row, popular, answers)
    return answers


def trending(trace: Trace, items: int, at: int, progress: Progress) -> I32:
    """The items with the largest decayed counts, Σ 2^(−age/1 day) over an item's counted lines.

    The half-life is one day of event time. What is a thousand days old counts nothing, and the most popular fill up.
    """
    return decayed(trace, items, at, progress, HALF_LIFE_MS)


def decayed(trace: Trace, items: int, at: int, progress: Progress, half_life_ms: float) -> I32:
    """The same with another half-life, in milliseconds of event time."""
    answers, row = sheet(trace.asked, at)
    popular, rising = leaders(items, at), leaders(items, at)
    landmark = trace.time[:1].copy()
    for start, stop in slices(len(trace.item), progress):
        columns = (trace.item, trace.time, trace.asked, trace.counted, row)
        _trending(start, stop, *columns, landmark, rising, popular, half_life_ms, answers)
    return answers


@compiled_maker
def _most_popular(
    start: int, stop: int, item: I32, asked: Bools, counted: Bools, row: I64, popular: Leaders, answers: I32
) -> None:
    for line in range(start, stop):
        if asked[line]:
            fill(answers[row[line]], 0, popular)
        if counted[line]:
            count(popular, item[line], 1.0)


@compiled_maker
def _trending(
    start: int, stop: int, item: I32, time: I64, asked: Bools, counted: Bools, row: I64,
    landmark: I64, rising: Leaders, popular: Leaders, half_life_ms: float, answers: I32,
) -> None:  # fmt: skip
    for line in range(start, stop):
        if asked[line]:
            best = answers[row[line]]
            found = rising.found[0]
            best[:found] = rising.item[:found]
            fill(best, found, popular)
        if counted[line]:
            age = (time[line] - landmark[0]) / half_life_ms
            if age > RESCALED:
                # A whole number of half-lives: what does not vanish keeps all its digits.
                age = np.floor(age)
                landmark[0] += np.int64(age * half_life_ms)
                _rescale(rising, 2.0**-age)
                age = (time[line] - landmark[0]) / half_life_ms
            count(rising, item[line], 2.0**age)
            count(popular, item[line], 1.0)


@compiled_maker
def _rescale(of: Leaders, factor: float) -> None:
    of.counts[:] *= factor
    of.score[:] *= factor
    while of.found[0] > 0 and of.score[of.found[0] - 1] == 0.0:
        of.found[0] -= 1
