"""A copy of the catalogue: the topic `items` read once, for one who looks at the state and is no worker."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from recsys.catalogue.catalogue import Catalogue
from recsys.catalogue.deletions import Deletions, partitions_read, read_deletions
from recsys.catalogue.item import BadItem
from recsys.catalogue.last_words import LastWords
from recsys.keys import Keys
from recsys.store import Store
from streams.item_parts import told_by
from streams.settings import Settings
from streams.topics import ANSWER_MS, ITEMS

POLL_MS = 200
PATIENCE_S = 30.0
"""So long without a record, and the reading is given up."""

Shown = Callable[[float, int], None]
"""Is told what part of the topic is read, 0 to 1, and how many records that are."""


class CatalogueUnread(RuntimeError):
    """The catalogue could not be read to its end."""


async def read_catalogue(settings: Settings, store: Store, keys: Keys, shown: Shown) -> Catalogue:
    """All items on the topic as a worker knows them; none where there is no topic.

    Raises `kafka.errors.KafkaError`, and `CatalogueUnread` where records stop coming.
    """
    deletions = await read_deletions(store, keys, await partitions_read(store, keys))
    return await asyncio.to_thread(_read, settings, deletions, shown)


def _read(settings: Settings, deletions: list[Deletions], shown: Shown) -> Catalogue:
    catalogue = Catalogue()
    words = LastWords(catalogue)
    for number, deleted in enumerate(deletions):
        words.open(number, deleted)
    consumer: Any = KafkaConsumer(
        **settings.brokers.connection(), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest",
        bootstrap_timeout_ms=ANSWER_MS, allow_auto_create_topics=False,
    )  # fmt: skip
    try:
        for record in _records(consumer, settings.topic(ITEMS), shown):
            try:
                told = told_by(record)
            except BadItem:
                continue
            words.hear(record.partition, record.offset, record.timestamp, told)
    finally:
        consumer.close()
    return catalogue


def _records(consumer: Any, topic: str, shown: Shown) -> Iterator[Any]:
    """All records up to the topic's present end."""
    places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    if not places:
        return
    consumer.assign(places)
    begins, ends = consumer.beginning_offsets(places), consumer.end_offsets(places)
    consumer.seek_to_beginning(*places)
    total, count, came = sum(ends.values()) - sum(begins.values()), 0, time.monotonic()
    while behind := sum(max(0, ends[place] - consumer.position(place)) for place in places):
        fetched = consumer.poll(timeout_ms=POLL_MS)
        for records in fetched.values():
            yield from records
            count += len(records)
        if fetched:
            came = time.monotonic()
        elif time.monotonic() - came > PATIENCE_S:
            raise CatalogueUnread(f"the topic {topic} brought nothing for {PATIENCE_S:g} s, {behind:,} records before its end")
        shown(1.0 - behind / total, count)
