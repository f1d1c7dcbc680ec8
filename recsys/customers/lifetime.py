"""Lifetime: how likely a customer will ever order again, and how often, told from when the customer ordered.

BG/NBD, the model of Fader, Hardie, Lee, 2005, "“Counting your customers” the easy way: an alternative to the Pareto/NBD
model", Marketing Science 24 (2). While customers stay they order at random, each at a rate of their own; after each order they
may leave for good, each with a probability of their own. The rates of all customers are gamma distributed, the probabilities
beta distributed: four parameters, fitted to all customers, and then each is judged by three numbers.

It knows days with an order and nothing else. It cannot know of seasons, subscriptions, campaigns, prices or what is bought; a
customer who has left says so to nobody, so it guesses from the silence, measured by the customer's own rhythm. A customer with
one order is always `alive` 1, since leaving comes after the second order at the earliest: read `expected_orders` there.

Times are days here, or whatever unit the three numbers have: the parameters are of the same.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import betaln, expit, gammaln, hyp2f1

from recsys.compiled import F64
from recsys.customers.days import Days, each_day

LEAST_REPEATERS = 100
"""Customers with orders on several days: of fewer the four parameters say nothing."""
LOG_BOUNDS = (-7.0, 7.0)
"""Of the logarithm of each parameter, with the longest age as the unit of time; met where nobody leaves, or all are alike."""
AWAY_FROM_ONE = 1e-5
"""The formula of what is expected is 0/0 where `a` is 1."""


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


class CannotFit(ValueError):
    """The orders do not say how long customers stay; the message says why."""


def orders(all_days: Iterable[Days], now: int) -> Orders:
    """When customers ordered, as known on the day `now`, sorted; who had not ordered by then is left out.

    >>> from recsys.customers.days import NO_DAYS, with_day
    >>> one = with_day(with_day(with_day(NO_DAYS, 100), 110), 150)
    >>> orders([one], 160)[:3], orders([one], 120)[:3]
    ((array([2.]), array([50.]), array([60.])), (array([1.]), array([10.]), array([20.])))
    """
    rows = [(len(days) - 1, days[-1] - days[0], now - days[0]) for each in all_days if len(days := each_day(each, now))]
    frequency, recency, age = np.array(sorted(rows), np.float64).reshape(-1, 3).T
    return Orders(frequency, recency, age)


def log_likelihood(of: Parameters, orders: Orders, customers: ArrayLike = 1.0) -> float:
    """The logarithm of how likely these orders are; each row stands for so many `customers`. Equation 6 of the paper."""
    r, alpha, a, b = of
    x, last, age = orders
    shared = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x) - betaln(a, b)
    stays = -(r + x) * np.log(alpha + age)
    with np.errstate(divide="ignore"):
        left = np.where(x > 0, np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + last), -np.inf)
    return float(np.sum(np.asarray(customers) * (shared + np.logaddexp(stays, left))))


def fit(orders: Orders) -> Parameters:
    """The parameters under which these orders are most likely. Raises `CannotFit`."""
    repeaters = int(np.count_nonzero(orders.frequency))
    if repeaters < LEAST_REPEATERS:
        raise CannotFit(f"{repeaters} customers ordered on more than one day: at least {LEAST_REPEATERS} are needed")
    rows, customers = np.unique(np.column_stack(orders), axis=0, return_counts=True)
    unit = float(rows[:, 2].max())
    condensed = Orders(rows[:, 0], rows[:, 1] / unit, rows[:, 2] / unit)

    def loss(logs: F64) -> float:
        return -log_likelihood(Parameters(*np.exp(logs)), condensed, customers) / len(orders.age)

    found = minimize(loss, np.zeros(4), method="L-BFGS-B", bounds=[LOG_BOUNDS] * 4, options={"ftol": 1e-14, "gtol": 1e-8})
    r, alpha, a, b = np.exp(found.x).tolist()
    return Parameters(r, alpha * unit, a, b)


def alive(of: Parameters, orders: Orders) -> F64:
    """The probability of each customer to order ever again, between 0 and 1.

    >>> cdnow = Parameters(0.243, 4.414, 0.793, 2.426)  # weeks
    >>> alive(cdnow, Orders(*np.array([[2.0, 0.0], [30.43, 0.0], [38.86, 38.86]]))).round(4)
    array([0.7266, 1.    ])
    """
    r, alpha, a, b = of
    x, last, age = orders
    log_odds_of_having_left = np.log(a / (b + np.maximum(x, 1) - 1)) + (r + x) * np.log((alpha + age) / (alpha + last))
    found: F64 = np.where(x > 0, expit(-log_odds_of_having_left), 1.0)
    return found


def expected_orders(of: Parameters, orders: Orders, within: float) -> F64:
    """On how many days each customer is expected to order in the time that comes, `within` so long.

    Equation 10 of the paper, its hypergeometric function transformed (Euler), so that those with many orders do not overflow;
    where `a` is so large that it does then, it is as in the paper.

    >>> cdnow = Parameters(0.243, 4.414, 0.793, 2.426)
    >>> expected_orders(cdnow, Orders(*np.array([[2.0], [30.43], [38.86]])), 39.0).round(3)
    array([1.226])
    """
    r, alpha, a, b = of
    if abs(a - 1) < AWAY_FROM_ONE:
        a = 1 + AWAY_FROM_ONE
    x, _, age = orders
    ahead = within / (alpha + age + within)
    with np.errstate(invalid="ignore", over="ignore"):
        transformed = (1 - ahead) ** (a - 1) * hyp2f1(a + b - 1 - r, a - 1, a + b + x - 1, ahead)
        as_printed = (1 - ahead) ** (r + x) * hyp2f1(r + x, b + x, a + b + x - 1, ahead)
    mean_left = np.where(np.isfinite(transformed), transformed, as_printed)
    found: F64 = (a + b + x - 1) / (a - 1) * (1 - mean_left) * alive(of, orders)
    return found


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


class Check(NamedTuple):
    """What the model foretells of the last part of the time, fitted to the part before it, beside what came."""

    days: int
    """Of the last part."""
    customers: int
    expected: float
    came: int


def check(all_days: Sequence[Days], now: int, part: float = 1 / 3) -> Check:
    """Foretells the last part of the days up to `now`, for those who had ordered before it. Raises `CannotFit`."""
    first = min((each.first for each in all_days), default=now)
    days = round((now - first) * part)
    then = now - days
    before = orders(all_days, then)
    expected = expected_orders(fit(before), before, float(days)).sum()
    came = sum(len(each_day(each, now)) - len(earlier) for each in all_days if len(earlier := each_day(each, then)))
    return Check(days, len(before.age), float(expected), came)
