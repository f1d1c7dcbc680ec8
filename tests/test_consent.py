"""Refusals are heeded: no account and no personal recommendation from then on, and what there was is taken back, whatever
ends."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, cast

import pytest
from dying import Dying
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Record, home_partition
from strategies import NOW_MS, click, encoded, logs
from test_catalogue_effects import Consumer, Log
from test_laws import RULES, SIZES, chunk, cut, end_of

from recsys.customers import consent, rfm
from recsys.customers.consent import Refusals
from recsys.customers.user import Consent, User, encode
from recsys.engine import Chunk, Counted, Engine
from recsys.keys import Keys
from recsys.ledger.segments import census
from recsys.onlooker import Onlooker, Unknown
from recsys.recommendation import Recommendation
from recsys.recommendation import encode as encode_recommendation
from recsys.rules import Rules
from recsys.store import Entry, MemoryStore
from streams import consent as module
from streams.consent import ConsentStream
from streams.counting import Counting
from streams.lease import LEASE_S, Lease, Overslept
from streams.outbox import Outbox
from streams.publishing import Publishing
from streams.settings import Settings
from streams.withdrawal import Withdrawal

KEYS = Keys("p:")
VERY_FEW = settings(deadline=None, max_examples=6)
SETTINGS = Settings(key_prefix="p:")
PATIENCE_S = 10.0
OF_CUSTOMERS = ("}:account:", "}:ledger:", "}:spreads")


def of_customers(store: MemoryStore) -> dict[str, bytes]:
    """What is stored of customers, one by one and all together."""
    return {key: value for key, value in store.values.items() if any(part in key for part in OF_CUSTOMERS)}


def count_all(store: MemoryStore, chunks: Iterable[Chunk], refusals: Refusals, rules: Rules = RULES) -> list[Counted]:
    engine = Engine(store, KEYS, rules, refusals=refusals)

    async def count() -> list[Counted]:
        return [await engine.count(each) for each in chunks]

    return asyncio.run(count())


def without(chunks: Iterable[Chunk], users: set[str]) -> list[Chunk]:
    return [each._replace(arrivals=[a for a in each.arrivals if a.event.user_id not in users]) for each in chunks]


REFUSING = st.sets(st.sampled_from(["u1", "u2", "ü3", "5", "anon:v1"]), min_size=1)


# Counting


@VERY_FEW
@given(logs(partitions=1), SIZES, REFUSING)
def test_who_refuses_to_be_analysed_is_counted_for_items_and_for_nothing_of_customers(
    log: list[Record], sizes: list[int], refusing: set[str]
) -> None:
    chunks = cut(log, 0, sizes, 1)
    heeded, plain, others = MemoryStore(), MemoryStore(), MemoryStore()
    told = count_all(heeded, chunks, Refusals(analyse=refusing))
    count_all(plain, chunks, Refusals())
    count_all(others, without(chunks, refusing), Refusals())
    assert of_customers(heeded) == of_customers(others)
    assert {key: value for key, value in heeded.values.items() if key not in of_customers(heeded)} == {
        key: value for key, value in plain.values.items() if key not in of_customers(plain)
    }
    assert not {known.user for counted in told for known in counted.customers} & refusing


@VERY_FEW
@given(logs(partitions=1), REFUSING, st.integers(1, 20))
def test_an_account_that_is_erased_leaves_how_all_stand_as_if_it_had_never_been(
    log: list[Record], refusing: set[str], later: int
) -> None:
    half = end_of(log, 0) // 2
    first, second = cut(log, 0, [half + 1], 1)[:1], cut(log, 0, [later], 1, half + 1)
    store, others = MemoryStore(), MemoryStore()
    refusals = Refusals()
    engine = Engine(store, KEYS, RULES, refusals=refusals)

    async def test() -> None:
        for each in first:
            await engine.count(each)
        refusals.analyse |= refusing
        kept = await engine.erasure.having_accounts(0, sorted(refusing))
        assert kept == {user for user in refusing if KEYS.account(0, user) in store.values}
        await engine.erasure.erase(0, sorted(refusing))
        assert not await engine.erasure.having_accounts(0, sorted(refusing))
        for each in second:  # by what it remembers
            assert not (await engine.count(each)).lost

    asyncio.run(test())
    count_all(others, [*without(first, refusing), *without(second, refusing)], Refusals())
    assert one_by_one(store) == one_by_one(others)


def one_by_one(store: MemoryStore) -> dict[str, bytes]:
    """What is stored of customers, without the figures of all of them: what was counted in these stays."""
    found = {key: value for key, value in of_customers(store).items() if "}:ledger:" not in key}
    return {key: value for key, value in found.items() if value != rfm.pack(rfm.Spreads())}


def test_a_worker_that_has_lost_the_partition_erases_nothing() -> None:
    log = [record(n, event_type="purchase", price=1, currency="EUR") for n in range(3)]
    store = MemoryStore()

    async def test() -> None:
        mine, others = (Engine(store, KEYS, RULES) for _ in range(2))
        await mine.count(chunk(0, 0, 0, log, 1))
        read = store.read

        async def read_and_lose(groups: Any) -> Any:
            found = await read(groups)
            store.read = read  # type: ignore[method-assign]
            await others.count(chunk(0, 1, 1, log, 1))
            return found

        store.read = read_and_lose  # type: ignore[method-assign]
        await mine.erasure.erase(0, ["u1"])
        assert store.values[KEYS.account(0, "u1")]
        assert not (await others.count(chunk(0, 2, 2, log, 1))).lost
        await others.erasure.erase(0, ["u1"])
        assert KEYS.account(0, "u1") not in store.values
        assert (await census(store, KEYS, 1, {})).segments == {}

    asyncio.run(test())


def record(offset: int, user: str = "u1", item: str = "a", **fields: Any) -> Record:
    return Record(0, offset, NOW_MS, None, encoded(click(user_id=user, item_id=item, **fields)))


# Ranking

SHOP = [
    *(record(n, user=f"v{n % 5}", item="abcdef"[n % 6], event_time=NOW_MS + n * 1000) for n in range(60)),
    *(record(60 + n, item=item, event_time=NOW_MS + n * 1000) for n, item in enumerate("ab")),
    record(62, event_type="purchase", item="c", event_time=NOW_MS + 4000),
]


def recommended(log: list[Record], refusals: Refusals) -> Recommendation:
    """The last recommendation to u1."""
    engine = Engine(MemoryStore(), KEYS, Rules(), refusals=refusals)

    async def test() -> Recommendation:
        await engine.count(chunk(0, 0, len(log) - 2, log, 1))
        await engine.trending()
        answers = await engine.recommend(await engine.count(chunk(0, len(log) - 1, len(log) - 1, log, 1)), NOW_MS)
        return answers[-1][1]

    return asyncio.run(test())


def test_who_refuses_is_recommended_what_is_popular_by_nothing_that_is_known_of_them() -> None:
    log = [*SHOP, record(63, item="d", event_time=NOW_MS + 9000)]
    personal, refused = recommended(log, Refusals()), recommended(log, Refusals({"u1"}))
    assert personal.strategy == "personal"
    assert refused.strategy == "opted_out"
    assert {reason.kind for item in refused.items for reason in item.reasons} == {"trending"}
    # What is looked at right now is left out, as for everybody; what u1 bought is not, for nobody knows of it.
    assert {item.item_id for item in refused.items} == set("abcef")
    # Whatever u1 did before, it is the same.
    other = [*SHOP[:60], *(record(60 + n, item="d", event_time=NOW_MS + n) for n in range(3)), log[-1]]
    assert [item.item_id for item in recommended(other, Refusals({"u1"})).items] == [item.item_id for item in refused.items]


@VERY_FEW
@given(logs(partitions=1), SIZES, REFUSING)
def test_who_refuses_is_never_ranked_by_the_past_and_others_are(
    log: list[Record], sizes: list[int], refusing: set[str]
) -> None:
    async def messages(refusals: Refusals) -> list[Recommendation]:
        engine = Engine(MemoryStore(), KEYS, Rules(history=RULES.history, learner=False), refusals=refusals)
        found = []
        for part in cut(log, 0, sizes, 1):
            counted = await engine.count(part)
            await engine.trending()
            found += [message for _, message in await engine.recommend(counted, NOW_MS)]
        return found

    heeded, plain = asyncio.run(messages(Refusals(refusing))), asyncio.run(messages(Refusals()))
    assert [message.user_id for message in heeded] == [message.user_id for message in plain]
    for one, other in zip(heeded, plain, strict=True):
        if one.user_id not in refusing:
            assert one.strategy == other.strategy
        else:
            assert one.strategy == "opted_out"
            assert all(reason.kind == "trending" for item in one.items for reason in item.reasons)


def test_who_only_looks_is_told_nothing_personal_either() -> None:
    store = MemoryStore()
    engine = Engine(store, KEYS, Rules())
    asyncio.run(engine.count(chunk(0, 0, len(SHOP) - 1, SHOP, 1)))
    look = Onlooker(store, KEYS, Rules(), 1)

    def asked(strategy: str) -> Recommendation:
        return asyncio.run(look.recommend("u1", 0, strategy, now_ms=NOW_MS))

    assert asked("item-based").strategy == "item-based"
    asyncio.run(look.explain("u1", 0, "d"))
    store.values[KEYS.described("u1")] = encode(User("u1", {}, Consent(personalise=False)))
    for strategy in ("item-based", "user-based", "collaborative", "personal", "trending"):
        message = asked(strategy)
        assert message.strategy == "opted_out"
        assert {reason.kind for item in message.items for reason in item.reasons} == {"trending"}
        assert {item.item_id for item in message.items} == set("abcdef")
    with pytest.raises(Unknown, match="refuses a personal recommendation"):
        asyncio.run(look.explain("u1", 0, "d"))


# On the stream


class Desk:
    """An outbox that notes what is published, and the pauses between batches."""

    def __init__(self) -> None:
        self.topics: dict[str, list[tuple[str, bytes | None]]] = {"recommendations": [], "customers": []}

    async def partitions(self, _: str) -> int:
        return 2

    async def publish(self, topic: str, messages: Iterable[tuple[bytes, bytes | None, Any]]) -> None:
        self.topics[topic] += [(key.decode(), value) for key, value, _ in messages]

    @contextlib.asynccontextmanager
    async def between_batches(self) -> AsyncIterator[None]:
        yield

    def newest(self, topic: str) -> dict[str, Any]:
        return {user: value and json.loads(value) for user, value in self.topics[topic]}


class StreamConsumer(Consumer):
    """One that is started and stopped."""

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass


class One:
    """A worker's reading of the log, with two partitions of events."""

    def __init__(
        self, log: Log, store: MemoryStore, desk: Desk, owned: Iterable[int] = (0, 1), lease_s: float = LEASE_S
    ) -> None:
        self.turns = dict.fromkeys(owned, 1)
        self.refusals = Refusals()
        self.engine = Engine(store, KEYS, RULES, refusals=self.refusals)
        withdrawal = Withdrawal(
            SETTINGS, KEYS, self.refusals, self.engine, store, cast(Outbox, desk), cast(Counting, desk), cast(Publishing, desk),
            Lease(lease_s),
        )  # fmt: skip
        self.stream = ConsentStream(
            SETTINGS, KEYS, store, cast(Outbox, desk), self.refusals, withdrawal, 2, lambda: self.turns
        )  # fmt: skip
        self.log = log

    async def begin(self) -> "One":
        await self.stream.load()
        self.task = asyncio.create_task(self.stream.run())
        return self

    async def until(self, predicate: Callable[[], object], what: str) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        while not predicate():
            assert loop.time() < until, f"it did not happen that {what}"
            if self.task.done():
                self.task.result()
            await asyncio.sleep(0.002)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """A log of `users` that is read in small steps."""
    log = Log()
    monkeypatch.setattr(module, "AIOKafkaConsumer", lambda **_: StreamConsumer(log, 3))
    return log


async def known(engine: Engine, store: MemoryStore, *users: str) -> None:
    """Counts an order of each of these users, and publishes it."""
    for user in users:
        home = home_partition(user, 2)
        start = (await engine.position(home))[0] + 1
        made = record(start, user=user, event_type="purchase", price=2, currency="EUR")._replace(partition=home)
        counted = await engine.count(chunk(home, start, start, [made], 2))
        assert not counted.lost
        for _, message in await engine.recommend(counted, NOW_MS):
            await store.put([Entry(KEYS.recs(user), encode_recommendation(message))])
        for each, _ in await engine.customers(counted):
            await store.put([Entry(KEYS.customer(each.user), b"{}")])


def standing(store: MemoryStore, user: str) -> tuple[bool, bool, str]:
    """Whether the user has an account, whether the customer is told, and how the user is recommended to."""
    account = KEYS.account(home_partition(user, 2), user) in store.values
    said = json.loads(store.values.get(KEYS.recs(user), b'{"strategy": "nothing"}'))["strategy"]
    return account, KEYS.customer(user) in store.values, said


def refuse(log: Log, user: str, partition: int = 0, **said: bool) -> None:
    log.tell(user, partition, consent=said)


EVERYTHING, NOTHING = {"personalise": True, "analyse": True}, {"personalise": False, "analyse": False}


def test_what_is_refused_is_taken_back_at_once_and_comes_again_when_it_is_allowed_again(log: Log) -> None:
    async def test() -> None:
        store, desk = MemoryStore(), Desk()
        one = await One(log, store, desk).begin()
        await known(one.engine, store, "u1", "u2", "v1")
        assert standing(store, "u1")[:2] == (True, True)
        log.tell_bytes("u2", b'{"consent": {"personalize": false}}')  # refused as a record: it says nothing
        refuse(log, "u1", personalise=False)
        await one.until(lambda: standing(store, "u1") == (True, True, "opted_out"), "the recommendation was replaced")
        assert desk.newest("recommendations")["u1"] == json.loads(store.values[KEYS.recs("u1")])
        assert desk.topics["customers"] == []
        refuse(log, "v1", partition=1, analyse=False)
        await one.until(lambda: not any(standing(store, "v1")[:2]), "the account was taken")
        assert desk.topics["customers"] == [("v1", None)]
        assert standing(store, "v1")[2] != "opted_out"
        assert {user for user, _ in desk.topics["recommendations"]} == {"u1"}
        everybody = (await census(store, KEYS, 2, {})).segments
        assert sum(each.customers for each in everybody.values()) == 2
        await known(one.engine, store, "u1", "v1")
        assert (standing(store, "u1")[2], standing(store, "v1")[:2]) == ("opted_out", (False, False))
        refuse(log, "u1", **EVERYTHING)
        refuse(log, "v1", partition=1, **EVERYTHING)
        await one.until(lambda: not one.refusals.everybody(), "it was heard")
        await known(one.engine, store, "u1", "v1")
        assert standing(store, "u1")[2] != "opted_out"
        assert standing(store, "v1")[:2] == (True, True)
        assert standing(store, "u2") == (True, True, standing(store, "v1")[2])
        one.task.cancel()

    asyncio.run(test())


def test_what_is_kept_of_the_topic_is_not_read_again_and_what_an_earlier_version_did_not_keep_is(log: Log) -> None:
    async def test() -> None:
        refuse(log, "u1", **NOTHING)
        refuse(log, "u2", analyse=False)
        refuse(log, "u1", **EVERYTHING)
        refuse(log, "v1", partition=1, personalise=False)
        store = MemoryStore()
        store.values[KEYS.users_mark(0)] = b"1"
        store.values[KEYS.refusals(0)] = consent.pack(Refusals({"u1"}, {"u1", "u2", "from a record that is gone"}))
        store.values[KEYS.users_mark(1)] = b"0"
        one = One(log, store, Desk())
        await one.stream.load()
        assert one.refusals == Refusals({"v1"}, {"u2", "from a record that is gone"})

    asyncio.run(test())


def test_a_refusal_on_any_partition_holds(log: Log) -> None:
    async def test() -> None:
        refuse(log, "u1", **NOTHING)
        refuse(log, "u1", partition=1, **EVERYTHING)
        one = One(log, MemoryStore(), Desk())
        await one.stream.load()
        assert one.refusals == Refusals({"u1"}, {"u1"})

    asyncio.run(test())


def test_who_has_the_home_partition_takes_back_and_looks_after_all_when_it_takes_it_over(log: Log) -> None:
    async def test() -> None:
        store, desk = MemoryStore(), Desk()
        mine = home_partition("u1", 2)
        other = next(user for user in map(str, range(100)) if home_partition(user, 2) != mine)
        one = await One(log, store, desk, [mine]).begin()
        await known(one.engine, store, "u1", other)
        refuse(log, other, **NOTHING)
        refuse(log, "u1", **NOTHING)
        await one.until(lambda: standing(store, "u1") == (False, False, "opted_out"), "ours was taken back")
        assert standing(store, other)[:2] == (True, True)
        one.turns[1 - mine] = 1
        await one.until(lambda: standing(store, other) == (False, False, "opted_out"), "the other one's was")
        await store.put([Entry(KEYS.customer(other), b"{}")])  # another worker's, late: it moves the published mark back
        one.turns[1 - mine] = 2
        await one.until(lambda: standing(store, other) == (False, False, "opted_out"), "it was taken back again")
        assert desk.topics["customers"].count((other, None)) == 2
        one.task.cancel()

    asyncio.run(test())


def test_a_refusal_that_was_heard_while_nobody_had_the_home_is_written_to_the_topic_though_redis_was_emptied(log: Log) -> None:
    async def test() -> None:
        home, desk = home_partition("u1", 2), Desk()
        desk.topics["customers"] = [("u1", b"{}")]  # published by whoever had the home, before Redis was emptied
        one = await One(log, MemoryStore(), desk, [1 - home]).begin()
        refuse(log, "u1", **NOTHING)
        await one.until(lambda: "u1" in one.refusals.analyse, "it was heard")
        await asyncio.sleep(0.05)
        assert desk.newest("customers")["u1"] == {}
        one.turns[home] = 1
        await one.until(lambda: desk.newest("customers")["u1"] is None, "the customer was taken back")
        one.task.cancel()

    asyncio.run(test())


def test_a_worker_that_stood_still_takes_nothing_back_for_it_may_be_allowed_again(log: Log) -> None:
    async def test() -> None:
        desk = Desk()
        for what in EVERYTHING:
            one = await One(log, store := MemoryStore(), desk, lease_s=-1.0).begin()
            await known(one.engine, store, "u1")
            refuse(log, "u1", **EVERYTHING | {what: False})
            await one.until(one.task.done, "it ended")
            assert isinstance(one.task.exception(), Overslept)
            assert standing(store, "u1")[:2] == (True, True)
        assert not any(desk.topics.values())

    asyncio.run(test())


@pytest.mark.parametrize("writes", range(6))
def test_what_a_worker_that_ends_before_any_write_left_is_made_whole_by_the_next(log: Log, writes: int) -> None:
    class DyingDesk(Desk):
        async def publish(self, topic: str, messages: Iterable[tuple[bytes, bytes | None, Any]]) -> None:
            store.count()
            await super().publish(topic, messages)

    store, desk = Dying(), DyingDesk()

    async def test() -> None:
        one = await One(log, store, desk).begin()
        await known(one.engine, store, "u1")
        store.left = writes
        refuse(log, "u1", **NOTHING)
        await one.until(one.task.done, "it ended")
        assert isinstance(one.task.exception(), ConnectionError)
        store.left = 1_000_000
        other = await One(log, store, desk).begin()
        await other.until(lambda: standing(store, "u1") == (False, False, "opted_out"), "it was made whole")
        await asyncio.sleep(0.02)
        assert desk.newest("customers") == {"u1": None}
        assert desk.newest("recommendations")["u1"]["strategy"] == "opted_out"
        assert (await census(store, KEYS, 2, {})).segments == {}
        one.task.cancel()
        other.task.cancel()

    asyncio.run(test())


def test_what_was_being_counted_when_somebody_refused_is_taken_back_too(log: Log) -> None:
    """The batch in hand had not heard of it, and commits the first account of u1 only now."""

    class Busy(Desk):
        in_hand = False

        @contextlib.asynccontextmanager
        async def between_batches(self) -> AsyncIterator[None]:
            if self.in_hand:
                self.in_hand = False
                one.refusals.analyse.discard("u1")
                await known(one.engine, store, "u1")
                one.refusals.analyse.add("u1")
            yield

    store, desk = MemoryStore(), Busy()
    one = One(log, store, desk)

    async def test() -> None:
        await one.begin()
        desk.in_hand = True
        refuse(log, "u1", analyse=False)
        await one.until(lambda: desk.topics["customers"] == [("u1", None)], "the customer was taken back")
        await one.until(lambda: not any(standing(store, "u1")[:2]), "the account was taken")
        one.task.cancel()

    asyncio.run(test())
