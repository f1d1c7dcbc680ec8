"""The outbox: everything that a worker writes to Kafka, acknowledged by all replicas before anything moves on."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from streams.brokers import Brokers

Headers = Sequence[tuple[str, bytes]]

MAX_BATCH_BYTES = 128 * 1024
MAX_REQUEST_BYTES = 8 * 1024 * 1024
REQUEST_TIMEOUT_MS = 20_000


class Letter(NamedTuple):
    """A record to be written to a given partition."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def new_producer(brokers: Brokers) -> AIOKafkaProducer:
    """An idempotent producer: a send that is tried again is not written twice."""
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

    async def publish(self, topic: str, messages: Iterable[tuple[bytes, bytes | None, Headers]]) -> None:
        """Writes messages (key, value, headers), each to its key's partition; one without a value takes away those before."""
        sent = [await self._producer.send(topic, value, key=key, headers=headers) for key, value, headers in messages]
        await asyncio.gather(*sent)

    async def deliver(self, topic: str, letters: Iterable[Letter]) -> None:
        """Writes letters to their partitions, each partition's in order: none is written if one before it was not."""
        by_partition = sorted(letters, key=lambda letter: letter.partition)
        for partition, group in groupby(by_partition, key=lambda letter: letter.partition):
            await self._deliver(topic, partition, list(group))

    async def _deliver(self, topic: str, partition: int, letters: list[Letter]) -> None:
        now_ms = int(time.time() * 1000)
        while letters:
            batch = self._producer.create_batch()
            written = 0
            for letter in letters:
                if not batch.append(key=letter.key, value=letter.value, timestamp=now_ms, headers=list(letter.headers)):
                    break
                written += 1
            if not written:
                raise ValueError(f"a record of {len(letters[0].value or b'')} bytes does not fit into a batch for {topic}")
            await (await self._producer.send_batch(batch, topic, partition=partition))
            letters = letters[written:]

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has."""
        return len(await self._producer.partitions_for(topic))
