"""Trade: what a customer ordered and paid by day, so that it can be told where the customer stood on any of them."""

from collections.abc import Mapping
from typing import NamedTuple

from recsys.customers.days import Days, day_of, fits
from recsys.customers.money import MOST, NO_CURRENCY, amount
from recsys.events import Event, Kind

MOST_DAYS = 366
"""Of a customer, days with an order or a refund that are told apart, the newest; those before them are one."""


class Traded(NamedTuple):
    """Of a day."""

    orders: int = 0
    net: int = 0
    """Spent less refunded, in millionths of the shop's currency."""


Trade = dict[int, Traded]
"""By day since 1970."""


def note(trade: Trade, event: Event, order_days: Days, rates: Mapping[str, float]) -> None:
    """Notes a purchase or refund; other events are none of it. `order_days` are those before it.

    A day that is too far from these to be among them (a clock that is wrong by decades) is taken to be the last of them.

    >>> from recsys.events import decode
    >>> trade: Trade = {}
    >>> order = decode(b'{"event_type": "order", "user_id": 1, "item_id": 2, "price": 2.5}', 10**12)
    >>> note(trade, order, Days(0, b""), {})
    >>> trade
    {11574: Traded(orders=1, net=2500000)}
    """
    if event.kind is Kind.PURCHASE:
        orders, sign = 1, 1
    elif event.kind is Kind.REFUND:
        orders, sign = 0, -1
    else:
        return
    day = day_of(event.time_ms)
    rate = rates.get(event.currency or NO_CURRENCY, 0.0) if rates else 1.0
    add(trade, day if fits(order_days, day) else order_days.last, Traded(orders, sign * round(amount(event) * rate)))


def add(trade: Trade, day: int, more: Traded) -> None:
    """Adds to a day; with more than `MOST_DAYS` the two oldest become one."""
    there = trade.get(day, Traded())
    trade[day] = Traded(there.orders + more.orders, max(-MOST, min(there.net + more.net, MOST)))
    if len(trade) > MOST_DAYS:
        oldest = min(trade)
        gone = trade.pop(oldest)
        add(trade, min(trade), gone)


def merged(one: Trade, other: Trade) -> Trade:
    """The trade of two customers who turn out to be one.

    >>> merged({1: Traded(1, 5)}, {1: Traded(1, 2), 3: Traded(0, -5)})
    {1: Traded(orders=2, net=7), 3: Traded(orders=0, net=-5)}
    """
    found = dict(one)
    for day, traded in sorted(other.items()):
        add(found, day, traded)
    return found
