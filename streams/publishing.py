"""Publishing: what becomes of a counted chunk: rank, write to Redis and to the topic, note that it is out.

Recommendations go out at once, beside the counting of the next batch and in order; the rest in rounds. A chunk that was counted
but not noted as published is read and published once more by whoever has the partition then.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

from recsys.engine import Counted, Engine
from recsys.keys import Keys
from recsys.recommendation import Recommendation, encode
from recsys.store import Entry, Store
from streams import topics
from streams.driver import ChunkConsumer, Records
from streams.outbox import Outbox
from streams.settings import Settings

BATCHES_WAITING = 1
"""Counted batches that wait to be published; then counting waits."""
ROUND_S = 0.25
"""How often neighbour lists, what is popular and the published marks are written: an item that is met often is written once."""
ITEMS_AT_ONCE = 200
"""Neighbour lists made without letting anything else run."""


LARGEST_MESSAGE = 900_000
"""Bytes; brokers take a megabyte by default. Only hundreds of items (`FRESHET_TOP_N`) with the longest ids come near it."""


class Outcome(NamedTuple):
    """Counted chunks, and the consumer that had them when they were counted."""

    consumer: ChunkConsumer
    chunks: Sequence[Records]
    counted: Counted

    def ours(self) -> dict[int, int]:
        """By partition, the ends of the chunks that are counted and still ours: the others are published where they are now."""
        fresh = {chunk.tp.partition for chunk in self.chunks if not self.consumer.is_stale(chunk)}
        return {partition: end for partition, end in self.counted.ends.items() if partition in fresh}


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
        self._changed: set[int] = set()
        self._out: dict[int, int] = {}
        """By partition, up to where all recommendations are out since the last round."""
        self._one_round = asyncio.Lock()
        self._trending_known = False

    async def take(self, outcome: Outcome) -> None:
        """Takes a counted batch, as soon as there is room for it."""
        await self._waiting.put(outcome)

    async def run(self) -> None:
        """Publishes the recommendations of what was taken, for ever."""
        while True:
            outcome = await self._waiting.get()
            await self._publish(outcome)
            self._waiting.task_done()

    async def run_rounds(self) -> None:
        """Publishes the rest every `ROUND_S`, for ever."""
        while True:
            await asyncio.sleep(ROUND_S)
            await self._round()

    async def drain(self) -> None:
        """Returns when all that was taken is published."""
        await self._waiting.join()
        await self._round()

    async def _publish(self, outcome: Outcome) -> None:
        """Recommendations of the users that the batch touched, to Redis and to the topic."""
        ends = outcome.ours()
        newest = {user: newest for user, newest in outcome.counted.newest.items() if newest.partition in ends}
        counted = outcome.counted._replace(newest=newest)
        if not self._trending_known:
            await self._publish_trending()
        answers = await self._engine.recommend(counted, int(time.time() * 1000))
        encoded = [(newest, message.user_id, within_a_record(message)) for newest, message in answers]
        entries = [Entry(self._keys.recs(user), value, self._retention_s) for _, user, value in encoded]
        messages = [
            (user.encode(), value, [("source", f"{self._events}/{newest.partition}/{newest.arrival.offset}".encode())])
            for newest, user, value in encoded
        ]
        await asyncio.gather(self._store.put(entries), self._outbox.publish(self._recommendations, messages))
        self._changed.update(counted.changed.tolist())
        self._out |= ends

    async def _round(self) -> None:
        """Neighbour lists of the items that were changed, what is popular; then, for what is all out, the published marks."""
        async with self._one_round:
            if not self._out and not self._changed:
                return
            out, self._out = self._out, {}
            changed, self._changed = list(self._changed), set()
            for first in range(0, len(changed), ITEMS_AT_ONCE):
                similar = await self._engine.similar(changed[first : first + ITEMS_AT_ONCE])
                await self._store.put([Entry(self._keys.similar(row.item_id or ""), encode(row)) for row in similar])
            await self._publish_trending()
            await self._store.put([Entry(self._keys.published(partition), str(end).encode()) for partition, end in out.items()])

    async def _publish_trending(self) -> None:
        popular = await self._engine.trending()
        if popular:
            self._trending_known = True
            await self._store.put([Entry(self._keys.trending, encode(popular))])


def within_a_record(message: Recommendation) -> bytes:
    """The encoded message; of one that no broker would take, the first items."""
    value = encode(message)
    while len(value) > LARGEST_MESSAGE:
        del message.items[len(message.items) // 2 :]
        value = encode(message)
    return value
