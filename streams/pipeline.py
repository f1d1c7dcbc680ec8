"""The pipeline: what a worker does with a chunk of records, in the order that makes it exactly once.

decode → set aside and forward → count and commit (`recsys.engine`) → rank → publish → note what is published
"""

import time
from collections.abc import Sequence

from recsys.batch import Arrival
from recsys.engine import Chunk, Counted, Engine, LostPartition
from recsys.keys import Keys
from recsys.recommendation import Recommendation, encode
from recsys.store import Store
from streams import topics
from streams.driver import ChunkConsumer, Records
from streams.home import Origin, Rejected, Sorted, sort_records
from streams.outbox import Letter, Outbox
from streams.positions import LostRecords
from streams.settings import Settings

TRENDING_EVERY_S = 0.5


class Pipeline:
    """Turns chunks into counts and recommendations. `partitions` is how many the topic of events has."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        store: Store,
        outbox: Outbox,
        partitions: int,
        rejected_partitions: int,
    ) -> None:
        self._settings = settings
        self._keys = Keys(settings.key_prefix)
        self._engine = engine
        self._store = store
        self._outbox = outbox
        self._partitions = partitions
        self._rejected_partitions = rejected_partitions
        self._events = settings.topic(topics.EVENTS)
        self._trending_due = 0.0
        self._trending_stale = True
        self.counted: dict[int, int] = {}
        """By partition, the last offset counted: what the watchdog looks at."""

    async def process(self, consumer: ChunkConsumer, chunk: Records) -> None:
        """Counts and publishes a chunk. A chunk that is stale is passed over: its records come again, here or elsewhere."""
        if consumer.is_stale(chunk):
            return
        await self._check_continuity(consumer, chunk)
        found = sort_records(chunk.records, chunk.tp.partition, self._partitions)
        await self._set_aside(chunk.tp.partition, found)
        counted = await self._count(consumer, chunk, found)
        if counted is None:
            return
        self.counted[chunk.tp.partition] = chunk.end
        if time.monotonic() >= self._trending_due:
            await self.refresh_trending()
        now_ms = int(time.time() * 1000)
        await self._publish(counted, await self._engine.recommend(counted, now_ms))
        await self._store.put({self._keys.published(chunk.tp.partition): str(chunk.end).encode()})
        self._trending_stale = True

    async def refresh_trending(self) -> None:
        """Reads and publishes what is popular, if anything was counted since the last time."""
        if not self._trending_stale:
            return
        self._trending_due = time.monotonic() + TRENDING_EVERY_S
        self._trending_stale = False
        popular = await self._engine.trending()
        if popular:
            await self._store.put({self._keys.trending: encode(popular)})

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
        rejected = [r for r in found.rejected if r.record.offset > counted]
        foreign = [f for f in found.foreign if f.record.offset > counted]
        await self._outbox.deliver(
            self._settings.topic(topics.REJECTED),
            (Letter(partition % self._rejected_partitions, r.record.key, r.record.value, why(r)) for r in rejected),
        )
        await self._outbox.deliver(
            self._events,
            (
                Letter(
                    f.home,
                    f.key,
                    f.record.value,
                    [Origin(partition, f.record.offset, f.record.timestamp).header()],
                )
                for f in foreign
            ),
        )

    async def _count(self, consumer: ChunkConsumer, chunk: Records, found: Sorted) -> Counted | None:
        batch = Chunk(
            chunk.tp.partition,
            chunk.start,
            chunk.end,
            found.arrivals,
            [r.record.offset for r in found.rejected],
            [f.record.offset for f in found.foreign],
        )
        try:
            return await self._engine.count(batch)
        except LostPartition:
            if consumer.is_stale(chunk):
                return None
            raise

    async def _publish(self, counted: Counted, recommendations: Sequence[tuple[Arrival, Recommendation]]) -> None:
        encoded = [(arrival, message.user_id, encode(message)) for arrival, message in recommendations]
        await self._store.put({self._keys.recs(user): value for _, user, value in encoded}, self._settings.retention_s)
        similar = await self._engine.similar(counted)
        await self._store.put({self._keys.similar(row.item_id or ""): encode(row) for row in similar})
        await self._outbox.publish(
            self._settings.topic(topics.RECOMMENDATIONS),
            (
                (user.encode(), value, [("source", f"{self._events}/{counted.partition}/{arrival.offset}".encode())])
                for arrival, user, value in encoded
            ),
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
