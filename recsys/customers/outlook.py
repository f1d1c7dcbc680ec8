"""Outlook: what is to be expected of a customer, told from the Customer message by what was fitted to all of them."""

import msgspec
import numpy as np
from msgspec import Struct

from recsys.customers import lifetime
from recsys.customers.days import date_of, day_on
from recsys.customers.lifetime import Orders, Parameters
from recsys.customers.message import Customer

AHEAD_DAYS = 90
FURTHEST_DAYS = 3650
"""Who is expected later than that is not expected on any day."""


class Fitted(Struct, frozen=True):
    """How long customers stay: what `freshet lifetimes` found and keeps. Times of the parameters are days."""

    r: float
    alpha: float
    a: float
    b: float
    customers: int
    """With an order."""
    repeaters: int
    """With orders on several days."""
    until: str
    """The last day with an event in what it was fitted to."""
    log_likelihood: float

    @property
    def parameters(self) -> Parameters:
        return Parameters(self.r, self.alpha, self.a, self.b)


class Outlook(Struct, frozen=True, omit_defaults=True):
    """What is to be expected of a customer, as known at the end of a day."""

    as_of: str
    """The day of the customer's newest event, or of the newest one in what was fitted if that is later."""
    alive: float
    """The probability to order ever again."""
    expected_orders_90_days: float
    """Days with an order in the 90 days after it."""
    next_order: str | None = None
    """By this day half of the customers like this one, of those who order again, will have done so."""


def unpack(value: bytes) -> Fitted:
    """What was kept. Raises `msgspec.ValidationError` for what another version kept."""
    return msgspec.json.decode(value, type=Fitted)


def pack(fitted: Fitted) -> bytes:
    """
    >>> unpack(pack(Fitted(1.0, 2.0, 3.0, 4.0, 5, 6, "2026-01-01", -7.0))).alpha
    2.0
    """
    return msgspec.json.encode(fitted)


def outlook(fitted: Fitted, customer: Customer) -> Outlook | None:
    """The outlook of a customer; None for one who never ordered."""
    if customer.first_order is None or customer.last_order is None:
        return None
    first, last = day_on(customer.first_order), day_on(customer.last_order)
    as_of = max(day_on(fitted.until), day_on(customer.last_seen[:10]))
    known = Orders(*np.array([[customer.order_days - 1], [last - first], [as_of - first]], np.float64))
    of = fitted.parameters
    wait = float(lifetime.next_order(of, known)[0])
    return Outlook(
        as_of=date_of(as_of),
        alive=round(float(lifetime.alive(of, known)[0]), 4),
        expected_orders_90_days=round(float(lifetime.expected_orders(of, known, AHEAD_DAYS)[0]), 3),
        next_order=date_of(as_of + round(wait)) if wait <= FURTHEST_DAYS else None,
    )
