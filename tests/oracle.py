"""The recount: the contract's *Topics*, *Event* and *What is counted* once more, in plain Python.

Written from the contract alone and without any module of Freshet, so that agreement of the two means something. Slow,
and simple enough to be checked by reading: where it and the engine differ, the contract decides.
"""

import hashlib
import hmac
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import accumulate
from typing import Any, NamedTuple

from kafka.partitioner.default import murmur2

TYPES = {
    "browse": ("browse", "view", "pageview", "productview", "detailpageview"),
    "click": ("click",),
    "add_to_cart": ("addtocart", "cart"),
    "wishlist": ("wishlist",),
    "purchase": ("purchase", "transaction", "order"),
    "rating": ("rating",),
    "impression": ("impression",),
    "remove_from_cart": ("removefromcart",),
    "refund": ("refund",),
    "search": ("search",),
    "identify": ("identify",),
    "forget": ("forget",),
}
KINDS = {name: kind for kind, others in TYPES.items() for name in others}
WITHOUT_ITEMS = {"search", "identify", "forget"}
INTERACTIONS = {"browse", "click", "add_to_cart", "wishlist", "purchase", "rating"}
TEN_MINUTES_MS = 10 * 60 * 1000
YEAR_1995_MS = 788_918_400_000
YEAR_10000_MS = 253_402_300_800_000
FORWARDED = re.compile(rb"(\d+)/(\d+)/(-?\d+)/(\d+)-([0-9a-f]{32})")
TOPIC, SECRET = "events", b"freshet"
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Record(NamedTuple):
    """A record of the topic `events`, as any consumer reads it."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Bad(ValueError):
    """Bad input; the message is the field at fault, or empty."""


class Parsed(NamedTuple):
    """What of an event is counted."""

    kind: str
    user: str
    home_id: str
    items: list[str]
    time_ms: int
    event_id: str | None
    session_id: str | None
    fields: dict[str, Any]
    """All that stood in the record."""

    @property
    def visitor(self) -> str | None:
        """The anonymous id that came with the user's."""
        return self.fields.get("anonymous_id") if "user_id" in self.fields and self.kind != "forget" else None


@dataclass
class Interaction:
    """One entry of a user's history."""

    item: str
    kind: str
    time_ms: int
    event_id: str | None
    session_id: str | None
    begins: bool
    """Whether a session begins here."""
    refunded: bool = False


class Joined(NamedTuple):
    """A visitor when last identified as a customer."""

    events: list[Parsed]
    """All of the visitor's up to then that were counted."""
    history: list[Interaction]
    bought: list["Bought"]
    """What of it bought something, or took it back."""


class Bought(NamedTuple):
    """An event that bought items, or took purchases back, in its user's home partition."""

    partition: int
    user: str
    items: list[str]
    """Of a refund, those that the history showed as bought."""
    time_ms: int
    session_id: str | None
    refund: bool
    forget: bool = False
    """That the user is forgotten: what came before is nobody's."""


@dataclass
class Recount:
    """What the topic amounts to; records are named by (partition, offset)."""

    interactions: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The pair in alphabetical order → in how many sessions the two met."""
    histories: dict[str, list[Interaction]] = field(default_factory=lambda: defaultdict(list))
    rejected: dict[tuple[int, int], str] = field(default_factory=dict)
    """Record → the field at fault, or an empty string."""
    forwarded: dict[tuple[int, int], int] = field(default_factory=dict)
    """Record → the home partition it is sent on to."""
    arrived: set[tuple[int, int]] = field(default_factory=set)
    """Originals whose forwarded copy was counted; in the end the same as those forwarded."""
    repeated: set[tuple[int, int]] = field(default_factory=set)
    newest: dict[str, tuple[int, int]] = field(default_factory=dict)
    """User → the record of the newest interaction."""
    events: list[Parsed] = field(default_factory=list)
    """What was counted and is no repeat, in the order of each partition."""
    figured: list[Parsed] = field(default_factory=list)
    """The same for the figures of all: who comes back after having been forgotten is somebody new."""
    bought: list[Bought] = field(default_factory=list)
    """In the order of each partition."""
    opened: int = 0
    """Baskets: sessions in which something was bought."""
    baskets: Counter[str] = field(default_factory=Counter)
    """In how many baskets each item was."""
    together: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The pair in alphabetical order → in how many baskets both were."""
    after: Counter[tuple[str, str]] = field(default_factory=Counter)
    """An item, and one that was put in a basket after the first was met in the same session → in how many sessions."""
    visits: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    """Item → user → the largest event time of the user's interactions with it."""
    met: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Item → all users who ever met it, also those who were forgotten."""
    left: set[str] = field(default_factory=set)
    """Items that somebody met who was forgotten."""
    of_users: dict[str, list[Parsed]] = field(default_factory=lambda: defaultdict(list))
    """User → what was counted since the user was forgotten, if ever."""
    lives: Counter[str] = field(default_factory=Counter)
    """User → how often the user was forgotten."""
    said_farewell: set[tuple[tuple[int, int], str, str, str]] = field(default_factory=set)
    """Record on whose account another home was to be told, what of, visitor and customer: a customer is `forgotten`, and
    visitors are `parted` from one."""
    heard_farewell: set[tuple[tuple[int, int], str, str, str]] = field(default_factory=set)
    """The same, by the messages that came."""
    heard_of: dict[str, list[tuple[str, str, tuple[int, int]]]] = field(default_factory=lambda: defaultdict(list))
    """Customer → what the home learned of visitors since the customer was forgotten, if ever: whether they `joined` or
    `parted`, who, and on whose account, in the order of the topic."""
    as_joined: dict[tuple[int, int], "Joined"] = field(default_factory=dict)
    """Identification at the visitor's home → the visitor as of then."""

    identifies: dict[tuple[int, int], tuple[str, str]] = field(default_factory=dict)
    """Event of a customer that identifies a visitor → the two."""
    asked: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    """Customer → visitor → the newest day on which both ids came."""
    identified: dict[tuple[int, int], tuple[str, str]] = field(default_factory=dict)
    """The same as `identifies`, by the messages that came to the visitors' homes."""
    customer_of: dict[str, str] = field(default_factory=dict)
    """Visitor → the customer whom the visitor joined."""
    refused: int = 0
    """Identifications of visitors who had joined another customer."""
    joined: dict[str, dict[str, Joined]] = field(default_factory=lambda: defaultdict(dict))
    """Customer → visitor, of those visitors who did something."""
    told: set[tuple[int, int]] = field(default_factory=set)
    """The records on whose account customers' homes were to be told."""
    heard: set[tuple[int, int]] = field(default_factory=set)
    """Those on whose account they were told; in the end the same."""

    @property
    def known(self) -> set[str]:
        """Customers whom a visitor joined who had interacted."""
        return {customer for customer, parts in self.joined.items() if any(part.history for part in parts.values())}

    def neighbours(self, item: str) -> dict[str, int]:
        """The neighbours of an item and how often they met it."""
        return partners(self.pairs, item)


def partners(counts: Counter[tuple[str, str]], item: str) -> dict[str, int]:
    """The other items of pairs with an item."""
    return {a if b == item else b: count for (a, b), count in counts.items() if item in (a, b)}


def recount(
    records: Iterable[Record],
    partitions: int,
    *,
    history: int = 50,
    window: int = 5,
    session_gap_s: float = 1800,
    topic: str = TOPIC,
    secret: bytes = SECRET,
) -> Recount:
    """Everything the contract counts, from all records of the topic."""
    result = Recount()
    last_forwarded: dict[tuple[int, int], int] = {}
    last_letter: dict[tuple[int, int], int] = {}
    for record in sorted(records, key=lambda r: (r.partition, r.offset)):
        name = (record.partition, record.offset)
        letter = sent_from(record, "joining", topic, secret)
        if letter is not None:
            if letter[3] == partitions:
                receive(result, record, letter[:2], last_letter)
            continue
        origin = forwarded_from(record, topic, secret)
        if origin is not None and origin[3] != partitions:
            continue
        try:
            event = parse(record.value, origin[2] if origin else record.timestamp)
        except Bad as bad:
            result.rejected[name] = str(bad)
            continue
        if origin is None:
            home = home_partition(event.home_id, partitions)
            if home != record.partition:
                result.forwarded[name] = home
                continue
        else:
            source, offset, _, _ = origin
            if offset <= last_forwarded.get((record.partition, source), -1):
                result.repeated.add(name)
                continue
            last_forwarded[record.partition, source] = offset
            result.arrived.add((source, offset))
        count(result, name, event, history=history, window=window, gap_ms=session_gap_s * 1000)
    for customer, learned in result.heard_of.items():
        for what, visitor, place in learned:
            if what == "joined":
                result.joined[customer][visitor] = result.as_joined[place]
            else:
                result.joined[customer].pop(visitor, None)
    return result


def count(result: Recount, name: tuple[int, int], event: Parsed, *, history: int, window: int, gap_ms: float) -> None:
    """One event of a user, in the user's home partition."""
    if event.kind == "forget":
        forget(result, name, event.user)
        return
    past = result.histories[event.user]
    if event.event_id is not None and any(entry.event_id == event.event_id for entry in past):
        result.repeated.add(name)
        return
    result.events.append(event)
    result.of_users[event.user].append(event)
    result.figured.append(event._replace(user=f"{event.user}#{result.lives[event.user]}"))
    if event.visitor is not None and identifies(result.asked[event.user], event.visitor, event):
        result.identifies[name] = event.visitor, event.user
    if event.kind == "refund":
        taken_back = [item for item in event.items if take_back(past, item)]
        result.bought.append(Bought(name[0], event.user, taken_back, event.time_ms, event.session_id, refund=True))
    if event.kind == "purchase":
        result.bought.append(Bought(name[0], event.user, event.items, event.time_ms, event.session_id, refund=False))
    if event.kind not in INTERACTIONS:
        return
    for item in event.items:
        begins = not past or other_session(past[-1], event, gap_ms)
        session = [] if begins else session_items(past)
        if event.kind == "purchase":
            buy(result, [] if begins else session_entries(past), item)
        if item not in session:
            result.pairs.update((min(item, other), max(item, other)) for other in session[:window])
        result.interactions[item] += 1
        result.met[item].add(event.user)
        result.visits[item][event.user] = max(result.visits[item].get(event.user, event.time_ms), event.time_ms)
        past.append(Interaction(item, event.kind, event.time_ms, event.event_id, event.session_id, begins))
        del past[:-history]
    result.newest[event.user] = name


def forget(result: Recount, name: tuple[int, int], user: str) -> None:
    """A user of whom nothing is known from here on; counts of items stay."""
    result.lives[user] += 1
    for entry in result.histories.pop(user, []):
        result.visits[entry.item].pop(user, None)
        result.left.add(entry.item)
    result.of_users.pop(user, None)
    result.newest.pop(user, None)
    result.bought.append(Bought(name[0], user, [], 0, None, refund=False, forget=True))
    result.heard_of.pop(user, None)
    for visitor in result.asked.pop(user, {}):
        result.said_farewell.add((name, "forgotten", visitor, user))
    if user.startswith("anon:"):
        part(result, name, user.removeprefix("anon:"))


def part(result: Recount, name: tuple[int, int], visitor: str) -> None:
    """A visitor who has joined nobody any more."""
    if visitor in result.customer_of:
        result.said_farewell.add((name, "parted", visitor, result.customer_of.pop(visitor)))


def identifies(asked: dict[str, int], visitor: str, event: Parsed) -> bool:
    """Whether an event says that a visitor is its user: the first with both ids, the first of a later day, and `identify`."""
    day, newest = event.time_ms // 86_400_000, asked.get(visitor)
    if newest is None and len(asked) == 20:
        return False
    asked[visitor] = max(day, day if newest is None else newest)
    return newest is None or day > newest or event.kind == "identify"


def receive(result: Recount, record: Record, origin: tuple[int, int], last_letter: dict[tuple[int, int], int]) -> None:
    """A message from one home to another, on account of the record `origin`."""
    name, route = (record.partition, record.offset), (record.partition, origin[0])
    if origin[1] <= last_letter.get(route, -1):
        result.repeated.add(name)
        return
    last_letter[route] = origin[1]
    said = json.loads(record.value or b"")
    what, customer = said["event_type"], said["user_id"]
    if what in ("forgotten", "parted"):
        for visitor in said["anonymous_ids"]:
            result.heard_farewell.add((origin, what, visitor, customer))
            if what == "parted":
                result.heard_of[customer].append((what, visitor, origin))
            elif result.customer_of.get(visitor) == customer:
                part(result, name, visitor)
        return
    visitor = said["anonymous_id"]
    if what == "joined":
        result.heard.add(origin)
        if result.asked[customer]:
            result.heard_of[customer].append((what, visitor, origin))
        return
    result.identified[origin] = visitor, customer
    if result.customer_of.setdefault(visitor, customer) != customer:
        result.refused += 1
        return
    theirs = list(result.of_users[f"anon:{visitor}"])
    if theirs:
        history = [replace(entry) for entry in result.histories[f"anon:{visitor}"]]
        bought = [each for each in result.bought if each.user == f"anon:{visitor}"]
        result.as_joined[name] = Joined(theirs, history, bought)
        result.told.add(name)


def buy(result: Recount, session: list[Interaction], item: str) -> None:
    """An item that is bought after all this in one session; what was taken back stays in the basket."""
    basket = {entry.item for entry in session if entry.kind == "purchase"}
    if item in basket:
        return
    if not basket:
        result.opened += 1
    result.baskets[item] += 1
    result.together.update((min(item, other), max(item, other)) for other in basket)
    result.after.update((other, item) for other in {entry.item for entry in session if entry.kind != "purchase"} - {item})


def take_back(past: list[Interaction], item: str) -> bool:
    """Marks all purchases of an item as refunded; whether there were any."""
    purchases = [entry for entry in past if entry.kind == "purchase" and entry.item == item and not entry.refunded]
    for entry in purchases:
        entry.refunded = True
    return bool(purchases)


def other_session(before: Interaction, event: Parsed, gap_ms: float) -> bool:
    if before.session_id is not None and event.session_id is not None:
        return before.session_id != event.session_id
    return abs(event.time_ms - before.time_ms) > gap_ms


def session_entries(past: list[Interaction]) -> list[Interaction]:
    """The session that the history ends with, the most recent first."""
    entries: list[Interaction] = []
    for entry in reversed(past):
        entries.append(entry)
        if entry.begins:
            break
    return entries


def session_items(past: list[Interaction]) -> list[str]:
    """Its distinct items, the most recent first."""
    return list(dict.fromkeys(entry.item for entry in session_entries(past)))


def home_partition(home_id: str, partitions: int) -> int:
    """What the default partitioner of the Java client makes of an id."""
    return int(murmur2(home_id.encode()) & 0x7FFFFFFF) % partitions


def forwarded_from(record: Record, topic: str = TOPIC, secret: bytes = SECRET) -> tuple[int, int, int, int] | None:
    """Partition, offset and timestamp of the original, where a worker forwarded the record, and under how many partitions."""
    return sent_from(record, "forwarded", topic, secret)


def sent_from(record: Record, header: str, topic: str = TOPIC, secret: bytes = SECRET) -> tuple[int, int, int, int] | None:
    """The same of a record with a worker's header of that name."""
    for name, content in record.headers:
        if name == header and (parts := FORWARDED.fullmatch(content or b"")):
            partition, offset, timestamp, under = map(int, parts.groups()[:4])
            value, home = record.value or b"", record.partition
            if sealed(value, partition, offset, timestamp, under, home, topic, secret, header) == content:
                return partition, offset, timestamp, under
    return None


def sealed(
    value: bytes, partition: int, offset: int, timestamp: int, under: int, home: int, topic: str = TOPIC,
    secret: bytes = SECRET, header: str = "forwarded",
) -> bytes:  # fmt: skip
    """The header of a record that a worker sends to `home`."""
    kind = "" if header == "forwarded" else f"{header}/"
    message = f"{kind}{topic}/{under}/{home}/{partition}/{offset}/{timestamp}/".encode() + value
    mac = hmac.new(secret, message, hashlib.sha256).hexdigest()[:32]
    return f"{partition}/{offset}/{timestamp}/{under}-{mac}".encode()


def parse(value: bytes | None, recorded_ms: int) -> Parsed:
    """The event in a record's value. Raises `Bad`."""
    fields = {name: content for name, content in read_object(value).items() if content is not None}
    kind = event_type(fields)
    user = identifier(fields, "user_id", integers=True)
    visitor = identifier(fields, "anonymous_id")
    if user is not None and user.startswith("anon:"):
        raise Bad("user_id")
    home_id = visitor if user is None else user
    if home_id is None:
        raise Bad("user_id")
    items = item_ids(fields, kind)
    for name in ("quantity", "price", "value"):
        number(fields, name, 0, math.inf)
    if number(fields, "rating", 1, 5) is None and kind == "rating":
        raise Bad("rating")
    if kind == "identify" and (user is None or visitor is None):
        raise Bad("user_id" if user is None else "anonymous_id")
    currency = text(fields, "currency")
    if currency is not None and not re.fullmatch("[A-Z][A-Z][A-Z]", currency):
        raise Bad("currency")
    if len(text(fields, "query") or "") > 512:
        raise Bad("query")
    text(fields, "source")
    if text(fields, "recommendation_id") == "":
        raise Bad("recommendation_id")
    if not isinstance(fields.get("position", 0), int) or isinstance(fields.get("position"), bool):
        raise Bad("position")
    event_id, session_id = text(fields, "event_id"), text(fields, "session_id")
    if event_id == "":
        raise Bad("event_id")
    if session_id == "":
        raise Bad("session_id")
    time_ms = event_time(fields, recorded_ms)
    if kind == "forget":
        event_id = None  # never a repeat
    return Parsed(kind, user or f"anon:{visitor}", home_id, items, time_ms, event_id, session_id, fields)


def country_of(event: Parsed) -> str | None:
    """The country that an event names by its two letters; whatever else it has there is none."""
    given = event.fields.get("country")
    return given.upper() if isinstance(given, str) and re.fullmatch("[A-Za-z]{2}", given) else None


def read_object(value: bytes | None) -> dict[str, Any]:
    if value is None or len(value) > 64 * 1024:
        raise Bad
    try:
        content = json.loads(value.decode(), parse_constant=no_constant, parse_int=whole, object_pairs_hook=last_of_each)
        json.dumps(content, ensure_ascii=False).encode()  # a lone surrogate has no UTF-8
    except (ValueError, RecursionError) as error:
        raise Bad from error
    if not isinstance(content, dict) or depth(value.decode()) > 500:
        raise Bad
    return content


def depth(text: str) -> int:
    """How many arrays and objects are inside one another in a JSON text."""
    without_strings = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    brackets = re.findall(r"[\[{]|[]}]", without_strings)
    return max(accumulate(1 if bracket in "[{" else -1 for bracket in brackets), default=0)


def last_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object: of a name that stands twice the last counts, but no character may be missing in the others either."""
    if len(fields := dict(pairs)) < len(pairs):
        json.dumps(pairs, ensure_ascii=False).encode()
    return fields


def no_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


def whole(digits: str) -> float:
    """An integer; one too long for Python is infinite, and so not allowed in any field."""
    return int(digits) if len(digits) < 4300 else math.inf


def event_type(fields: dict[str, Any]) -> str:
    name = text(fields, "event_type")
    kind = KINDS.get(re.sub("[-_ ]", "", name or "").lower())
    if kind is None:
        raise Bad("event_type")
    return kind


def item_ids(fields: dict[str, Any], kind: str) -> list[str]:
    """The items of the event in their order; none for a search."""
    one, lines = identifier(fields, "item_id", integers=True), fields.get("items")
    if lines is None:
        if one is None and kind not in WITHOUT_ITEMS:
            raise Bad("item_id")
        return [] if one is None or kind in WITHOUT_ITEMS else [one]
    if one is not None or not isinstance(lines, list) or not 1 <= len(lines) <= 500:
        raise Bad("items")
    items = []
    for line in lines:
        if not isinstance(line, dict):
            raise Bad("items")
        line = {name: content for name, content in line.items() if content is not None}  # noqa: PLW2901
        item = identifier(line, "item_id", integers=True)
        if item is None:
            raise Bad("item_id")
        number(line, "quantity", 0, math.inf)
        number(line, "price", 0, math.inf)
        items.append(item)
    return [] if kind in WITHOUT_ITEMS else items


def identifier(fields: dict[str, Any], name: str, *, integers: bool = False) -> str | None:
    content = fields.get(name)
    if integers and isinstance(content, int) and not isinstance(content, bool):
        content = str(content)
    if content is None:
        return None
    if not isinstance(content, str) or not 1 <= len(content) <= 128:
        raise Bad(name)
    return content


def text(fields: dict[str, Any], name: str) -> str | None:
    content = fields.get(name)
    if content is not None and not isinstance(content, str):
        raise Bad(name)
    return content


def number(fields: dict[str, Any], name: str, least: float, most: float) -> float | None:
    content = fields.get(name)
    if content is None:
        return None
    if isinstance(content, bool) or not isinstance(content, int | float):
        raise Bad(name)
    try:
        content = float(content)
    except OverflowError:
        raise Bad(name) from None
    if not math.isfinite(content) or not least <= content <= most:
        raise Bad(name)
    return content


def event_time(fields: dict[str, Any], recorded_ms: int) -> int:
    given = fields.get("event_time")
    if isinstance(given, str):
        if not RFC_3339.fullmatch(given):
            raise Bad("event_time")
        try:
            time_ms = datetime.fromisoformat(given.upper()).timestamp() * 1000
        except ValueError:
            raise Bad("event_time") from None
    else:
        epoch = number(fields, "event_time", -math.inf, math.inf)
        time_ms = recorded_ms if epoch is None else epoch if epoch >= 1e11 else epoch * 1000
    if not YEAR_1995_MS <= time_ms <= recorded_ms + TEN_MINUTES_MS or round(time_ms) >= YEAR_10000_MS:
        raise Bad("event_time")
    return round(time_ms)
