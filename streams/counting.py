"""Counting: what becomes of a chunk of records, up to the commit of its counts.

decode → set aside what is wrong, forward what came elsewhere → count and commit (`recsys.engine`)
"""

import asyncio
from collections.abc import Sequence

from recsys.engine import Chunk, Counted, Engine, LostPartition
from streams import topics
from streams.driver import ChunkConsumer, Records
from streams.home import Origin, Rejected, Sorted, sort_records
from streams.outbox import Letter, Outbox
from streams.positions import LostRecords
from streams.publishing import Outcome, Publishing
from streams.settings import Settings


class Counting:
    """Counts chunks. Of the topic of events and of the rejected, it must be told how many partitions there are."""

    def __init__(self, settings: Settings, engine: Engine, outbox: Outbox, partitions: int, rejected_partitions: int) -> None:
        self._engine = engine
        self._outbox = outbox
        self._partitions = partitions
        self._rejected_partitions = rejected_partitions
        self._events = settings.topic(topics.EVENTS)
        self._rejected = settings.topic(topics.REJECTED)
        self._waiting: asyncio.Queue[tuple[ChunkConsumer, Records]] = asyncio.Queue()
        self.counted: dict[int, int] = {}
        """By partition, the last offset counted: what the watchdog looks at."""

    async def take(self, consumer: ChunkConsumer, chunk: Records) -> None:
        """Takes a chunk to be counted."""
        await self._waiting.put((consumer, chunk))

    async def run(self, publishing: Publishing) -> None:
        """Counts what was taken and hands it on, for ever: all that waits at once, so that many are cheaper than few."""
        while True:
            taken = [await self._waiting.get()]
            while not self._waiting.empty():
                taken.append(self._waiting.get_nowait())
            consumer = taken[-1][0]
            # A stale chunk is passed over: its records come again, here or elsewhere.
            chunks = [chunk for of, chunk in taken if of is consumer and not consumer.is_stale(chunk)]
            if chunks:
                counted = await self.count(consumer, chunks)
                await publishing.take(Outcome(consumer, chunks, counted))
            for of, chunk in taken:
                of.done(chunk)

    async def count(self, consumer: ChunkConsumer, chunks: Sequence[Records]) -> Counted:
        """Counts chunks of different partitions, none of them stale.

        Raises `LostRecords` where Kafka no longer has the records before one, `LostPartition` where another worker counts a
        partition that this one still has, and what `Engine.count` and `Outbox` raise.
        """
        batch = []
        for chunk in chunks:
            await self._check_continuity(consumer, chunk)
            found = sort_records(chunk.records, chunk.tp.partition, self._partitions)
            await self._set_aside(chunk.tp.partition, found)
            rejected = [r.record.offset for r in found.rejected]
            foreign = [f.record.offset for f in found.foreign]
            batch.append(Chunk(chunk.tp.partition, chunk.start, chunk.end, found.arrivals, rejected, foreign))
        counted = await self._engine.count(*batch)
        for chunk in chunks:
            if chunk.tp.partition in counted.lost and not consumer.is_stale(chunk):
                raise LostPartition(
                    f"another worker counts partition {chunk.tp.partition} of {chunk.tp.topic}: it is no longer ours"
                )
        self.counted |= counted.ends
        return counted

    async def _check_continuity(self, consumer: ChunkConsumer, chunk: Records) -> None:
        """Offsets may be missing where transactions end; but not because Kafka deleted records that were still to be read."""
        if chunk.records[0].offset > chunk.start:
            first = (await consumer.earliest_offsets(chunk.tp))[chunk.tp]
            if first > chunk.start:
                raise LostRecords(
                    f"Kafka deleted offsets {chunk.start} to {first - 1} of partition {chunk.tp.partition} of "
                    f"{chunk.tp.topic} while they were to be read: its retention is shorter than the lag"
                )

    async def _set_aside(self, partition: int, found: Sorted) -> None:
        """Writes rejected and foreign records to where they belong, before the mark moves past them."""
        counted = self.counted.get(partition, -1)
        await self._outbox.deliver(
            self._rejected,
            [
                Letter(partition % self._rejected_partitions, r.record.key, r.record.value, why(r))
                for r in found.rejected
                if r.record.offset > counted
            ],
        )
        await self._outbox.deliver(
            self._events,
            [
                Letter(f.home, f.key, f.record.value, [Origin(partition, f.record.offset, f.record.timestamp).header()])
                for f in found.foreign
                if f.record.offset > counted
            ],
        )


def why(rejected: Rejected) -> list[tuple[str, bytes]]:
    """The headers of a rejected record: why it was set aside, and where it came from."""
    record = rejected.record
    return [
        ("reason", rejected.reason.encode()),
        ("topic", record.topic.encode()),
        ("partition", str(record.partition).encode()),
        ("offset", str(record.offset).encode()),
    ]
