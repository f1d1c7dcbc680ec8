"""The sender: events all at once, or each when it is due, whatever became of those before it."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import uvloop

from recsys.compiled import F64
from streams.bench.timing import Due
from streams.bulk import Bulk, open_bulk
from streams.home import home_partition
from streams.settings import Settings
from streams.topics import EVENTS

TICK_S = 0.002
"""Events that are due within so long of one another are sent together."""
MOMENT_S = 0.2
"""Between the opening of a producer and the first event."""
AT_ONCE = 100_000
"""Events that are made beforehand at most."""


class Sender:
    """Sends the events of a load, in order, to a topic on which nobody else writes."""

    def __init__(self, settings: Settings, load: Iterator[tuple[str, bytes]]) -> None:
        self._settings = settings
        self._load = load
        self._ends = [0] * settings.partitions
        self.sent = 0
        self.late_ms: list[float] = []
        """By how much each event that was due at a time was sent later."""

    def at_once(self, count: int) -> float:
        """Sends so many events as fast as it can; returns when it began, in ms since 1970."""
        events = list(islice(self._load, count))
        begun_ms: float = uvloop.run(self._at_once(events))
        return begun_ms

    async def _at_once(self, events: list[tuple[str, bytes]]) -> float:
        bulk = await open_bulk(self._settings.brokers, self._settings.topic(EVENTS))
        begun = time.time() * 1000
        try:
            for user, value in events:
                await self._put(bulk, user, value)
        finally:
            await bulk.close()
        return begun

    def at_rate(self, rate: float, seconds: float, seed: int, go_on: Callable[[], bool] = lambda: True) -> list[Due]:
        """Sends events at random times, so many a second in the mean (a Poisson process), as long as it may go on."""
        gaps = np.random.default_rng(seed).exponential(1 / rate, max(1, round(rate * seconds)))
        sent: list[Due] = uvloop.run(self._at_rate(np.cumsum(gaps), go_on))
        return sent

    async def _at_rate(self, at_s: F64, go_on: Callable[[], bool]) -> list[Due]:
        events = await asyncio.to_thread(deque, islice(self._load, min(len(at_s), AT_ONCE)))
        bulk = await open_bulk(self._settings.brokers, self._settings.topic(EVENTS))
        self.late_ms = []
        sent: list[Due] = []
        try:
            begun = time.time() + MOMENT_S
            due = (begun + at_s).tolist()
            while len(sent) < len(due) and go_on():
                now = time.time()
                while len(sent) < len(due) and due[len(sent)] <= now:
                    user, value = events.popleft() if events else next(self._load)
                    at_ms = due[len(sent)] * 1000
                    sent.append(Due(await self._put(bulk, user, value), user, at_ms))
                    self.late_ms.append(now * 1000 - at_ms)
                await bulk.flush()
                if len(sent) < len(due):
                    await asyncio.sleep(max(due[len(sent)] - time.time(), TICK_S))
        finally:
            await bulk.close()
        return sent

    async def _put(self, bulk: Bulk, user: str, value: bytes) -> tuple[int, int]:
        partition = home_partition(user, len(self._ends))
        place = partition, self._ends[partition]
        await bulk.put(user, value)
        self._ends[partition] += 1
        self.sent += 1
        return place
