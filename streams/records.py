"""Records: what a topic holds, read from its beginning to its present end."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from kafka import KafkaConsumer, TopicPartition

from streams.brokers import Brokers

POLL_MS = 200
Headers = Sequence[tuple[str, bytes]]
Place = tuple[int, int]
"""Partition and offset."""


class Record(NamedTuple):
    """What of a Kafka record matters to a recount."""

    partition: int
    offset: int
    timestamp: int
    value: bytes | None
    headers: Headers = ()
    key: bytes | None = None


def read_topic(brokers: Brokers, topic: str) -> Iterator[tuple[int, Record]]:
    """All records of a topic up to its present end, each with the topic's number of partitions."""
    consumer: Any = KafkaConsumer(**brokers.connection(), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        parts = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        consumer.seek_to_beginning(*parts)
        while any(consumer.position(part) < ends[part] for part in parts):
            for part, records in consumer.poll(timeout_ms=POLL_MS).items():
                for record in records:
                    if record.offset < ends[part]:
                        yield (
                            len(parts),
                            Record(record.partition, record.offset, record.timestamp, record.value, record.headers, record.key),
                        )
    finally:
        consumer.close()
