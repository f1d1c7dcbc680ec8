"""Digits: how exactly a score is published."""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I32, I64, compiled

DIGITS = 6
"""Digits of a published score."""
SMALLEST = 1e-200
"""The smallest of them beside 0."""


class Digits(NamedTuple):
    """Scores as they are published: `DIGITS` digits from the first that is not 0, so that small ones keep their order.

    Those below `SMALLEST`, of items that were popular a thousand half-lives ago, are 0.
    """

    digits: I64
    """A whole number of `DIGITS` digits, or 0."""
    exponent: I32
    """The power of ten of the first digit."""


def in_digits(scores: F64) -> Digits:
    """The digits of scores (any array).

    >>> in_digits(np.array([12.0, 0.61234567, 1.2345678e-9])).digits
    array([120000, 612346, 123457])
    """
    found = Digits(np.zeros(scores.size, np.int64), np.zeros(scores.size, np.int32))
    _round(scores.ravel(), found)
    return Digits._make(column.reshape(scores.shape) for column in found)


def rounded(scores: F64) -> F64:
    """Scores with their digits only.

    >>> rounded(np.array([0.61234567, 0.0, 1.2345678e-9, 1e-305]))
    array([6.12346e-01, 0.00000e+00, 1.23457e-09, 0.00000e+00])
    """
    digits, exponent = in_digits(scores)
    found: F64 = digits / 10.0 ** (DIGITS - 1.0 - exponent)
    return found


@compiled
def _round(scores: F64, found: Digits) -> None:
    for n in range(len(scores)):
        score = scores[n] if scores[n] >= SMALLEST else SMALLEST
        exponent = int(np.floor(np.log10(score)))
        digits = int(np.rint(score * 10.0 ** (DIGITS - 1 - exponent)))
        if digits >= 10**DIGITS:
            digits //= 10
            exponent += 1
        found.digits[n], found.exponent[n] = digits if scores[n] >= SMALLEST else 0, exponent
