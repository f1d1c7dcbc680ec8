"""Scopes: the times, places and items that figures are kept of, told from an event, and under which names.

| scope | of | holds |
|---|---|---|
| `all`, `month:2011-01` | everything, a month: distinct customers; for the rest days are added up | `Reach` |
| `day:2011-01-05` | a day | `Figures` |
| `hour:2011-01-05T13` | an hour and its minutes | `Hour` |
| `source:web`, `country:DE` | the platform, the country | `Figures` |
| `week:2139` | a week since 1970, by cohort | `Week` |
| `item:<id>` | an item | `Subject` |
| `search:<query>` | what was searched for | `Subject` |
| `names` | which of them there are | `Names` |
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from recsys.calendar import HOUR_MS, day_name, hour_name, month_of, week_of
from recsys.customers.days import DAY_MS
from recsys.events import EARLIEST_MS, Event, Kind
from recsys.ledger.figures import Figures, Hour, Reach, Subject, Value, Week

ALL: Final = "all"
NAMES: Final = "names"
MOST_SOURCES = 50
"""Platforms of a partition that are told apart; what comes after them is counted as one of the name `others`."""
OTHERS = "source:others"
LONGEST = 64
"""Characters of a search, and of a platform, that are told apart."""
FIRST_DAY = EARLIEST_MS // DAY_MS
MOST_DAYS = 100 * 366
"""After the first: what clocks name that are wrong by thousands of years is counted, and listed nowhere."""
BRIEF = ("hour", "item", "search")
"""Kinds of scopes that are forgotten when nothing was counted in them for as long as a customer is remembered."""
TYPES: dict[str, type[Value]] = {"all": Reach, "month": Reach, "hour": Hour, "week": Week, "item": Subject, "search": Subject}
"""By kind of scope; `Figures` for all others."""

_encode = msgspec.msgpack.Encoder().encode
_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {
    shape: msgspec.msgpack.Decoder(shape) for shape in (Figures, *TYPES.values())
}
V = TypeVar("V", bound=Value)


class Names(Struct, array_like=True):
    """Which scopes there are of a partition, as far as others do not tell: items and searches are found by their keys."""

    sources: list[str] = []
    """Scopes, in the order in which they came."""
    countries: list[str] = []
    days: bytes = b""
    """Bit n, little-endian, is the day n after `FIRST_DAY`."""

    def note(self, day: int, source: str | None, country: str | None) -> str | None:
        """Notes the scopes of an event; the scope of its source, which may be that of all others."""
        place, bit = divmod(day - FIRST_DAY, 8)
        if place >= len(self.days) and place < MOST_DAYS // 8:
            self.days += bytes(place + 1 - len(self.days))
        if place < len(self.days) and not self.days[place] >> bit & 1:
            self.days = self.days[:place] + bytes((self.days[place] | 1 << bit,)) + self.days[place + 1 :]
        if country is not None and country not in self.countries:
            self.countries.append(country)
        if source is None or source in self.sources:
            return source
        if len(self.sources) >= MOST_SOURCES:
            return OTHERS
        self.sources.append(source)
        return source

    def each_day(self) -> list[int]:
        """The days with an event, since 1970, in order.

        >>> names = Names()
        >>> for day in (20_000, 19_999, 20_000):
        ...     _ = names.note(day, None, None)
        >>> names.each_day()
        [19999, 20000]
        """
        bits = int.from_bytes(self.days, "little")
        return [FIRST_DAY + n for n in range(bits.bit_length()) if bits >> n & 1]


_names = msgspec.msgpack.Decoder(Names)


def scopes(events: Iterable[Event]) -> list[str]:
    """All scopes in which the events may count, each once.

    >>> event = Event(kind=Kind.SEARCH, user_id="u", lines=(), time_ms=1_294_232_400_000, query="Red  SHOES", source="web")
    >>> sorted(scopes([event]))
    ['all', 'day:2011-01-05', 'hour:2011-01-05T13', 'month:2011-01', 'names', 'search:red shoes', 'source:others', 'source:web']
    """
    found: dict[str, None] = {}
    hours: set[int] = set()
    items: dict[str, None] = {}
    for event in events:
        hour = event.time_ms // HOUR_MS
        if hour not in hours:
            hours.add(hour)
            when = times(hour)
            found.update(dict.fromkeys((NAMES, ALL, when.month, when.day, when.hour)))
        if event.kind in (Kind.PURCHASE, Kind.REFUND):
            found[times(hour).week] = None
        elif (words := search(event)) is not None:
            found[words] = None
        if (platform := source(event)) is not None:
            found.update({platform: None, OTHERS: None})
        if (land := country(event)) is not None:
            found[land] = None
        for line in event.lines:
            items[line.item_id] = None
    return [*found, *map(item, items)]


class Times(NamedTuple):
    """The scopes of an hour."""

    number: int
    """Of the day."""
    month: str
    week: str
    day: str
    hour: str


@lru_cache(maxsize=4096)
def times(hour: int) -> Times:
    """The scopes in which an hour since 1970 counts."""
    day = hour // 24
    return Times(day, f"month:{month_of(day).name}", f"week:{week_of(day)}", f"day:{day_name(day)}", f"hour:{hour_name(hour)}")


def source(event: Event) -> str | None:
    return f"source:{event.source[:LONGEST]}" if event.source else None


def country(event: Event) -> str | None:
    return f"country:{event.country}" if event.country else None


def item(item_id: str) -> str:
    return f"item:{item_id}"


def search(event: Event) -> str | None:
    """That of a search: its words without capitals and without more than a space between them."""
    if event.kind is not Kind.SEARCH or not event.query:
        return None
    words = " ".join(event.query.casefold().split())[:LONGEST].rstrip()
    return f"search:{words}" if words else None


def kind_of(scope: str) -> str:
    """
    >>> kind_of("item:7:8"), kind_of("all")
    ('item', 'all')
    """
    return scope.partition(":")[0]


def unpack(scope: str, stored: bytes | None) -> Value:
    """What is stored under a scope, or nothing yet."""
    return unpack_as(TYPES.get(kind_of(scope), Figures), stored)


def unpack_as(shape: type[V], stored: bytes | None) -> V:
    """The same where it is known what is there."""
    if stored is None:
        return shape()
    found: V = _decoders[shape].decode(stored)
    return found


def unpack_names(stored: bytes | None) -> Names:
    """Which scopes there are."""
    return _names.decode(stored) if stored else Names()


def pack(value: Value | Names) -> bytes:
    """The bytes to store."""
    return _encode(value)
