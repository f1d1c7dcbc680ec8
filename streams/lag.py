"""How far the workers are behind: the ends of the partitions of `events` against what was published."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import UnknownTopicOrPartitionError
from msgspec import Struct

from recsys.connection import Client, read_values
from recsys.keys import Keys
from streams.brokers import Brokers
from streams.live import live_keys
from streams.topics import ANSWER_MS

NOTHING = -1
"""Published of a partition of which no recommendation is out yet."""


class Span(Struct, frozen=True):
    """The offsets that a partition holds: from `begin` to before `end`."""

    begin: int
    end: int


def behind(span: Span, published: int) -> int:
    """The records of a partition that still have to be processed; what the broker has deleted is not waited for.

    >>> behind(Span(0, 10), published=6), behind(Span(0, 10), NOTHING), behind(Span(10, 10), NOTHING)
    (3, 10, 0)
    """
    return max(0, span.end - max(span.begin, published + 1))


def total_behind(spans: Mapping[int, Span], published: Mapping[int, int]) -> int:
    """The same of all partitions together.

    >>> total_behind({0: Span(0, 10), 1: Span(0, 5)}, {0: 9, 1: 2})
    2
    """
    return sum(behind(span, published[partition]) for partition, span in spans.items())


def read_total_behind(client: Client, prefix: str, spans: Mapping[int, Span]) -> int:
    """The same now, by the generation of the state that is live now."""
    return total_behind(spans, read_published(client, live_keys(client, prefix), spans))


def falling(left: Callable[[], int], poll_s: float) -> Iterator[tuple[int, float]]:
    """What is left, asked for until nothing is, and for how many seconds it has not become less.

    >>> [left for left, _ in falling(iter([3, 2, 0]).__next__, 0)]
    [3, 2]
    """
    before, moved = left(), time.monotonic()
    while before:
        yield before, time.monotonic() - moved
        time.sleep(poll_s)
        now = left()
        if now < before:
            moved = time.monotonic()
        before = now


def read_spans(brokers: Brokers, topic: str) -> dict[int, Span]:
    """What each partition of the topic holds now. Raises `kafka.errors.KafkaError`."""
    consumer = KafkaConsumer(**brokers.connection(), bootstrap_timeout_ms=ANSWER_MS)
    try:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            raise UnknownTopicOrPartitionError(f"there is no topic {topic}")
        partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        begins = consumer.beginning_offsets(partitions)
        ends = consumer.end_offsets(partitions)
    finally:
        consumer.close()
    return {each.partition: Span(begins[each], ends[each]) for each in partitions}


def read_published(client: Client, keys: Keys, partitions: Iterable[int]) -> dict[int, int]:
    """For each partition the last offset whose recommendations are out, or `NOTHING`."""
    numbers = list(partitions)
    found = read_values(client, [keys.published(partition) for partition in numbers])
    return {partition: NOTHING if text is None else int(text) for partition, text in zip(numbers, found, strict=True)}
