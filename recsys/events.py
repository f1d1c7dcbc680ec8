"""Events: from the bytes of a record to a checked, typed `Event`, or to the reason why not."""

from datetime import datetime
from enum import IntEnum
from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from recsys.record import MAX_ID, Amount, Currency, Form, Id, id_text, note_given, quoted
from recsys.sentiment import sentiment

MAX_AHEAD_MS = 10 * 60 * 1000
EARLIEST_MS = 788_918_400_000
"""1995-01-01: an older time is a mistake of the producer's clock or unit."""
LATEST_MS = 253_402_300_799_999
"""The end of 9999, and of what a time in RFC 3339 can say; a record's timestamp may be any number of 64 bits."""
ANONYMOUS = "anon:"
NOTHING = Raw(b"null")
LONGEST_COUNTRY = len('"\\u0044\\u0045"')
"""Bytes of two letters in JSON, both escaped."""
FIRST_OTHER = 16
"""From this number on, kinds are no interactions."""


class Kind(IntEnum):
    """What a user did. The numbers are stored in histories: never change one."""

    BROWSE = 1
    CLICK = 2
    ADD_TO_CART = 3
    WISHLIST = 4
    PURCHASE = 5
    RATING = 6
    IMPRESSION = 16
    REMOVE_FROM_CART = 17
    REFUND = 18
    SEARCH = 19
    IDENTIFY = 20
    FORGET = 21

    is_interaction: bool
    """Whether it counts for the item: see *What is counted* in the contract."""

    def __init__(self, number: int) -> None:
        self.is_interaction = number < FIRST_OTHER


ALIASES = {
    "view": Kind.BROWSE,
    "pageview": Kind.BROWSE,
    "productview": Kind.BROWSE,
    "detailpageview": Kind.BROWSE,
    "transaction": Kind.PURCHASE,
    "order": Kind.PURCHASE,
    "cart": Kind.ADD_TO_CART,
} | {kind.name.replace("_", "").lower(): kind for kind in Kind}

KNOWN_TYPES = f"known are {', '.join(kind.name.lower() for kind in Kind)}"

WITHOUT_ITEMS = frozenset((Kind.SEARCH, Kind.IDENTIFY, Kind.FORGET))
"""Types that are about no item."""


class InvalidEvent(ValueError):
    """An event that goes to `rejected`; the message is the reason, and begins with the field where one is at fault."""


class Line(Struct, frozen=True):
    """One item of an event."""

    item_id: str
    quantity: float | None = None
    price: float | None = None


class Event(Struct, frozen=True, kw_only=True):
    """A checked event. `time_ms` is its event time in milliseconds since 1970."""

    kind: Kind
    user_id: str
    lines: tuple[Line, ...]
    time_ms: int
    event_id: str | None = None
    session_id: str | None = None
    currency: str | None = None
    value: float | None = None
    rating: float | None = None
    query: str | None = None
    source: str | None = None
    country: str | None = None
    """Two capital letters, ISO 3166-1."""
    recommendation_id: str | None = None
    position: int | None = None
    commented: bool = False
    """Whether a rating came with a comment. The comment itself goes no further than to be judged."""
    sentiment: int | None = None
    """Of the comment, see `recsys.sentiment`."""
    visitor: str | None = None
    """The `anonymous_id` of an event that has a `user_id`, too."""

    @property
    def home_id(self) -> str:
        """The id whose hash is the user's home partition: that of an anonymous visitor stands without its prefix."""
        return self.user_id.removeprefix(ANONYMOUS)


_Moment = Annotated[datetime, Meta(tz=True)]


class _WireLine(Struct):
    item_id: Id
    quantity: Amount | None = None
    price: Amount | None = None


class _Wire(Struct):
    """The JSON object as it stands in a record; unknown fields are passed over."""

    event_type: str | None = None
    user_id: Id | None = None
    anonymous_id: Annotated[str, Meta(min_length=1, max_length=MAX_ID)] | None = None
    item_id: Id | None = None
    items: Annotated[list[_WireLine], Meta(min_length=1, max_length=500)] | None = None
    event_time: str | int | float | None = None
    event_id: Annotated[str, Meta(min_length=1)] | None = None
    session_id: Annotated[str, Meta(min_length=1)] | None = None
    quantity: Amount | None = None
    price: Amount | None = None
    value: Amount | None = None
    currency: Currency | None = None
    rating: Annotated[float, Meta(ge=1, le=5)] | None = None
    query: Annotated[str, Meta(max_length=512)] | None = None
    source: str | None = None
    country: Raw = NOTHING
    """Of any form: producers sent a field of that name before it meant anything."""
    recommendation_id: Annotated[str, Meta(min_length=1)] | None = None
    position: int | None = None
    comment: Raw = NOTHING
    """Of any form, too, and so is the next."""
    language: Raw = NOTHING


FIELDS = _Wire.__struct_fields__
"""The names of all fields of an event."""

_form = Form(_Wire, "an event", InvalidEvent, {"items": list[dict[str, Raw]]})


def decode(value: bytes | None, recorded_ms: int) -> Event:
    """The event in a record's value; `recorded_ms` is the record's own timestamp.

    Raises `InvalidEvent` with the reason for anything the contract does not allow.

    >>> decode(b'{"event_type": "view", "user_id": 7, "item_id": "i1"}', 1_700_000_000_000).user_id
    '7'
    >>> decode(b'{"event_type": "click", "user_id": [7], "item_id": "i1"}', 1_700_000_000_000)
    Traceback (most recent call last):
    ...
    recsys.events.InvalidEvent: user_id: expected a whole number or a text, got a list
    """
    wire = _form.read(value)
    if wire.event_type is None:
        raise InvalidEvent("event_type: required field is missing")
    kind = kind_of(wire.event_type)
    if kind is None:
        unknown = InvalidEvent(f"event_type: unknown type {quoted(wire.event_type)}")
        unknown.add_note(KNOWN_TYPES)
        raise unknown
    lines = _lines(wire, kind)
    if kind is Kind.RATING and wire.rating is None:
        raise InvalidEvent("rating: required for an event of type rating")
    if kind is Kind.IDENTIFY:
        _check_identifies(wire)
    event = Event(
        kind=kind,
        user_id=_user(wire),
        lines=lines,
        time_ms=_time(wire.event_time, recorded_ms),
        event_id=None if kind is Kind.FORGET else wire.event_id,  # never a repeat: whoever asks is forgotten
        session_id=wire.session_id,
        currency=wire.currency,
        value=wire.value,
        rating=wire.rating,
        query=wire.query,
        source=wire.source,
        country=country(bytes(wire.country)),
        recommendation_id=wire.recommendation_id,
        position=wire.position,
        visitor=None if wire.user_id is None or kind is Kind.FORGET else wire.anonymous_id,
    )
    return event if wire.comment is NOTHING or kind is not Kind.RATING else _judged(event, wire)


def kind_of(name: str) -> Kind | None:
    """What a type's name means; None for an unknown one.

    >>> kind_of("Page-View"), kind_of("fly")
    (<Kind.BROWSE: 1>, None)
    """
    return _kind(name) if len(name) <= 64 else _kind.__wrapped__(name)  # the cache holds no stranger's long texts


@lru_cache(maxsize=4096)
def _kind(name: str) -> Kind | None:
    return ALIASES.get(name.lower().replace("-", "").replace("_", "").replace(" ", ""))


def country(undecoded: bytes) -> str | None:
    """The country that a JSON value names by its two letters, of either case; whatever else it is, it is none.

    >>> country(b'"DE"'), country(b'"de"'), country(b'"Germany"'), country(b"49")
    ('DE', 'DE', None, None)
    """
    return _country(undecoded) if undecoded[:1] == b'"' and len(undecoded) <= LONGEST_COUNTRY else None


@lru_cache(maxsize=1024)
def _country(undecoded: bytes) -> str | None:
    text = msgspec.json.decode(undecoded, type=str)
    return text.upper() if len(text) == 2 and text.isascii() and text.isalpha() else None


def _judged(event: Event, wire: _Wire) -> Event:
    """The event with what its comment says of the item."""
    comment = _text(wire.comment)
    if comment is None:
        return event
    return msgspec.structs.replace(event, commented=True, sentiment=sentiment(comment, _text(wire.language)))


def _text(undecoded: Raw) -> str | None:
    """The text that a JSON value is, without white space around it; whatever else it is, or an empty one, is none."""
    try:
        return msgspec.json.decode(undecoded, type=str).strip() or None
    except msgspec.ValidationError:
        return None


def _user(wire: _Wire) -> str:
    if wire.user_id is None:
        if wire.anonymous_id is None:
            raise InvalidEvent("user_id: required field is missing (or give anonymous_id)")
        return ANONYMOUS + wire.anonymous_id
    user = id_text("user_id", wire.user_id, InvalidEvent)
    if user.startswith(ANONYMOUS):
        raise note_given(InvalidEvent(f"user_id: may not begin with {ANONYMOUS!r}: give anonymous_id"), user)
    return user


def _lines(wire: _Wire, kind: Kind) -> tuple[Line, ...]:
    one = None if wire.item_id is None else id_text("item_id", wire.item_id, InvalidEvent)
    if wire.items is not None:
        if one is not None:
            raise InvalidEvent("items: give item_id or items, not both")
        lines = tuple(
            Line(id_text(f"items[{n}].item_id", line.item_id, InvalidEvent), line.quantity, line.price)
            for n, line in enumerate(wire.items)
        )
    elif one is not None:
        lines = (Line(one, wire.quantity, wire.price),)
    elif kind not in WITHOUT_ITEMS:
        raise InvalidEvent("item_id: required field is missing (or give items)")
    return () if kind in WITHOUT_ITEMS else lines


def _check_identifies(wire: _Wire) -> None:
    for name in ("user_id", "anonymous_id"):
        if getattr(wire, name) is None:
            raise InvalidEvent(f"{name}: required for an event of type identify")


def _time(given: str | float | None, recorded_ms: int) -> int:
    if given is None:
        if not EARLIEST_MS <= recorded_ms <= LATEST_MS:
            raise InvalidEvent(f"event_time: missing, and the record's timestamp is {_outside(recorded_ms)}")
        return recorded_ms
    time_ms = _epoch_ms(given)
    if not EARLIEST_MS <= time_ms <= LATEST_MS:
        raise note_given(InvalidEvent(f"event_time: {_outside(time_ms)}"), given)
    if time_ms > recorded_ms + MAX_AHEAD_MS:
        raise note_given(InvalidEvent("event_time: more than 10 minutes ahead of the record's timestamp"), given)
    return time_ms


def _outside(time_ms: float) -> str:
    return "before 1995" if time_ms < EARLIEST_MS else "after 9999"


def _epoch_ms(given: str | float) -> int:
    """Whole milliseconds of an RFC 3339 string, or of epoch seconds or (from 10¹¹ on) milliseconds."""
    if isinstance(given, str):
        try:
            moment = msgspec.convert(given, _Moment)
        except msgspec.ValidationError:
            moment = None
        if moment is None or (given[-1] not in "zZ" and given[-3] != ":"):  # msgspec takes the offset +0100 too
            raise InvalidEvent(
                f"event_time: {quoted(given)} is not an RFC 3339 time with an offset, such as 2026-11-23T10:00:00Z"
            )
        return round(moment.timestamp() * 1000)
    if not 0 <= given <= 1e16:  # beyond it an integer may not even fit into a float
        raise note_given(InvalidEvent(f"event_time: {'before 1995' if given < 0 else 'too large a number'}"), given)
    return round(given if given >= 1e11 else given * 1000)
