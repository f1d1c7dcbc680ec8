"""Times read off the topics themselves: the broker's stamps of events and of the recommendations that answer them."""

from typing import Any, NamedTuple

import numpy as np
from kafka import KafkaConsumer, TopicPartition

from streams import topics
from streams.demo.listener import source
from streams.settings import Settings


class Answered(NamedTuple):
    """Events and their answers, in milliseconds since 1970."""

    appended: dict[tuple[int, int], int]
    """By partition and offset of the event."""
    published: dict[tuple[int, int], int]
    """By partition and offset of the newest event that a recommendation covers."""

    @property
    def latencies(self) -> "np.ndarray[Any, np.dtype[np.float64]]":
        """From an event to the recommendation that names it, in milliseconds."""
        return np.array([self.published[key] - self.appended[key] for key in self.published.keys() & self.appended.keys()])

    @property
    def events_per_s(self) -> float:
        """All events, over the time from the first publication to the last."""
        seconds = (max(self.published.values()) - min(self.published.values())) / 1000
        return len(self.appended) / seconds


def read_all(settings: Settings) -> Answered:
    """Reads both topics from beginning to end."""
    events = {(r.partition, r.offset): r.timestamp for r in records(settings, topics.EVENTS)}
    answers = {}
    for record in records(settings, topics.RECOMMENDATIONS):
        answered = source(record.headers)
        if answered and answered not in answers:
            answers[answered] = record.timestamp
    return Answered(events, answers)


def records(settings: Settings, name: str) -> list[Any]:
    """All that a topic holds now."""
    topic = settings.topic(name)
    consumer: Any = KafkaConsumer(**settings.brokers.connection(), auto_offset_reset="earliest", group_id=None)
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        found: list[Any] = []
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for some in consumer.poll(timeout_ms=500).values():
                found += some
        return found
    finally:
        consumer.close()
