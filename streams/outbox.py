"""The outbox: everything that a worker writes to Kafka, acknowledged by all replicas before anything moves on."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from streams.brokers import Brokers
from streams.home import home_partition
from streams.kafka_connection import use_connections

Headers = Sequence[tuple[str, bytes]]

MAX_BATCH_BYTES = 512 * 1024
"""Of a partition one batch is under way at a time; brokers take a megabyte by default."""
MAX_REQUEST_BYTES = 8 * 1024 * 1024
REQUEST_TIMEOUT_MS = 20_000


class Outgoing(NamedTuple):
    """A record to be written to a given partition."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def new_producer(brokers: Brokers) -> AIOKafkaProducer:
    """An idempotent producer: a send that is tried again is not written twice."""
    use_connections()
    return AIOKafkaProducer(
        **brokers.connection(),
        acks="all",
        enable_idempotence=True,
        max_batch_size=MAX_BATCH_BYTES,
        max_request_size=MAX_REQUEST_BYTES,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        retry_backoff_ms=50,
    )


class Outbox:
    """Writes over one started producer. Each method returns when the brokers have acknowledged, and raises if they have not."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def publish(self, topic: str, messages: Sequence[tuple[bytes, bytes | None, Headers]]) -> None:
        """Writes messages (key, value, headers), each to its key's partition, where they stand in this order; one without a
        value takes away those before it."""
        if not messages:
            return  # of a topic that nothing is written to, there may be none
        partitions = await self.partitions(topic)
        records = (Outgoing(home_partition(key.decode(), partitions), key, value, headers) for key, value, headers in messages)
        await asyncio.gather(*(self._publish(topic, *theirs) for theirs in by_partition(records)))

    async def _publish(self, topic: str, partition: int, records: Sequence[Outgoing]) -> None:
        # One future a batch: the producer's `send` makes one a message, which costs more than all else about it.
        sent = [await self._producer.send_batch(batch, topic, partition=partition) for batch in self._batches(topic, records)]
        await asyncio.gather(*sent)

    async def deliver(self, topic: str, records: Iterable[Outgoing]) -> None:
        """Writes records to their partitions, each partition's in order: none is written if one before it was not."""
        await asyncio.gather(*(self._deliver(topic, *theirs) for theirs in by_partition(records)))

    async def _deliver(self, topic: str, partition: int, records: Sequence[Outgoing]) -> None:
        for batch in self._batches(topic, records):
            await (await self._producer.send_batch(batch, topic, partition=partition))

    def _batches(self, topic: str, records: Sequence[Outgoing]) -> Iterator[BatchBuilder]:
        """The records in order, each batch as full as it may be."""
        now_ms = int(time.time() * 1000)
        written = 0
        while written < len(records):
            batch, begun = self._producer.create_batch(), written
            for record in records[begun:]:
                if not batch.append(key=record.key, value=record.value, timestamp=now_ms, headers=list(record.headers)):
                    break
                written += 1
            if written == begun:
                raise ValueError(f"a record of {len(records[begun].value or b'')} bytes does not fit into a batch for {topic}")
            yield batch

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has."""
        return len(await self._producer.partitions_for(topic))


def by_partition(records: Iterable[Outgoing]) -> Iterable[tuple[int, list[Outgoing]]]:
    """The records of each partition, in order.

    >>> [(partition, len(theirs)) for partition, theirs in by_partition([Outgoing(n, None, b"", ()) for n in (1, 0, 1)])]
    [(1, 2), (0, 1)]
    """
    found: dict[int, list[Outgoing]] = {}
    for record in records:
        found.setdefault(record.partition, []).append(record)
    return found.items()
