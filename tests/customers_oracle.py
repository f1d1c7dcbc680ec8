"""What is known of a customer, counted once more: with decimals, sets and lists, all events at a time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple

from oracle import INTERACTIONS, Parsed, Recount, home_partition
from vader import polarity_scores

from recsys.customers import account, joins, money, rfm
from recsys.customers.account import Account
from recsys.customers.days import NO_DAYS, Days, contains
from recsys.customers.feedback import NO_FEEDBACK
from recsys.customers.rfm import Spreads
from recsys.events import Kind
from recsys.keys import Keys

EPOCH = date(1970, 1, 1)
MILLIONTH = Decimal("0.000001")
MOST = Decimal(2**63 - 1) * MILLIONTH
"""No sum is above it."""
LONGEST = timedelta(days=20 * 366)
"""A day this far from another one that was there before is left out."""


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
    feedback: tuple[int, Decimal, int, int, Decimal]
    """Ratings, their sum, comments, those whose sentiment is told, and its sum."""


def expected(events: Sequence[Parsed], session_gap_ms: float) -> Expected:
    """What these events of one customer come to, in the order of the topic."""
    interactions = [event for event in events if event.kind in INTERACTIONS]
    purchases = [event for event in events if event.kind == "purchase"]
    answering = [event.kind for event in events if event.fields.get("recommendation_id") is not None]
    return Expected(
        min(event.time_ms for event in events),
        max(event.time_ms for event in events),
        days(events),
        sum(begins(a, b, session_gap_ms) for a, b in zip([None, *interactions], interactions, strict=False)),
        Counter(event.kind for event in events),
        Counter(event.fields["source"] for event in events if event.fields.get("source")),
        Counter(moment(event).hour for event in interactions),
        Counter(moment(event).weekday() for event in interactions),
        len(purchases),
        days(purchases),
        min(sum((quantity(line) for event in purchases for line in lines(event)), Decimal(0)), MOST),
        paid(purchases),
        paid([event for event in events if event.kind == "refund"]),
        (
            sum(kind == "impression" for kind in answering),
            sum(kind in ("click", "browse") for kind in answering),
            sum(kind == "purchase" for kind in answering),
        ),
        said([event for event in events if event.kind == "rating"]),
    )


def said(ratings: Sequence[Parsed]) -> tuple[int, Decimal, int, int, Decimal]:
    """Comments are texts that are not blank; a sentiment is told of those whose language is English."""
    comments = [event for event in ratings if isinstance(event.fields.get("comment"), str) and event.fields["comment"].strip()]
    english = [event.fields["comment"] for event in comments if is_english(event.fields.get("language"))]
    return (
        len(ratings),
        sum((decimal(event.fields["rating"]) for event in ratings), Decimal(0)),
        len(comments),
        len(english),
        sum((decimal(polarity_scores(comment)["compound"]) for comment in english), Decimal(0)),
    )


def is_english(language: Any) -> bool:
    return isinstance(language, str) and language.lower() in ("en", "en-gb", "en_us")


def days(events: Sequence[Parsed]) -> set[date]:
    found: set[date] = set()
    for day in (moment(event).date() for event in events):
        if not found or (day - min(found) < LONGEST and max(found) - day < LONGEST):
            found.add(day)
    return found


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
    """As it is counted."""
    return believable(written(line))


def written(line: dict[str, Any]) -> Decimal:
    """The quantity as it was written."""
    return Decimal(1) if line.get("quantity") is None else decimal(line["quantity"])


def decimal(number: float) -> Decimal:
    """The number as it was written."""
    return Decimal(str(number))


def paid(events: Sequence[Parsed]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for event in events:
        priced = [line for line in lines(event) if line.get("price") is not None]
        prices = [believable(capped(decimal(line["price"])) * written(line)) for line in priced]
        value = event.fields.get("value")
        worth = sum(prices) if prices else Decimal(0) if value is None else believable(decimal(value))
        currency = event.fields.get("currency") or "XXX"
        if worth:
            found[currency] = min(found.get(currency, Decimal(0)) + worth, MOST)
    return found


def believable(number: Decimal) -> Decimal:
    """To the millionth; nothing of more than ten thousand millions."""
    return capped(number) if capped(number) <= 10**10 else Decimal(0)


def capped(number: Decimal) -> Decimal:
    """To the millionth, and `MOST` at most."""
    return min(number, MOST).quantize(MILLIONTH, ROUND_HALF_EVEN)


def assert_accounts_are(truth: Recount, values: Mapping[str, bytes | None], keys: Keys, partitions: int, gap_ms: float) -> None:
    """Every customer has an account, and every visitor who joined one, and nobody else; each is as it is recounted, and they
    stand as their accounts say, visitors with those whom they joined."""
    events = {user: theirs for user, theirs in truth.of_users.items() if theirs}
    assert {key.rpartition(":account:")[2] for key, value in values.items() if ":account:" in key and value} == {
        *events,
        *(f"anon:{visitor}" for visitor in truth.customer_of),
    }
    for user, theirs in events.items():
        assert found(values, keys, user, partitions) == expected(theirs, gap_ms)
    for partition in range(partitions):
        spreads = Spreads()
        for key, value in values.items():
            if key.startswith(keys.account(partition, "")):
                kept = joins.whole(account.unpack(value))
                rfm.stand(spreads, None, rfm.standing(kept, {}) if joins.stands_alone(kept) else None)
        assert rfm.unpack(values.get(keys.spreads(partition))) == spreads


def days_of(days: Days) -> set[date]:
    return {EPOCH + timedelta(days=day) for day in range(days.first, days.last + 1) if contains(days, day)}


def counts(numbers: list[int]) -> dict[int, int]:
    return {n: count for n, count in enumerate(numbers) if count}


def found(values: Mapping[str, bytes | None], keys: Keys, user: str, partitions: int) -> Expected:
    """What is stored, in the oracle's words."""
    home = home_partition(user.removeprefix("anon:"), partitions)
    return found_in(account.unpack(values[keys.account(home, user)]))


def found_in(kept: Account) -> Expected:
    """What an account says, likewise."""
    heard = kept.feedback or NO_FEEDBACK
    return Expected(
        kept.first_ms,
        kept.last_ms,
        days_of(kept.days),
        kept.sessions,
        {Kind(kind).name.lower(): count for kind, count in kept.kinds.items()},  # type: ignore[arg-type]
        kept.sources,  # type: ignore[arg-type]
        counts(kept.hours),  # type: ignore[arg-type]
        counts(kept.weekdays),  # type: ignore[arg-type]
        kept.orders,
        days_of(kept.order_days) if kept.order_days != NO_DAYS else set(),
        money.decimal(kept.units),
        {currency: money.decimal(micros) for currency, micros in kept.spent.items()},
        {currency: money.decimal(micros) for currency, micros in kept.refunded.items()},
        (kept.shown, kept.clicked, kept.taken),
        (
            heard.ratings,
            money.decimal(heard.rated),
            heard.comments,
            heard.judged,
            Decimal(heard.sentiment).scaleb(-4),
        ),
    )
