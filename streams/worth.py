"""Worth: what an event brought, counted once more by the contract's words alone; shares no code with the accounts."""

from decimal import ROUND_HALF_EVEN, Decimal

from recsys.events import Event

MILLIONTH = Decimal("0.000001")
MOST = Decimal(2**63 - 1) * MILLIONTH
"""What is known of amounts at most."""
BELIEVED = Decimal(10**10)
"""The largest quantity, worth of a line or `value` that is counted."""


def value_of(event: Event) -> Decimal:
    """What an event is worth: its lines with a price, or where none has one its `value`; to the millionth, and nothing where
    that is more than `BELIEVED`."""
    prices = [
        believable(capped(Decimal(str(line.price))) * Decimal(str(1 if line.quantity is None else line.quantity)))
        for line in event.lines
        if line.price is not None
    ]
    return sum(prices, Decimal(0)) if prices else believable(Decimal(str(event.value or 0)))


def believable(number: Decimal) -> Decimal:
    return capped(number) if capped(number) <= BELIEVED else Decimal(0)


def capped(number: Decimal) -> Decimal:
    return min(number, MOST).quantize(MILLIONTH, ROUND_HALF_EVEN)
