"""The recount: the whole `events` topic counted once more, by the contract's words and nothing else.

It shares no code with the engine's fold: plain Python, one record after the other.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from kafka.partitioner.default import murmur2

from recsys.events import ANONYMOUS, Event, InvalidEvent, Kind, decode
from recsys.layout import form_of, layout_of
from recsys.rules import Rules
from streams.brokers import Brokers
from streams.joinings import Deeds, Joinings, Message, Paid
from streams.records import Record, read_topic
from streams.seal import FORWARDED, JOINING, Origin, Seal
from streams.worth import MOST, value_of

Pair = tuple[str, str]


class Seen(NamedTuple):
    """One interaction in a user's history."""

    item_id: str
    time_ms: int
    session_id: str | None
    event_id: str | None
    bought: bool


class Last(NamedTuple):
    """A user's last interaction, and the user's records from it on, repeats too."""

    partition: int
    offset: int
    event_ids: list[str | None]
    timestamps: list[int]
    """Of the records, in ms."""


class Recount:
    """Counts records, each partition's in the order of its offsets.

    >>> recount = Recount(Rules(), partitions=1)
    >>> for offset, item in enumerate((1, 2, 1)):
    ...     recount.take(Record(0, offset, 10**12, b'{"event_type": "click", "user_id": 7, "item_id": %d}' % item))
    >>> dict(recount.interactions), dict(recount.pairs)
    ({'1': 2, '2': 1}, {('1', '2'): 1})
    """

    def __init__(self, rules: Rules, partitions: int, topic: str = "events", secrets: str = "") -> None:
        self.rules = rules
        self.partitions = partitions
        self.topic = topic
        self.secrets = secrets
        self.interactions: Counter[str] = Counter()
        self.pairs: Counter[Pair] = Counter()
        """By the two items' ids, the smaller first."""
        self.baskets: Counter[str] = Counter()
        """By item, in how many baskets it was."""
        self.together: Counter[Pair] = Counter()
        """Likewise, of what was bought in one session."""
        self.after: Counter[Pair] = Counter()
        """By an item and what was bought after it was met, in this order."""
        self.records = self.repeats = 0
        self.rejected: list[Record] = []
        self.elsewhere = 0
        """Records that are not in their user's home partition: what was sent on from there counts instead."""
        self.histories: dict[str, deque[Seen]] = {}
        self.forwarded: dict[tuple[int, int], int] = {}
        """By home and source partition, the offset of the last forwarded record that was counted."""
        self.customers: dict[str, Counter[str]] = defaultdict(Counter)
        """By user, the events of each type, also of those who only looked."""
        self.paid: dict[str, Paid] = defaultdict(dict)
        """By user."""
        self.joinings = Joinings()
        self.forgotten: set[str] = set()
        """Users who ever were."""
        self.letters: dict[tuple[int, int], int] = {}
        """By home and source partition, the record on whose account the last message was sent."""
        self.last: dict[str, Last] = {}
        """By user."""

    def take(self, record: Record) -> None:
        """Counts one record."""
        self.records += 1
        name, origin, under = self.sent(record) or (None, None, self.partitions)
        if under != self.partitions:
            self.repeats += 1  # what it came of is sent under the present number, too
            return
        if name == JOINING and origin is not None:
            self.receive(record, origin)
            return
        try:
            event = decode(record.value, origin.timestamp_ms if origin else record.timestamp)
        except InvalidEvent:
            self.rejected.append(record)
            return
        if origin is None:
            if home(event.home_id, self.partitions) != record.partition:
                self.elsewhere += 1
                return
        else:
            route = (record.partition, origin.partition)
            if origin.offset <= self.forwarded.get(route, -1):
                self.repeats += 1
                self.note(event.user_id, event.event_id, record)
                return
            self.forwarded[route] = origin.offset
        if event.kind is Kind.FORGET:
            self.forget(event.user_id, record)
            return
        history = self.histories.setdefault(event.user_id, deque(maxlen=self.rules.history))
        if event.event_id is not None and any(seen.event_id == event.event_id for seen in history):
            self.repeats += 1
            self.note(event.user_id, event.event_id, record)
            return
        self.know(event, record)
        if event.kind.is_interaction:
            self.last[event.user_id] = Last(record.partition, record.offset, [], [])
            for line in event.lines:
                bought = event.kind is Kind.PURCHASE
                self.interact(history, Seen(line.item_id, event.time_ms, event.session_id, event.event_id, bought))
        self.note(event.user_id, event.event_id, record)

    def know(self, event: Event, record: Record) -> None:
        """Counts an event for its customer, whatever it is."""
        self.customers[event.user_id][event.kind.name.lower()] += 1
        self.joinings.ask(event, (record.partition, record.offset))
        how = {Kind.PURCHASE: "spent", Kind.REFUND: "refunded"}.get(event.kind)
        if how is None or not (worth := value_of(event)):
            return
        paid, name = self.paid[event.user_id], (how, event.currency or "XXX")
        paid[name] = min(paid.get(name, Decimal(0)) + worth, MOST)

    def note(self, user: str, event_id: str | None, record: Record) -> None:
        """Notes a record of a user, if the user has interacted."""
        if last := self.last.get(user):
            last.event_ids.append(event_id)
            last.timestamps.append(record.timestamp)

    def receive(self, record: Record, origin: Origin) -> None:
        """Takes a message on a visitor who joins a customer."""
        said = msgspec.json.decode(record.value or b"", type=dict[str, Any])
        if said["form"] != form_of(layout_of(self.topic, self.partitions, self.rules)):
            self.repeats += 1  # of other rules: it is sent by these, too
            return
        what, customer = said["event_type"], said["user_id"]
        visitors = said.get("anonymous_ids") or [said["anonymous_id"]]
        route = (record.partition, origin.partition)
        is_new = origin.offset > self.letters.get(route, -1)
        self.letters[route] = max(origin.offset, self.letters.get(route, -1))
        self.repeats += not is_new
        if what in ("joined", "parted"):
            self.note(customer, None, record)
        if not is_new:
            return
        place, came_of = (record.partition, record.offset), (origin.partition, origin.offset)
        for visitor in visitors:
            self.joinings.hear(Message(what, visitor, customer, place, came_of), self.own(ANONYMOUS + visitor))

    def forget(self, user: str, record: Record) -> None:
        """What came before is nobody's; counts of items stay."""
        self.forgotten.add(user)
        for known in (self.histories, self.customers, self.paid, self.last):
            known.pop(user, None)
        self.joinings.forget(user, (record.partition, record.offset))

    def own(self, user: str) -> Deeds | None:
        """What was done under an id so far; None: nothing."""
        return Deeds(self.customers[user], self.paid.get(user, {})) if user in self.customers else None

    def deeds(self, customer: str) -> Deeds:
        """What is to be told of a customer: what was done under the customer's id, and by the visitors who joined."""
        total = Deeds(self.customers[customer].copy(), self.paid.get(customer, {}).copy())
        for events, paid in self.joinings.joined(customer).values():
            total.events.update(events)
            for name, worth in paid.items():
                total.paid[name] = min(total.paid.get(name, Decimal(0)) + worth, MOST)
        return total

    def sent(self, record: Record) -> tuple[str, Origin, int] | None:
        """What a worker sent a record as, where from, and under how many partitions, by its header's seal."""
        for name, content in record.headers:
            if name in (FORWARDED, JOINING):
                seal = Seal.of(self.secrets, self.topic, self.partitions)
                if found := seal.opened(content, record.partition, record.value, name):
                    return name, *found
        return None

    def interact(self, history: deque[Seen], new: Seen) -> None:
        """Counts one interaction and adds it to the user's history."""
        seen = session_of(history, new, self.rules.session_gap_ms)
        session = list(dict.fromkeys(earlier.item_id for earlier in seen))
        if new.bought and self.rules.baskets:
            self.buy(seen, new.item_id)
        self.interactions[new.item_id] += 1
        if new.item_id not in session:
            for other in session[: self.rules.window]:
                self.pairs[pair(new.item_id, other)] += 1
        history.append(new)

    def buy(self, session: Sequence[Seen], item: str) -> None:
        """Counts an item that is bought after this in one session."""
        basket = {seen.item_id for seen in session if seen.bought}
        if item in basket:
            return
        self.baskets[item] += 1
        self.together.update(pair(item, other) for other in basket)
        self.after.update((other, item) for other in {seen.item_id for seen in session if not seen.bought} - {item})


def session_of(history: Iterable[Seen], new: Seen, gap_ms: int) -> list[Seen]:
    """The session that the new interaction belongs to, as far as the history reaches, the most recent first."""
    session: list[Seen] = []
    later = new
    for earlier in reversed(list(history)):
        if parted(earlier, later, gap_ms):
            break
        session.append(earlier)
        later = earlier
    return session


def parted(earlier: Seen, later: Seen, gap_ms: int) -> bool:
    """Whether a session ends between two interactions that follow one another."""
    if earlier.session_id is not None and later.session_id is not None:
        return earlier.session_id != later.session_id
    return abs(later.time_ms - earlier.time_ms) > gap_ms


def pair(a: str, b: str) -> Pair:
    return (a, b) if a < b else (b, a)


def home(home_id: str, partitions: int) -> int:
    """The partition that the default partitioner makes of an id."""
    return int(murmur2(home_id.encode()) & 0x7FFFFFFF) % partitions


def recount_topic(brokers: Brokers, topic: str, rules: Rules, secrets: str = "") -> Recount:
    """The recount of a whole topic."""
    result = Recount(rules, 1, topic, secrets)
    for partitions, record in read_topic(brokers, topic):
        result.partitions = partitions
        result.take(record)
    return result
