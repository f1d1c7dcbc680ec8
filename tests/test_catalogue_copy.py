"""Who only looks reads the topic `items` for himself, and knows of it what a worker knows."""

import asyncio
import json

import pytest
from kafka import KafkaProducer

from recsys.hashing import hash_item
from recsys.keys import Keys
from recsys.store import Entry, MemoryStore
from streams import catalogue_copy
from streams.catalogue_copy import CatalogueUnread, read_catalogue
from streams.settings import Settings
from streams.topics import ITEMS, create_missing

KEYS = Keys("p:")


def test_a_copy_has_the_last_good_description_of_each_item_and_hides_what_is_deleted_or_not_available(
    namespace: Settings,
) -> None:
    store, told = MemoryStore(), list[tuple[float, int]]()
    read = asyncio.run(read_catalogue(namespace, store, KEYS, lambda part, count: told.append((part, count))))
    assert (len(read), told) == (0, []), "there is no topic yet, and there is none after it was looked for"
    create_missing(namespace)
    records = [("cup", "Cup"), ("cup", "Blue cup"), ("pot", "Pot"), ("hat", "Hat"), ("old", "Old"), ("back", "Back")]
    values: list[tuple[str, bytes | None]] = [(item, json.dumps({"title": title}).encode()) for item, title in records]
    values += [("pot", None), ("hat", b'{"available": false}'), ("cup", b"{")]
    with KafkaProducer(**namespace.brokers.connection()) as producer:
        for item, value in values:
            producer.send(namespace.topic(ITEMS), value, key=item.encode(), partition=1).get(timeout=30)
    # Kafka has forgotten that "old" was deleted, and "back" after that came back; "away" it has forgotten whole.
    entries = [
        (KEYS.catalogue, b"2"),
        (KEYS.catalogue_mark(1), b"4"),
        (KEYS.catalogue_deleted(1), b'{"old": 7, "back": 8, "away": 9}'),
    ]
    asyncio.run(store.put([Entry(key, value) for key, value in entries]))
    read = asyncio.run(read_catalogue(namespace, store, KEYS, lambda part, count: told.append((part, count))))
    assert sorted(read.names.values()) == ["back", "cup", "hat"]
    assert read.hidden.tolist() == sorted(map(hash_item, ("pot", "hat", "old", "away")))
    assert told[-1][1] == len(values)
    assert all(0 <= part <= 1 for part, _ in told)
    with KafkaProducer(**namespace.brokers.connection()) as producer:  # as after partitions were added
        for item, value, partition in (("cup", None, 3), ("old", b"{}", 0)):
            producer.send(namespace.topic(ITEMS), value, key=item.encode(), partition=partition).get(timeout=30)
    read = asyncio.run(read_catalogue(namespace, store, KEYS, lambda *_: None))
    assert sorted(read.names.values()) == ["back", "hat", "old"]


class Silent:
    """A consumer of a topic of seven records that never come."""

    def __init__(self, **_: object) -> None:
        pass

    def partitions_for_topic(self, _topic: str) -> set[int]:
        return {0}

    def assign(self, places: object) -> None:
        pass

    def seek_to_beginning(self, *places: object) -> None:
        pass

    def beginning_offsets(self, places: list[object]) -> dict[object, int]:
        return dict.fromkeys(places, 0)

    def end_offsets(self, places: list[object]) -> dict[object, int]:
        return dict.fromkeys(places, 7)

    def position(self, _place: object) -> int:
        return 0

    def poll(self, timeout_ms: int) -> dict[object, list[object]]:
        assert timeout_ms
        return {}

    def close(self) -> None:
        pass


def test_a_topic_that_brings_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_copy, "KafkaConsumer", Silent)
    monkeypatch.setattr(catalogue_copy, "PATIENCE_S", 0.0)
    with pytest.raises(CatalogueUnread, match="brought nothing for 0 s, 7 records before its end"):
        asyncio.run(read_catalogue(Settings(), MemoryStore(), KEYS, lambda *_: None))
