"""What ranking learned outlives the worker that learned it; losing it costs no count."""

import asyncio
from pathlib import Path

from kafka import KafkaProducer
from strategies import click, encoded
from test_rank import Shop, event, others
from workers import Workers, wait_until

from recsys.connection import open_client, read_values
from recsys.engine import Engine
from recsys.events import Event
from recsys.keys import Keys
from recsys.learners import unpack
from recsys.ranking.features import FIRST
from recsys.rules import Rules
from streams.lag import read_published, read_spans, total_behind
from streams.settings import Settings
from streams.topics import create_missing

KEYS = Keys("p:")
RULES = Rules(hide=frozenset())
VISITORS = others(*[["a", "b", "c"], ["a", "c", "d", "a"], ["b", "d"], ["c", "e", "f"]] * 15)
LATER = [event("me", "a"), event("me", "b", at_ms=1000)]


def learned_from(*events: Event) -> Shop:
    shop = Shop(RULES).take(*events)
    asyncio.run(shop.store.put(shop.engine.learned([0])))
    return shop


def another_worker(shop: Shop) -> None:
    """A new engine on the same store."""
    shop.engine = Engine(shop.store, KEYS, RULES)
    asyncio.run(shop.engine.begin(0, born=""))


def scores(shop: Shop) -> dict[str, float]:
    shop.take(*LATER)
    return {item.item_id: item.score for item in shop.newest["me"].items}


def test_another_worker_goes_on_with_what_the_first_learned() -> None:
    first, second, unlearned = (learned_from(*VISITORS) for _ in range(3))
    another_worker(second)
    del unlearned.store.values[KEYS.learner(0)]
    another_worker(unlearned)
    assert scores(second) == scores(first) != scores(unlearned)


def test_what_is_damaged_begins_anew() -> None:
    damaged, unlearned = (learned_from(*VISITORS) for _ in range(2))
    stored = damaged.store.values[KEYS.learner(0)]
    for value in (b"", b"\xff", stored[:-1], stored[: len(stored) // 2], b"\x91\xa3abc", b"\x90", b"\x92\xc0\xc0"):
        assert unpack(value).clicks.weight.tolist() == FIRST.tolist()
    assert unpack(stored).clicks.weight.tolist() != FIRST.tolist()
    damaged.store.values[KEYS.learner(0)] = stored[:-1]
    del unlearned.store.values[KEYS.learner(0)]
    for shop in (damaged, unlearned):
        another_worker(shop)
    assert scores(damaged) == scores(unlearned)


def test_only_what_is_new_is_written() -> None:
    shop = learned_from(*VISITORS)
    assert shop.engine.learned([0]) == []
    shop.take(*LATER)
    assert [entry.key for entry in shop.engine.learned([0, 1])] == [KEYS.learner(0)]


def test_without_the_learner_nothing_is_written() -> None:
    shop = Shop(Rules(learner=False)).take(*VISITORS)
    assert shop.engine.learned([0]) == []


def test_a_worker_that_ends_cleanly_leaves_what_it_learned(
    namespace: Settings, environ: dict[str, str], tmp_path: Path
) -> None:
    create_missing(namespace)
    keys, partitions = Keys(namespace.key_prefix), range(namespace.partitions)
    producer = KafkaProducer(**namespace.brokers.connection())
    for visitor in range(60):
        for item in "abc" if visitor % 2 else "acd":
            producer.send(namespace.topic("events"), encoded(click(user_id=f"v{visitor}", item_id=item)))
    producer.close(timeout=30)
    with open_client(namespace.redis) as client, Workers(environ, tmp_path).supervised() as workers:
        worker = workers.start().wait_ready()
        spans = read_spans(namespace.brokers, namespace.topic("events"))
        wait_until(lambda: total_behind(spans, read_published(client, keys, partitions)) == 0, "all of it was published")
        assert worker.terminate() == 0
        left = read_values(client, [keys.learner(partition) for partition in partitions])
        assert all(client.ttl(keys.learner(p)) > 0 for p, value in zip(partitions, left, strict=True) if value)
    weights = [unpack(value).clicks.weight.tolist() for value in left if value]
    assert any(weight != FIRST.tolist() for weight in weights)
