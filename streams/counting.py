"""Counting: what becomes of a chunk of records, up to the commit of its counts.

decode → set aside what is wrong, forward what came elsewhere → count, tell other homes who joined, commit (`recsys.engine`)
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from msgspec.structs import replace

from recsys.customers import joins
from recsys.engine import Chunk, Counted, Engine, LostPartition
from recsys.layout import form_of, layout_of
from recsys.record import MAX_BYTES
from streams import topics
from streams.driver import ChunkConsumer, Records
from streams.home import Rejected, Sorted, home_partition, sort_records
from streams.outbox import Outbox, Outgoing
from streams.positions import LostRecords
from streams.publishing import Outcome, Publishing
from streams.seal import FORWARDED, JOINING, Origin, Seal
from streams.settings import Settings

BATCH_RECORDS = 5000
"""Records after which no more chunks are counted together: a batch must be out well within the lease (`streams.lease`)."""
LARGEST_REJECTED = 900_000
"""Bytes of key, value and headers; brokers take a megabyte by default, all in all."""
OURS = frozenset({"reason", "topic", "partition", "offset", "truncated", "truncated-key", "dropped-headers"})
"""Headers of a rejected record that are Freshet's own, whatever the producer wrote there."""


class Counting:
    """Counts chunks. Of the topic of events and of the rejected, it must be told how many partitions there are."""

    def __init__(self, settings: Settings, engine: Engine, outbox: Outbox, partitions: int, rejected_partitions: int) -> None:
        self._engine = engine
        self._outbox = outbox
        self.partitions = partitions
        self._seal = Seal.of(settings.secret, settings.topic(topics.EVENTS), partitions)
        self._form = form_of(layout_of(settings.topic(topics.EVENTS), partitions, settings.rules))
        self._rejected_partitions = rejected_partitions
        self._events = settings.topic(topics.EVENTS)
        self._rejected = settings.topic(topics.REJECTED)
        self._waiting: asyncio.Queue[Records] = asyncio.Queue()
        self._in_hand = asyncio.Lock()
        self._contested: set[int] = set()
        self.counted: dict[int, int] = {}
        """By partition, the last offset counted."""

    async def take(self, chunk: Records) -> None:
        """Takes a chunk to be counted."""
        await self._waiting.put(chunk)

    async def run(self, consumer: ChunkConsumer, publishing: Publishing) -> None:
        """Counts what was taken and hands it on, for ever: much of what waits at once, so that many are cheaper than few.

        Waits for the messages of the batch before: two that compute take turns, so both are later, and smaller, and so dearer.
        """
        while True:
            taken = [await self._waiting.get()]
            await publishing.all_made()
            while not self._waiting.empty() and sum(len(chunk.records) for chunk in taken) < BATCH_RECORDS:
                taken.append(self._waiting.get_nowait())
            # A stale chunk is passed over: its records come again, here or elsewhere.
            chunks = [chunk for chunk in taken if not consumer.is_stale(chunk)]
            async with self._in_hand:
                if chunks:
                    counted = await self.count(consumer, chunks)
                    await publishing.take(Outcome(consumer, chunks, counted))
            for chunk in taken:
                consumer.done(chunk)

    @asynccontextmanager
    async def between_batches(self) -> AsyncIterator[None]:
        """While this is open, nothing is counted."""
        async with self._in_hand:
            yield

    async def finish(self) -> None:
        """Returns when the batch in hand is counted whole; no other begins after that."""
        await self._in_hand.acquire()

    async def count(self, consumer: ChunkConsumer, chunks: Sequence[Records]) -> Counted:
        """Counts chunks of different partitions, none of them stale.

        Raises `LostRecords` where Kafka no longer has what comes next, `LostPartition` where another worker goes on counting a
        partition that this one still has, and what `Engine.count` and `Outbox` raise.
        """
        batch = []
        for chunk in chunks:
            await self._check_continuity(consumer, chunk)
            with self._engine.stages.timed("decode"):
                found = sort_records(chunk.records, chunk.tp.partition, self._seal, self._form)
            await self._set_aside(chunk.tp.partition, found)
            rejected = [r.record.offset for r in found.rejected]
            foreign = [f.record.offset for f in found.foreign]
            leftover = [record.offset for record in found.leftover]
            batch.append(Chunk(chunk.tp.partition, chunk.start, chunk.end, found.arrivals, rejected, foreign, leftover))
        counted = await self._engine.count(*batch, post=self._post)
        for chunk in chunks:
            partition = chunk.tp.partition
            if consumer.is_stale(chunk):
                continue
            if partition in counted.lost:
                await self._read_again(consumer, chunk)
            else:
                self._contested.discard(partition)
                self.counted[partition] = max(counted.ends[partition], self.counted.get(partition, -1))
        return counted

    async def _read_again(self, consumer: ChunkConsumer, chunk: Records) -> None:
        """Reads a partition on from Redis' mark, once: the worker that had it before may have written what it had in hand, or
        Redis went back to an earlier state."""
        if chunk.tp.partition in self._contested:
            raise LostPartition(
                f"the state of partition {chunk.tp.partition} of {chunk.tp.topic} is changed by others: another worker counts "
                "it, or Redis went back to an earlier state again"
            )
        self._contested.add(chunk.tp.partition)
        await consumer.seek_by_mark(frozenset({chunk.tp}))

    async def _check_continuity(self, consumer: ChunkConsumer, chunk: Records) -> None:
        """Offsets may be missing where transactions end; but not because records that were still to be read are gone."""
        first = chunk.records[0].offset
        if first == chunk.start:
            return
        if first > chunk.start:
            first = (await consumer.earliest_offsets(chunk.tp))[chunk.tp]
            if first <= chunk.start:
                return
        raise LostRecords(
            f"partition {chunk.tp.partition} of {chunk.tp.topic} was to be read from offset {chunk.start}, Kafka has {first}: "
            "its retention is shorter than the lag, or the topic was made anew. The next start says which offsets are gone"
        )

    async def _set_aside(self, partition: int, found: Sorted) -> None:
        """Writes rejected and foreign records to where they belong, before the mark moves past them."""
        counted = self.counted.get(partition, -1)
        await self._outbox.deliver(
            self._rejected,
            [Outgoing(partition % self._rejected_partitions, *fitting(r)) for r in found.rejected if r.record.offset > counted],
        )
        await self._outbox.deliver(
            self._events,
            [
                Outgoing(f.home, f.key, f.record.value, [(FORWARDED, f.header)])
                for f in found.foreign
                if f.record.offset > counted
            ],
        )

    async def _post(self, letters: Sequence[joins.Letter]) -> None:
        """Writes messages to the homes of other users: they are acknowledged before what they came of is committed."""
        written = []
        for home, letter in joins.by_home(letters, lambda home_id: home_partition(home_id, self.partitions)):
            value = joins.encode(replace(letter.message, form=self._form))
            origin = Origin(letter.partition, letter.offset, letter.message.event_time)
            header = self._seal.header(origin, home, value, JOINING)
            written.append(Outgoing(home, letter.home_id.encode(), value, [(JOINING, header)]))
        await self._outbox.deliver(self._events, written)


def fitting(rejected: Rejected) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    """Key, value and headers of a rejected record: the original ones, why it was set aside, and where it came from.

    Of a record too large to be written uncompressed, the beginning of a large value and a large key is written, and of large
    headers none. The headers `truncated` and `truncated-key` then have the true lengths, `dropped-headers` the number.
    """
    record = rejected.record
    key, value = record.key, record.value
    theirs = [(name, content) for name, content in record.headers if name not in OURS]
    ours = [
        ("reason", rejected.reason.encode()),
        ("topic", record.topic.encode()),
        ("partition", str(record.partition).encode()),
        ("offset", str(record.offset).encode()),
    ]
    if len(key or b"") + len(value or b"") + size_of(theirs) > LARGEST_REJECTED:
        if value is not None and len(value) > MAX_BYTES:
            ours.append(("truncated", str(len(value)).encode()))
            value = value[:MAX_BYTES]
        if key is not None and len(key) > MAX_BYTES:
            ours.append(("truncated-key", str(len(key)).encode()))
            key = key[:MAX_BYTES]
        if size_of(theirs) > MAX_BYTES:
            ours.append(("dropped-headers", str(len(theirs)).encode()))
            theirs = []
    return key, value, [*theirs, *ours]


def size_of(headers: Sequence[tuple[str, bytes | None]]) -> int:
    """Bytes of headers on the wire, at most: each has two lengths beside its name and content.

    >>> size_of([("a", b"bc"), ("d", None)])
    24
    """
    return sum(len(name.encode()) + len(content or b"") + 10 for name, content in headers)
