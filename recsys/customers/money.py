"""Money: amounts as whole millionths of a unit, so that sums are exact, and written as decimal numbers.

No sum is above `MOST`: what is more stays there. An amount above `BELIEVED` is a slip of its producer, and counts as nothing: a
single price of 1e300 would fill the sums of its customer and of the shop for good.
"""

from decimal import ROUND_HALF_EVEN, Decimal

from recsys.events import Event, Line

MICROS = 1_000_000
MOST = 2**63 - 1
"""Nine billion thousands: the largest number that is stored."""
BELIEVED = 10_000_000_000 * MICROS
"""The largest quantity, and the largest worth of a line or of a `value`, that is counted."""
NO_CURRENCY = "XXX"
"""ISO 4217's code for no currency: of amounts that came without one."""
_EXACT = 1e9
"""Up to here a float times a million is within half of what its decimal text says."""


def micros(amount: float) -> int:
    """The millionths that the decimal text of a number says, half to even beyond them.

    >>> micros(3.75), micros(0.1), micros(1e9 + 0.01)
    (3750000, 100000, 1000000000010000)
    """
    if amount < _EXACT:
        return round(amount * MICROS)
    return whole(Decimal(repr(amount)) * MICROS)


def times(price: float, quantity: float) -> int:
    """The millionths of what so many cost, at a price that is taken to the millionth.

    >>> times(0.1, 3), times(1.99, 0.5), times(1e300, 1)
    (300000, 995000, 0)
    """
    if int(quantity) == quantity:
        return believed(micros(price) * int(quantity))
    return believed(whole(micros(price) * Decimal(repr(quantity))))


def worth(line: Line) -> int:
    """What a line with a price is worth, in millionths; one item where it is not said how many.

    >>> worth(Line("a", price=2.5)), worth(Line("a", price=2.5, quantity=2))
    (2500000, 5000000)
    """
    assert line.price is not None, "it has no price"
    return times(line.price, 1.0 if line.quantity is None else line.quantity)


def units(line: Line) -> int:
    """How many of an item, in millionths; one where that is not said.

    >>> units(Line("a")), units(Line("a", quantity=2.5)), units(Line("a", quantity=1e300))
    (1000000, 2500000, 0)
    """
    return MICROS if line.quantity is None else believed(micros(line.quantity))


def believed(micros: int) -> int:
    """An amount that can be, or nothing."""
    return micros if micros <= BELIEVED else 0


def whole(micros: Decimal) -> int:
    """Half to even, and `MOST` at most.

    >>> whole(Decimal("2.5")), whole(Decimal("1e400")) == MOST
    (2, True)
    """
    return MOST if micros >= MOST else int(micros.to_integral_value(ROUND_HALF_EVEN))


def amount(event: Event) -> int:
    """What an event is worth, in millionths: its lines with a price, or where none has one its `value`.

    >>> from recsys.events import decode
    >>> of = lambda rest: amount(decode(('{"event_type": "order", "user_id": 1, ' + rest + "}").encode(), 10**12))
    >>> of('"item_id": 1, "price": 2.5, "quantity": 2, "value": 9'), of('"item_id": 1, "value": 9'), of('"item_id": 1')
    (5000000, 9000000, 0)
    """
    priced = [line for line in event.lines if line.price is not None]
    if priced:
        return sum(map(worth, priced))
    return 0 if event.value is None else believed(micros(event.value))


def decimal(amount: int) -> Decimal:
    """An amount as messages write it: a decimal number without trailing zeros.

    >>> decimal(12_500_000), decimal(3_000_000), decimal(-1)
    (Decimal('12.5'), Decimal('3'), Decimal('-0.000001'))
    """
    whole, rest = divmod(abs(amount), MICROS)
    text = f"{'-' if amount < 0 else ''}{whole}"
    return Decimal(f"{text}.{rest:06d}".rstrip("0") if rest else text)
