"""Preprocessing: what is missing or wrong in an event is put right by a policy before the event is sent. One event after the
other: a value is filled by what the events before it had, never by what comes later; but a price by interpolation, for which
the whole file is looked through first.

A policy names fields, and for each what to do where it is missing or invalid:

| action | what becomes of the event |
|---|---|
| `keep` | as it is: missing stays missing, and what the contract does not allow is refused |
| `reject` | refused |
| `leave out` | without the field |
| `fill` | with a `value`, or with the `mean` or the `mode` of what its item had so far, or a price by `interpolation` |

By interpolation a price is on the straight line between the nearest before and after it that its item had in the file, by the
time of events and in the event's currency; before the first and after the last of them it is that one. What is to be filled by
what its item had is as if left out where that had none.

An event with filled values says so: `filled` has the fields, a field that the contract does not know and every reader of events
passes over.
"""

import math
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta, Struct

from recsys.customers.money import NO_CURRENCY
from recsys.events import Event, InvalidEvent, Kind, decode, kind_of
from recsys.interpolation import Curves
from recsys.readers import Record, Refused
from recsys.record import Amount, Currency, given_in_words, given_with, in_words

FILLED = "filled"
PAYING = frozenset((Kind.PURCHASE, Kind.REFUND))


class Field(NamedTuple):
    """A field that a policy may name."""

    shape: Any
    """What a value must be to be valid."""
    missing_from: frozenset[Kind]
    """Events that lack something without it; in others it may be missing."""
    of_line: bool
    """Whether each item of a basket has one of its own."""


FIELDS: Mapping[str, Field] = {
    "price": Field(Amount, PAYING, True),
    "quantity": Field(Amount, PAYING, True),
    "value": Field(Amount, PAYING, False),
    "currency": Field(Currency, PAYING, False),
    "rating": Field(Annotated[float, Meta(ge=1, le=5)], frozenset((Kind.RATING,)), False),
    "source": Field(str, frozenset(Kind), False),
}
NUMBERS = ("price", "quantity", "value", "rating")


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """What to do with a field. A number below `least` or above `most` is invalid, too."""

    missing: Literal["keep", "reject", "fill"] = "keep"
    invalid: Literal["keep", "reject", "leave out", "fill"] = "keep"
    by: Literal["value", "mean", "mode", "interpolation"] = "value"
    value: float | str | None = None
    least: float | None = None
    most: float | None = None


Policy = Mapping[str, Rule]


class BadPolicy(ValueError):
    """A policy that makes no sense; the message says which field's."""


def read_policy(text: str) -> Policy:
    """The policy in a TOML text: a table for each field. Raises `BadPolicy`.

    >>> read_policy('[price]\\ninvalid = "fill"\\nby = "mean"\\nmost = 10000')["price"].most
    10000.0
    >>> read_policy('[prize]\\ninvalid = "fill"')
    Traceback (most recent call last):
    ...
    recsys.preprocessing.BadPolicy: prize: no such field: price, quantity, value, currency, rating, source are allowed
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadPolicy(f"not TOML: {error}") from None
    policy = {}
    for name, table in tables.items():
        if name not in FIELDS:
            raise BadPolicy(f"{name}: no such field: {', '.join(FIELDS)} are allowed")
        try:
            policy[name] = msgspec.convert(table, Rule)
        except msgspec.ValidationError as error:
            raise BadPolicy(_fault(name, table, str(error))) from None
        _check(name, policy[name])
    return policy


def _fault(name: str, table: Any, said: str) -> str:
    """What msgspec says of a table, in words, with what is allowed."""
    reason, found, entry = said.rstrip("`").rpartition(" - at `$.")
    if not found:
        allowed = f": {', '.join(Rule.__struct_fields__)} are allowed" if "unknown field" in said else ""
        return f"{name}: {in_words(said)}{allowed}"
    if "enum value" in reason:
        return f"{name}: {entry} is {table[entry]!r}, none of {', '.join(get_args(Rule.__annotations__[entry]))}"
    return f"{name}: {entry}: {in_words(reason)}"


def _check(name: str, rule: Rule) -> None:
    fills = "fill" in (rule.missing, rule.invalid)
    if name not in NUMBERS and (rule.by == "mean" or rule.least is not None or rule.most is not None):
        raise BadPolicy(f"{name}: mean, least and most are for numbers")
    if rule.by == "interpolation" and name != "price":
        raise BadPolicy(f"{name}: interpolation is for prices")
    if fills and rule.by == "value" and not _is_valid(name, rule, rule.value):
        given = "there is no `value`" if rule.value is None else f"`value` is {rule.value!r}, which is none"
        raise BadPolicy(f"{name}: a value to fill it with is wanted, and {given}")


def _is_valid(name: str, rule: Rule, content: Any) -> bool:
    try:
        msgspec.convert(content, FIELDS[name].shape)
    except msgspec.ValidationError:
        return False
    return name not in NUMBERS or (
        math.isfinite(content) and (rule.least is None or content >= rule.least) and (rule.most is None or content <= rule.most)
    )


class Spot(NamedTuple):
    """Where a value stands, or should: in the event itself, or in one of its lines."""

    holder: dict[str, Any]
    path: str
    item: str


class Taught(NamedTuple):
    """A value that an item had."""

    name: str
    item: str
    content: float | str


class Cleaner:
    """Puts events right by a policy, in the order of the file; counts what it did, by field."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._seen: dict[tuple[str, str], Counter[float | str]] = defaultdict(Counter)
        """By field and item, how often it had which value."""
        self._curves = Curves()
        self.filled, self.left_out, self.rejected = Counter[str](), Counter[str](), Counter[str]()

    @property
    def looks_ahead(self) -> bool:
        """Whether the whole file must be looked through before the first event is put right: `look` at each."""
        return any(rule.by == "interpolation" for rule in self._policy.values())

    def look(self, judged: Record | Refused) -> None:
        """Takes in the numbers of an event that is good as it is, for interpolation."""
        if not isinstance(judged, Record):
            return
        event = msgspec.json.decode(judged.value)
        for name, rule in self._policy.items():
            for spot in _spots(event, name) if rule.by == "interpolation" else ():
                content = spot.holder.get(name)
                if content is not None and _is_valid(name, rule, content):
                    self._curves.add(_subject(event, name, spot), judged.event.time_ms, float(content))

    def clean(self, judged: Record | Refused, now_ms: int) -> Record | Refused:
        """The event as the policy wants it. Only good events teach what is usual.

        `now_ms` stands for the record's timestamp.
        """
        if judged.value is None:
            return judged
        try:
            event = msgspec.json.decode(judged.value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return judged
        if not isinstance(event, dict):
            return judged
        filled, left_out = list[str](), list[str]()
        taught = list[Taught]()
        for name, rule in self._policy.items():
            for spot in _spots(event, name):
                fault = self._fault(event, name, rule, spot)
                if fault is None:
                    if spot.holder.get(name) is not None:
                        taught.append(Taught(name, spot.item, spot.holder[name]))
                    continue
                action = rule.missing if fault == "missing" else rule.invalid
                if action == "reject":
                    self.rejected[name] += 1
                    reason = f"{spot.path}: {fault}, and the policy rejects that"
                    given = given_in_words(spot.holder.get(name))
                    return Refused(judged.value, reason, judged.line, judged.value.decode("utf-8", "replace"), given)
                usual = self._usual(event, name, rule, spot, now_ms) if action == "fill" else None
                if usual is not None:
                    spot.holder[name] = usual
                    filled.append(spot.path)
                elif action != "keep" and fault == "invalid":
                    del spot.holder[name]
                    left_out.append(spot.path)
        if filled or left_out:
            judged = _judged(event | ({FILLED: filled} if filled else {}), judged.line, now_ms)
        if isinstance(judged, Record):
            self.filled.update(map(_name, filled))
            self.left_out.update(map(_name, left_out))
            for name, item, content in taught:
                self._seen[name, item][content] += 1
        return judged

    def _fault(self, event: dict[str, Any], name: str, rule: Rule, spot: Spot) -> Literal["missing", "invalid"] | None:
        content = spot.holder.get(name)
        if content is not None:
            return None if _is_valid(name, rule, content) else "invalid"
        kind = event.get("event_type")
        return "missing" if isinstance(kind, str) and kind_of(kind) in FIELDS[name].missing_from else None

    def _usual(self, event: dict[str, Any], name: str, rule: Rule, spot: Spot, now_ms: int) -> float | str | None:
        """What a value is filled with; None where nothing is known. Of several modes it is the least."""
        if rule.by == "value":
            return rule.value
        if rule.by == "interpolation":
            time_ms = _time_of(event, now_ms)
            return None if time_ms is None else self._curves.at(_subject(event, name, spot), time_ms)
        seen = self._seen.get((name, spot.item))
        if not seen:
            return None
        if rule.by == "mean":
            return math.fsum(float(content) * count for content, count in seen.items()) / seen.total()
        most = max(seen.values())
        return min(content for content, count in seen.items() if count == most)


def _spots(event: dict[str, Any], name: str) -> Iterator[Spot]:
    lines = event.get("items")
    if not FIELDS[name].of_line or not isinstance(lines, list):
        yield Spot(event, name, str(event.get("item_id", "")))
        return
    for n, line in enumerate(lines):
        if isinstance(line, dict):
            yield Spot(line, f"items[{n}].{name}", str(line.get("item_id", "")))


def _subject(event: dict[str, Any], name: str, spot: Spot) -> tuple[str, ...]:
    """What is one curve: prices of an item in a currency."""
    return name, spot.item, str(event.get("currency") or NO_CURRENCY)


def _time_of(event: dict[str, Any], now_ms: int) -> int | None:
    """The time of an event of which other fields may be wrong; None: that is wrong, too."""
    any_event = {"event_type": "search", "user_id": "u", "event_time": event.get("event_time")}
    try:
        return decode(msgspec.json.encode(any_event), now_ms).time_ms
    except InvalidEvent:
        return None


def _judged(event: dict[str, Any], line: int, now_ms: int) -> Record | Refused:
    value = msgspec.json.encode(event)
    try:
        found: Event = decode(value, now_ms)
    except InvalidEvent as error:
        return Refused(value, str(error), line, value.decode(), given_with(error))
    return Record(value, found, line)


def _name(path: str) -> str:
    return path.rpartition(".")[2]
