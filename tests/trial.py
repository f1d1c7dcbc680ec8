"""The trial: a hostile log through a worker's own counting and publishing, without servers, held against the recount.

Records come partition by partition in chunks of any size, as Kafka would give them; what the worker forwards is put at the end
of its home partition. Nothing may be raised, and every record is counted as the oracle counts it, or set aside with a reason.
"""

import asyncio
import json
import random
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

from aiokafka import ConsumerRecord
from faust.types import TP
from hostile import LONGEST_REASON, Sent, records
from oracle import Bad, Record, Recount, parse, read_object, recount
from test_laws import assert_counts_are

from recsys.engine import Engine
from recsys.keys import Keys
from recsys.marks import START
from recsys.store import MemoryStore
from streams import topics
from streams.counting import OURS, Counting
from streams.driver import ChunkConsumer, Records
from streams.lease import Lease
from streams.outbox import Outbox, Outgoing
from streams.publishing import Outcome, Publishing
from streams.settings import Settings
from streams.warmup import warm_up

SETTINGS = Settings(neighbours=10_000)
"""Rows that no log of a trial cuts."""
PARTITIONS = 3
LONGEST_CHUNK = 500
LARGEST_MESSAGE = 1_048_588
"""Bytes of a record that a broker takes by default."""
Place = tuple[int, int]
"""Partition and offset."""


class Outcomes(NamedTuple):
    """What became of the records of a trial, and in what it differs from what should have."""

    inputs: int
    interactions: int
    rejected: int
    forwarded: int
    repeated: int
    recommendations: int
    differences: list[str]


class Topic:
    """The topic `events`, in memory."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.partitions: list[list[Any]] = [[] for _ in range(PARTITIONS)]

    def now_ms(self) -> int:
        """The time at which a copy is written: it must not matter."""
        return self._rng.randrange(2**41)

    def append(self, sent: Sent) -> None:
        log = self.partitions[sent.partition]
        offset = (log[-1].offset if log else -1) + self._rng.choice([1] * 9 + [3])
        rest = (sent.timestamp, 0, sent.key, sent.value, None, len(sent.key or b""), len(sent.value or b""), sent.headers)
        log.append(ConsumerRecord(topics.EVENTS, sent.partition, offset, *rest))

    def as_recounted(self) -> Iterable[Record]:
        """The records for the oracle, which knows a forged header by itself."""
        for r in (r for log in self.partitions for r in log):
            yield Record(r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)


class Desk:
    """An outbox whose broker is this process."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self.rejected: dict[Place, Outgoing] = {}
        self.recommended: dict[str, bytes] = {}

    async def deliver(self, topic: str, outgoing: Iterable[Outgoing]) -> None:
        for aside in outgoing:
            assert size(aside.key, aside.value, aside.headers) < LARGEST_MESSAGE
            if topic == topics.EVENTS:
                sent = Sent(aside.partition, self._topic.now_ms(), aside.key, aside.value, tuple(aside.headers))
                self._topic.append(sent)
            else:
                said = dict(aside.headers)
                self.rejected[int(said["partition"]), int(said["offset"])] = aside

    async def publish(self, topic: str, messages: Iterable[tuple[bytes, bytes | None, Sequence[tuple[str, bytes]]]]) -> None:
        for user, value, headers in messages:
            assert size(user, value, headers) < LARGEST_MESSAGE
            if topic == topics.RECOMMENDATIONS:
                self.recommend(user, value)

    def recommend(self, user: bytes, value: bytes | None) -> None:
        """Keeps the newest; an empty record says that nothing is recommended any more."""
        if value is None:
            self.recommended.pop(user.decode(), None)
        else:
            self.recommended[user.decode()] = value


class Reader:
    """A consumer that never loses what it has."""

    def is_stale(self, _: Records) -> bool:
        return False

    async def earliest_offsets(self, tp: TP) -> dict[TP, int]:
        return {tp: 0}


def size(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> int:
    """Bytes of a record on the wire, at most."""
    return 100 + len(key or b"") + len(value or b"") + sum(len(n.encode()) + len(v or b"") + 10 for n, v in headers)


def trial(seed: int, inputs: int) -> Outcomes:
    """So many hostile records through one worker; the log follows from the seed."""
    warm_up(SETTINGS.rules)  # a worker that compiles amid its work publishes later than its lease allows
    rng = random.Random(seed)
    topic = Topic(rng)
    for sent in records(rng, inputs, PARTITIONS):
        topic.append(sent)
    desk, store = Desk(topic), MemoryStore()
    try:
        asyncio.run(work(topic, desk, store, rng))
    except Exception as error:  # noqa: BLE001 (whatever it is, it is what the trial looks for)
        return Outcomes(inputs, 0, 0, 0, 0, 0, [f"the worker ended: {error!r}"])
    truth = recount(topic.as_recounted(), PARTITIONS)
    differences = list(compare(truth, topic, desk))
    try:
        assert_counts_are(truth, store, PARTITIONS, SETTINGS.rules)
    except AssertionError as error:
        differences.append(f"counts differ: {str(error)[:500]}")
    return Outcomes(
        inputs, sum(truth.interactions.values()), len(desk.rejected), len(truth.forwarded), len(truth.repeated),
        len(desk.recommended), differences,
    )  # fmt: skip


async def work(topic: Topic, desk: Desk, store: MemoryStore, rng: random.Random) -> None:
    """Counts and publishes the whole topic, the partitions' chunks in any order."""
    keys = Keys(SETTINGS.key_prefix)
    engine = Engine(store, keys, SETTINGS.rules)
    outbox, consumer = cast(Outbox, desk), cast(ChunkConsumer, Reader())
    counting = Counting(SETTINGS, engine, outbox, PARTITIONS, 2)
    publishing = Publishing(SETTINGS, keys, engine, store, outbox, Lease())
    for partition in range(PARTITIONS):
        await engine.begin(partition, born="")
        publishing.marks.begin(partition, START)
    out = asyncio.create_task(publishing.run())
    done = [0] * PARTITIONS
    while waiting := [p for p in range(PARTITIONS) if done[p] < len(topic.partitions[p])]:
        chunks = []
        for partition in rng.sample(waiting, rng.randint(1, len(waiting))):
            log, first = topic.partitions[partition], done[partition]
            taken = log[first : first + rng.randint(1, LONGEST_CHUNK)]
            start = log[first - 1].offset + 1 if first else 0
            chunks.append(Records(TP(topics.EVENTS, partition), start, taken, 0))
            done[partition] += len(taken)
        counted = await counting.count(consumer, chunks)
        await publishing.take(Outcome(consumer, chunks, counted))
        made = asyncio.create_task(publishing.all_made())
        await asyncio.wait([out, made], return_when=asyncio.FIRST_COMPLETED)
        if out.done():
            out.result()
    drained = asyncio.create_task(publishing.drain())
    await asyncio.wait([out, drained], return_when=asyncio.FIRST_COMPLETED)
    if out.done():
        out.result()
    out.cancel()


def compare(truth: Recount, topic: Topic, desk: Desk) -> Iterable[str]:
    """In what the rejected records and the recommendations are not what they should be."""
    by_place = {(r.partition, r.offset): r for log in topic.partitions for r in log}
    for place in sorted(truth.rejected.keys() ^ desk.rejected.keys()):
        record = by_place[place]
        what = f"rejected though good: {reason(desk.rejected[place])}" if place in desk.rejected else "taken though bad"
        yield f"{what}, at fault {truth.rejected.get(place)!r}, {record.value!r:.300}, timestamp {record.timestamp}"
    for place in sorted(truth.rejected.keys() & desk.rejected.keys()):
        record, aside = by_place[place], desk.rejected[place]
        said = reason(aside)
        if not said or len(said) > LONGEST_REASON or not (said.isascii() and said.isprintable()):
            yield f"a reason is not short and escaped: {said!r}"
        if not names(said, truth.rejected[place], record):
            yield f"{said!r} does not name {truth.rejected[place]}: {record.value!r:.300}"
        yield from damaged(record, aside)
    due = truth.newest.keys() | truth.known
    if desk.recommended.keys() != due:
        yield f"recommendations for {sorted(desk.recommended.keys() ^ due)!r:.300} differ"
    for user, value in desk.recommended.items():
        if json.loads(value)["user_id"] != user:
            yield f"a recommendation of {user!r} says {value!r:.300}"


def reason(aside: Outgoing) -> str:
    return dict(aside.headers)["reason"].decode()


def damaged(record: Any, aside: Outgoing) -> Iterable[str]:
    """What of a rejected record is not in its copy, and not said to be missing either."""
    said = dict(aside.headers)
    if aside.key != record.key and said.get("truncated-key") != str(len(record.key)).encode():
        yield f"the key {record.key!r:.100} became {aside.key!r:.100}"
    if aside.value != record.value and said.get("truncated") != str(len(record.value)).encode():
        yield f"the value {record.value!r:.100} became {aside.value!r:.100}"
    theirs = [header for header in record.headers if header[0] not in OURS]
    if "dropped-headers" not in said and [header for header in aside.headers if header[0] not in OURS] != theirs:
        yield f"the headers {record.headers!r:.200} became {aside.headers!r:.200}"


def names(said: str, field: str, record: Any) -> bool:
    """Whether a reason names a field at fault, where the oracle names one; a record may have several faults."""
    named = said.partition(": ")[0]
    return any(fault in named or f"`{fault}`" in said for fault in (field, *faults(record.value, record.timestamp)))


GOOD = {"event_type": "click", "user_id": "u1", "anonymous_id": "v1", "rating": 3}
LINE = ("item_id", "quantity", "price")


def faults(value: bytes | None, recorded_ms: int) -> Iterable[str]:
    """All fields at fault, one after the other: each that is found is put right."""
    try:
        fields = read_object(value)
    except Bad:
        return
    for _ in range(30):
        try:
            # JSON has no infinity, but numbers beyond all that can be held.
            parse(json.dumps(fields).replace("Infinity", "1e999").encode(), recorded_ms)
        except Bad as bad:
            fault = str(bad)
            yield fault
            if fields.pop(fault, None) is None and fault in LINE:
                fields.pop("items", None)
            if fault in (*LINE, "items") and "items" not in fields:
                fields.setdefault("item_id", "a")
            fields |= {name: content for name, content in GOOD.items() if name == fault}
        else:
            return
