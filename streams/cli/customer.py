"""`freshet customer`: what is known of one, as a table for people."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import click
import msgspec
from rich.table import Table

from recsys.connection import open_client, read_values
from recsys.customers.consent import refuses_analysis
from recsys.customers.days import day_on
from recsys.customers.favourites import Favourite
from recsys.customers.message import Customer, Said, Visitor
from recsys.customers.outlook import Outlook, Rhythm, Unreadable, outlooks, unpack
from recsys.customers.user import Attribute, Consent
from recsys.keys import Keys
from streams.cli.lookup import as_json, understood
from streams.cli.terminal import Terminal, printable
from streams.failure import Failure
from streams.settings import Settings, read_settings


@click.command()
@click.argument("user")
@as_json
def customer(user: str, as_json: bool) -> None:
    """Show what is known of the customer USER. An anonymous visitor is anon:ID.

    Times and days are UTC. R, F and M say how lately, how often and for how much the customer bought, from 1 to 5 (best)
    among all customers who ever bought. Whether the customer will order again is told where `freshet lifetimes` was run.
    """
    settings = read_settings()
    keys = Keys(settings.key_prefix)
    with open_client(settings.redis) as client:
        stored, fitted, by_shop = read_values(client, [keys.customer(user), keys.lifetimes, keys.described(user)])
    if stored is None:
        raise Failure(_unknown(user, settings, by_shop))
    known = understood(stored, Customer)
    expected = known.outlook if fitted is None else outlook_of(known, fitted)
    if as_json:
        newer = expected is not None and expected != known.outlook
        click.echo(msgspec.json.encode(msgspec.json.decode(stored) | {"outlook": expected}) if newer else stored)
        return
    table = Table(title=printable(user), show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, text in (*lines(known), *(outlook_lines(expected) if expected is not None else ())):
        table.add_row(name, printable(text))
    Terminal().draw(table)


def outlook_of(known: Customer, fitted: bytes) -> Outlook | None:
    """What is to be expected of a customer, by what `freshet lifetimes` kept last, which may be newer than the message; where
    that cannot be read, which is said, as in the message."""
    try:
        kept = unpack(fitted)
    except Unreadable as error:
        Failure(str(error)).show()
        return known.outlook
    if known.first_order is None or known.last_order is None:
        return None
    days = known.first_order, known.last_order, known.last_seen[:10]
    return outlooks(kept, [Rhythm(known.order_days, *map(day_on, days))])[0]


def _unknown(user: str, settings: Settings, by_shop: bytes | None) -> str:
    if refuses_analysis(by_shop):
        return f"nothing is kept of customer {user!r} under {settings.key_prefix!r}, who refuses it (topic `users`, `analyse`)"
    if not settings.customers:
        return "FRESHET_CUSTOMERS is false, so no accounts of customers are kept. Set it to true and run freshet rebuild"
    return (
        f"nothing is known of customer {user!r} under {settings.key_prefix!r}: no event of this user was counted in the last "
        f"{settings.retention:g} days. Check the id, or that a worker runs (freshet doctor)"
    )


def lines(found: Customer) -> Iterator[tuple[str, str]]:
    """What there is to say of a customer, by name."""
    if found.segment is not None and found.rfm is not None:
        scores = f"R {found.rfm.recency}, F {found.rfm.frequency}, M {found.rfm.monetary}"
        yield "segment", f"{found.segment} ({scores})"
    often = f"on {many(found.days_active, 'day')} in {many(found.sessions, 'session')}"
    yield "seen", f"{found.first_seen} to {found.last_seen}, {often}"
    yield "events", counts(found.events)
    if found.sources:
        yield "from", counts(found.sources)
    if found.best_hour is not None:
        yield "most active", f"{found.best_weekday}s; at {found.best_hour}:00"
    if found.orders:
        yield "orders", f"{found.orders:,}, {many(found.units or 0, 'unit')}"
        yield "spent", amounts(found.spent) or "unknown: orders came without prices"
        if found.average_order:
            yield "average order", amounts(found.average_order)
    if found.refunded:
        yield "refunded", amounts(found.refunded)
    if found.days_between_orders is not None:
        between = found.days_between_orders
        yield "days between orders", f"mean {between.mean:g}, median {between.median:g}"
    if found.feedback is not None:
        yield "feedback", feedback(found.feedback)
    if found.favourites is not None:
        likes = found.favourites
        if likes.categories:
            yield "likes", shares(likes.categories)
        if likes.brands:
            yield "brands", shares(likes.brands)
        if likes.price_band is not None:
            yield "prices", f"{likes.price_band} of 5 among like items, 5 dearest"
    if found.attributes:
        yield "described as", ", ".join(f"{name} {described(content)}" for name, content in found.attributes.items())
    if found.consent is not None:
        yield "consent", ", ".join(f"{name}: {'yes' if given else 'no'}" for name, given in consents(found.consent))
    if found.visitors:
        yield "visitors joined", "; ".join(visited(visitor) for visitor in found.visitors)
    if found.joined is not None:
        yield "joined", f"{found.joined}: the orders are told there"
    if found.recommendations is not None:
        answers = found.recommendations
        yield "recommendations", f"{answers.shown:,} shown, {answers.clicked:,} clicked, {answers.bought:,} bought"


def many(count: Decimal | int, noun: str) -> str:
    """
    >>> many(1, "day"), many(1200, "day")
    ('1 day', '1,200 days')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shares(liked: Sequence[Favourite]) -> str:
    """
    >>> shares([Favourite("Home > Mugs", 0.61), Favourite("Gifts", 0.2)])
    'Home > Mugs 61 %, Gifts 20 %'
    """
    return ", ".join(f"{each.name} {100 * each.share:.3g} %" for each in liked)


def feedback(told: Said) -> str:
    """
    >>> feedback(Said(3, 4.33, comments=2, judged=1, mean_sentiment=0.884))
    'rates 4.33 of 5 (3 ratings), 2 comments; sentiment 0.88 on a scale of -1 to 1 (1 of them in English)'
    """
    text = f"rates {told.mean_rating:g} of 5 ({told.ratings:,} ratings), {told.comments:,} comments"
    if told.mean_sentiment is None:
        return text
    return f"{text}; sentiment {told.mean_sentiment:.2f} on a scale of -1 to 1 ({told.judged:,} of them in English)"


def visited(visitor: Visitor) -> str:
    """
    >>> visited(Visitor("v1", "2026-01-01T10:00:00.000Z", "2026-01-02T11:00:00.000Z", 3, {"ios": 3}))
    'v1 (3 events, last seen 2026-01-02T11:00:00.000Z, from ios 3)'
    """
    since = f"{visitor.events:,} events, last seen {visitor.last_seen}"
    return f"{visitor.anonymous_id} ({since}{', from ' + counts(visitor.sources) if visitor.sources else ''})"


def described(content: Attribute) -> str:
    """
    >>> described(["a", "b"]), described(True), described(34)
    ('a and b', 'yes', '34')
    """
    if isinstance(content, bool):
        return "yes" if content else "no"
    return " and ".join(content) if isinstance(content, list) else str(content)


def consents(consent: Consent) -> Iterator[tuple[str, bool]]:
    """What was said of each thing that a customer may allow or not."""
    for name, given in (("personalise", consent.personalise), ("analyse", consent.analyse)):
        if given is not None:
            yield name, given


def outlook_lines(expected: Outlook) -> Iterator[tuple[str, str]]:
    """The same of what is to be expected."""
    yield "alive", f"{100 * expected.alive:.3g} % to order ever again (as of {expected.as_of})"
    soon = f"{expected.expected_orders_90_days:.3g} days with an order in the next 90 days"
    yield "expected", soon + (f"; if at all, as likely as not by {expected.next_order}" if expected.next_order else "")


def counts(numbers: Mapping[str, int]) -> str:
    """
    >>> counts({"browse": 3, "add_to_cart": 1})
    'browse 3, add to cart 1'
    """
    return ", ".join(
        f"{name.replace('_', ' ')} {count:,}" for name, count in sorted(numbers.items(), key=lambda n: (-n[1], n[0]))
    )


def amounts(paid: Mapping[str, Any]) -> str:
    """
    >>> amounts({"EUR": 1234.5})
    '1,234.50 EUR'
    """
    return ", ".join(f"{amount:,.2f} {currency}" for currency, amount in paid.items())
