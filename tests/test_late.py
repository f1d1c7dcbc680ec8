"""A worker that is late, because it stood still or lost its partition, does not have the last word on what a user refuses."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest
from faust.types import TP
from oracle import home_partition
from test_catalogue_effects import Log
from test_consent import KEYS, NOTHING, PATIENCE_S, SETTINGS, Desk, One, StreamConsumer, record, refuse, standing
from test_laws import RULES, chunk
from trial import Reader

from recsys.customers.consent import Refusals
from recsys.engine import Engine
from recsys.marks import START
from recsys.recommendation import Written
from recsys.store import MemoryStore
from streams import consent, lease, publishing
from streams.driver import ChunkConsumer, Records
from streams.lease import LEASE_S, Lease, Overslept
from streams.outbox import Outbox
from streams.publishing import Outcome, Publishing

HOME = home_partition("u1", 2)
WHERE = TP("events", HOME)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """A log of `users`."""
    log = Log()
    monkeypatch.setattr(consent, "AIOKafkaConsumer", lambda **_: StreamConsumer(log, 3))
    return log


class Slow(Desk):
    """An outbox from which nothing goes out before it may, and that hears no answer."""

    def __init__(self, topics: dict[str, list[tuple[str, bytes | None]]]) -> None:
        self.topics = topics
        self.sending, self.may = asyncio.Event(), asyncio.Event()

    async def publish(self, topic: str, messages: Iterable[tuple[bytes, bytes | None, Any]]) -> None:
        self.sending.set()
        await self.may.wait()
        await super().publish(topic, messages)
        await asyncio.Event().wait()


class Seeking(Reader):
    """A consumer that notes what is read again."""

    def __init__(self) -> None:
        self.sought: list[frozenset[TP]] = []

    async def seek_by_mark(self, partitions: frozenset[TP]) -> None:
        self.sought.append(partitions)


class Late:
    """A worker that has counted an order of u1 and is to publish what follows."""

    def __init__(self, store: MemoryStore, desk: Desk, held: Lease | None = None) -> None:
        self.engine = Engine(store, KEYS, RULES, refusals=Refusals())
        self.publishing = Publishing(SETTINGS, KEYS, self.engine, store, cast(Outbox, desk), held or Lease())
        self.publishing.marks.begin(HOME, START)
        self.consumer = Seeking()

    async def begin(self) -> "asyncio.Task[None]":
        await self.count()
        return asyncio.create_task(self.publishing.run())

    async def count(self) -> None:
        order = record(0, event_type="purchase", price=2, currency="EUR")._replace(partition=HOME)
        counted = await self.engine.count(chunk(HOME, 0, 0, [order], 2))
        chunks = [Records(WHERE, 0, [], 0)]
        await self.publishing.take(Outcome(cast(ChunkConsumer, self.consumer), chunks, counted))


def test_what_a_late_worker_leaves_on_the_topics_alone_is_taken_back_a_while_later(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consent, "AGAIN_S", 0.5)

    async def test() -> None:
        store, desk = MemoryStore(), Desk()
        slow = Slow(desk.topics)
        late = await Late(store, slow).begin()
        await slow.sending.wait()
        one = await One(log, store, desk).begin()  # the partition is another worker's by now
        refuse(log, "u1", **NOTHING)
        await one.until(lambda: standing(store, "u1") == (False, False, "opted_out"), "it was taken back")
        await one.until(lambda: desk.newest("customers") == {"u1": None}, "the topic was told")
        slow.may.set()
        await one.until(lambda: desk.newest("customers")["u1"], "the customer came late")
        assert desk.newest("recommendations")["u1"]["strategy"] != "opted_out"
        late.cancel()  # killed: nobody is told, and Redis has nothing of it
        assert standing(store, "u1") == (False, False, "opted_out")
        await one.until(lambda: desk.newest("customers") == {"u1": None}, "it was taken back again")
        await one.until(lambda: desk.newest("recommendations")["u1"]["strategy"] == "opted_out", "this, too")
        one.task.cancel()

    asyncio.run(test())


def test_what_was_ranked_before_the_lease_was_over_is_not_sent_but_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    for module in (lease, publishing):
        monkeypatch.setattr(module, "now", lambda: clock[0])

    async def test() -> None:
        store, desk = MemoryStore(), Desk()
        worker = Late(store, desk)
        answers = worker.engine.answers

        async def slowly(*arguments: Any) -> list[tuple[Any, Written]]:
            clock[0] += LEASE_S
            return await answers(*arguments)

        monkeypatch.setattr(worker.engine, "answers", slowly)
        task = await worker.begin()
        async with asyncio.timeout(PATIENCE_S):
            while not worker.consumer.sought:
                assert not task.done()
                await asyncio.sleep(0.002)
        assert worker.consumer.sought == [frozenset({WHERE})]
        assert desk.topics == {"recommendations": [], "customers": []}
        assert KEYS.recs("u1") not in store.values
        assert worker.publishing.marks.take() == {}
        task.cancel()

    asyncio.run(test())


def test_who_overslept_sends_nothing_more_whatever_wakes_first() -> None:
    async def test() -> None:
        desk = Desk()
        task = await Late(MemoryStore(), desk, Lease(-1.0)).begin()
        with pytest.raises(Overslept):
            await asyncio.wait_for(task, PATIENCE_S)
        assert desk.topics == {"recommendations": [], "customers": []}

    asyncio.run(test())


def test_the_next_batch_is_counted_once_the_messages_of_this_one_are_made_and_not_only_when_they_are_out() -> None:
    async def test() -> None:
        desk = Desk()
        slow = Slow(desk.topics)
        worker = Late(MemoryStore(), slow)
        await worker.publishing.all_made()
        await worker.count()
        made = asyncio.create_task(worker.publishing.all_made())
        await asyncio.sleep(0)
        assert not made.done()
        task = asyncio.create_task(worker.publishing.run())
        await asyncio.wait_for(made, PATIENCE_S)
        await asyncio.wait_for(slow.sending.wait(), PATIENCE_S)
        assert desk.topics == {"recommendations": [], "customers": []}
        task.cancel()

    asyncio.run(test())
