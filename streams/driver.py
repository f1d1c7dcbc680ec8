"""The transport driver: Faust hands an agent a whole fetched chunk as one message, and reads on from where Redis says.

Stock Faust awaits about four tasks for each message (70 µs an event); here one message is all that was fetched of a partition.
Everything else stays Faust's: groups, rebalancing, supervision. The driver stands on inner methods of Faust;
`tests/test_driver_guard.py` fails when an upgrade changes them.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from time import monotonic
from typing import Any, NamedTuple, cast

import faust
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from faust.transport.drivers import aiokafka as stock
from faust.types import TP, ConsumerMessage
from mode.utils.futures import maybe_async

from streams.kafka_connection import use_connections
from streams.record_batches import use_batches

FAUST_VERSION = "0.15.3"
"""The version whose inner methods these are."""

CHUNKS_AHEAD = 1
"""Chunks of a partition that may be fetched and not counted yet. This bounds memory, and keeps partitions even: Faust's own
back-pressure lets one that was paused wait until the buffer of all is nearly empty."""
FETCH_WAIT_MS = 20
"""How long the broker may hold a fetch. A consumer has one fetch under way at each broker; it names the partitions that were
empty when it began: records of the others wait until it returns. Faust's 1.5 s would be the latency of a quiet shop."""
LOOK_AGAIN_S = 0.005
"""How soon a fetch ends, where a partition waits for its chunks to be done."""

log = logging.getLogger("freshet.worker")

FindPositions = Callable[["ChunkConsumer", frozenset[TP]], Awaitable[Mapping[TP, int]]]
"""Says from which offset each assigned partition is to be read."""


class Records(NamedTuple):
    """What was fetched of one partition at once: the value of a Faust message."""

    tp: TP
    start: int
    """The offset at which the fetch began: the records before it were fetched earlier."""
    records: Sequence[ConsumerRecord]
    seek: int
    """How often the partition had been sought when it was fetched: records from before the last seek are fetched again."""

    @property
    def end(self) -> int:
        """The offset of the last record."""
        return int(self.records[-1].offset)


class OnTheLoop:
    """Takes the place of the thread in which Faust would run the consumer: the consumer runs on the event loop of all else."""

    def __init__(self, service: stock.AIOKafkaConsumerThread) -> None:
        self._service = service

    def start(self) -> None:
        self._serving = self._service.thread_loop.create_task(self._service._serve())
        self._serving.add_done_callback(self._ended)

    def _ended(self, serving: asyncio.Task[None]) -> None:
        """What ended it while it ran, the service has told; that it trips when it is stopped without a broker is no news."""
        if not serving.cancelled() and serving.exception() is not None:
            log.debug("the consumer ended with %r", serving.exception())
            self._service.set_shutdown()

    def stop(self) -> None:
        """Nothing is left to be stopped: the service has ended."""


class ChunkConsumerThread(stock.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Runs the aiokafka consumer: in Faust's words a thread, but here it has none (`OnTheLoop`).

    What was fetched with a lower number of `seeks` is stale.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._next: dict[TP, int] = {}
        self._ahead: dict[TP, int] = defaultdict(int)
        self.seeks: dict[TP, int] = defaultdict(int)

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Calls a method of the consumer: there is no other thread to hand it to."""
        return await maybe_async(fun(*args, **kwargs))

    async def _gather_remaining_tasks(self) -> None:
        """Ends none of the loop's tasks: they are not the consumer's alone."""

    def _create_worker_consumer(self, transport: "ChunkTransport") -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def seek_all(self, positions: Mapping[TP, int]) -> None:
        await self.call_thread(self._seek_all, positions)

    async def committed(self, partitions: Iterable[TP]) -> dict[TP, int]:
        """The committed offsets of those partitions that have one."""
        found: dict[TP, int] = await self.call_thread(self._committed, list(partitions))
        return found

    async def _committed(self, partitions: Sequence[TP]) -> dict[TP, int]:
        consumer: AIOKafkaConsumer = self._ensure_consumer()
        found = {tp: await consumer.committed(stock.ensure_aiokafka_TP(tp)) for tp in partitions}
        return {tp: offset for tp, offset in found.items() if offset is not None}

    async def _seek_all(self, positions: Mapping[TP, int]) -> None:
        consumer: AIOKafkaConsumer = self._ensure_consumer()
        for tp in positions.keys() & self.assignment():
            consumer.seek(stock.ensure_aiokafka_TP(tp), positions[tp])
            self._next[tp] = positions[tp]
            self._ahead[tp] = 0
            self.seeks[tp] += 1

    def is_ahead(self, tp: TP) -> bool:
        """Whether a chunk of the partition was fetched and is not done."""
        return self._ahead[tp] > 0

    def done(self, records: Records) -> None:
        """Tells that a chunk is done, so that its partition may be fetched again."""
        if records.seek == self.seeks[records.tp]:
            self._ahead[records.tp] -= 1

    async def _fetch_records(
        self, consumer: AIOKafkaConsumer, active_partitions: set[TP], timeout: float, max_records: int | None = None
    ) -> dict[TP, list[Records]]:
        """One `Records` for each partition in place of its list of records.

        Waits here for partitions to become free: to return without records would cost more.
        """
        until = monotonic() + timeout
        fetched: dict[Any, Any] = {}
        while not fetched and self.consumer.flow_active and monotonic() < until:
            free = {tp for tp in active_partitions if self._ahead[tp] < CHUNKS_AHEAD}
            wait = timeout if len(free) == len(active_partitions) else LOOK_AGAIN_S
            if free:
                fetched = await super()._fetch_records(consumer, free, wait, max_records)
            else:
                await asyncio.sleep(wait)
        chunks = {}
        for partition, records in fetched.items():
            tp = TP(partition.topic, partition.partition)
            chunks[tp] = [Records(tp, self._next.get(tp, records[0].offset), records, self.seeks[tp])]
            self._next[tp] = records[-1].offset + 1
            self._ahead[tp] += 1
        return chunks


class NothingRead(dict[TP, None]):
    """What Faust is to believe to have read of each partition: nothing, whatever it notes.

    It drops a message below what it has read. Here a partition is also sought back outside a rebalance, by several chunks, and
    a chunk that is dropped is never done: the partition would not be fetched again. What is stale, `is_stale` says.
    """

    def __missing__(self, tp: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: object) -> None:
        pass

    def update(self, *_: object, **__: object) -> None:
        pass


class ChunkConsumer(stock.Consumer):  # type: ignore[misc]
    """Faust's consumer with chunks for messages and the marks in Redis for committed offsets."""

    _thread: ChunkConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = NothingRead()

    @cached_property
    def _seeking(self) -> "Counter[TP]":
        """How many seeks of a partition are under way: until they are done, what was fetched is stale."""
        return Counter()

    def _new_consumer_thread(self) -> ChunkConsumerThread:
        return ChunkConsumerThread(self, loop=self.loop, thread_loop=self.loop, Worker=OnTheLoop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: Records) -> ConsumerMessage:
        last = record.records[-1]
        return ConsumerMessage(
            tp.topic, tp.partition, last.offset, last.timestamp / 1000.0, last.timestamp_type, (), None, record, None,
            tp=tp, generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    @property
    def may_be_heard(self) -> bool:
        """Whether a broker may hear what the consumer says: not where every connection to one is cut."""
        consumer: AIOKafkaConsumer | None = self._thread._consumer
        return consumer is None or any(each.connected() for each in consumer._client._conns.values())

    async def committed(self, partitions: Iterable[TP]) -> dict[TP, int]:
        """By partition, Kafka's committed offset: everything before it is out on the topic of recommendations."""
        return await self._thread.committed(partitions)

    async def commit_back(self, offsets: Mapping[TP, int]) -> bool:
        """Commits these offsets, lower ones than before, too; False if the group is rebalanced, so that they are not ours."""
        if not await self._thread.commit(offsets):
            return False
        self._committed_offset.update(offsets)
        return True

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seeks every assigned partition to where `find_positions` says."""
        return await self.seek_by_mark(frozenset(self.assignment()))

    async def seek_by_mark(self, partitions: frozenset[TP]) -> Mapping[TP, int]:
        """Seeks partitions to where Redis says; what was fetched of them before is stale from now on."""
        transport = cast("ChunkTransport", self.transport)
        self._seeking.update(partitions)
        try:
            positions = await transport.find_positions(self, partitions)
            await self._thread.seek_all(positions)
        finally:
            self._seeking.subtract(partitions)
        return positions

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """What was fetched before a rebalance is stale for good, also of a partition that comes back; what is being published
        is out before another worker may publish what comes after it."""
        for tp in revoked:
            self._thread.seeks[tp] += 1
        await cast("ChunkTransport", self.transport).settle({tp.partition for tp in revoked})
        # Faust lets a worker that had no partition go on fetching; what came between the seek and the end of the rebalance,
        # when it empties its queues, would be lost, and never be done.
        self.stop_flow()
        await super().on_partitions_revoked(revoked)

    async def has_read_all(self, tp: TP, end: int) -> bool:
        """Whether nothing before offset `end` is still to be fetched or counted; the last offsets may be no records."""
        return not self._thread.is_ahead(tp) and (await self.position(tp) or 0) >= end

    def done(self, records: Records) -> None:
        """Tells that a chunk is done, whatever became of it."""
        self._thread.done(records)

    def is_stale(self, records: Records) -> bool:
        """Whether the partition was sought or lost since, so that these records are, or were, read by somebody once more."""
        tp = records.tp
        return tp not in self.assignment() or self._seeking[tp] > 0 or records.seek != self._thread.seeks[tp]

    def _new_offset(self, tp: TP) -> int | None:
        """What may be committed: not what was taken, but what is out, and that is known for certain."""
        published = cast("ChunkTransport", self.transport).published.get(tp.partition)
        if published is None:
            return None
        acked = self._acked[tp]
        if acked and max(acked) <= published:
            acked.clear()
            self._acked_index[tp].clear()
        return published + 1

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets between chunks are not gaps."""


class ChunkTransport(stock.Transport):  # type: ignore[misc]
    """The transport with this consumer; what the worker has to do in a rebalance is set before it starts."""

    Consumer = ChunkConsumer
    find_positions: FindPositions
    settle: Callable[[Collection[int]], Awaitable[None]]
    published: Mapping[int, int]


class App(faust.App):  # type: ignore[misc]
    """An app that keeps no tables, and so needs no folders."""

    def _create_directories(self) -> None:
        pass


def use_chunks(
    app: faust.App,
    find_positions: FindPositions,
    settle: Callable[[Collection[int]], Awaitable[None]],
    published: Mapping[int, int],
) -> None:
    """Makes `app` consume in chunks, from the positions that `find_positions` gives; partitions are given up after `settle`.

    What is committed to Kafka is what `published` says: by partition, the last offset that is out.
    """
    use_batches()
    use_connections()
    transport = ChunkTransport(app.conf.broker_consumer, app, loop=app.loop)
    transport.find_positions = find_positions
    transport.settle = settle
    transport.published = published
    app.transport = transport
