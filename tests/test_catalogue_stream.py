"""The topic `items` on a running worker: items are public, bad records set aside, what is deleted is gone within a second."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from workers import Worker, Workers, wait_until

from recsys.catalogue.catalogue import Catalogue
from recsys.connection import Client, open_client
from recsys.hashing import hash_item
from recsys.keys import Keys
from recsys.store import MemoryStore
from streams import catalogue as stream
from streams.catalogue import CatalogueStream
from streams.lag import read_spans
from streams.outbox import Outbox
from streams.positions import in_words
from streams.settings import Settings
from streams.topics import EVENTS, ITEMS, RECOMMENDATIONS, REJECTED, create_missing

BOTH = pytest.mark.parametrize("redis_kind", ["single", "cluster"], indirect=True)
WITHIN_S = 1.0
"""The promise."""
PATIENCE_S = 5.0
"""What is waited for it beside other tests; the time that it took is printed."""
SESSIONS = [["a", "b", "c"], ["b", "c", "d"], ["a", "c", "d"], ["a", "b", "d"], ["c", "b"], ["d", "b"]]


class Shop:
    """Writes events and items, and looks at what becomes of them."""

    def __init__(self, settings: Settings, redis: Client) -> None:
        self.settings = settings
        self.redis = redis
        self.keys = Keys(settings.key_prefix)
        create_missing(settings)
        self._producer = KafkaProducer(**settings.brokers.connection(), linger_ms=0)

    def close(self) -> None:
        self._producer.close(timeout=30)

    def keep_everything(self) -> None:
        """Makes the topic of items one that is not compacted, as a shop may have made it: it takes records without a key."""
        topic = ConfigResource(ConfigResourceType.TOPIC, self.settings.topic(ITEMS), {"cleanup.policy": "delete"})
        with KafkaAdminClient(**self.settings.brokers.connection()) as admin:
            admin.alter_configs([topic])

    def tell(self, item: str | None, value: bytes | None, partition: int | None = None) -> None:
        """A record on the topic of items."""
        key = None if item is None else item.encode()
        self._producer.send(self.settings.topic(ITEMS), value, key=key, partition=partition).get(timeout=30)

    def put(self, item: str, **fields: Any) -> bytes:
        value = json.dumps({"item_id": item, "title": f"The {item}", **fields}).encode()
        self.tell(item, value)
        return value

    def delete(self, item: str) -> None:
        self.tell(item, None)

    def click(self, user: str, item: str) -> None:
        event = {"event_type": "click", "user_id": user, "item_id": item}
        self._producer.send(self.settings.topic(EVENTS), json.dumps(event).encode(), key=user.encode()).get(timeout=30)

    def open(self) -> None:
        """Visitors come, and all that they lead to is published."""
        for n, items in enumerate(SESSIONS):
            for item in items:
                self.click(f"v{n}", item)
        self.click("me", "a")
        wait_until(lambda: "b" in self.recommended("me"), "b was recommended")
        wait_until(lambda: "b" in (self.listed(self.keys.similar("a")) or ()), "b was in a's list")
        wait_until(lambda: self.listed(self.keys.similar("b")), "b had a list")
        wait_until(lambda: "b" in (self.listed(self.keys.trending) or ()), "b was popular")

    def stored(self, key: str) -> bytes | None:
        found: Any = self.redis.get(key)
        return None if found is None else bytes(found)

    def listed(self, key: str) -> list[str] | None:
        """The items of a published message; None where there is none."""
        found = self.stored(key)
        return None if found is None else [item["item_id"] for item in json.loads(found)["items"]]

    def recommended(self, user: str) -> list[str]:
        return self.listed(self.keys.recs(user)) or []

    def naming(self, item: str) -> list[str]:
        """What is published that names an item in its list, and the item's own list."""
        p = self.settings.key_prefix
        keys = [
            key.decode() for kind in ("recs:*", "similar:*", "trending") for key in self.redis.scan_iter(f"{p}{kind}", 1000)
        ]
        return [key for key in keys if item in (self.listed(key) or ()) or key == self.keys.similar(item)]

    def records(self, topic: str) -> list[Any]:
        """All records of a topic."""
        spans = read_spans(self.settings.brokers, self.settings.topic(topic))
        places = [TopicPartition(self.settings.topic(topic), number) for number in spans]
        consumer = KafkaConsumer(**self.settings.brokers.connection(), auto_offset_reset="earliest")
        found: list[Any] = []
        try:
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            until = time.monotonic() + 30
            while sum(consumer.position(place) for place in places) < sum(span.end for span in spans.values()):
                assert time.monotonic() < until
                found += [record for records in consumer.poll(timeout_ms=100).values() for record in records]
        finally:
            consumer.close()
        return found

    def newest(self, user: str) -> list[str]:
        """What the topic says is recommended to a user."""
        found = [record for record in self.records(RECOMMENDATIONS) if record.key == user.encode()]
        return [item["item_id"] for item in json.loads(found[-1].value)["items"]]

    def reasons(self) -> dict[tuple[int, int], list[str]]:
        """Why records of the topic of items were rejected, by where they were."""
        found: dict[tuple[int, int], list[str]] = {}
        for record in self.records(REJECTED):
            headers = {name: content.decode() for name, content in record.headers}
            assert headers["topic"] == self.settings.topic(ITEMS)
            found.setdefault((int(headers["partition"]), int(headers["offset"])), []).append(headers["reason"])
        return found

    def noted(self) -> bool:
        """Whether the effects of all that is on the topic are noted."""
        spans = read_spans(self.settings.brokers, self.settings.topic(ITEMS))
        return all(
            int(self.stored(self.keys.catalogue_mark(number)) or -1) == span.end - 1
            for number, span in spans.items()
            if span.end
        )


@pytest.fixture
def shop(namespace: Settings) -> Iterator[Shop]:
    with open_client(namespace.redis) as redis:
        shop = Shop(namespace, redis)
        yield shop
        shop.close()


@pytest.fixture
def workers(shop: Shop, environ: dict[str, str], tmp_path: Path) -> Iterator[Workers]:  # noqa: ARG001 (first the topics)
    with Workers(environ, tmp_path).supervised() as workers:
        yield workers


@pytest.fixture
def worker(workers: Workers) -> Worker:
    return workers.start().wait_ready()


def took(begun: float, what: str) -> None:
    seconds = time.monotonic() - begun
    print(f"{what}: {seconds * 1000:.0f} ms")
    assert seconds < PATIENCE_S


@BOTH
def test_an_item_can_be_read_as_it_came_until_it_is_deleted(shop: Shop, worker: Worker) -> None:
    value = shop.put("mug:1", price=4.5, url="http://shop.example/1", of_tomorrow=[1])
    wait_until(lambda: shop.stored(shop.keys.item("mug:1")) == value, "the item was public")
    value = shop.put("mug:1", price=5)
    wait_until(lambda: shop.stored(shop.keys.item("mug:1")) == value, "the change was public")
    shop.delete("mug:1")
    wait_until(lambda: shop.stored(shop.keys.item("mug:1")) is None, "the item was gone")
    assert worker.terminate() == 0


ALL = in_words(range(4))
"""Partitions, as a worker says that it has all of them."""
BAD: list[tuple[str | None, bytes | None, str]] = [
    ("i", b"{", "not JSON"),
    ("i", b"[]", "not an item"),
    ("i", b'{"price": "cheap"}', "price: "),
    ("i", b'{"price": -1}', "price: "),
    ("i", b'{"price": NaN}', "price: "),
    ("i", b'{"title": "\xff"}', "not UTF-8"),
    ("i", b'{"item_id": "j"}', "item_id: "),
    ("i", b'{"availability": "perhaps"}', "availability: "),
    ("i", b'{"title": "' + b"x" * 70_000 + b'"}', "the record has "),
    (None, b'{"item_id": "i"}', "the record has no key"),
    ("i" * 129, b"{}", "the record's key "),
    ("i" * 129, b"", "the record's key "),
]


def test_bad_records_are_set_aside_each_with_its_reason_and_the_stream_goes_on(shop: Shop, worker: Worker) -> None:
    shop.keep_everything()
    good = shop.put("i", price=1)
    for key, value, _ in BAD:
        shop.tell(key, value, partition=0)
    shop.put("last")
    wait_until(lambda: shop.stored(shop.keys.item("last")), "the last one was public")
    wait_until(lambda: len(shop.reasons()) == len(BAD), "all bad records were set aside")
    found = [reasons for (partition, _), reasons in sorted(shop.reasons().items()) if partition == 0]
    for [reason], (_, _, expected) in zip(found, BAD, strict=True):
        assert reason.startswith(expected)
    assert shop.stored(shop.keys.item("i")) == good, "a bad record changes nothing"
    assert worker.terminate() == 0


@BOTH
@pytest.mark.parametrize("how", ["deleted", "not available"])
def test_a_hidden_item_is_out_of_all_that_is_published_within_a_second_and_comes_back(
    shop: Shop, worker: Worker, how: str
) -> None:
    shop.put("b")
    shop.open()
    begun = time.monotonic()
    if how == "deleted":
        shop.delete("b")
    else:
        shop.put("b", available=False)
    wait_until(lambda: not shop.naming("b"), "b was nowhere", PATIENCE_S, every=0.01)
    took(begun, f"{how}, and nowhere")
    assert (shop.stored(shop.keys.item("b")) is None) == (how == "deleted")
    wait_until(lambda: "b" not in shop.newest("me"), "the topic had it, too")
    shop.click("me", "c")
    wait_until(lambda: shop.recommended("me") and "c" not in shop.recommended("me"), "the click was answered")
    assert "b" not in shop.recommended("me")
    time.sleep(1.0)  # rounds and the second sweep
    assert not shop.naming("b")

    begun = time.monotonic()
    shop.put("b")
    wait_until(lambda: "b" in (shop.listed(shop.keys.similar("a")) or ()), "b was in a's list again", PATIENCE_S)
    wait_until(lambda: shop.listed(shop.keys.similar("b")), "b had its list again", PATIENCE_S)
    wait_until(lambda: "b" in (shop.listed(shop.keys.trending) or ()), "b was popular again", PATIENCE_S)
    took(begun, "put, and back in the lists")
    shop.click("me", "a")
    wait_until(lambda: "b" in shop.recommended("me"), "b was recommended again")
    assert worker.terminate() == 0


def test_what_was_deleted_while_no_worker_ran_is_swept_when_one_has_read_the_catalogue(shop: Shop, workers: Workers) -> None:
    worker = workers.start().wait_ready()
    shop.put("b")
    shop.open()
    assert worker.terminate() == 0
    shop.delete("b")
    shop.put("c", available=False)
    shop.put("d", title="is still there")
    workers.start().wait_ready()
    wait_until(lambda: not shop.naming("b") and not shop.naming("c"), "both were nowhere", PATIENCE_S)
    assert shop.naming("d")


def test_a_worker_that_starts_later_knows_what_is_deleted_when_kafka_has_forgotten_it(shop: Shop, workers: Workers) -> None:
    worker = workers.start().wait_ready()
    shop.open()
    shop.delete("b")
    wait_until(lambda: not shop.naming("b"), "b was nowhere", PATIENCE_S)
    wait_until(shop.noted, "that was noted")
    assert worker.terminate() == 0
    topic = shop.settings.topic(ITEMS)
    for item in ("e", "f", "g", "h"):  # a topic that is emptied keeps its ends: the marks are not beyond them
        shop.put(item)
    shop.keep_everything()  # of a compacted topic Kafka lets nobody delete records
    with KafkaAdminClient(**shop.settings.brokers.connection()) as admin:
        spans = read_spans(shop.settings.brokers, topic)
        admin.delete_records({TopicPartition(topic, number): span.end for number, span in spans.items()})
    workers.start().wait_ready()
    shop.click("me", "c")
    wait_until(lambda: shop.recommended("me") and "c" not in shop.recommended("me"), "the click was answered")
    assert shop.recommended("me")
    assert "b" not in shop.recommended("me")
    shop.put("b")
    wait_until(lambda: "b" in (shop.listed(shop.keys.similar("a")) or ()), "b was back", PATIENCE_S)


def test_a_partition_that_is_added_to_the_topic_is_read_without_a_new_start(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "METADATA_MS", 200)
    topic, known = shop.settings.topic(ITEMS), Catalogue()

    class Desk:
        async def partitions(self, _: str) -> int:
            return before

    async def run() -> None:
        publishing: Any = SimpleNamespace(cold=SimpleNamespace(hasten=lambda: None))
        reading = CatalogueStream(
            shop.settings, shop.keys, known, MemoryStore(), cast(Outbox, Desk()), publishing, before, 1, frozenset()
        )
        task = asyncio.create_task(reading.run())
        try:
            await knows("a")
            with KafkaAdminClient(**shop.settings.brokers.connection()) as admin:
                admin.create_partitions({topic: before + 1})
            with KafkaProducer(**shop.settings.brokers.connection()) as producer:
                producer.send(topic, b'{"title": "new"}', key=b"new", partition=before).get(timeout=30)
            await knows("new")
            shop.put("b")
            await knows("b")
        finally:
            task.cancel()

    async def knows(item: str) -> None:
        async with asyncio.timeout(30):
            while hash_item(item) not in known.names:
                await asyncio.sleep(0.02)

    shop.put("a")
    before = len(read_spans(shop.settings.brokers, topic))
    asyncio.run(run())


def test_two_workers_and_one_that_comes_later_have_each_effect_once(shop: Shop, workers: Workers) -> None:
    for _ in range(2):
        workers.start()
    for worker in workers.started:
        worker.wait_ready()
    first, second = workers.started
    wait_until(lambda: 0 < len(first.partitions) == len(second.partitions) < len(ALL), "the partitions were shared out")
    time.sleep(1.0)  # and both have noticed: until then effects may be had twice
    for partition in range(4):
        shop.tell("bad", b"{", partition=partition)
    wait_until(lambda: len(shop.reasons()) == 4, "all four were set aside")
    wait_until(shop.noted, "that was noted")
    for worker in workers.started:
        assert worker.terminate() == 0
    workers.start().wait_ready()
    value = shop.put("good")
    wait_until(lambda: shop.stored(shop.keys.item("good")) == value, "the item was public")
    assert {where: len(reasons) for where, reasons in shop.reasons().items()} == {(number, 0): 1 for number in range(4)}


def test_a_worker_that_is_killed_leaves_no_effect_undone(shop: Shop, workers: Workers) -> None:
    first, second = workers.start(), workers.start()
    first.wait_ready()
    second.wait_ready()
    shop.open()
    for n in range(40):
        shop.put(f"before{n}")
    first.kill()
    for n in range(40):
        shop.put(f"after{n}")
    shop.delete("b")
    shop.tell("bad", b"{")
    names = [f"{when}{n}" for when in ("before", "after") for n in range(40)]
    wait_until(lambda: all(shop.stored(shop.keys.item(name)) for name in names), "all items were public", 60)
    wait_until(lambda: not shop.naming("b"), "b was nowhere", 60)
    wait_until(lambda: len(shop.reasons()) == 1, "the bad record was set aside", 60)
    wait_until(shop.noted, "that was noted", 60)
    assert second.code is None


def test_a_mark_that_is_moved_back_has_the_effects_repeated(shop: Shop, worker: Worker) -> None:
    value = shop.put("a")
    wait_until(shop.noted, "that was noted")
    [partition] = [number for number, span in read_spans(shop.settings.brokers, shop.settings.topic(ITEMS)).items() if span.end]
    shop.redis.set(shop.keys.item("a"), b"what came late")
    shop.redis.set(shop.keys.catalogue_mark(partition), b"-1")
    wait_until(lambda: shop.stored(shop.keys.item("a")) == value, "the item was as it should be", 20)
    wait_until(shop.noted, "that was noted")
    assert worker.terminate() == 0


def test_where_the_catalogue_is_off_its_topic_is_left_alone(shop: Shop, workers: Workers) -> None:
    workers.start(FRESHET_CATALOGUE="false").wait_ready()
    shop.put("a")
    shop.delete("b")
    shop.open()
    time.sleep(1.0)
    assert shop.stored(shop.keys.item("a")) is None
    assert shop.naming("b")
