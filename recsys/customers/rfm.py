"""RFM: how lately, how often and for how much a customer bought, each from 1 to 5 among all customers, and what that makes.

Hughes, 1994, "Strategic database marketing". A fifth of the customers has each score, as far as equal values allow it: those
share the lowest score that they reach, as `pandas.qcut` gives it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from recsys.customers.account import Account
from recsys.customers.days import Days
from recsys.customers.money import MICROS
from recsys.customers.spread import Spread, added, bucket_of_amount, bucket_of_number, move, quantiles

SEGMENTS = (
    # R 1             2                  3                  4                     5
    ("lost", "hibernating", "about to sleep", "promising", "new"),  # F and M: 1
    ("hibernating", "hibernating", "about to sleep", "potential loyalist", "potential loyalist"),
    ("at risk", "at risk", "needs attention", "potential loyalist", "potential loyalist"),
    ("at risk", "at risk", "loyal", "loyal", "champions"),
    ("cannot lose", "cannot lose", "loyal", "loyal", "champions"),  # 5
)
"""By the mean of F and M (rounded up) and by R: the names and the grid that are common in the field, with `lost` beside it."""


class Standing(NamedTuple):
    """Where a customer stands: buckets of the spreads."""

    recency: int
    """The day of the last order."""
    frequency: int
    monetary: int


class Spreads(Struct, array_like=True):
    """How all customers of a partition who have ordered stand."""

    recency: Spread = {}
    frequency: Spread = {}
    monetary: Spread = {}


class Rfm(NamedTuple):
    """1 to 5 each, 5 is best."""

    recency: int
    frequency: int
    monetary: int


class Fifths(NamedTuple):
    """The four buckets between the fifths of all customers, by falling recency and rising frequency and amount."""

    recency: list[float]
    frequency: list[float]
    monetary: list[float]


def standing(account: Account, rates: Mapping[str, float]) -> Standing | None:
    """Where a customer stands; None without an order.

    `rates` say what a unit of a currency is worth in the shop's; with none at all every unit is worth 1.
    """
    if not account.orders:
        return None
    net = worth(account.spent, rates) - worth(account.refunded, rates)
    return Standing(last_order_day(account.order_days), bucket_of_number(account.orders), bucket_of_amount(net))


def worth(paid: Mapping[str, int], rates: Mapping[str, float]) -> float:
    """What amounts in several currencies are worth in the shop's; those without a rate are worth nothing.

    >>> worth({"EUR": 2_000_000, "USD": 1_000_000}, {"EUR": 1.0, "USD": 0.9}), worth({"USD": 1_000_000}, {})
    (2.9, 1.0)
    """
    return sum(micros * (rates.get(currency, 0.0) if rates else 1.0) for currency, micros in paid.items()) / MICROS


def last_order_day(days: Days) -> int:
    return days.last


def stand(spreads: Spreads, before: Standing | None, after: Standing | None) -> None:
    """A customer stands elsewhere now."""
    for spread, was, now in zip(
        (spreads.recency, spreads.frequency, spreads.monetary), before or (None,) * 3, after or (None,) * 3, strict=True
    ):
        move(spread, was, now)


def together(parts: Sequence[Spreads]) -> Spreads:
    """Those of several partitions."""
    return Spreads(
        added(part.recency for part in parts),
        added(part.frequency for part in parts),
        added(part.monetary for part in parts),
    )


def fifths(spreads: Spreads) -> Fifths:
    """What parts the fifths of all customers."""
    recency, frequency, monetary = (
        quantiles(spread).tolist() for spread in (spreads.recency, spreads.frequency, spreads.monetary)
    )
    return Fifths(recency, frequency, monetary)


def rfm(standing: Standing, fifths: Fifths) -> Rfm:
    """The scores of a customer.

    >>> all_days = Spreads({day: 1 for day in range(10)}, {1: 8, 2: 2}, {n: 1 for n in range(10)})
    >>> rfm(Standing(9, 2, 0), fifths(all_days))
    Rfm(recency=5, frequency=5, monetary=1)
    """
    return Rfm(
        5 - sum(standing.recency < edge for edge in fifths.recency),
        1 + sum(standing.frequency > edge for edge in fifths.frequency),
        1 + sum(standing.monetary > edge for edge in fifths.monetary),
    )


def segment(scores: Rfm) -> str:
    """The name of the segment that scores make.

    >>> segment(Rfm(5, 5, 4)), segment(Rfm(1, 1, 1)), segment(Rfm(5, 1, 1)), segment(Rfm(1, 5, 5))
    ('champions', 'lost', 'new', 'cannot lose')
    """
    of_both = (scores.frequency + scores.monetary + 1) // 2
    return SEGMENTS[of_both - 1][scores.recency - 1]


_decoder = msgspec.msgpack.Decoder(Spreads)


def unpack(value: bytes | None) -> Spreads:
    """The spreads in stored bytes, or those of nobody."""
    return _decoder.decode(value) if value else Spreads()


def pack(spreads: Spreads) -> bytes:
    """The bytes to store: the same for the same spreads, whatever the order in which they came about."""
    parts = (spreads.recency, spreads.frequency, spreads.monetary)
    return msgspec.msgpack.encode([dict(sorted(spread.items())) for spread in parts])
