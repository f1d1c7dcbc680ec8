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
from scipy.special import betaln, gammaln

from recsys.compiled import F64
from recsys.customers.bgnbd import Orders, Parameters, expected_orders
from recsys.customers.days import Days, each_day

LEAST_REPEATERS = 100
"""Customers with orders on several days: of fewer the four parameters say nothing."""
LOG_BOUNDS = (-7.0, 7.0)
"""Of the logarithm of each parameter, with the longest age as the unit of time; met where nobody leaves, or all are alike."""


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
