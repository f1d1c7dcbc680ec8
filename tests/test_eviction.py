"""A Redis that forgets keys: warned of before, refused afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaProducer
from redis import Redis
from workers import Workers, wait_until

from streams.doctor import examine
from streams.eviction import evictions_at
from streams.local.ports import HOST, free_port
from streams.local.redis import local_redis
from streams.settings import Settings
from streams.topics import EVENTS, create_missing


@pytest.fixture
def forgetful(namespace: Settings) -> Iterator[Redis]:
    """The shared Redis, set to evict when it is full; it is far from that."""
    with Redis.from_url(namespace.redis) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", "8gb")
        yield client
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "0")


@pytest.mark.usefixtures("forgetful")
def test_a_redis_that_may_evict_is_a_failure_for_the_doctor_and_a_warning_at_a_workers_start(
    namespace: Settings, environ: dict[str, str], tmp_path: Path
) -> None:
    [finding] = [finding for finding in examine(namespace) if finding.what == "eviction"]
    assert finding.status == "failure"
    assert "allkeys-lru" in finding.found
    assert "noeviction" in finding.todo
    with Workers(environ, tmp_path).supervised() as workers:
        worker = workers.start().wait_ready()
        wait_until(lambda: "Redis may evict keys" in worker.stderr, "the worker warned")


def test_keys_that_were_evicted_are_told(tmp_path: Path) -> None:
    full = local_redis(tmp_path, free_port(), lines="maxmemory 8mb\nmaxmemory-policy allkeys-lru\n")
    url = f"redis://{HOST}:{full.port}/0"
    full.start()
    try:
        with Redis.from_url(url) as client:
            assert "may evict" in evictions_at(url)
            for n in range(400):
                client.set(f"k{n}", b"x" * 50_000)
            assert "has evicted" in evictions_at(url)
    finally:
        full.stop()


def test_a_worker_that_finds_a_part_of_the_state_missing_refuses_to_go_on(
    namespace: Settings, environ: dict[str, str], tmp_path: Path
) -> None:
    create_missing(namespace)
    with (
        Workers(environ, tmp_path).supervised() as workers,
        KafkaProducer(**namespace.brokers.connection()) as producer,
        Redis.from_url(namespace.redis) as redis,
    ):

        def send() -> None:
            for n in range(200):
                event = b'{"event_type":"click","user_id":"u%d","item_id":"i%d"}' % (n % 20, n)
                producer.send(namespace.topic(EVENTS), event, key=b"u%d" % (n % 20))
            producer.flush()

        worker = workers.start().wait_ready()
        send()
        marks = f"{namespace.key_prefix}{{i*}}:mark"
        wait_until(lambda: len(list(redis.scan_iter(marks, count=10_000))) == 32, "all shards have marks")
        evicted = next(iter(redis.scan_iter(marks, count=10_000)))
        redis.delete(evicted)
        send()
        assert worker.wait(60) == 1
        again = workers.start()
        assert again.wait(60) == 1
        for refused in (worker, again):
            assert "did Redis evict or lose keys?" in refused.last_line
            assert "noeviction" in refused.last_line
        assert not redis.exists(evicted)
