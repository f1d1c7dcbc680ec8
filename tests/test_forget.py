"""Users are forgotten: of what they did before nothing is kept or told, whatever happens, and counts stay."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result
from dying import Dying
from hypothesis import given, settings
from hypothesis import strategies as st
from joins_oracle import assert_joined
from oracle import Record, home_partition
from strategies import NOW_MS, click, encoded, logs
from test_consent import Desk
from test_joins import PARTITIONS, Topic, run, told_last
from test_laws import RULES, SIZES, FragileStore, chunk, count_all, cut, end_of, state, stored_rows
from workers import Workers, wait_until

import streams.records
from recsys import visitors
from recsys.customers import account, rfm
from recsys.customers.message import encode
from recsys.engine import Engine
from recsys.events import decode
from recsys.keys import Keys
from recsys.layout import form_of, layout_of
from recsys.store import MemoryStore
from streams import forgetting
from streams.cli import main
from streams.differences import customer_differences, forgotten_differences
from streams.driver import ChunkConsumer, Records
from streams.lease import Lease
from streams.outbox import Outbox
from streams.publishing import Outcome, Publishing
from streams.recount import Recount
from streams.sender import Sender
from streams.settings import Settings

KEYS = Keys("freshet:")
FEW = settings(deadline=None, max_examples=8)
USERS = ["u1", "u2", "ü3", "anon:v1"]


def forget(user: str = "u1") -> dict[str, str]:
    return dict(json.loads(forgetting.event_of(user)))


def with_forgotten(log: list[Record], users: Iterable[str]) -> list[Record]:
    """The log of one partition, and after it that these users are forgotten."""
    end = end_of(log, 0)
    return [*log, *(Record(0, end + 1 + n, NOW_MS, None, encoded(forget(user))) for n, user in enumerate(users))]


def of(store: MemoryStore, users: Iterable[str], partition: int = 0) -> list[bytes]:
    """What is stored under the keys of users."""
    keys = [key(partition, user) for user in users for key in (KEYS.user, KEYS.bought, KEYS.account)]
    return [value for key in keys if (value := store.values.get(key))]


LOG = [
    Record(0, n, NOW_MS, None, encoded(event))
    for n, event in enumerate(
        [
            click(event_type="purchase", price=2, currency="EUR"),
            click(user_id="u2"),
            {"event_type": "click", "anonymous_id": "v", "item_id": "b"},
            forget(),
            forget("anon:v"),
            click(user_id="u2", item_id="b"),
        ]
    )
]


# Counting


@FEW
@given(logs(partitions=1), SIZES, st.sets(st.sampled_from(USERS), min_size=1))
def test_what_is_kept_is_as_if_they_had_never_come_and_counts_are_as_if_they_stayed(
    log: list[Record], sizes: list[int], gone: set[str]
) -> None:
    whole = with_forgotten(log, sorted(gone))
    found, stayed, never = MemoryStore(), MemoryStore(), MemoryStore()
    asyncio.run(count_all(found, cut(whole, 0, sizes, 1)))
    asyncio.run(count_all(stayed, cut(log, 0, sizes, 1)))
    others = [each._replace(arrivals=[a for a in each.arrivals if a.event.user_id not in gone]) for each in cut(log, 0, (), 1)]
    asyncio.run(count_all(never, others))
    assert not of(found, gone)
    spreads = [rfm.unpack(store.values.get(KEYS.spreads(0))) for store in (found, never)]
    assert spreads[0] == spreads[1]
    assert stored_rows(found.values) == stored_rows(stayed.values)
    assert all(found.values[key] == value for key, value in stayed.values.items() if "}:ledger:" in key or "}:sales:" in key)


@FEW
@given(logs(partitions=1), SIZES, st.sampled_from(USERS))
def test_who_comes_back_begins_anew_wherever_batches_are_cut(log: list[Record], sizes: list[int], user: str) -> None:
    half = [record for record in log if record.offset <= end_of(log, 0) // 2]
    again = [record._replace(offset=end_of(log, 0) + 2 + n, headers=()) for n, record in enumerate(half)]
    twice = [*with_forgotten(log, [user]), *again]
    one, many = MemoryStore(), FragileStore(10**9)
    asyncio.run(count_all(one, cut(twice, 0, (), 1)))
    asyncio.run(count_all(many, cut(twice, 0, sizes, 1)))
    assert state(one) == state(many)


def test_a_forgotten_user_leaves_the_lists_of_what_the_history_has() -> None:
    events = [click(item_id="a"), click(item_id="b"), click(user_id="u2", item_id="a"), forget(), click(item_id="b")]
    log = [Record(0, n, NOW_MS, None, encoded(event)) for n, event in enumerate(events)]
    for sizes in ((), (1, 1, 1, 1), (3,), (4,)):
        store = MemoryStore()
        asyncio.run(count_all(store, cut(log, 0, sizes, 1)))
        lists = [visitors.unpack(value) for key, value in store.values.items() if "}:visitors:" in key]
        assert sorted([visitor.user for visitor in each] for each in lists) == [["u1"], ["u2"]]


def test_to_forget_is_never_a_repeat_and_identifies_nobody() -> None:
    event = decode(encoded({"event_type": "Forget", "user_id": 7, "anonymous_id": "v", "event_id": "e"}), NOW_MS)
    assert (event.user_id, event.visitor, event.event_id, event.lines) == ("7", None, None, ())


# Joins


def test_to_erase_the_visitor_takes_a_wrong_join_back() -> None:
    topic, store = Topic([]), MemoryStore()
    for event in (
        {"event_type": "order", "anonymous_id": "v", "item_id": "a", "price": 5, "currency": "EUR"},
        click(anonymous_id="v"),
    ):
        topic.send(event)
    assert told_last(topic, store)["u1"].orders == 1
    topic.send(forget("anon:v"))
    said = told_last(topic, store)
    assert (said["u1"].events, said["u1"].orders, said["u1"].visitors) == ({"click": 1}, 0, [])
    assert_joined(topic.recount(), store.values, KEYS, PARTITIONS, RULES)
    spreads = rfm.together([rfm.unpack(store.values.get(KEYS.spreads(p))) for p in range(PARTITIONS)])
    assert not spreads.frequency
    topic.send({"event_type": "identify", "anonymous_id": "v", "user_id": "u2"})
    assert "u2" in told_last(topic, store)
    assert topic.recount().customer_of == {"v": "u2"}


def test_who_joined_a_forgotten_customer_is_nobodys_visitor() -> None:
    topic, store = Topic([]), MemoryStore()
    for visitor in ("v", "w", "x", "y"):
        topic.send({"event_type": "click", "anonymous_id": visitor, "item_id": "a"})
        topic.send(click(anonymous_id=visitor))
    asyncio.run(run(topic, store))
    topic.send(forget())
    said = told_last(topic, store)
    assert said["anon:v"].joined is None
    assert not of(store, ["u1"], home_partition("u1", PARTITIONS))
    assert_joined(topic.recount(), store.values, KEYS, PARTITIONS, RULES)
    kept = [account.unpack(value).joins for key, value in store.values.items() if ":account:" in key]
    assert kept == [None] * 5


def test_an_answer_that_comes_after_its_customer_was_forgotten_joins_nobody() -> None:
    topic, store = Topic([]), MemoryStore()
    topic.send({"event_type": "click", "anonymous_id": "v", "item_id": "a"})
    topic.send(click(anonymous_id="v"))
    topic.send(forget())  # before the answer
    said = told_last(topic, store)
    assert "u1" not in said
    assert not of(store, ["u1"], home_partition("u1", PARTITIONS))
    assert_joined(topic.recount(), store.values, KEYS, PARTITIONS, RULES)


# The recount that `freshet chaos` holds everything against


FORM = form_of(layout_of("events", PARTITIONS, RULES))


@FEW
@given(logs(partitions=PARTITIONS))
def test_the_recount_forgets_as_the_oracle_does(log: list[Record]) -> None:
    topic = Topic(log, FORM)
    said = asyncio.run(run(topic, MemoryStore()))
    truth, found = topic.recount(), Recount(RULES, PARTITIONS)
    for record in topic.log:
        found.take(streams.records.Record(record.partition, record.offset, record.timestamp, record.value, record.headers))
    assert found.pairs == truth.pairs
    assert found.forgotten == set(truth.lives)
    assert {user: events.total() for user, events in found.customers.items()} == {
        user: len(theirs) for user, theirs in truth.of_users.items() if theirs
    }
    joined = {customer: set(found.joinings.joined(customer)) for customer in {*truth.joined, *found.joinings.heard_of}}
    assert joined == {customer: set(truth.joined.get(customer, ())) for customer in joined}
    newest = {customer.user_id: encode(customer) for customer, _ in said if customer.user_id in found.customers}
    assert list(customer_differences(found, newest)) == []


def test_whoever_was_forgotten_and_is_told_is_found() -> None:
    recount = Recount(RULES, 1)
    for record in LOG:
        recount.take(streams.records.Record(record.partition, record.offset, record.timestamp, record.value))
    assert (recount.forgotten, set(recount.last), set(recount.customers)) == ({"u1", "anon:v"}, {"u2"}, {"u2"})
    told = {"u1": b"{}", "u2": b'{"events": {"click": 2}}'}
    assert list(customer_differences(recount, told)) == ["u1: was forgotten, and the customer is told"]
    assert list(forgotten_differences(recount, {"u1": b"{}", "anon:v": None}, {"anon:v": b"{}"})) == [
        "u1: was forgotten, and something is recommended",
        "anon:v: was forgotten, and the newest record of the customer on the topic is not empty",
    ]


# On the topic and in Redis


class Always:
    """A consumer that keeps its partitions."""

    def is_stale(self, _: Records) -> bool:
        return False


class Round:
    """A worker that counts and publishes one log, of one partition."""

    def __init__(self, store: MemoryStore, desk: Desk) -> None:
        self.engine = Engine(store, KEYS, RULES)
        self.publishing = Publishing(Settings(), KEYS, self.engine, store, cast(Outbox, desk), Lease())
        self.publishing.marks.begin(0, -1)

    async def take(self, log: list[Record], start: int, end: int) -> None:
        counted = await self.engine.count(chunk(0, start, end, log, 1))
        assert not counted.lost
        records = cast(Records, type("Chunk", (), {"tp": type("TP", (), {"partition": 0})}))
        await self.publishing._publish(Outcome(cast(ChunkConsumer, Always()), [records], counted))


WRITES = 11
"""Of a batch that forgets: the store's and the topics'."""


@pytest.mark.parametrize("writes", range(WRITES + 1))
def test_what_a_worker_that_dies_at_any_write_leaves_is_made_whole_by_the_next(writes: int) -> None:
    class DyingDesk(Desk):
        async def publish(self, *arguments: Any) -> None:
            store.count()
            await super().publish(*arguments)

    store, desk = Dying(), DyingDesk()

    async def test() -> bool:
        await Round(store, desk).take(LOG, 0, 2)
        assert {KEYS.recs("u1"), KEYS.customer("u1"), KEYS.recs("anon:v")} <= store.values.keys()
        store.left = writes
        try:
            await Round(store, desk).take(LOG, 3, 5)
        except ConnectionError:
            died = True
        else:
            died = False
        store.left = 1_000_000
        await Round(store, desk).take(LOG, 3, 5)
        return died

    died = asyncio.run(test())
    assert died == (writes < WRITES)
    left = [key for key in store.values if key.endswith((":u1", ":anon:v"))]
    assert left == []
    for topic in ("recommendations", "customers"):
        newest = desk.newest(topic)
        assert (newest["u1"], newest["anon:v"]) == (None, None)
        assert newest["u2"]
    assert json.loads(store.values[KEYS.customer("u2")])["events"] == {"click": 2}


# The command


@pytest.fixture
def command(variables: Mapping[str, str]) -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(main, ["forget", *arguments], env=dict(variables))


def test_the_command_erases_and_says_what(
    command: Callable[..., Result],
    namespace: Settings,
    environ: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from recsys.connection import open_client
    from streams.topics import create_missing

    assert command("anon:").exit_code == 2
    keys = Keys(namespace.key_prefix)
    create_missing(namespace)
    with Workers(environ, tmp_path).supervised() as workers, open_client(namespace.redis) as client:
        worker = workers.start()
        sender, users = (Sender(namespace.brokers, namespace.topic(name)) for name in ("events", "users"))
        sender.send({"event_type": "click", "anonymous_id": "v", "item_id": "a"})
        sender.send(click(user_id="u2"))
        sender.close()
        users.send_as(b'{"attributes": {"age": 34}}', b"u1")
        users.close()
        worker.wait_ready()
        wait_until(lambda: client.exists(keys.recs("anon:v"), keys.recs("u2"), keys.described("u1")) == 3, "all is counted")
        sender = Sender(namespace.brokers, namespace.topic("events"))
        sender.send(click(anonymous_id="v"))
        sender.close()
        wait_until(lambda: b'"visitors"' in (client.get(keys.customer("u1")) or b""), "the visitor joined")
        done = command("u1", "nobody", "--json")
        assert done.exit_code == 1
        assert done.stderr == f"freshet: nothing was known of 'nobody' under {namespace.key_prefix!r}: check the id\n"
        said = json.loads(done.stdout)
        assert said["done"]
        assert [each["known"] for each in said["users"]] == [True, False]
        erased = said["users"][0]["erased"]
        assert (erased["interactions"], erased["events"], erased["described"], erased["visitors"]) == (1, 1, True, ["v"])
        names = [key.decode() for key in client.scan_iter(match=f"{namespace.key_prefix}*")]
        assert not [key for key in names if key.endswith((":u1", ":anon:v"))]
        assert client.exists(keys.recs("u2"))
        assert worker.terminate() == 0
        monkeypatch.setattr(forgetting, "STALLED_S", 0.5)
        asked = command("u2")
        assert (asked.exit_code, asked.stdout) == (
            3,
            "u2: to be erased: 1 interactions, the account (1 events), the recommendation, the customer\n",
        )
        assert asked.stderr.startswith("freshet: no worker has done it yet")
        workers.start().wait_ready()
        wait_until(lambda: not client.exists(keys.recs("u2")), "the next worker did it")
