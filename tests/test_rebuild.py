"""The state is built anew beside the live one and takes its place: on a real Kafka and a real Redis, against the recount."""

import asyncio
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from msgspec.structs import replace
from oracle import Record, Recount, recount
from redis import Redis
from strategies import click, encoded
from workers import Worker, Workers, wait_until

from recsys.export import export_items
from recsys.generations import StateReplaced, open_live
from recsys.keys import Keys
from recsys.store import Entry, MemoryStore, Swap
from streams.cli import main
from streams.failure import Failure
from streams.lag import read_published, read_spans, total_behind
from streams.live import live_keys, read_live
from streams.rebuild.run import refuse_cluster
from streams.settings import Settings
from streams.topics import create_missing

PARTITIONS = 3
COMMAND = (sys.executable, "-m", "streams")


class Shop:
    """A seeded producer, and the readers of what comes of its events."""

    def __init__(self, settings: Settings, environ: dict[str, str]) -> None:
        self.settings = settings
        self.environ = environ
        self.events = settings.topic("events")
        self.redis = Redis.from_url(settings.redis)
        self.public = Keys(settings.key_prefix)
        self._random = random.Random(7)
        self._sent = 0
        create_missing(settings)
        self.open()

    def open(self) -> None:
        """A producer that knows how many partitions there are now."""
        self.producer = KafkaProducer(**self.settings.brokers.connection(), linger_ms=5)

    def close(self) -> None:
        self.producer.close(timeout=30)

    def send(self, events: int, *, astray: float = 0.0) -> None:
        """So many events; a share of them under another key than the user's, and another one that is none."""
        for _ in range(events):
            self._sent += 1
            user = f"u{self._random.randrange(30)}"
            event = click(user_id=user, item_id=f"i{self._random.randrange(40)}", event_id=f"e{self._sent}")
            strays = self._random.random() < astray
            self.producer.send(self.events, encoded(event), key=b"till-7" if strays else user.encode())
            if self._random.random() < astray / 2:
                self.producer.send(self.events, b"{", key=user.encode())
        self.producer.flush(timeout=30)

    def add_partitions(self, total: int) -> None:
        with KafkaAdminClient(**self.settings.brokers.connection()) as admin:
            admin.create_partitions({self.events: total})
        wait_until(lambda: len(read_spans(self.settings.brokers, self.events)) == total, "the partitions were there")
        self.close()
        self.open()

    def read(self, topic: str) -> list[Any]:
        """All records that a topic holds."""
        consumer = KafkaConsumer(**self.settings.brokers.connection())
        try:
            partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
            ends = consumer.end_offsets(partitions)
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            records: list[Any] = []
            while any(consumer.position(partition) < end for partition, end in ends.items()):
                for found in consumer.poll(timeout_ms=500).values():
                    records += found
        finally:
            consumer.close()
        return records

    def truth(self, partitions: int = PARTITIONS, **rules: Any) -> Recount:
        log = [Record(r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in self.read(self.events)]
        return recount(log, partitions, topic=self.events, **rules)

    def caught_up(self) -> bool:
        """Whether everything was counted and published in the live generation."""
        spans = read_spans(self.settings.brokers, self.events)
        keys = live_keys(self.redis, self.settings.key_prefix)
        return total_behind(spans, read_published(self.redis, keys, spans)) == 0

    def wait_caught_up(self) -> None:
        wait_until(self.caught_up, "everything was counted", 60, every=0.2)

    def run(self, *arguments: str, code: int = 0, **variables: str) -> "subprocess.CompletedProcess[str]":
        """A `freshet` command, which ends with `code`."""
        environ = {**self.environ, **variables}
        done = subprocess.run([*COMMAND, *arguments], env=environ, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done

    def exported(self) -> dict[str, tuple[int, dict[str, int]]]:
        """Of each item its interactions and the counts of its neighbours, as `freshet export` writes them."""
        keys = live_keys(self.redis, self.settings.key_prefix)
        return {
            item.item_id: (item.interactions, {n.item_id: n.count for n in item.neighbours if n.count})
            for item in export_items(self.redis, keys, self.settings.rules.half_life_ms)
        }

    def assert_is(self, truth: Recount) -> None:
        assert self.exported() == {item: (n, truth.neighbours(item)) for item, n in truth.interactions.items()}

    def assert_fresh(self, truth: Recount) -> None:
        """That the newest recommendation of everybody, on the topic and in Redis, answers the last interaction or later."""
        newest = {record.key.decode(): record for record in self.read(self.settings.topic("recommendations"))}
        for user, (partition, offset) in truth.newest.items():
            topic, said_partition, said_offset = dict(newest[user].headers)["source"].decode().split("/")
            assert (topic, int(said_partition)) == (self.events, partition)
            assert int(said_offset) >= offset
            assert json.loads(self.redis.get(self.public.recs(user)) or b"")["user_id"] == user


@pytest.fixture
def shop(namespace: Settings, environ: dict[str, str]) -> Iterator[Shop]:
    environ["FRESHET_PARTITIONS"] = str(PARTITIONS)
    shop = Shop(replace(namespace, partitions=PARTITIONS), environ)
    yield shop
    shop.close()
    shop.redis.close()


@pytest.fixture
def workers(shop: Shop, tmp_path: Path) -> Iterator[Workers]:
    with Workers(shop.environ, tmp_path).supervised() as workers:
        yield workers


def all_keys(redis: Redis, prefix: str) -> set[str]:
    return {key.decode() for key in redis.scan_iter(match=f"{prefix}*")}


def count_all(shop: Shop, worker: Worker) -> None:
    """Counts what there is, with a worker that has ended then."""
    worker.wait_ready()
    shop.wait_caught_up()
    assert worker.terminate() == 0


def test_another_number_of_partitions_is_refused_and_rebuild_is_the_way_out(shop: Shop, workers: Workers) -> None:
    shop.send(600)
    count_all(shop, workers.start())
    shop.add_partitions(5)
    shop.send(200)
    refused = workers.start()
    assert refused.wait(60) == 1
    assert "partitions was 3 and is 5" in refused.last_line
    assert "freshet rebuild" in refused.last_line

    [row, *_] = shop.redis.scan_iter(match=f"{shop.settings.key_prefix}{{i*}}:row:*", count=1000)
    shop.redis.delete(row)  # a damaged state is no obstacle
    said = json.loads(shop.run("rebuild", "--json").stdout)
    assert (said["live"], said["new"], said["missing"]) == ("g1", "g2", "")
    assert said["recount"]["differences"] == 0
    assert said["totals"]["g1"]["interactions"] == 600
    assert said["totals"]["g2"]["interactions"] == 800
    shop.assert_is(shop.truth(5))
    shop.assert_fresh(shop.truth(5))

    worker = workers.start().wait_ready()
    shop.send(200)
    shop.wait_caught_up()
    truth = shop.truth(5)
    shop.assert_is(truth)
    shop.assert_fresh(truth)
    assert worker.terminate() == 0

    with KafkaAdminClient(**shop.settings.brokers.connection()) as admin:
        ours = [group for group in admin.list_groups() if shop.settings.key_prefix.strip(":") in str(group)]
    assert len(ours) == 1, "that of the build is gone"
    shop.redis.set(shop.public.unpublished, "g2")  # as if the rebuild had been killed right after its switch
    on_topic = len(shop.read(shop.settings.topic("recommendations")))
    back = shop.run("rebuild", "--back", code=1)
    assert not shop.redis.exists(shop.public.unpublished)
    assert len(shop.read(shop.settings.topic("recommendations"))) == on_topic + len(truth.newest)
    assert "g1 was built from" in back.stderr
    assert "3 partitions" in back.stderr
    assert back.stderr.count("\n") == 1
    shop.run("rebuild", "--drop")
    assert all_keys(shop.redis, shop.settings.key_prefix + "{") == set()
    assert all_keys(shop.redis, shop.settings.key_prefix + "g1:") == set()
    assert "no generation to go back to" in shop.run("rebuild", "--back", code=1).stderr
    shop.assert_is(truth)


def test_changed_rules_are_counted_anew_while_a_worker_counts_and_readers_always_find_something(
    shop: Shop, workers: Workers
) -> None:
    shop.send(1500, astray=0.1)
    worker = workers.start().wait_ready()
    shop.wait_caught_up()
    assert read_live(shop.redis, shop.settings.key_prefix) == "g1"
    done = threading.Event()
    missed: list[str] = []

    def load() -> None:
        while not done.wait(0.05):
            shop.send(10, astray=0.1)

    def look() -> None:
        with Redis.from_url(shop.settings.redis) as redis:
            looked = [shop.public.recs("u1"), shop.public.similar("i1"), shop.public.trending]
            while not done.is_set():
                missed.extend(key for key, value in zip(looked, redis.mget(looked), strict=True) if value is None)

    threads = [threading.Thread(target=load), threading.Thread(target=look)]
    for thread in threads:
        thread.start()
    try:
        shown = shop.run("rebuild", FRESHET_WINDOW="2").stdout
        assert worker.wait(30) == 1
        again = workers.start(FRESHET_WINDOW="2").wait_ready()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert missed == []
    assert "g2 is live, g1 is kept" in shown
    assert "the state was rebuilt: start again" in worker.last_line
    shop.wait_caught_up()
    truth = shop.truth(window=2)
    assert truth.forwarded
    shop.assert_is(truth)
    shop.assert_fresh(truth)
    rejected = {(dict(r.headers)["partition"], dict(r.headers)["offset"]) for r in shop.read(shop.settings.topic("rejected"))}
    assert {(int(partition), int(offset)) for partition, offset in rejected} == set(truth.rejected)

    again.terminate()
    shop.run("rebuild", "--back")
    assert read_live(shop.redis, shop.settings.key_prefix) == "g1"
    count_all(shop, workers.start())
    shop.assert_is(shop.truth())
    shop.assert_fresh(shop.truth())


def test_a_rebuild_that_is_killed_goes_on_where_it_was(shop: Shop, workers: Workers) -> None:
    shop.send(8000)
    count_all(shop, workers.start())
    unfinished = Keys(f"{shop.settings.key_prefix}g2:")

    def counted() -> int:
        stored = [shop.redis.get(unfinished.user_mark(partition)) for partition in range(PARTITIONS)]
        return sum(json.loads(mark).get("offset", 0) for mark in stored if mark)

    killed = subprocess.Popen([*COMMAND, "rebuild"], env=shop.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(counted, "the new generation was begun", 60, every=0.01)
    killed.kill()
    killed.wait()
    before = counted()
    assert 0 < before < 8000 - PARTITIONS
    other = shop.run("rebuild", code=1, FRESHET_WINDOW="2").stderr
    assert "FRESHET_WINDOW was 5 and is 2" in other
    assert "--anew" in other
    assert counted() == before
    assert json.loads(shop.run("rebuild", "--json").stdout)["new"] == "g2"
    shop.assert_is(shop.truth())


def test_what_the_log_no_longer_holds_must_be_accepted_and_what_is_counted_wrongly_never_is(
    shop: Shop, workers: Workers
) -> None:
    shop.send(500)
    count_all(shop, workers.start())
    cut = {TopicPartition(shop.events, 0): 20}
    with KafkaAdminClient(**shop.settings.brokers.connection()) as admin:
        admin.delete_records(cut)
    wait_until(lambda: read_spans(shop.settings.brokers, shop.events)[0].begin == 20, "the records were deleted")
    refused = shop.run("rebuild", "--json", code=1)
    assert json.loads(refused.stdout)["switch"] is None
    assert "partition 0 begins at offset 20" in refused.stderr
    assert "of 500 interactions that the live state has counted, 20 are not in the new one" in refused.stderr
    assert "--accept-loss" in refused.stderr
    assert read_live(shop.redis, shop.settings.key_prefix) == "g1"

    [row, *_] = shop.redis.scan_iter(match=f"{shop.settings.key_prefix}g2:{{i*}}:row:*", count=1000)
    value: Any = bytearray(shop.redis.get(row))  # type: ignore[arg-type]
    value[8] ^= 1  # its interactions
    shop.redis.set(row, bytes(value))
    wrong = shop.run("rebuild", "--accept-loss", code=1)
    assert "differs from a recount of the topic in 1 counts, nothing was switched: i" in wrong.stderr
    assert read_live(shop.redis, shop.settings.key_prefix) == "g1"

    shop.run("rebuild", "--anew", "--accept-loss")
    assert read_live(shop.redis, shop.settings.key_prefix) == "g3"
    assert all_keys(shop.redis, shop.settings.key_prefix + "g2:") == set()
    shop.assert_is(shop.truth())


def test_an_empty_topic_is_rebuilt_as_well_and_a_missing_one_is_a_failure(shop: Shop) -> None:
    said = json.loads(shop.run("rebuild", "--json").stdout)
    assert said["switch"]["published"] == 0
    assert said["totals"]["g2"]["items"] == 0
    missing = shop.run("rebuild", code=1, FRESHET_TOPIC_PREFIX="nowhere-").stderr
    assert "there is no topic nowhere-events" in missing
    assert missing.count("\n") == 1


@pytest.mark.parametrize("options", [("--back", "--drop"), ("--back", "--accept-loss")])
def test_options_that_exclude_each_other_are_wrong_usage(options: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, ["rebuild", *options])
    assert result.exit_code == 2
    assert "stand alone" in result.stderr


def test_on_a_cluster_the_way_is_another_prefix() -> None:
    with pytest.raises(Failure, match=r"redis\+cluster://me:\*\*\*@a.*FRESHET_KEY_PREFIX"):
        refuse_cluster(Settings(redis="redis+cluster://me:secret@a"))


def test_nothing_is_written_into_a_generation_that_is_not_live_any_more() -> None:
    async def test() -> None:
        plain = MemoryStore()
        old = await open_live(plain, "p:")
        assert await old.put([Entry(old.keys.recs("u"), b"1")])
        assert await old.swap([Swap(old.keys.user_mark(0), None, b"1", {})]) == [True]
        assert await old.swap([Swap(old.keys.user_mark(0), None, b"2", {})]) == [False]
        plain.values["p:live"] = b"g2"
        for write in (old.put([Entry(old.keys.recs("u"), b"2")]), old.swap([Swap(old.keys.user_mark(0), b"1", b"2", {})])):
            with pytest.raises(StateReplaced, match=r"start again, to go on with g2 in place of g1"):
                await write
        assert plain.values == {"p:live": b"g2", "p:recs:u": b"1", "p:{u0}:mark": b"1"}
        new = await open_live(plain, "p:")
        assert await new.put([Entry(new.keys.recs("u"), b"3")])
        assert await new.swap([Swap(new.keys.user_mark(0), None, b"1", {})]) == [True]
        assert plain.values["p:g2:{u0}:mark"] == b"1"

    asyncio.run(test())
