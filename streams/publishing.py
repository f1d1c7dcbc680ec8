"""Publishing: what becomes of a counted chunk: rank, write to Redis and to the topic, note that it is out.

It runs beside the counting of the next chunks, and in their order. A chunk that was counted but not noted as published is read
and published once more by whoever has the partition then.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

from recsys.engine import Counted, Engine
from recsys.keys import Keys
from recsys.recommendation import encode
from recsys.store import Entry, Store
from streams import topics
from streams.driver import ChunkConsumer, Records
from streams.outbox import Outbox
from streams.settings import Settings

BATCHES_WAITING = 1
"""Counted batches that wait to be published; then counting waits."""
TRENDING_EVERY_S = 0.5


class Outcome(NamedTuple):
    """Counted chunks, and the consumer that had them when they were counted."""

    consumer: ChunkConsumer
    chunks: Sequence[Records]
    counted: Counted

    @property
    def stale(self) -> set[int]:
        """Partitions that are somebody else's by now: what was counted of them is published there."""
        return {chunk.tp.partition for chunk in self.chunks if self.consumer.is_stale(chunk)}


class Publishing:
    """Publishes counted chunks, one after the other."""

    def __init__(self, settings: Settings, engine: Engine, store: Store, outbox: Outbox) -> None:
        self._keys = Keys(settings.key_prefix)
        self._retention_s = settings.retention_s
        self._events = settings.topic(topics.EVENTS)
        self._recommendations = settings.topic(topics.RECOMMENDATIONS)
        self._engine = engine
        self._store = store
        self._outbox = outbox
        self._waiting: asyncio.Queue[Outcome] = asyncio.Queue(BATCHES_WAITING)
        self._trending_known = False
        self._trending_stale = True

    async def take(self, outcome: Outcome) -> None:
        """Takes counted chunks, as soon as there is room for them."""
        await self._waiting.put(outcome)

    async def run(self) -> None:
        """Publishes what was taken, for ever."""
        while True:
            outcome = await self._waiting.get()
            await self._publish(outcome)
            self._waiting.task_done()

    async def drain(self) -> None:
        """Returns when all that was taken is published."""
        await self._waiting.join()

    async def keep_trending(self) -> None:
        """Publishes what is popular, for ever."""
        while True:
            await asyncio.sleep(TRENDING_EVERY_S)
            if self._trending_stale:
                await self._publish_trending()

    async def _publish(self, outcome: Outcome) -> None:
        """Recommendations of the users and neighbours of the items that the chunk touched; then the published mark."""
        stale = outcome.stale | set(outcome.counted.lost)
        counted = outcome.counted
        if stale:
            counted = counted._replace(newest={user: n for user, n in counted.newest.items() if n.partition not in stale})
        if not self._trending_known:
            await self._publish_trending()
        answers = await self._engine.recommend(counted, int(time.time() * 1000))
        similar = await self._engine.similar(counted)
        encoded = [(newest, message.user_id, encode(message)) for newest, message in answers]
        entries = [Entry(self._keys.recs(user), value, self._retention_s) for _, user, value in encoded]
        entries += [Entry(self._keys.similar(row.item_id or ""), encode(row)) for row in similar]
        messages = [
            (user.encode(), value, [("source", f"{self._events}/{newest.partition}/{newest.arrival.offset}".encode())])
            for newest, user, value in encoded
        ]
        await asyncio.gather(self._store.put(entries), self._outbox.publish(self._recommendations, messages))
        await self._store.put(
            [
                Entry(self._keys.published(partition), str(end).encode())
                for partition, end in counted.ends.items()
                if partition not in stale
            ]
        )
        self._trending_stale = True

    async def _publish_trending(self) -> None:
        self._trending_stale = False
        popular = await self._engine.trending()
        if popular:
            self._trending_known = True
            await self._store.put([Entry(self._keys.trending, encode(popular))])
