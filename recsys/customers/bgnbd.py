"""BG/NBD: what is to be expected of customers, by the four parameters of a shop.

`recsys.customers.lifetime` says what the model is and fits it; here nothing is needed but arithmetic, so that workers can tell
of each customer. Fader, Hardie, Lee, 2005, "“Counting your customers” the easy way: an alternative to the Pareto/NBD model",
Marketing Science 24 (2).
"""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, compiled, compiled_maker

AWAY_FROM_ONE = 1e-5
"""The formula of what is expected is 0/0 where `a` is 1."""
AWAY_FROM_ZERO = 1e-8
"""It is 0 times infinity where `a` and `b` are 1 together, of those who never ordered again."""
LARGE = 1e100
"""What is larger is told apart from its scale."""
ENOUGH = 1e-14
"""A sum is done when what is added is this part of it."""


class Parameters(NamedTuple):
    """What the customers of a shop are like: orders come at rates of Gamma(r, alpha), and leaving has Beta(a, b)."""

    r: float
    alpha: float
    """In the unit of time."""
    a: float
    b: float


class Orders(NamedTuple):
    """When each customer ordered, as columns."""

    frequency: F64
    """Days with an order after the first."""
    recency: F64
    """From the first order to the last one."""
    age: F64
    """From the first order to now."""


def alive(of: Parameters, orders: Orders) -> F64:
    """The probability of each customer to order ever again, between 0 and 1.

    >>> cdnow = Parameters(0.243, 4.414, 0.793, 2.426)  # weeks
    >>> alive(cdnow, Orders(*np.array([[2.0, 0.0], [30.43, 0.0], [38.86, 38.86]]))).round(4)
    array([0.7266, 1.    ])
    """
    r, alpha, a, b = of
    x, last, age = orders
    log_odds_of_having_left = np.log(a / (b + np.maximum(x, 1) - 1)) + (r + x) * np.log((alpha + age) / (alpha + last))
    with np.errstate(over="ignore"):
        found: F64 = np.where(x > 0, 1 / (1 + np.exp(log_odds_of_having_left)), 1.0)
    return found


def expected_orders(of: Parameters, orders: Orders, within: float) -> F64:
    """On how many days each customer is expected to order in the time that comes, `within` so long. Equation 10 of the paper.

    >>> cdnow = Parameters(0.243, 4.414, 0.793, 2.426)
    >>> expected_orders(cdnow, Orders(*np.array([[2.0], [30.43], [38.86]])), 39.0).round(3)
    array([1.226])
    """
    return _while_there(of, orders.frequency, orders.age, within) * alive(of, orders)


def next_order(of: Parameters, orders: Orders) -> F64:
    """How long until half of the customers like each one, of those who have not left, will have ordered again.

    The rate of one who is still there is Gamma(r + x, alpha + age), so the wait has a Lomax distribution; this is its median,
    for its mean is infinite for those who ordered once.

    >>> next_order(Parameters(1.0, 10.0, 1.0, 2.0), Orders(*np.array([[1.0], [30.0], [40.0]]))).round(2)
    array([20.71])
    """
    r, alpha, _, _ = of
    found: F64 = (alpha + orders.age) * (2 ** (1 / (r + orders.frequency)) - 1)
    return found


@compiled_maker
def _while_there(of: Parameters, frequency: F64, age: F64, within: float) -> F64:
    """The orders to come of customers who have not left yet."""
    r, alpha, a, b = of
    if abs(a - 1) < AWAY_FROM_ONE:
        a = 1 + AWAY_FROM_ONE
    found = np.empty(len(age))
    for n in range(len(age)):
        x, ahead = frequency[n], within / (alpha + age[n] + within)
        c = a + b + x - 1
        if abs(c) < AWAY_FROM_ZERO:
            c = AWAY_FROM_ZERO
        found[n] = c / (a - 1) * (1 - hypergeometric(r + x, b + x, c, ahead, (r + x) * np.log1p(-ahead)))
    return found


@compiled
def hypergeometric(a: float, b: float, c: float, z: float, log_scale: float) -> float:
    """e^log_scale · ₂F₁(a, b; c; z) for 0 ≤ z < 1, by Gauss's series.

    Both factors may be beyond what a float can be, as they are for customers with some hundred orders.

    >>> round(float(hypergeometric(1.0, 1.0, 2.0, 0.5, 0.0)), 6), round(float(2 * np.log(2)), 6)
    (1.386294, 1.386294)
    """
    term = found = 1.0
    n = 0.0
    while abs(term) > ENOUGH * abs(found) or (a + n) * (b + n) * z > abs(c + n) * (n + 1):
        term *= (a + n) * (b + n) / ((c + n) * (n + 1)) * z
        found += term
        n += 1.0
        if abs(found) > LARGE:
            term, found, log_scale = term / LARGE, found / LARGE, log_scale + np.log(LARGE)
    return found * np.exp(log_scale)  # type: ignore[no-any-return]
