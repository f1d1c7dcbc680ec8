"""Spread: how many customers have which value, so that each can be placed among all; values may change and move.

A quantile sketch of a stream (KLL, t-digest) only takes values in, and a customer's values change with every order. This one
is a histogram with buckets that grow with the value, as DDSketch has them (Masson, Rim, Lee, 2019, "DDSketch: a fast and
fully-mergeable quantile sketch with relative-error guarantees"): what was counted can be taken out again to the last unit, and
those of several partitions are added up.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from recsys.compiled import F64

ACCURACY = 0.01
"""A bucket's value is no further than this share from the values in it."""
GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
EXACT = 200
"""Whole numbers up to here have a bucket each."""

Spread = dict[int, int]
"""By bucket, how many customers have a value in it."""
FIFTHS = (0.2, 0.4, 0.6, 0.8)


def bucket_of_number(value: int) -> int:
    """The bucket of a whole number: itself, and from `EXACT` on one of `ACCURACY`.

    >>> bucket_of_number(7), bucket_of_number(200), bucket_of_number(201)
    (7, 200, 201)
    """
    return value if value <= EXACT else EXACT + math.ceil(math.log(value / EXACT) / math.log(GAMMA))


def number_of(bucket: int) -> float:
    """The whole number that a bucket stands for.

    >>> abs(number_of(bucket_of_number(5_000)) / 5_000 - 1) < ACCURACY
    True
    """
    return float(bucket) if bucket <= EXACT else EXACT * middle(bucket - EXACT)


def bucket_of_amount(value: float) -> int:
    """The bucket of an amount from a millionth on; what is less, or nothing, has the bucket 0.

    >>> bucket_of_amount(0.0), bucket_of_amount(-3.0), bucket_of_amount(1e-6)
    (0, 0, 1)
    """
    return 0 if value < 1e-6 else max(1, math.ceil(math.log(value * 1e6) / math.log(GAMMA)))


def amount_of(bucket: int) -> float:
    """The amount that a bucket stands for.

    >>> abs(amount_of(bucket_of_amount(12.34)) / 12.34 - 1) <= ACCURACY
    True
    """
    return 0.0 if bucket == 0 else middle(bucket) * 1e-6


def middle(bucket: int) -> float:
    """The value with the least relative error of a bucket between γ^(n − 1) and γ^n."""
    return 2.0 * GAMMA**bucket / (GAMMA + 1.0)


def move(spread: Spread, before: int | None, after: int | None) -> None:
    """A customer who was in one bucket is in another; None: in none.

    >>> spread = {3: 1}
    >>> move(spread, 3, 4)
    >>> spread
    {4: 1}
    """
    if before == after:
        return
    if before is not None:
        left = spread.get(before, 0) - 1
        if left:
            spread[before] = left
        else:
            spread.pop(before, None)
    if after is not None:
        spread[after] = spread.get(after, 0) + 1


def added(spreads: Iterable[Mapping[int, int]]) -> Spread:
    """Those of several partitions together."""
    total: Counter[int] = Counter()
    for each in spreads:
        total.update(each)
    return dict(total)


def quantiles(spread: Mapping[int, int], shares: Iterable[float] = FIFTHS) -> F64:
    """The buckets, as numbers between them, below which these shares of the customers are; NaN where there is no customer.

    By linear interpolation between order statistics, as NumPy and pandas do it (definition 7 of Hyndman, Fan, 1996).

    >>> quantiles({1: 2, 5: 1, 9: 2}, [0.0, 0.25, 0.5, 0.625])
    array([1., 1., 5., 7.])
    """
    if not spread:
        return np.full(len(list(shares)), np.nan)
    buckets = np.array(sorted(spread))
    ends = np.cumsum([spread[bucket] for bucket in buckets.tolist()])
    at = np.fromiter(shares, np.float64) * (ends[-1] - 1)
    low = buckets[np.searchsorted(ends, np.floor(at), side="right")]
    high = buckets[np.searchsorted(ends, np.ceil(at), side="right")]
    found: F64 = low + (at - np.floor(at)) * (high - low)
    return found
