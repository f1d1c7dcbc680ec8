"""What is known of a customer, counted once more: with decimals, sets and lists, all events at a time."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple

from oracle import INTERACTIONS, Parsed

EPOCH = date(1970, 1, 1)
MILLIONTH = Decimal("0.000001")


class Expected(NamedTuple):
    """Of one customer; times in milliseconds, amounts by currency."""

    first_ms: int
    last_ms: int
    days: set[date]
    sessions: int
    kinds: Counter[str]
    sources: Counter[str]
    hours: Counter[int]
    weekdays: Counter[int]
    orders: int
    order_days: set[date]
    units: Decimal
    spent: dict[str, Decimal]
    refunded: dict[str, Decimal]
    answers: tuple[int, int, int]
    """Recommendations shown, clicked, bought."""


def expected(events: Sequence[Parsed], session_gap_ms: float) -> Expected:
    """What these events of one customer come to, in the order of the topic."""
    interactions = [event for event in events if event.kind in INTERACTIONS]
    purchases = [event for event in events if event.kind == "purchase"]
    answering = [event.kind for event in events if event.fields.get("recommendation_id") is not None]
    return Expected(
        min(event.time_ms for event in events),
        max(event.time_ms for event in events),
        {moment(event).date() for event in events},
        sum(begins(a, b, session_gap_ms) for a, b in zip([None, *interactions], interactions, strict=False)),
        Counter(event.kind for event in events),
        Counter(event.fields["source"] for event in events if event.fields.get("source") is not None),
        Counter(moment(event).hour for event in interactions),
        Counter(moment(event).weekday() for event in interactions),
        len(purchases),
        {moment(event).date() for event in purchases},
        sum((quantity(line) for event in purchases for line in lines(event)), Decimal(0)),
        paid(purchases),
        paid([event for event in events if event.kind == "refund"]),
        (
            sum(kind == "impression" for kind in answering),
            sum(kind in ("click", "browse") for kind in answering),
            sum(kind == "purchase" for kind in answering),
        ),
    )


def moment(event: Parsed) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=event.time_ms)


def begins(before: Parsed | None, event: Parsed, gap_ms: float) -> bool:
    if before is None:
        return True
    if before.session_id is not None and event.session_id is not None:
        return before.session_id != event.session_id
    return abs(event.time_ms - before.time_ms) > gap_ms


def lines(event: Parsed) -> list[dict[str, Any]]:
    return event.fields.get("items") or [event.fields]


def quantity(line: dict[str, Any]) -> Decimal:
    return Decimal(1) if line.get("quantity") is None else decimal(line["quantity"])


def decimal(number: float) -> Decimal:
    """The number as it was written."""
    return Decimal(str(number))


def paid(events: Sequence[Parsed]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for event in events:
        prices = [decimal(line["price"]) * quantity(line) for line in lines(event) if line.get("price") is not None]
        value = event.fields.get("value")
        worth = sum(prices) if prices else Decimal(0) if value is None else decimal(value)
        currency = event.fields.get("currency") or "XXX"
        if worth:
            found[currency] = found.get(currency, Decimal(0)) + Decimal(worth).quantize(MILLIONTH, ROUND_HALF_EVEN)
    return found
