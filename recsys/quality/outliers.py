"""Outliers: numbers that are most likely a mistake, as a price of a billion."""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I64, Bools

LEAST = 20
"""Numbers of one group by which it is judged alone; those of smaller ones are judged among all."""
TO_DEVIATION = 1.4826
"""Times this the MAD of normally distributed numbers is their standard deviation."""


class Judged(NamedTuple):
    """Which of the numbers are outliers, and the median that each was held against; NaN where too few are known."""

    outlier: Bools
    usual: F64


def judge(numbers: F64, group: I64, among: I64, deviations: float, factor: float) -> Judged:
    """Judges positive numbers, each in its `group` where that has at least `LEAST`, else `among` the larger group.

    A number is an outlier if its logarithm is further from the median of the logarithms than so many `deviations`, as the MAD
    estimates one, and more than `factor` times the median or less than that part of it: half price is no mistake, however
    alike all others are. Median and MAD do not move with the outliers themselves (Hampel, 1974; Iglewicz, Hoaglin, 1993, "How
    to detect and handle outliers").

    >>> ten = np.array([9.5, 10.0, 10.5] * 10 + [1e9])
    >>> same = np.zeros(31, np.int64)
    >>> np.flatnonzero(judge(ten, same, same, 5.0, 5.0).outlier)
    array([30])
    """
    logs = np.log(numbers)
    middle, mad, known = _of_groups(logs, group)
    of_all, mad_of_all, known_of_all = _of_groups(logs, among)
    alone = known >= LEAST
    usual = np.where(alone, middle, np.where(known_of_all >= LEAST, of_all, np.nan))
    width = deviations * TO_DEVIATION * np.where(alone, mad, mad_of_all)
    outlier = np.abs(logs - usual) > np.maximum(width, np.log(factor))
    return Judged(outlier, np.exp(usual))


def _of_groups(logs: F64, group: I64) -> tuple[F64, F64, I64]:
    """For each number the median and the MAD of its group, and how many are in it."""
    _, place, counts = np.unique(group, return_inverse=True, return_counts=True)
    middle = _medians(logs, place, counts)
    return middle[place], _medians(np.abs(logs - middle[place]), place, counts)[place], counts[place]


def _medians(values: F64, place: I64, counts: I64) -> F64:
    """The median of each group; `place` is that of each value's group, `counts` how many each has."""
    in_order = values[np.lexsort((values, place))]
    begin = np.cumsum(counts) - counts
    found: F64 = (in_order[begin + (counts - 1) // 2] + in_order[begin + counts // 2]) / 2
    return found
