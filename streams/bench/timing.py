"""Times read off the topics themselves: the stamps of events and of the recommendations that answer them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from kafka import KafkaConsumer, TopicPartition

from recsys.compiled import F64
from streams import topics
from streams.lag import read_spans
from streams.settings import Settings
from streams.source import source

Place = tuple[int, int]
"""A record's partition and offset."""
READS_ALL: Mapping[int, int] = {}


class Answered(NamedTuple):
    """Events and their answers, in milliseconds since 1970."""

    appended: dict[Place, int]
    """By partition and offset of the event."""
    published: dict[Place, int]
    """By partition and offset of the newest event that a recommendation covers."""


class Due(NamedTuple):
    """An event, and when it was to be sent: not when the sender got round to it."""

    place: Place
    user: str
    at_ms: float


def read_all(settings: Settings) -> Answered:
    """Reads both topics from beginning to end."""
    events = {(r.partition, r.offset): r.timestamp for r in records(settings, topics.EVENTS)}
    return Answered(events, read_published(settings))


def read_published(
    settings: Settings, begin: Mapping[int, int] = READS_ALL, topic: str = topics.RECOMMENDATIONS
) -> dict[Place, int]:
    """When the newest event that a record of a topic covers was answered first, from these offsets of the topic on."""
    answers: dict[Place, int] = {}
    for record in records(settings, topic, begin):
        answered = source(record.headers)
        if answered:
            answers.setdefault(answered, record.timestamp)
    return answers


def latencies(events: Sequence[Due], published: Mapping[Place, int]) -> tuple[F64, int]:
    """Milliseconds from when each event was due to the first recommendation that covers it, and how many have none.

    A recommendation covers all events of its user up to the one that it names: those that came in one batch share it. A stamp
    is a whole millisecond, and the true time up to one later, so one is added: nothing is shown quicker than it was.

    >>> events = [Due((0, 7), "u", 1000.0), Due((0, 8), "u", 1001.5), Due((1, 3), "v", 1002.0)]
    >>> latencies(events, {(0, 8): 1010})
    (array([ 9.5, 11. ]), 1)
    """
    of_users: dict[str, list[Due]] = defaultdict(list)
    for event in events:
        of_users[event.user].append(event)
    found: list[float] = []
    for theirs in of_users.values():
        answer: int | None = None
        for event in reversed(theirs):
            at = published.get(event.place)
            answer = at if answer is None or (at is not None and at < answer) else answer
            if answer is not None:
                found.append(answer + 1 - event.at_ms)
    return np.array(found), len(events) - len(found)


def newest_stamp(settings: Settings, name: str) -> int:
    """The newest stamp of the last records of a topic's partitions, in milliseconds; 0 where there is no record."""
    return max((record.timestamp for record in records(settings, name, {}, last=1)), default=0)


def records(settings: Settings, name: str, begin: Mapping[int, int] = READS_ALL, last: int = 0) -> Iterator[Any]:
    """All that a topic holds now, of each partition from an offset on, or so many `last` records only."""
    topic = settings.topic(name)
    consumer: Any = KafkaConsumer(**settings.brokers.connection(), auto_offset_reset="earliest", group_id=None)
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        for each in partitions:
            if last:
                consumer.seek(each, max(0, ends[each] - last))
            elif each.partition in begin:
                consumer.seek(each, begin[each.partition])
        while any(consumer.position(each) < ends[each] for each in partitions):
            for some in consumer.poll(timeout_ms=500).values():
                yield from some
    finally:
        consumer.close()


def ends(settings: Settings, name: str) -> dict[int, int]:
    """By partition, the offset that the next record gets."""
    return {partition: span.end for partition, span in read_spans(settings.brokers, settings.topic(name)).items()}


def percentiles(values: Iterable[float], *shares: float) -> list[float]:
    """Some percentiles, and last the largest of all."""
    found = np.fromiter(values, np.float64)
    return [*np.percentile(found, shares).tolist(), float(found.max())]
