"""Every event counts exactly once, whatever is killed meanwhile: on a real Kafka and a real Redis, against the recount."""

import json
import random
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cold_oracle
import pytest
from customers_oracle import assert_accounts_are
from joins_oracle import assert_joined
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from msgspec.structs import replace
from oracle import Record, Recount, home_partition, partners, recount, sealed
from purchase_counts import assert_purchases_are
from strategies import BAD, click, encoded, home_of, written
from visitor_lists import assert_visitors_are
from workers import Worker, Workers, wait_until

from recsys.connection import Client, open_client, read_values
from recsys.keys import Keys, literal
from recsys.marks import user_mark
from recsys.rules import Rules
from streams.chaos.proxy import Proxy
from streams.doctor import examine
from streams.lag import read_published, read_spans, total_behind
from streams.local import LocalSystem
from streams.local.cluster import LocalCluster
from streams.local.ports import free_port
from streams.publishing import LOOK_S
from streams.settings import Settings
from streams.topics import create_missing
from streams.worker import STOP_APP_S

PARTITIONS = 3
CAUGHT_UP_S = 90.0
BOTH = pytest.mark.parametrize("redis_kind", ["single", "cluster"], indirect=True)
MORTAL = re.compile(
    r"\{u\d+\}:((user|bought|account|context|trials|ledger:(hour|item|search)):.+|contexts|learner)\Z", re.DOTALL
)
"""Internal keys with a lifetime."""
ON_A_CLUSTER = pytest.mark.parametrize("redis_kind", ["cluster"], indirect=True)


class Shop:
    """A seeded producer with all the faults that producers have, and the readers of what comes of it."""

    def __init__(self, settings: Settings, redis: Client, seed: int) -> None:
        self.settings = settings
        self.events = settings.topic("events")
        self.redis = redis
        self._random = random.Random(seed)
        self._sent = 0
        create_missing(settings)
        self.open()

    def open(self) -> None:
        self._producer = KafkaProducer(**self.settings.brokers.connection(), linger_ms=5)

    def close(self) -> None:
        """Ends the producer: kafka-python leaks sockets while its broker is gone."""
        self._producer.close(timeout=30)

    def send(self, events: int) -> None:
        """So many events more, about one in eight of them badly sent; returns when the broker has them."""
        self.start_sending(events)
        self.flush()

    def start_sending(self, events: int) -> None:
        """The same, but returns while most of them are still on their way."""
        for _ in range(events):
            self._send(self._event())

    def flush(self) -> None:
        self._producer.flush(timeout=30)

    def send_one(self, value: bytes | None, key: bytes | None = None, **where: Any) -> None:
        self._producer.send(self.events, value, key=key, **where)

    def _event(self) -> dict[str, Any]:
        rng = self._random
        now_ms = int(time.time() * 1000)
        kinds = ["view", "click", "click", "cart", "purchase", "rating", "refund", "impression", "search", "identify"]
        event = click(event_type=rng.choice(kinds), user_id=f"u{rng.randrange(40)}", item_id=f"i{rng.randrange(60)}")
        self._sent += 1
        event["event_id"] = f"e{self._sent}"
        if event["event_type"] == "purchase" and rng.random() < 0.5:
            event["items"] = [{"item_id": f"i{rng.randrange(60)}"} for _ in range(rng.randrange(1, 6))]
            del event["item_id"]
        if event["event_type"] == "rating":
            event["rating"] = rng.randint(1, 5)
        if event["event_type"] in ("purchase", "refund") and "items" not in event:
            event |= {"quantity": rng.randint(1, 3), "price": rng.randrange(2000) / 100, "currency": rng.choice(["EUR", "USD"])}
        event |= rng.choice([{"source": "web", "country": "DE"}, {"source": "ios"}, {"source": "a:b"}, {}])
        if rng.random() < 0.2:
            event["recommendation_id"] = "r"
        if rng.random() < 0.3:
            event["session_id"] = f"s{rng.randrange(3)}"
        if event["event_type"] == "identify" or rng.random() < 0.1:
            event["anonymous_id"] = f"v{rng.randrange(10)}"
            if event["event_type"] != "identify" and rng.random() < 0.7:
                del event["user_id"]
        if rng.random() < 0.2:
            late = now_ms - rng.choice([0, 60_000, 1_790_000, 1_810_000, 86_400_000])
            event["event_time"] = written(late, rng.choice(["ms", "seconds", "zulu", "offset"]))
        return event

    def _send(self, event: dict[str, Any]) -> None:
        rng = self._random
        value, key = encoded(event), home_of(event).encode()
        mishap = rng.random()
        if mishap < 0.03:
            self._put(key, value, rng.randrange(PARTITIONS))
        elif mishap < 0.06:
            self._put(None, value, rng.randrange(PARTITIONS))
        elif mishap < 0.09:
            self._put(b"till-7", value, None)
        elif mishap < 0.11:
            self._put(key, rng.choice(BAD).value, None)
        else:
            self._put(key, value, None)
            if mishap < 0.15:
                self._put(key, value, rng.choice([None, rng.randrange(PARTITIONS)]))

    def _put(self, key: bytes | None, value: bytes | None, partition: int | None) -> None:
        self._producer.send(self.events, value, key=key, partition=partition)

    def read(self, topic: str) -> list[Any]:
        """All records that a topic holds."""
        consumer = KafkaConsumer(**self.settings.brokers.connection(), consumer_timeout_ms=20_000)
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

    def truth(self) -> Recount:
        """The recount of the topic as it is now."""
        log = [Record(r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in self.read(self.events)]
        return recount(log, PARTITIONS, topic=self.events)

    def caught_up(self) -> bool:
        """Whether everything was counted and published, also what was forwarded meanwhile."""
        published = read_published(self.redis, Keys(self.settings.key_prefix), range(PARTITIONS))
        return total_behind(read_spans(self.settings.brokers, self.events), published) == 0


@pytest.fixture
def shop(namespace: Settings, environ: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Shop]:
    environ["FRESHET_PARTITIONS"] = str(PARTITIONS)
    with open_client(namespace.redis) as redis:
        shop = Shop(replace(namespace, partitions=PARTITIONS), redis, seed=len(request.node.name))
        yield shop
        shop.close()


@pytest.fixture
def workers(shop: Shop, environ: dict[str, str], tmp_path: Path) -> Iterator[Workers]:  # noqa: ARG001 (first the topics)
    with Workers(environ, tmp_path).supervised() as workers:
        yield workers


Counts = dict[str, int]


class Exported(NamedTuple):
    """Of an item, as `freshet export` writes it: its interactions and baskets, and the counts of its neighbours."""

    interactions: int
    neighbours: Counts
    baskets: int
    together: Counts
    after: Counts


def export(environ: Mapping[str, str]) -> dict[str, Exported]:
    """By item."""
    command = [sys.executable, "-m", "streams", "export"]
    output = subprocess.run(command, env=dict(environ), check=True, capture_output=True, timeout=60).stdout
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["item_id"] for line in lines] == sorted(line["item_id"] for line in lines)
    return {
        line["item_id"]: Exported(
            line["interactions"], counts(line["neighbours"]), line.get("baskets", 0),
            counts(line.get("bought_together", [])), counts(line.get("bought_after", [])),
        )
        for line in lines
    }  # fmt: skip


def counts(neighbours: list[dict[str, Any]]) -> Counts:
    return {n["item_id"]: n["count"] for n in neighbours if n["count"]}


def expected(truth: Recount) -> dict[str, Exported]:
    """The same by the recount."""
    after: dict[str, Counts] = defaultdict(dict)
    for (item, bought), n in truth.after.items():
        after[item][bought] = n
    return {
        item: Exported(n, truth.neighbours(item), truth.baskets[item], partners(truth.together, item), after[item])
        for item, n in truth.interactions.items()
    }


def assert_exactly_once(shop: Shop, environ: Mapping[str, str]) -> Recount:
    """That the exported state is the recount, and that nobody's newest recommendation is older than the last interaction."""
    truth = shop.truth()
    assert export(environ) == expected(truth)
    assert truth.together
    assert truth.after
    assert truth.arrived == set(truth.forwarded)
    keys = Keys(shop.settings.key_prefix)
    state = internal_state(shop.redis, keys)
    assert_purchases_are(truth, state, keys, PARTITIONS)
    assert_visitors_are(truth, state, keys, PARTITIONS, Rules().visitors)
    assert_accounts_are(truth, state, keys, PARTITIONS, Rules().session_gap_ms)
    assert_joined(truth, state, keys, PARTITIONS)
    assert truth.joined
    items = {item for event in truth.events for item in event.items}
    assert cold_oracle.stored(state, keys, PARTITIONS, items) == cold_oracle.recounted(truth)
    assert_lifetimes(shop, state)
    assert sum(user_mark(state.get(keys.user_mark(partition))).baskets for partition in range(PARTITIONS)) == truth.opened
    assert_rejected(shop, truth)
    assert_recommended(shop, truth)
    return truth


def internal_state(redis: Client, keys: Keys) -> dict[str, bytes | None]:
    """The whole internal state."""
    names = {name.decode() for name in redis.scan_iter(match=f"{literal(keys.internal)}{{*", count=1000)}
    return dict(zip(sorted(names), read_values(redis, sorted(names)), strict=True))


def assert_lifetimes(shop: Shop, state: Mapping[str, bytes | None]) -> None:
    """That what is kept of a user, a context or a recommended item expires, and what all are counted by does not."""
    kept_s: Any = shop.settings.retention_s
    pipeline = shop.redis.pipeline(transaction=False)
    for key in state:
        pipeline.ttl(key)
    for key, lifetime_s in zip(state, pipeline.execute(), strict=True):
        assert (kept_s - 600 < lifetime_s <= kept_s) if MORTAL.search(key) else lifetime_s == -1, key


def assert_rejected(shop: Shop, truth: Recount) -> None:
    """That all that is bad is on `rejected`, as it came, at least once, and nothing else."""
    events = {(r.partition, r.offset): r for r in shop.read(shop.events)}
    seen = set()
    for record in shop.read(shop.settings.topic("rejected")):
        headers = dict(record.headers)
        assert set(headers) == {"reason", "topic", "partition", "offset"}
        assert headers["topic"].decode() == shop.events
        name = int(headers["partition"]), int(headers["offset"])
        assert (record.key, record.value) == (events[name].key, events[name].value)
        assert truth.rejected[name] in headers["reason"].decode()
        seen.add(name)
    assert seen == set(truth.rejected)


def assert_recommended(shop: Shop, truth: Recount) -> None:
    """That every user's newest recommendation, on the topic and in Redis, answers the last interaction or a later event. Those
    who never interacted have one if a visitor joined who had."""
    newest = {record.key.decode(): record for record in shop.read(shop.settings.topic("recommendations"))}
    assert set(newest) == set(truth.newest) | truth.known
    for user, record in newest.items():
        if user not in truth.newest:
            continue
        topic, partition, offset = dict(record.headers)["source"].decode().split("/")
        assert (topic, int(partition)) == (shop.events, truth.newest[user][0])
        assert int(offset) >= truth.newest[user][1]
        said = json.loads(record.value)
        assert said["user_id"] == user
        [kept] = read_values(shop.redis, [Keys(shop.settings.key_prefix).recs(user)])
        assert kept is not None
        assert json.loads(kept)["generated_at"] >= said["generated_at"]


def wait_caught_up(shop: Shop) -> None:
    wait_until(shop.caught_up, "everything was counted", CAUGHT_UP_S, every=0.2)


@BOTH
def test_a_worker_that_is_killed_at_random_moments_counts_everything_once(
    shop: Shop, workers: Workers, environ: dict[str, str]
) -> None:
    rng = random.Random(1)
    interrupted = []
    for _ in range(2):
        worker = workers.start().wait_ready()
        shop.start_sending(rng.randrange(1500, 2500))
        time.sleep(rng.random() / 4)  # the very point is not to wait for anything
        worker.kill()
        interrupted.append(not shop.caught_up())
        shop.flush()
    assert any(interrupted)
    workers.start()
    wait_caught_up(shop)
    truth = assert_exactly_once(shop, environ)
    assert truth.forwarded
    assert truth.rejected


def test_workers_that_join_and_leave_count_everything_once(shop: Shop, workers: Workers, environ: dict[str, str]) -> None:
    first = workers.start().wait_ready()
    shop.send(1000)
    second = workers.start()

    def joined() -> bool:
        shop.send(20)
        return second.is_ready

    wait_until(joined, "the second worker was ready", every=0.1)
    shop.send(1000)
    assert first.terminate() == 0
    shop.send(500)
    wait_caught_up(shop)
    assert second.code is None
    assert_exactly_once(shop, environ)


def test_a_worker_that_was_asleep_while_another_took_over_ends_and_costs_nothing(
    shop: Shop, workers: Workers, environ: dict[str, str]
) -> None:
    sleeper = workers.start().wait_ready()
    shop.start_sending(1500)
    sleeper.pause()
    shop.flush()
    other = workers.start()
    wait_until(lambda: other.is_ready and shop.caught_up(), "another worker took over", CAUGHT_UP_S, every=0.3)
    shop.send(200)
    sleeper.wake()
    assert sleeper.wait(20) == 1
    assert "stood still for" in sleeper.last_line
    shop.send(200)
    wait_caught_up(shop)
    assert_exactly_once(shop, environ)


def test_what_a_late_worker_moved_back_by_many_chunks_is_published_once_more(
    shop: Shop, workers: Workers, environ: dict[str, str]
) -> None:
    owner = workers.start().wait_ready()
    for _ in range(4):
        shop.send(1000)
        wait_caught_up(shop)
    key = Keys(shop.settings.key_prefix).published(1)
    end: Any = shop.redis.get(key)
    shop.redis.set(key, "5")
    wait_until(lambda: shop.redis.get(key) == end, "the owner published everything from there once more", LOOK_S + 40)
    assert owner.code is None
    assert_exactly_once(shop, environ)


def test_a_redis_that_loses_everything_while_workers_count_is_filled_again(
    shop: Shop, workers: Workers, environ: dict[str, str]
) -> None:
    workers.start().wait_ready()
    for _ in range(3):
        shop.start_sending(700)
        delete_state(shop)
    shop.flush()

    def caught_up() -> bool:
        workers.replace_the_fallen()
        return shop.caught_up()

    wait_until(caught_up, "everything was counted", CAUGHT_UP_S, every=0.3)
    assert_exactly_once(shop, environ)


def delete_state(shop: Shop) -> None:
    """Takes all of this test's keys from Redis in one step."""
    keys = list(shop.redis.scan_iter(f"{shop.settings.key_prefix}*", count=10_000))
    if keys:
        shop.redis.delete(*keys)


def test_events_that_kafka_deleted_before_they_were_counted_are_named_and_passed_over_only_on_demand(
    shop: Shop, workers: Workers
) -> None:
    shop.send(300)
    first = workers.start().wait_ready()
    wait_caught_up(shop)
    assert first.terminate() == 0
    shop.send(600)
    ends = {number: span.end for number, span in read_spans(shop.settings.brokers, shop.events).items()}
    with KafkaAdminClient(**shop.settings.brokers.connection()) as admin:
        admin.delete_records({TopicPartition(shop.events, number): end for number, end in ends.items()})
    refused = workers.start()
    assert refused.wait(60) == 1
    assert "events of partition" in refused.last_line
    assert "FRESHET_ACCEPT_LOSS=true" in refused.last_line
    workers.start(FRESHET_ACCEPT_LOSS="true").wait_ready()
    shop.send(50)
    wait_caught_up(shop)
    marks = [user_mark(stored(shop, number)) for number in ends]
    assert sum(mark.lost for mark in marks) > 0


def stored(shop: Shop, partition: int) -> bytes | None:
    value: Any = shop.redis.get(Keys(shop.settings.key_prefix).user_mark(partition))
    return value  # type: ignore[no-any-return]


def test_a_redis_that_is_killed_and_comes_back_costs_nothing(
    shop: Shop, workers: Workers, environ: dict[str, str], system: LocalSystem
) -> None:
    worker = workers.start().wait_ready()
    shop.send(2000)
    system.redis.kill()
    assert worker.wait(40) == 1
    assert worker.last_line.startswith("freshet: Redis at ")
    shop.send(500)
    system.redis.start()
    workers.start().wait_ready()
    shop.send(500)
    wait_caught_up(shop)
    assert_exactly_once(shop, environ)


@ON_A_CLUSTER
def test_nodes_of_a_cluster_that_are_killed_and_come_back_cost_nothing(
    shop: Shop, workers: Workers, environ: dict[str, str], cluster: LocalCluster
) -> None:
    rng = random.Random(2)
    for node, worker_is_killed in zip(cluster.nodes[:2], (False, True), strict=True):
        worker = workers.start().wait_ready()
        shop.start_sending(rng.randrange(1000, 1500))
        time.sleep(rng.random() / 2)
        node.kill()
        if worker_is_killed:
            worker.kill()
        else:
            assert worker.wait(40) == 1
            assert worker.last_line.startswith("freshet: Redis at redis+cluster://")
        shop.flush()
        cluster.start()
    workers.start().wait_ready()
    shop.send(500)
    wait_caught_up(shop)
    assert_exactly_once(shop, environ)


def test_a_broker_that_is_killed_and_comes_back_costs_nothing(
    shop: Shop, workers: Workers, environ: dict[str, str], system: LocalSystem
) -> None:
    workers.start().wait_ready()
    shop.send(2000)
    shop.close()
    system.kafka.kill()
    system.kafka.start()
    shop.open()
    shop.send(1000)

    def caught_up() -> bool:
        workers.replace_the_fallen()
        return shop.caught_up()

    wait_until(caught_up, "everything was counted", CAUGHT_UP_S, every=0.3)
    assert_exactly_once(shop, environ)


def test_a_worker_whose_broker_is_gone_does_not_wait_for_it_when_it_is_told_to_end(
    shop: Shop, workers: Workers, system: LocalSystem
) -> None:
    """What it leaves undone is what a kill -9 leaves: the tests above count that."""
    worker = workers.start().wait_ready()
    shop.send(2000)
    shop.close()
    system.kafka.kill()
    try:
        assert worker.terminate(STOP_APP_S) == 0
    finally:
        system.kafka.start()


def test_a_slow_redis_costs_time_and_neither_memory_nor_events(
    shop: Shop, workers: Workers, environ: dict[str, str], system: LocalSystem
) -> None:
    with Proxy(system.redis.port) as proxy:
        worker = workers.start(FRESHET_REDIS=f"redis://127.0.0.1:{proxy.port}/0").wait_ready()
        shop.send(3000)
        wait_caught_up(shop)
        before = worker.memory_mb
        proxy.delay(0.7)
        shop.send(12_000)
        most = 0.0
        for _ in range(20):
            time.sleep(0.25)  # nothing is to be waited for: it is watched
            most = max(most, worker.memory_mb)
        lag = [finding for finding in examine(shop.settings) if finding.area == "lag"]
        assert any(not finding.found.startswith("0 ") for finding in lag), lag
        assert worker.code is None
        assert most < before + 60, f"{before:.0f} MB before, {most:.0f} MB at most"
        proxy.delay(0)
        wait_caught_up(shop)
        assert worker.code is None
        assert_exactly_once(shop, environ)


def test_bad_input_of_every_kind_is_set_aside_and_the_rest_counts(
    shop: Shop, workers: Workers, environ: dict[str, str]
) -> None:
    workers.start()
    for number, bad in enumerate(BAD):
        shop.send_one(bad.value, None if number % 3 else b"\xff", partition=number % PARTITIONS)
        shop.start_sending(1)
    home = home_partition("u1", PARTITIONS)
    forged = sealed(encoded(click()), 1, 10**9, 1_764_000_000_000, PARTITIONS, home, shop.events, secret=b"guessed")
    for header in (b"", b"x", b"1/2", b"-1/2/3", b"1/2/3x", b"1/999999999/1764000000000", forged):
        for partition in range(PARTITIONS):
            shop.send_one(encoded(click()), partition=partition, headers=[("forwarded", header)])
    shop.flush()
    wait_caught_up(shop)
    truth = assert_exactly_once(shop, environ)
    assert len(truth.rejected) >= len(BAD)


def test_sigterm_ends_a_busy_worker_with_0_within_10_seconds(shop: Shop, workers: Workers) -> None:
    worker = workers.start().wait_ready()
    shop.send(2000)
    assert worker.terminate(10) == 0


def test_sigterm_ends_a_worker_that_is_only_starting(workers: Workers) -> None:
    worker = workers.start()
    time.sleep(1.5)
    assert worker.terminate(10) == 0


@pytest.mark.parametrize(
    ("variable", "scheme", "what"), [("FRESHET_BROKER", "kafka", "Kafka"), ("FRESHET_REDIS", "redis", "Redis")]
)
def test_without_its_servers_a_worker_ends_with_1_and_says_so(
    environ: dict[str, str], tmp_path: Path, variable: str, scheme: str, what: str
) -> None:
    address = f"{scheme}://127.0.0.1:{free_port()}"
    with Workers(environ, tmp_path).supervised() as workers:
        worker = workers.start(**{variable: address})
        assert worker.wait(60) == 1
    assert worker.last_line.startswith(f"freshet: {what} at {address} does not answer")
    assert "Traceback" not in worker.stderr


def test_a_topic_with_other_partitions_than_the_state_is_refused(shop: Shop, workers: Workers) -> None:
    assert workers.start().wait_ready().terminate() == 0
    with KafkaAdminClient(**shop.settings.brokers.connection()) as admin:
        admin.create_partitions({shop.events: PARTITIONS + 1})
    worker: Worker = workers.start()
    assert worker.wait(60) == 1
    assert f"partitions was {PARTITIONS} and is {PARTITIONS + 1}" in worker.last_line
    assert "rebuild" in worker.last_line
