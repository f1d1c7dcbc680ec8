"""The profile of a file of events: every field's faults, and what no single event shows."""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from msgspec import Raw, Struct

from recsys.calendar import day_name
from recsys.compiled import F64, I64
from recsys.customers.days import day_of
from recsys.customers.money import NO_CURRENCY
from recsys.events import FIELDS, Event, Kind
from recsys.quality.outliers import judge
from recsys.readers import Example, Passed, Record, Refused
from recsys.recommendation import instant
from recsys.record import quoted

DEVIATIONS = 5.0
PRICE_FACTOR, SIZE_FACTOR = 5.0, 100.0
"""How many times of what is usual a price, and a quantity or a value, may be in any case: orders differ for good reasons."""
EXAMPLES = 3
MOST_UNKNOWN = 50
"""Names of unknown fields that are told apart."""
OTHERS = "others"
RECORD = "the event"
"""In place of a field, of what no field is at fault for."""
LINES = "line: "
"""What rows for each item of a purchase or refund begin with."""
PAYING = (Kind.PURCHASE, Kind.REFUND)

_fields = msgspec.json.Decoder(dict[str, Raw])


class Field(Struct):
    """What is wrong with a field."""

    name: str
    of: int
    """Events, or lines of purchases, that were looked at."""
    missing: int
    invalid: int = 0
    """Of the events: as the first thing that is wrong with each, for an event is refused at that."""
    reasons: Mapping[str, int] = {}
    examples: Sequence[Example] = ()
    """The first event of each reason."""


class Outlier(Struct):
    """A number that is most likely wrong."""

    line: int
    number: float
    usual: float
    item_id: str | None = None


class Numbers(Struct):
    """The numbers of a field, in events that are not refused; without any, the three are missing."""

    name: str
    count: int
    zeros: int
    outliers: int
    examples: list[Outlier]
    """The furthest first."""
    least: float | None = None
    median: float | None = None
    greatest: float | None = None


class Repeats(Struct):
    """What stands in the file more than once, by its later places."""

    event_ids: int
    """Events with an `event_id` that their user had before: they count once, if they are not far apart."""
    whole_events: int
    """Events that are like an earlier one in every field, and have no `event_id`: they count again."""
    lines: list[int]
    """The first of them."""


class Order(Struct):
    """How the file stands to the order of time."""

    late: int
    """Events after one of a later time."""
    latest_s: float
    """By how much at most."""
    late_for_user: int
    """Events after a later one of the same user: these change sessions."""


class Quality(Struct, omit_defaults=True):
    """What is to be said of a file of events."""

    file: str
    events: int
    """That are as the contract wants them."""
    refused: int
    unreadable: Mapping[str, int]
    """Lines that are no event in the file's format, by reason."""
    left_out: Mapping[str, int]
    """Lines that are none by the reader's own rules."""
    lines: Sequence[Example]
    """The first line of each reason for which lines are unreadable, and then of those for which they are left out."""
    fields: list[Field]
    unknown: dict[str, int]
    """Fields that the contract does not know, and in how many events they are: they are ignored."""
    numbers: list[Numbers]
    repeats: Repeats
    order: Order
    kinds: dict[str, int]
    users: int
    items: int
    first: str | None = None
    last: str | None = None
    days: dict[str, int] = {}
    """Events by day, UTC."""
    cleaned: Mapping[str, Mapping[str, int]] = {}
    """Where a policy put the events right before they were looked at: how many of which field it `filled`, `left_out` and
    `rejected`."""


class Column:
    """The positive numbers of a field, and where each stands; how many were 0."""

    def __init__(self) -> None:
        self.numbers, self.lines, self.group, self.among = array("d"), array("q"), array("q"), array("q")
        self.zeros = 0

    def add(self, number: float, line: int, group: int, among: int) -> None:
        if not number:
            self.zeros += 1
            return
        self.numbers.append(number)
        self.lines.append(line)
        self.group.append(group)
        self.among.append(among)

    def told(self, name: str, deviations: float, factor: float, items: Sequence[str]) -> Numbers:
        """What is to be said of it; the groups are places in `items` where there are any."""
        if not self.numbers:
            return Numbers(name, self.zeros, self.zeros, 0, [])
        numbers = self._numbers()
        outlier, usual = judge(numbers, _int64(self.group), _int64(self.among), deviations, factor)
        found = np.flatnonzero(outlier)
        furthest = found[np.argsort(-np.abs(np.log(numbers[found] / usual[found])), kind="stable")][:EXAMPLES]
        examples = [
            Outlier(self.lines[n], self.numbers[n], float(f"{usual[n]:.6g}"), items[self.group[n]] if items else None)
            for n in furthest.tolist()
        ]
        everything = np.append(numbers, np.zeros(self.zeros))
        three = float(everything.min()), float(np.median(everything)), float(everything.max())
        return Numbers(name, len(everything), self.zeros, len(found), examples, *three)

    def _numbers(self) -> F64:
        return np.frombuffer(self.numbers, np.float64)


class Profile:
    """Takes what a reader judged, event by event, and says at the end what is to be said of all.

    Holds about 100 bytes an event. Repeats are found by 64-bit hashes.
    """

    def __init__(self) -> None:
        self._events = 0
        self._present = Counter[str]()
        self._lines = Counter[str]()
        self._faults: dict[str, Passed] = {}
        self._unknown = Counter[str]()
        self._kinds = Counter[Kind]()
        self._days = Counter[int]()
        self._items: dict[tuple[str, str], int] = {}
        self._names: list[str] = []
        self._latest: dict[str, int] = {}
        """The latest time of each user."""
        self._first = self._last = 0
        self._order = Order(0, 0.0, 0)
        self._ids, self._id_lines = array("q"), array("q")
        self._wholes, self._whole_lines = array("q"), array("q")
        self._price, self._quantity, self._value = Column(), Column(), Column()

    def take(self, judged: Record | Refused) -> None:
        """Takes an event, or what was refused."""
        if isinstance(judged, Refused):
            self._refuse(judged)
        else:
            self._fields_of(judged.value)
            self._event(judged.event, judged.line)
            self._repeats(judged)

    @property
    def taken(self) -> int:
        return self._events + self._refused

    @property
    def _refused(self) -> int:
        return sum(passed.total for passed in self._faults.values())

    def told(self, file: str, unreadable: Passed, left_out: Passed, deviations: float = DEVIATIONS) -> Quality:
        """What is to be said of the file; what the reader passed over before it judged is in the other two."""
        return Quality(
            file=file,
            events=self._events,
            refused=self._refused,
            unreadable=unreadable.reasons,
            left_out=left_out.reasons,
            lines=[*unreadable.first.values(), *left_out.first.values()],
            fields=self._told_fields(),
            unknown=dict(sorted(self._unknown.items(), key=lambda named: (-named[1], named[0]))),
            numbers=[
                self._price.told("price", deviations, PRICE_FACTOR, self._names),
                self._quantity.told("quantity", deviations, SIZE_FACTOR, self._names),
                self._value.told("value", deviations, SIZE_FACTOR, ()),
            ],
            repeats=self._told_repeats(),
            order=self._order,
            kinds={kind.name.lower(): count for kind, count in sorted(self._kinds.items())},
            users=len(self._latest),
            items=len({item for item, _ in self._items}),
            first=instant(self._first) if self._events else None,
            last=instant(self._last) if self._events else None,
            days={day_name(day): count for day, count in sorted(self._days.items())},
        )

    def _refuse(self, refused: Refused) -> None:
        name = refused.reason.partition(":")[0].partition("[")[0].partition(".")[0]
        passed = self._faults.setdefault(name if name in FIELDS else RECORD, Passed())
        passed.add(refused.line, refused.reason, refused.text, refused.given)
        if refused.value is not None:
            self._fields_of(refused.value)

    def _fields_of(self, value: bytes) -> None:
        try:
            fields = _fields.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return  # JSON but for NaN or the like, and refused for that: all of its fields are missing
        for name, content in fields.items():
            if bytes(content) == b"null":
                continue
            if name in FIELDS:
                self._present[name] += 1
            else:
                shown = quoted(name)[1:-1]
                self._unknown[shown if shown in self._unknown or len(self._unknown) < MOST_UNKNOWN else OTHERS] += 1

    def _event(self, event: Event, line: int) -> None:
        time_ms = event.time_ms
        self._events += 1
        self._kinds[event.kind] += 1
        self._days[day_of(time_ms)] += 1
        if self._events == 1:
            self._first = self._last = time_ms
        if time_ms < self._last:
            self._order.late += 1
            self._order.latest_s = max(self._order.latest_s, (self._last - time_ms) / 1000)
        before = self._latest.get(event.user_id, time_ms)
        self._order.late_for_user += time_ms < before
        self._latest[event.user_id] = max(before, time_ms)
        self._first, self._last = min(self._first, time_ms), max(self._last, time_ms)
        currency = event.currency or NO_CURRENCY
        among = hash(currency)
        if event.value is not None:
            self._value.add(event.value, line, among, among)
        for bought in event.lines:
            item = self._items.setdefault((bought.item_id, currency), len(self._names))
            if item == len(self._names):
                self._names.append(bought.item_id)
            if bought.price is not None:
                self._price.add(bought.price, line, item, among)
            if bought.quantity is not None:
                self._quantity.add(bought.quantity, line, item, 0)
            if event.kind in PAYING:
                self._lines["all"] += 1
                self._lines["price"] += bought.price is not None
                self._lines["quantity"] += bought.quantity is not None

    def _repeats(self, record: Record) -> None:
        if record.event.event_id is not None:
            self._ids.append(hash((record.event.user_id, record.event.event_id)))
            self._id_lines.append(record.line)
        else:
            self._wholes.append(hash(record.value))
            self._whole_lines.append(record.line)

    def _told_fields(self) -> list[Field]:
        taken = self.taken
        found = []
        for name in (RECORD, *FIELDS):
            passed = self._faults.get(name, Passed())
            missing = taken - self._present[name] if name != RECORD else 0
            found.append(Field(name, taken, missing, passed.total, passed.reasons, list(passed.first.values())))
        lines = self._lines["all"]
        return found + [Field(LINES + name, lines, lines - self._lines[name]) for name in ("price", "quantity")]

    def _told_repeats(self) -> Repeats:
        ids, wholes = _again(self._ids, self._id_lines), _again(self._wholes, self._whole_lines)
        return Repeats(len(ids), len(wholes), sorted([*ids[:EXAMPLES].tolist(), *wholes[:EXAMPLES].tolist()])[:EXAMPLES])


def _again(hashes: "array[int]", lines: "array[int]") -> I64:
    """The lines of those that stand there for the second time or later."""
    if not hashes:
        return np.empty(0, np.int64)
    _, first = np.unique(_int64(hashes), return_index=True)
    again = np.ones(len(hashes), np.bool_)
    again[first] = False
    found: I64 = _int64(lines)[again]
    return found


def _int64(numbers: "array[int]") -> I64:
    return np.frombuffer(numbers, np.int64)
