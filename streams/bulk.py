"""Events and items in bulk: batches made by hand, since one `send` a record costs six times as much."""

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError

from streams.brokers import Brokers
from streams.home import home_partition

BATCH_BYTES = 131_072
"""A partition's batch is sent when it has grown to this: twice the largest event."""
ANSWER_S = 20.0
"""Kafka is gone when it has taken nothing for this long. An idempotent producer of aiokafka itself tries for ever, in
`stop` too (its sender asks `batch.expired` only of others)."""
STOP_S = 2.0


class Bulk:
    """Records on their way to the topic, to be opened by `open_bulk`.

    Those of one user, or of one item, keep their order. Nothing is certain before `close` has returned.
    """

    def __init__(self, producer: AIOKafkaProducer, topic: str, partitions: int) -> None:
        self._producer = producer
        self._topic = topic
        self._partitions = partitions
        self._open: dict[int, Any] = {}
        self._sent: deque[asyncio.Future[Any]] = deque()

    async def put(self, home_id: str, value: bytes | None) -> None:
        """Takes a record, with the present as its record's timestamp; waits while Kafka is slower than the caller."""
        partition = home_partition(home_id, self._partitions)
        if partition in self._open and self._append(partition, home_id, value):
            return
        await self._send(partition)
        self._open[partition] = self._producer.create_batch()
        if not self._append(partition, home_id, value):
            raise ValueError(f"a record of {len(value or b'')} bytes does not fit into a batch of {BATCH_BYTES}")

    async def flush(self) -> None:
        """Gives all that was put to the producer, and raises the error of what could not be sent so far."""
        for partition in list(self._open):
            await self._send(partition)

    async def close(self) -> None:
        """Returns when Kafka has acknowledged everything; raises the error of what it has not."""
        try:
            await self.flush()
            if self._sent:
                done, waiting = await asyncio.wait(self._sent, timeout=ANSWER_S)
                for each in done:
                    each.result()
                if waiting:
                    raise KafkaTimeoutError(f"batches were not acknowledged for {ANSWER_S:.0f} s")
        finally:
            await self.abandon()

    async def abandon(self) -> None:
        """Ends without regard to what was put: after an error, which those that follow from it must not hide."""
        self._open.clear()
        for each in self._sent:
            if not each.cancel() and not each.cancelled():
                each.exception()  # seen, so that asyncio does not complain of it
        with suppress(TimeoutError):
            await asyncio.wait_for(self._producer.stop(), STOP_S)

    def _append(self, partition: int, home_id: str, value: bytes | None) -> bool:
        now_ms = time.time_ns() // 1_000_000
        return self._open[partition].append(key=home_id.encode(), value=value, timestamp=now_ms) is not None

    async def _send(self, partition: int) -> None:
        batch = self._open.pop(partition, None)
        if batch is not None:
            batch.close()
            self._sent.append(await self._producer.send_batch(batch, self._topic, partition=partition))
        while self._sent and self._sent[0].done():
            self._sent.popleft().result()


async def open_bulk(brokers: Brokers, topic: str) -> Bulk:
    """Ready for the topic; all replicas acknowledge each event. Raises `aiokafka.errors.KafkaError`."""
    producer = AIOKafkaProducer(
        **brokers.connection(),
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES,
        request_timeout_ms=round(ANSWER_S * 1000),
    )
    try:
        await producer.start()
        return Bulk(producer, topic, len(await producer.partitions_for(topic)))
    except BaseException:
        await producer.stop()
        raise
