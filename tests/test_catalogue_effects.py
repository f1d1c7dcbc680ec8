"""What the records of `items` bring about, without servers: whoever owns a partition, whatever ends, each effect is had."""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from dying import Dying

from recsys.catalogue.catalogue import Catalogue
from recsys.hashing import hash_item
from recsys.keys import Keys
from recsys.store import Entry, MemoryStore
from streams import catalogue as module
from streams.catalogue import CatalogueStream
from streams.compacted import raise_count
from streams.outbox import Outbox, Outgoing
from streams.publishing import Publishing
from streams.settings import Settings
from streams.warmup import catalogue_of_two

KEYS = Keys("p:")
SETTINGS = Settings(key_prefix="p:")
PATIENCE_S = 10.0


class Log:
    """The topic: two partitions at first."""

    def __init__(self) -> None:
        self.partitions: list[list[Any]] = [[], []]
        self.clock_ms = 0

    def grow(self) -> None:
        """Has one partition more."""
        self.partitions.append([])

    def tell(self, item: str, partition: int = 0, **fields: Any) -> None:
        self.tell_bytes(item, json.dumps(fields).encode(), partition)

    def tell_bytes(self, item: str, value: bytes | None, partition: int = 0) -> None:
        log, key = self.partitions[partition], item.encode()
        offset = log[-1].offset + 1 if log else 0
        self.clock_ms += 1
        log.append(
            ConsumerRecord("items", partition, offset, self.clock_ms, 0, key, value, None, len(key), len(value or b""), ())
        )

    def compact(self) -> None:
        """Leaves the last record of each key, and of deletions none, but for the last record of a partition."""
        for log in self.partitions:
            last = {record.key: record.offset for record in log}
            log[:-1] = [record for record in log[:-1] if record.offset == last[record.key] and record.value]


class Consumer:
    """What reads the log; `step` records at once."""

    def __init__(self, log: Log, step: int) -> None:
        self._log = log
        self._step = step
        self._positions: dict[TopicPartition, int] = {}

    async def __aenter__(self) -> "Consumer":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def partitions_for_topic(self, _: str) -> set[int]:
        return set(range(len(self._log.partitions)))

    def assignment(self) -> set[TopicPartition]:
        return set(self._positions)

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self._positions = dict.fromkeys(places, 0)

    async def seek_to_beginning(self, *places: TopicPartition) -> None:
        for place in places:
            self._positions[place] = 0

    def seek(self, place: Any, offset: int) -> None:
        self._positions[place] = offset

    async def position(self, place: Any) -> int:
        return self._positions[place]

    async def end_offsets(self, places: Sequence[Any]) -> dict[Any, int]:
        logs = {place: self._log.partitions[place.partition] for place in places}
        return {place: log[-1].offset + 1 if log else 0 for place, log in logs.items()}

    async def getmany(self, **_: Any) -> dict[Any, list[Any]]:
        await asyncio.sleep(0.001)
        found = {}
        for place, position in self._positions.items():
            log = self._log.partitions[place.partition]
            records = [record for record in log if record.offset >= position][: self._step]
            if records:
                found[place] = records
                self._positions[place] = records[-1].offset + 1
        return found


class Desk:
    """An outbox and a publishing that note what they are told."""

    def __init__(self) -> None:
        self.rejected: list[Outgoing] = []
        self.recommended: list[bytes] = []
        self.shown: list[int] = []
        self.cold = self
        self.hastened = 0

    def hasten(self) -> None:
        self.hastened += 1

    async def partitions(self, _: str) -> int:
        return 2

    async def deliver(self, _: str, outgoing: Iterable[Outgoing]) -> None:
        self.rejected += outgoing

    async def publish(self, _: str, messages: Iterable[tuple[bytes, bytes, Any]]) -> None:
        self.recommended += [value for _, value, _ in messages]

    async def show_again(self, items: Sequence[int]) -> None:
        self.shown += items

    def refresh_trending(self) -> None:
        pass


class One:
    """A worker's reading of the log."""

    def __init__(self, log: Log, store: MemoryStore, desk: Desk, owned: Iterable[int] = (0, 1)) -> None:
        self.log = log
        self.owned = set(owned)
        self.catalogue = Catalogue()
        self.stream = CatalogueStream(
            SETTINGS, KEYS, self.catalogue, store, cast(Outbox, desk), cast(Publishing, desk), 2, 3, self.owned
        )
        self._tasks = [asyncio.create_task(self.stream.run()), asyncio.create_task(self.stream.run_rounds())]

    async def until(self, predicate: Callable[[], object], what: str) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        while not predicate():
            assert loop.time() < until, f"it did not happen that {what}"
            for task in self._tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.005)

    async def noted(self, store: MemoryStore) -> None:
        """Returns when all that is on the log has had its effects."""
        for n, log in enumerate(self.log.partitions):
            if log:
                mark, key = str(log[-1].offset).encode(), KEYS.catalogue_mark(n)
                await self.until(lambda key=key, mark=mark: store.values.get(key) == mark, f"{key} became {mark!r}")  # type: ignore[misc]

    def hides(self, item: str) -> bool:
        return hash_item(item) in self.catalogue.hidden

    def die(self) -> None:
        for task in self._tasks:
            task.cancel()


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """What compiles has compiled, as in a worker that is ready."""
    catalogue_of_two()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """A log that is read in small steps; marks are written often."""
    log = Log()
    monkeypatch.setattr(module, "AIOKafkaConsumer", lambda **_: Consumer(log, 3))
    monkeypatch.setattr(module, "MARK_S", 0.02)
    monkeypatch.setattr(module, "AGAIN_S", 0.02)
    monkeypatch.setattr(module, "ROUND_S", 0.005)
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    return log


def recommendation(*items: str) -> bytes:
    message = {"recommendation_id": "0-1-1", "items": [{"item_id": item} for item in items]}
    return json.dumps(message, separators=(",", ":")).encode()


def items(store: MemoryStore, user: str = "u") -> list[str]:
    return [item["item_id"] for item in json.loads(store.values[KEYS.recs(user)])["items"]]


async def published(store: MemoryStore, *items: str) -> None:
    await store.put([Entry(KEYS.recs("u"), recommendation(*items))])


def test_all_that_is_told_is_had_and_the_last_record_of_an_item_holds(log: Log) -> None:
    async def test() -> None:
        store, desk = MemoryStore(), Desk()
        await published(store, "i1", "i2", "i3", "other")
        for n in range(20):
            log.tell(f"i{n % 5}", n % 5 % 2, price=n)
        log.tell_bytes("i1", None, 1)
        log.tell_bytes("i2", b"{", 0)
        log.tell("i3", 1, available=False)
        one = One(log, store, desk)
        await one.noted(store)
        assert KEYS.item("i1") not in store.values
        assert json.loads(store.values[KEYS.item("i2")])["price"] >= 12
        assert [(aside.partition, aside.value) for aside in desk.rejected] == [(0, b"{")]
        assert items(store) == items_of(desk.recommended[-1]) == ["i2", "other"]
        one.die()

    asyncio.run(test())


def test_a_partition_that_is_added_is_read_and_has_its_effects_while_the_others_are_read_on(log: Log) -> None:
    async def run() -> None:
        store, desk = MemoryStore(), Desk()
        await published(store, "a", "b", "c")
        one, other = One(log, store, desk, owned=[0]), One(log, store, desk, owned=[1])
        log.tell("a", title="red mug")
        log.tell_bytes("bad", b"{")
        await one.noted(store)
        log.grow()
        log.tell_bytes("b", None, partition=2)
        log.tell("a", title="red mug", available=False)
        await one.noted(store)
        await one.until(lambda: items(store) == ["c"], "both were swept")
        for each in one, other:
            await each.until(lambda each=each: each.hides("a") and each.hides("b"), "both workers know")  # type: ignore[misc]
            each.die()
        assert json.loads(store.values[KEYS.catalogue_deleted(2)]).keys() == {"b"}
        assert len(desk.rejected) == 1

        later = One(log, store, desk, owned=())
        await later.until(lambda: later.hides("b"), "who starts later knows it, too")
        later.die()

    asyncio.run(run())


@pytest.mark.parametrize("forgets", [False, True], ids=["Kafka knows", "Kafka forgets deletions"])
def test_an_items_last_record_holds_when_added_partitions_have_it_and_its_old_ones_stayed(log: Log, forgets: bool) -> None:
    """Items were told on partition 1, and now come on 2 (deleted, changed), or back from there."""

    async def run() -> None:
        store, desk = MemoryStore(), Desk()
        for item in ("deleted", "changed", "back"):
            log.tell(item, 1, available=item != "changed", price=1)
        log.tell_bytes("again", None, 1)
        first = One(log, store, desk)
        await first.noted(store)
        log.grow()
        log.tell_bytes("deleted", None, 2)
        log.tell("changed", 2, price=2)
        log.tell_bytes("back", None, 2)
        log.tell("again", 2)
        await first.noted(store)
        log.tell("back", 1)  # by a producer that had not heard of the new partition
        log.tell("last", 2)

        async def holds(one: One) -> None:
            await one.noted(store)
            await one.until(lambda: deletions() == ({}, {"deleted"}), "both partitions' deletions were noted")
            hidden = [one.hides(item) for item in ("deleted", "changed", "back", "again")]
            assert hidden == [True, False, False, False]
            assert {key for key in store.values if key.startswith("p:item:")} == public
            assert json.loads(store.values[KEYS.item("changed")])["price"] == 2
            one.die()

        def deletions() -> tuple[Any, Any]:
            one, two = (json.loads(store.values.get(KEYS.catalogue_deleted(n), b"null")) for n in (1, 2))
            return one, two and set(two)

        public = {KEYS.item(item) for item in ("changed", "back", "again", "last")}
        await holds(first)
        if forgets:
            log.compact()
        for _ in range(2):
            later = One(log, store, desk)
            await later.until(lambda one=later: len(one.catalogue) == 4, "the topic was read")  # type: ignore[misc]
            await holds(later)
        if not forgets:  # all is told anew to an empty Redis
            store.values.clear()
            anew = One(log, store, desk)
            await holds(anew)

    asyncio.run(run())


def test_who_has_not_heard_of_a_partition_yet_does_not_set_back_how_many_there_are() -> None:
    class Late(MemoryStore):
        """Another worker writes its count just before ours."""

        async def swap(self, *arguments: Any) -> list[bool]:
            self.values.setdefault("count", b"5")
            return await super().swap(*arguments)

    async def counted(store: MemoryStore, *counts: int) -> bytes:
        for count in counts:
            await raise_count(store, "count", count)
        return store.values["count"]

    assert asyncio.run(counted(MemoryStore(), 4, 10, 9)) == b"10"
    assert asyncio.run(counted(Late(), 4)) == b"5"
    assert asyncio.run(counted(Late(), 6)) == b"6"


def items_of(value: bytes) -> list[str]:
    return [item["item_id"] for item in json.loads(value)["items"]]


def test_what_others_own_is_known_and_has_no_effect_here(log: Log) -> None:
    async def test() -> None:
        store, desk = MemoryStore(), Desk()
        log.tell_bytes("a", None, 0)
        log.tell_bytes("b", b"{", 0)
        log.tell("c", 0)
        one = One(log, store, desk, owned=[1])
        await one.until(lambda: one.hides("a") and len(one.catalogue) == 1, "it was read")
        assert (store.values, desk.rejected) == ({KEYS.catalogue: b"2"}, []), "only that there are two partitions"
        one.owned.add(0)  # a rebalance
        await one.noted(store)
        assert store.values[KEYS.item("c")] == b"{}"
        assert len(desk.rejected) == 1
        one.die()

    asyncio.run(test())


def test_who_starts_again_repeats_nothing_and_knows_all(log: Log) -> None:
    async def test() -> None:
        store, desk = MemoryStore(), Desk()
        log.tell("a", 0, available=False)
        log.tell("b", 0)
        log.tell_bytes("b", None, 0)
        log.tell_bytes("c", b"{", 0)
        first = One(log, store, desk)
        await first.noted(store)
        first.die()
        store.values[KEYS.item("a")] = b"not written again"
        log.tell("d", 0)
        second = One(log, store, desk)
        await second.noted(store)
        assert second.hides("a")
        assert second.hides("b")
        assert store.values[KEYS.item("a")] == b"not written again"
        assert len(desk.rejected) == 1
        second.die()

    asyncio.run(test())


def test_what_comes_after_the_catalogue_was_read_is_to_be_shown_at_once(log: Log) -> None:
    async def test() -> None:
        store, desk = MemoryStore(), Desk()
        log.tell("old")
        one = One(log, store, desk)
        await one.until(lambda: one.stream._has_read_all, "it was read")
        assert desk.hastened == 0
        log.tell("new")
        await one.until(lambda: len(one.catalogue) == 2, "it was heard of")
        assert desk.hastened == 1
        log.tell("new", price=1)
        await one.noted(store)
        assert desk.hastened == 1, "a change is no arrival"
        one.die()

    asyncio.run(test())


def test_what_is_deleted_stays_so_when_the_log_has_forgotten_it(log: Log) -> None:
    async def test() -> None:
        store, desk = MemoryStore(), Desk()
        log.tell("a", 0)
        log.tell("b", 0)
        log.tell_bytes("a", None, 0)
        log.tell_bytes("b", None, 0)
        log.tell("b", 0)
        log.tell("last", 0)
        first = One(log, store, desk)
        await first.noted(store)
        first.die()
        log.compact()
        assert [record.key for record in log.partitions[0]] == [b"b", b"last"]
        second = One(log, store, desk)
        await second.until(lambda: len(second.catalogue) == 2, "it was read")
        assert (second.hides("a"), second.hides("b")) == (True, False)
        log.tell("a", 0)
        await second.noted(store)
        assert not second.hides("a")
        assert desk.shown[-1] == hash_item("a")
        second.die()
        third = One(log, store, desk)
        await third.until(lambda: len(third.catalogue) == 3, "it was read")
        assert not third.hides("a")
        third.die()

    asyncio.run(test())


@pytest.mark.parametrize("writes", range(14))
def test_a_worker_that_ends_before_any_of_its_writes_leaves_no_effect_undone(log: Log, writes: int) -> None:
    """It dies when it is about to make its write number `writes`."""

    async def test() -> None:
        store, desk = Dying(writes), Desk()
        store.values[KEYS.recs("u")] = recommendation("a", "b", "c")
        first = One(log, store, desk)
        try:
            log.tell("c", 0)
            log.tell("a", 0)
            log.tell_bytes("bad", b"{", 0)
            await first.noted(store)
            log.tell_bytes("a", None, 0)
            await asyncio.sleep(0.03)
            log.tell("b", 0, available=False)
            log.tell("d", 1)
            await first.noted(store)
        except ConnectionError:
            pass
        first.die()
        store.left = 1_000_000
        for item, value in (("a", None), ("b", b'{"available": false}')):
            log.tell_bytes(item, value, 0)
        log.tell("d", 1)
        second = One(log, store, desk)
        await second.noted(store)
        assert items(store) == ["c"]
        assert {key for key in store.values if key.startswith("p:item:")} == {KEYS.item("b"), KEYS.item("c"), KEYS.item("d")}
        assert {aside.key for aside in desk.rejected} <= {b"bad"}
        second.die()
        third = One(log, store, desk)
        await third.until(lambda: third.hides("a") and third.hides("b"), "the third knew it, too")
        third.die()

    asyncio.run(test())


def test_an_owner_whose_effects_came_late_has_them_repeated_by_the_next(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        store, desk = MemoryStore(), Desk()
        log.tell("a", 0, price=1)
        one = One(log, store, desk, owned=[0])
        other = One(log, store, desk, owned=[])
        await one.noted(store)
        writing = one.stream._write
        resume = asyncio.Event()

        async def late(*arguments: Any) -> None:
            await resume.wait()
            await writing(*arguments)

        monkeypatch.setattr(one.stream, "_write", late)
        log.tell("a", 0, price=2)
        await asyncio.sleep(0.05)
        one.owned.clear()  # it stands still, and the partition is another worker's
        other.owned.add(0)
        log.tell("a", 0, price=3)
        await other.noted(store)
        assert json.loads(store.values[KEYS.item("a")])["price"] == 3
        resume.set()
        await asyncio.sleep(0.3)
        await other.noted(store)
        assert json.loads(store.values[KEYS.item("a")])["price"] == 3
        one.die()
        other.die()

    asyncio.run(test())


def test_an_owner_whose_effects_came_late_is_heard_by_one_that_has_had_them_and_not_noted_it_yet(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        store, desk = MemoryStore(), Desk()
        log.tell("a", 0, price=1)
        one, other = One(log, store, desk, owned=[0]), One(log, store, desk, owned=[])
        await one.noted(store)
        monkeypatch.setattr(module, "LOOK_S", 100.0)
        monkeypatch.setattr(module, "MARK_S", 100.0)
        writing, resume = one.stream._write, asyncio.Event()

        async def late(*arguments: Any) -> None:
            await resume.wait()
            await writing(*arguments)

        monkeypatch.setattr(one.stream, "_write", late)
        log.tell("a", 0, price=2)
        await asyncio.sleep(0.05)
        one.owned.clear()
        other.owned.add(0)
        log.tell("a", 0, price=3)
        await other.until(lambda: b"3" in store.values[KEYS.item("a")], "the other had the effect")
        resume.set()
        await other.until(lambda: b"2" in store.values[KEYS.item("a")], "the late one came over it")
        await asyncio.sleep(0.05)
        monkeypatch.setattr(module, "MARK_S", 0.02)
        await other.noted(store)
        assert json.loads(store.values[KEYS.item("a")])["price"] == 3
        one.die()
        other.die()

    asyncio.run(test())


def test_what_is_shown_again_while_it_is_swept_is_not_taken_out_any_more(log: Log) -> None:
    class Slow(MemoryStore):
        async def read(self, groups: Any) -> Any:
            if len(groups) == 1 and groups[0][0].startswith(KEYS.recs("")):
                await asyncio.sleep(0.2)
            return await super().read(groups)

    async def test() -> None:
        store, desk = Slow(), Desk()
        log.tell("a", 0)
        one = One(log, store, desk)
        await one.noted(store)
        store.values[KEYS.recs("u")] = recommendation("a", "b")
        log.tell_bytes("a", None, 0)
        await one.until(lambda: one.hides("a"), "it was hidden")
        await asyncio.sleep(0.05)
        log.tell("a", 0)
        await one.noted(store)
        assert items(store) == ["a", "b"]
        one.die()

    asyncio.run(test())
