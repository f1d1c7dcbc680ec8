"""Customer: the message that the contract describes, made of an account and of where it stands among all."""

from collections.abc import Mapping
from decimal import Decimal
from statistics import fmean, median

import msgspec
from msgspec import Struct

from recsys.customers.account import Account, Joins, unpack
from recsys.customers.days import date_of, gaps, how_many
from recsys.customers.favourites import Favourites
from recsys.customers.feedback import Feedback
from recsys.customers.money import MICROS, decimal
from recsys.customers.outlook import Outlook
from recsys.customers.rfm import Rfm
from recsys.customers.user import Attribute, Consent, User
from recsys.events import Kind
from recsys.recommendation import instant
from recsys.sentiment import SCALE

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_users = msgspec.json.Decoder(User)
_encode = msgspec.json.Encoder(decimal_format="number").encode

Amounts = Mapping[str, Decimal]
"""By currency."""


class Gaps(Struct):
    """Days between days with an order."""

    mean: float
    median: float


class Answers(Struct):
    """What became of recommendations, by events that name one."""

    shown: int
    clicked: int
    bought: int


class Said(Struct, omit_defaults=True):
    """What the customer said of items, by events of type `rating`."""

    ratings: int
    mean_rating: float
    comments: int = 0
    judged: int = 0
    """Comments whose sentiment can be told: those said to be in English."""
    mean_sentiment: float | None = None
    """Of these, from −1 to 1."""


class Scores(Struct):
    """1 to 5 each, 5 is best."""

    recency: int
    frequency: int
    monetary: int


class Visitor(Struct, omit_defaults=True):
    """An anonymous visitor who turned out to be the customer, as of then."""

    anonymous_id: str
    first_seen: str
    last_seen: str
    events: int
    sources: dict[str, int] = {}


class Customer(Struct, omit_defaults=True):
    """What the topic and Redis hold for a customer, all of it from the events of the customer, and of the visitors who joined:
    see `recsys.customers.account`."""

    user_id: str
    updated_at: str
    """Event time of the newest event that is in it."""
    first_seen: str
    last_seen: str
    days_active: int
    sessions: int
    events: dict[str, int]
    sources: dict[str, int] = {}
    best_hour: int | None = None
    """Of the day, UTC, with the most interactions; the earliest of several."""
    best_weekday: str | None = None
    orders: int = 0
    order_days: int = 0
    """Days with an order."""
    first_order: str | None = None
    last_order: str | None = None
    """These days, as 2026-11-23."""
    units: Decimal | None = None
    spent: Amounts = {}
    refunded: Amounts = {}
    average_order: Amounts = {}
    days_between_orders: Gaps | None = None
    recommendations: Answers | None = None
    feedback: Said | None = None
    rfm: Scores | None = None
    segment: str | None = None
    previous_segment: str | None = None
    """Where this message says that the segment has changed."""
    favourites: Favourites | None = None
    outlook: Outlook | None = None
    """Of one who ordered, where `freshet lifetimes` has been run."""
    attributes: Mapping[str, Attribute] = {}
    consent: Consent | None = None
    """What the shop said of the customer on the topic `users`, as of this message."""
    visitors: list[Visitor] = []
    """Who joined this customer, by id; they are in all that stands above."""
    joined: str | None = None
    """Of an anonymous visitor: the customer who this turned out to be."""


def customer(user: str, account: Account, updated_ms: int, rfm: Rfm | None, segment: str | None) -> Customer:
    """The message for a customer whose account, with all visitors who joined, has at least one event."""
    days = account.order_days
    between = gaps(days) if account.orders > 1 else []
    answers = account.shown, account.clicked, account.taken
    return Customer(
        user_id=user,
        updated_at=instant(updated_ms),
        first_seen=instant(account.first_ms),
        last_seen=instant(account.last_ms),
        days_active=how_many(account.days),
        sessions=account.sessions,
        events={Kind(kind).name.lower(): count for kind, count in sorted(account.kinds.items())},
        sources=dict(sorted(account.sources.items())),
        best_hour=account.hours.index(max(account.hours)) if account.hours else None,
        best_weekday=WEEKDAYS[account.weekdays.index(max(account.weekdays))] if account.weekdays else None,
        orders=account.orders,
        order_days=how_many(days),
        first_order=date_of(days.first) if account.orders else None,
        last_order=date_of(days.last) if account.orders else None,
        units=decimal(account.units) if account.units else None,
        spent=amounts(account.spent),
        refunded=amounts(account.refunded),
        average_order=amounts({currency: round(paid / account.orders) for currency, paid in account.spent.items()}),
        days_between_orders=Gaps(round(fmean(between), 2), median(between)) if between else None,
        recommendations=Answers(*answers) if any(answers) else None,
        feedback=None if account.feedback is None else said(account.feedback),
        rfm=None if rfm is None else Scores(*rfm),
        segment=segment,
        visitors=[] if account.joins is None else visitors(account.joins),
        joined=None if account.joins is None else account.joins.customer or None,
    )


def said(feedback: Feedback) -> Said:
    """
    >>> said(Feedback(ratings=2, rated=9_000_000, comments=1, judged=1, sentiment=8840))
    Said(ratings=2, mean_rating=4.5, comments=1, judged=1, mean_sentiment=0.884)
    """
    return Said(
        feedback.ratings,
        round(feedback.rated / feedback.ratings / MICROS, 2),
        feedback.comments,
        feedback.judged,
        round(feedback.sentiment / feedback.judged / SCALE, 4) if feedback.judged else None,
    )


def visitors(joins: Joins) -> list[Visitor]:
    """What there is to say of each of the visitors who joined a customer."""
    parts = [(anonymous_id, unpack(part.account)) for anonymous_id, part in sorted(joins.parts.items())]
    return [
        Visitor(
            anonymous_id,
            instant(each.first_ms),
            instant(each.last_ms),
            sum(each.kinds.values()),
            dict(sorted(each.sources.items())),
        )
        for anonymous_id, each in parts
    ]


def describe(message: Customer, by_shop: bytes) -> None:
    """Adds to a message what the shop said of the customer, as Redis keeps it.

    >>> message = Customer("u", "2026-01-01T00:00:00Z", "", "", 1, 1, {})
    >>> describe(message, b'{"user_id": "u", "attributes": {"age": 34}}')
    >>> message.attributes
    {'age': 34}
    """
    user = _users.decode(by_shop)
    message.attributes, message.consent = user.attributes, user.consent


def amounts(paid: Mapping[str, int]) -> Amounts:
    """Amounts in millionths as decimal numbers, by currency.

    >>> amounts({"EUR": 12_500_000})
    {'EUR': Decimal('12.5')}
    """
    return {currency: decimal(micros) for currency, micros in sorted(paid.items())}


def encode(message: Customer) -> bytes:
    """The JSON of a message; amounts are numbers of exact decimal text.

    >>> encode(Customer("u", "2026-01-01T00:00:00Z", "", "", 1, 1, {}, spent={"EUR": Decimal("0.30")}))[-22:]
    b',"spent":{"EUR":0.30}}'
    """
    return _encode(message)


class _Named(Struct):
    segment: str | None = None


_named = msgspec.json.Decoder(_Named)


def segment_of(value: bytes) -> str | None:
    """The segment that an encoded message names.

    >>> segment_of(b'{"user_id": "u", "segment": "new"}')
    'new'
    """
    return _named.decode(value).segment
