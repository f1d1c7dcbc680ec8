"""The transport driver: what is fetched comes to the agent, whatever Faust believes to have read before."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from streams.driver import App, ChunkConsumer, use_chunks

HERE = TP("events", 0)


class Stage:
    """A consumer that is not connected, with one chunk after the other to be fetched; keeps what comes out of it."""

    def __init__(self, *last_offsets: int) -> None:
        app = App("test", broker="kafka://127.0.0.1:9", store="memory://", autodiscover=False, web_enabled=False)
        use_chunks(app, nowhere, at_once, {})
        self.came: list[int] = []
        self.consumer: ChunkConsumer = app.consumer
        self.consumer._thread = SimpleNamespace(assignment=set, seeks=defaultdict(int))
        self.consumer.callback = self._come
        self.consumer.getmany = self._fetch
        self._last_offsets = last_offsets
        self._over = asyncio.Event()

    async def drain(self) -> None:
        await self.consumer._drain_messages(SimpleNamespace(_stopped=self._over))

    async def _fetch(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ARG002 (Faust names it)
        for offset in self._last_offsets:
            yield HERE, SimpleNamespace(topic=HERE.topic, offset=offset, key=None, value=None)
        self._over.set()

    async def _come(self, message: Any) -> None:
        self.came.append(message.offset)


async def nowhere(*_: object) -> dict[TP, int]:
    return {}


async def at_once(_: object) -> None:
    pass


def test_after_a_seek_back_by_several_chunks_each_of_them_comes_again() -> None:
    async def came() -> list[int]:
        stage = Stage(99, 199, 299, 99, 199, 299)
        await stage.drain()
        return stage.came

    assert asyncio.run(came()) == [99, 199, 299, 99, 199, 299]


def test_during_a_rebalance_nothing_is_fetched_by_a_worker_that_had_no_partition() -> None:
    async def flows() -> list[bool]:
        consumer = Stage().consumer
        before = consumer.flow_active
        await consumer.on_partitions_revoked(set())
        return [before, consumer.flow_active]

    assert asyncio.run(flows()) == [True, False]
