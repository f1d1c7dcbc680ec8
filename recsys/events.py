"""Events: from the bytes of a record to a checked, typed `Event`, or to the reason why not."""

import json
import math
import re
from contextlib import suppress
from datetime import datetime
from enum import IntEnum
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

MAX_BYTES = 65_536
MAX_ID = 128
DEEPEST = 500
"""Arrays and objects inside one another, the event itself among them."""
MAX_AHEAD_MS = 10 * 60 * 1000
EARLIEST_MS = 788_918_400_000
"""1995-01-01: an older time is a mistake of the producer's clock or unit."""
LATEST_MS = 253_402_300_799_999
"""The end of 9999, and of what a time in RFC 3339 can say; a record's timestamp may be any number of 64 bits."""
ANONYMOUS = "anon:"


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

    @property
    def is_interaction(self) -> bool:
        """Whether it counts for the item: see *What is counted* in the contract."""
        return self < Kind.IMPRESSION


ALIASES = {
    "view": Kind.BROWSE,
    "pageview": Kind.BROWSE,
    "productview": Kind.BROWSE,
    "detailpageview": Kind.BROWSE,
    "transaction": Kind.PURCHASE,
    "order": Kind.PURCHASE,
    "cart": Kind.ADD_TO_CART,
} | {kind.name.replace("_", "").lower(): kind for kind in Kind}


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
    recommendation_id: str | None = None
    position: int | None = None

    @property
    def home_id(self) -> str:
        """The id whose hash is the user's home partition: that of an anonymous visitor stands without its prefix."""
        return self.user_id.removeprefix(ANONYMOUS)


Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID)] | int
Amount = Annotated[float, Meta(ge=0)]
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
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")] | None = None
    rating: Annotated[float, Meta(ge=1, le=5)] | None = None
    query: Annotated[str, Meta(max_length=512)] | None = None
    source: str | None = None
    recommendation_id: Annotated[str, Meta(min_length=1)] | None = None
    position: int | None = None


_decoder = msgspec.json.Decoder(_Wire)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_lines_of_fields = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def decode(value: bytes | None, recorded_ms: int) -> Event:
    """The event in a record's value; `recorded_ms` is the record's own timestamp.

    Raises `InvalidEvent` with the reason for anything the contract does not allow.

    >>> decode(b'{"event_type": "view", "user_id": 7, "item_id": "i1"}', 1_700_000_000_000).user_id
    '7'
    >>> decode(b'{"event_type": "click", "user_id": "", "item_id": "i1"}', 1_700_000_000_000)
    Traceback (most recent call last):
    ...
    recsys.events.InvalidEvent: user_id: expected `str` of length >= 1
    """
    wire = _parse(value)
    if wire.event_type is None:
        raise InvalidEvent("event_type: required field is missing")
    name = wire.event_type
    kind = _kind(name) if len(name) <= 64 else _kind.__wrapped__(name)  # the cache holds no stranger's long texts
    if kind is None:
        raise InvalidEvent(f"event_type: unknown type {quoted(wire.event_type)}")
    lines = _lines(wire, kind)
    if kind is Kind.RATING and wire.rating is None:
        raise InvalidEvent("rating: required for an event of type rating")
    return Event(
        kind=kind,
        user_id=_user(wire),
        lines=lines,
        time_ms=_time(wire.event_time, recorded_ms),
        event_id=wire.event_id,
        session_id=wire.session_id,
        currency=wire.currency,
        value=wire.value,
        rating=wire.rating,
        query=wire.query,
        source=wire.source,
        recommendation_id=wire.recommendation_id,
        position=wire.position,
    )


def quoted(text: str) -> str:
    """A stranger's text, escaped and short enough for a header or a log line.

    >>> quoted("a" * 99), quoted("é" * 5)
    ("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'", "'\\\\xe9\\\\xe9\\\\xe9\\\\xe9\\\\xe9'")
    """
    shown = 40 if text[:40].isascii() else 20  # a character may become ten
    return ascii(text[:shown] + "..." * (len(text) > shown))


def _parse(value: bytes | None) -> _Wire:
    if not value:
        raise InvalidEvent("the record has no value")
    if len(value) > MAX_BYTES:
        raise InvalidEvent(f"the record has {len(value)} bytes: at most {MAX_BYTES} are allowed")
    try:
        if not value.isascii():
            value.decode()
        deep = _deep_field(value)
        if deep is not None:
            raise InvalidEvent(f"{deep or 'not an event'}: nested deeper than {DEEPEST}")
        return _wire(value)
    except msgspec.ValidationError as error:
        raise InvalidEvent(_field_first(str(error))) from None
    except UnicodeDecodeError as error:
        raise InvalidEvent(f"not UTF-8: byte {error.start} cannot be decoded") from None
    except msgspec.DecodeError as error:
        raise InvalidEvent(_diagnosis(value) or f"not JSON: {str(error)[:200]}") from None


def _wire(value: bytes) -> _Wire:
    """Decodes an object; of a name that stands twice the last counts, and the others may be of any type."""
    try:
        return _decoder.decode(value)
    except msgspec.ValidationError:
        fields = _fields.decode(value)
        if "items" in fields:
            with suppress(msgspec.ValidationError):
                fields["items"] = msgspec.Raw(msgspec.json.encode(_lines_of_fields.decode(fields["items"])))
        return _decoder.decode(msgspec.json.encode(fields))


def _field_first(message: str) -> str:
    """msgspec's message with the field in front: "Expected `int` - at `$.position`" → "position: expected `int`"."""
    reason, found, path = message.rpartition(" - at `$")
    if not found:
        return f"not an event: {message[0].lower()}{message[1:]}"
    return f"{path.strip('`').lstrip('.')}: {reason[0].lower()}{reason[1:]}"


def _diagnosis(value: bytes) -> str | None:
    """The field at fault where Python's laxer reader takes what JSON forbids: NaN, Infinity, a lone surrogate."""
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    for name, content in fields.items():
        fault = _fault([name, content])
        if fault:
            return f"{quoted(name)[1:-1]}: {fault}"
    return None


_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*+)"?|[\[{]|[]}]', re.DOTALL)


def _deep_field(value: bytes) -> str | None:
    """The field that is nested deeper than `DEEPEST`; None where none is.

    What the readers themselves take depends on how deep the stack is when they are called, and so on who asks.
    """
    if value.count(b"[") + value.count(b"{") <= DEEPEST:
        return None
    depth, name = 0, b""
    for token in _TOKEN.finditer(value):
        if token[1] is not None:
            name = token[1] if depth == 1 else name
        else:
            depth += 1 if token[0] in b"[{" else -1
        if depth > DEEPEST:
            return quoted(name.decode())[1:-1]
    return None


def _fault(content: Any) -> str | None:
    pending = [content]
    while pending:
        part = pending.pop()
        if isinstance(part, float) and not math.isfinite(part):
            return "NaN and Infinity are not allowed"
        if isinstance(part, str) and any("\ud800" <= character <= "\udfff" for character in part):
            return "a lone surrogate is not a character"
        if isinstance(part, dict):
            pending += [*part, *part.values()]
        if isinstance(part, list):
            pending += part
    return None


@lru_cache(maxsize=4096)
def _kind(name: str) -> Kind | None:
    return ALIASES.get(name.lower().replace("-", "").replace("_", "").replace(" ", ""))


def _user(wire: _Wire) -> str:
    if wire.user_id is None:
        if wire.anonymous_id is None:
            raise InvalidEvent("user_id: required field is missing (or give anonymous_id)")
        return ANONYMOUS + wire.anonymous_id
    user = _id("user_id", wire.user_id)
    if user.startswith(ANONYMOUS):
        raise InvalidEvent(f"user_id: may not begin with {ANONYMOUS!r}: give anonymous_id")
    return user


def _lines(wire: _Wire, kind: Kind) -> tuple[Line, ...]:
    one = None if wire.item_id is None else _id("item_id", wire.item_id)
    if wire.items is not None:
        if one is not None:
            raise InvalidEvent("items: give item_id or items, not both")
        lines = tuple(
            Line(_id(f"items[{n}].item_id", line.item_id), line.quantity, line.price) for n, line in enumerate(wire.items)
        )
    elif one is not None:
        lines = (Line(one, wire.quantity, wire.price),)
    elif kind is not Kind.SEARCH:
        raise InvalidEvent("item_id: required field is missing (or give items)")
    return () if kind is Kind.SEARCH else lines


def _id(name: str, given: str | int) -> str:
    if isinstance(given, str):
        return given
    text = str(given)
    if len(text) > MAX_ID:
        raise InvalidEvent(f"{name}: longer than {MAX_ID} characters")
    return text


def _time(given: str | float | None, recorded_ms: int) -> int:
    if given is None:
        if not EARLIEST_MS <= recorded_ms <= LATEST_MS:
            raise InvalidEvent(f"event_time: missing, and the record's timestamp is {_outside(recorded_ms)}")
        return recorded_ms
    time_ms = _epoch_ms(given)
    if not EARLIEST_MS <= time_ms <= LATEST_MS:
        raise InvalidEvent(f"event_time: {_outside(time_ms)}")
    if time_ms > recorded_ms + MAX_AHEAD_MS:
        raise InvalidEvent("event_time: more than 10 minutes ahead of the record's timestamp")
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
        raise InvalidEvent(f"event_time: {'before 1995' if given < 0 else 'too large a number'}")
    return round(given if given >= 1e11 else given * 1000)
