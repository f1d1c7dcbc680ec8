"""The watchdog: a worker that is alive but brings nothing out although there is lag ends itself; its supervisor starts it anew.

Kafka clients have been seen to stop silently after broker trouble; the ends of the log are therefore asked for over a
connection of the watchdog's own.
"""

import asyncio
import logging
import time
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.access import knock
from streams.brokers import Brokers
from streams.driver import ChunkConsumer

EVERY_S = 5.0
PATIENCE_S = 60.0


log = logging.getLogger("freshet.worker")


class NoProgress(RuntimeError):
    """There is lag, and nothing was counted and published for a minute."""


async def watch(
    brokers: Brokers, topic: str, published: Mapping[int, int], worker: ChunkConsumer, patience_s: float = PATIENCE_S
) -> None:
    """Raises `NoProgress` when a partition has lag and its entry in `published` (the last offset) stood still for `patience_s`.

    While the broker does not answer nothing is judged: the clients retry by themselves, even when they are refused. Raises
    `Refused` then.
    """
    since: dict[int, tuple[int, float]] = {}
    away = False
    async with AIOKafkaConsumer(**brokers.connection()) as consumer:
        while True:
            await asyncio.sleep(EVERY_S)
            now = time.monotonic()
            mine = {tp.partition: tp for tp in worker.assignment()}
            positions = {partition: published[partition] for partition in mine.keys() & published.keys()}
            try:
                ends = await asyncio.wait_for(
                    consumer.end_offsets([TopicPartition(topic, p) for p in positions]), timeout=EVERY_S
                )
            except (KafkaError, TimeoutError):
                since.clear()
                if not away:
                    log.warning("Kafka does not answer; waiting for it")
                away = True
                await knock(brokers)
                continue
            if away:
                log.warning("Kafka answers again")
            away = False
            for partition, position in positions.items():
                before, moved = since.get(partition, (None, now))
                end = ends[TopicPartition(topic, partition)]
                lag = end - 1 - position
                if lag <= 0 or position != before:
                    since[partition] = position, now
                elif now - moved > patience_s and not await worker.has_read_all(mine[partition], end):
                    raise NoProgress(
                        f"nothing was published of partition {partition} of {topic} for {patience_s:.0f} s although {lag} "
                        "records wait"
                    )
            for partition in since.keys() - positions.keys():
                del since[partition]
