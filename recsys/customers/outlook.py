"""Outlook: what is to be expected of a customer, told from when the customer ordered by what was fitted to all of them."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from recsys.customers import bgnbd
from recsys.customers.bgnbd import Orders, Parameters
from recsys.customers.days import date_of, day_on

AHEAD_DAYS = 90
FURTHEST_DAYS = 3650
"""Who is expected later than that is not expected on any day."""


class Unreadable(ValueError):
    """What is kept is none of this version; the message says what to do."""


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


class Outlook(Struct, omit_defaults=True, gc=False):
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
    """What was kept. Raises `Unreadable` for what another version kept."""
    try:
        return msgspec.json.decode(value, type=Fitted)
    except msgspec.DecodeError as error:
        raise Unreadable(f"what is kept of how long customers stay cannot be read, run freshet lifetimes: {error}") from None


def pack(fitted: Fitted) -> bytes:
    """
    >>> unpack(pack(Fitted(1.0, 2.0, 3.0, 4.0, 5, 6, "2026-01-01", -7.0))).alpha
    2.0
    """
    return msgspec.json.encode(fitted)


class Rhythm(NamedTuple):
    """When a customer ordered, in days since 1970."""

    order_days: int
    """How many days with an order there are, one at least."""
    first: int
    last: int
    seen: int
    """The day of the customer's newest event."""


def outlooks(fitted: Fitted, rhythms: Sequence[Rhythm]) -> list[Outlook]:
    """The outlook of each customer."""
    if not rhythms:
        return []
    until = day_on(fitted.until)
    days, first, last, seen = np.array(rhythms, np.int64).T
    as_of = np.maximum(seen, until)
    known = Orders(*np.array((days - 1, last - first, as_of - first), np.float64))
    of = fitted.parameters
    columns = (
        as_of,
        bgnbd.alive(of, known).round(4),
        bgnbd.expected_orders(of, known, AHEAD_DAYS).round(3),
        bgnbd.next_order(of, known),
    )
    return [
        Outlook(date_of(day), alive, expected, date_of(day + round(wait)) if wait <= FURTHEST_DAYS else None)
        for day, alive, expected, wait in zip(*(column.tolist() for column in columns), strict=True)
    ]
