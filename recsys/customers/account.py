"""The account of a customer: everything that is kept of one, whole numbers all of it, and how an event changes it."""

from typing import Literal

import msgspec
from msgspec import Struct

from recsys.calendar import HOUR_MS, MONDAY
from recsys.customers.days import NO_DAYS, Days, day_of, with_day
from recsys.customers.feedback import NO_FEEDBACK, Feedback, merged, of_event
from recsys.customers.money import MOST, NO_CURRENCY, amount, units
from recsys.customers.trade import Trade
from recsys.events import Event, Kind
from recsys.hashing import NONE

VERSION: Literal[1] = 1
MOST_NAMES = 20
"""Sources, and currencies, that are told apart; what comes after them is counted as `OTHERS`."""
LONGEST_NAME = 32
OTHERS = "others"


class Part(Struct, array_like=True, gc=False):
    """A visitor as of when last identified: kept beside the customer's own account, so that it can be taken out again."""

    account: bytes
    """What of the visitor's account is told (`recsys.customers.merging.told`), packed."""
    history: bytes
    """What the visitor did last (`recsys.histories`); empty for nothing."""
    purchases: bytes
    """What the visitor bought and holds (`recsys.returning.purchases`); likewise."""


class Joins(Struct, array_like=True, gc=False):
    """Of a visitor who joined a customer, or of a customer whom visitors joined (`recsys.customers.joins`)."""

    customer: str = ""
    """Of a visitor: whom they joined; empty for nobody."""
    asked: dict[str, int] = {}
    """Of a customer: the anonymous ids that came with the customer's, by the day of the newest event that brought them."""
    parts: dict[str, Part] = {}
    """Of a customer: the visitors who joined, by anonymous id."""


class Account(Struct, array_like=True, gc=False):
    """What was counted of a customer. Times are event times in milliseconds since 1970, amounts millionths by currency."""

    version: Literal[1] = VERSION
    first_ms: int = 0
    last_ms: int = 0
    days: Days = NO_DAYS
    """With an event."""
    sessions: int = 0
    """By the contract's rule, of interactions."""
    newest_ms: int = 0
    """The time of the newest interaction by its place in the topic; with the next field it tells where a session ends."""
    session: int = NONE
    """The hash of its session id."""
    kinds: dict[int, int] = {}
    """Events by `Kind`."""
    sources: dict[str, int] = {}
    """Events by the platform they came from."""
    hours: list[int] = []
    """Interactions by hour of the day (UTC); empty before the first."""
    weekdays: list[int] = []
    """By day of the week, Monday first; likewise."""
    orders: int = 0
    """Events of type `purchase`."""
    order_days: Days = NO_DAYS
    units: int = 0
    """Bought, in millionths."""
    spent: dict[str, int] = {}
    refunded: dict[str, int] = {}
    shown: int = 0
    """Impressions of something that was recommended."""
    clicked: int = 0
    """Clicks and views that answer a recommendation."""
    taken: int = 0
    """Purchases that do."""
    view_days: Days = NO_DAYS
    """With a view or click."""
    cart_days: Days = NO_DAYS
    """With something put into the cart."""
    hours_there: int = 0
    """The last hours with an event, as bits back from that of `last_ms`: see `recsys.ledger.steps`, for the steps, too."""
    minutes_there: int = 0
    """Likewise."""
    steps: int = 0
    """Taken ever."""
    session_steps: int = 0
    """Taken in the session that `newest_ms` is of."""
    places: dict[str, int] = {}
    """Steps taken ever, by source and country as `recsys.ledger.scopes` names them."""
    cohort: int = 0
    """The week since 1970 of the order that was counted first."""
    bought: bytes = b""
    """The hashes of the items that were bought, in the order in which they first were."""
    trade: Trade = {}
    """Orders and what was paid, by day."""
    feedback: Feedback | None = None
    """None before the first rating."""
    joins: Joins | None = None
    """None for the most: who always came under one id."""


_decoder = msgspec.msgpack.Decoder(Account)
_encode = msgspec.msgpack.Encoder().encode


def unpack(value: bytes | None) -> Account:
    """The account in stored bytes, or a new one.

    Raises `msgspec.ValidationError` for bytes of another version.

    >>> unpack(pack(Account(orders=3))).orders
    3
    """
    return _decoder.decode(value) if value else Account()


def pack(account: Account) -> bytes:
    """The bytes to store."""
    return _encode(account)


def count(account: Account, event: Event, session: int, *, begins_session: bool) -> None:
    """Counts an event of the customer that is no repeat; `session` is the hash of its session id.

    >>> from recsys.events import decode
    >>> account = Account()
    >>> for second in (0, 10):
    ...     order = b'{"event_type": "order", "user_id": 1, "item_id": 2, "price": 0.1, "currency": "EUR"}'
    ...     count(account, decode(order, 10**12 + second * 1000), NONE, begins_session=second == 0)
    >>> account.orders, account.sessions, account.spent
    (2, 1, {'EUR': 200000})
    """
    kind, time_ms = event.kind, event.time_ms
    is_first = not account.kinds
    account.first_ms = time_ms if is_first else min(account.first_ms, time_ms)
    account.last_ms = time_ms if is_first else max(account.last_ms, time_ms)
    account.days = with_day(account.days, day_of(time_ms))
    account.kinds[kind] = account.kinds.get(kind, 0) + 1
    if event.source:
        _add(account.sources, event.source[:LONGEST_NAME], 1)
    if kind.is_interaction:
        account.sessions += begins_session
        _interact(account, event, session)
        if kind is Kind.RATING:
            account.feedback = merged(account.feedback or NO_FEEDBACK, of_event(event))
    if kind is Kind.PURCHASE:
        account.orders += 1
        account.order_days = with_day(account.order_days, day_of(time_ms))
        account.units = min(account.units + sum(map(units, event.lines)), MOST)
        _pay(account.spent, event)
    elif kind is Kind.REFUND:
        _pay(account.refunded, event)
    if event.recommendation_id is not None:
        account.shown += kind is Kind.IMPRESSION
        account.clicked += kind in (Kind.CLICK, Kind.BROWSE)
        account.taken += kind is Kind.PURCHASE


def _interact(account: Account, event: Event, session: int) -> None:
    account.newest_ms, account.session = event.time_ms, session
    if not account.hours:
        account.hours, account.weekdays = [0] * 24, [0] * 7
    account.hours[event.time_ms // HOUR_MS % 24] += 1
    account.weekdays[(day_of(event.time_ms) + MONDAY) % 7] += 1


def other_session(account: Account, session: int, time_ms: int, gap_ms: int) -> bool:
    """Whether an interaction that is not counted yet begins a session, by the contract's rule."""
    if not account.sessions:
        return True
    if session and account.session:
        return session != account.session
    return abs(time_ms - account.newest_ms) > gap_ms


def _pay(paid: dict[str, int], event: Event) -> None:
    worth = amount(event)
    if worth:
        _add(paid, event.currency or NO_CURRENCY, worth)


def _add(counts: dict[str, int], name: str, count: int) -> None:
    """Adds to what stands under a name; names are strangers' words, so beyond `MOST_NAMES` they are not told apart."""
    if name not in counts and len(counts) >= MOST_NAMES:
        name = OTHERS
    counts[name] = min(counts.get(name, 0) + count, MOST)
