"""What a worker remembers of shards: it may be late, but what is built on it is then refused."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import shards as module
from recsys.shards import BYTES_A_VALUE, CONTESTED_S, LONGEST_S, PROVED_S, Shards
from recsys.store import Commit, Group, MemoryStore, Swap

MARKS = ["{i0}mark", "{i1}mark"]
KEYS = {mark: [mark[:4] + name for name in "abc"] for mark in MARKS}
ME, OTHER = 0, 1


class CountedStore(MemoryStore):
    """A store that knows what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Group] = []

    async def read(self, groups: Sequence[Group]) -> list[list[bytes | None]]:
        self.asked += groups
        return await super().read(groups)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def after(mark: bytes | None) -> bytes:
    return b"%d" % (int(mark or b"0") + 1)


def swap(key: str, mark: bytes | None, **values: bytes) -> Swap:
    return Swap(key, mark, after(mark), {key[:4] + name: value for name, value in values.items()})


STEPS = st.lists(
    st.tuples(
        st.sampled_from([ME, OTHER]),
        st.lists(st.tuples(st.sampled_from(MARKS), st.sets(st.sampled_from("abc"))), max_size=2, unique_by=lambda g: g[0]),
        st.sampled_from([0.0, 1.0, PROVED_S, CONTESTED_S]),
    ),
    max_size=30,
)  # fmt: skip


@given(STEPS, st.sampled_from([1, 1 << 25]))
def test_a_swap_that_is_taken_was_built_on_what_the_store_has(
    steps: list[tuple[int, list[tuple[str, set[str]]], float]], most_bytes: int
) -> None:
    store, clock = MemoryStore(), Clock()
    workers = [Shards(store, clock), Shards(store, clock)]

    async def take_turns() -> None:
        for number, (who, wanted, later_s) in enumerate(steps):
            clock.now_s += later_s
            groups = [[mark, *(mark[:4] + name for name in sorted(names))] for mark, names in wanted]
            seen = dict(store.values)
            read, unproved = await workers[who].read(groups)
            for group, values in zip(groups, read, strict=True):
                if group[0] not in unproved:
                    assert values == [seen.get(key) for key in group]
            mine = [
                Swap(g[0], v[0], after(v[0]), dict.fromkeys(g[1:], b"%d" % number)) for g, v in zip(groups, read, strict=True)
            ]
            taken = await workers[who].swap(mine)
            for group, values, ok in zip(groups, read, taken, strict=True):
                assert ok == (values[0] == seen.get(group[0]))
                assert not ok or values == [seen.get(key) for key in group]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "MOST_BYTES", most_bytes)
        asyncio.run(take_turns())


def test_what_was_read_or_written_is_not_asked_for_again() -> None:
    store = CountedStore()
    shards = Shards(store)

    async def test() -> None:
        await store.swap([swap(MARKS[0], None, a=b"1", b=b"2")])
        assert (await shards.read([[MARKS[0], "{i0}a"]])).groups == [[b"1", b"1"]]
        assert (await shards.read([[MARKS[0], "{i0}a", "{i0}b", "{i0}c"]])).groups == [[b"1", b"1", b"2", None]]
        await shards.swap([swap(MARKS[0], b"1", c=b"3")])
        assert await shards.read([[MARKS[0], *KEYS[MARKS[0]]]]) == ([[b"2", b"1", b"2", b"3"]], {MARKS[0]})

    asyncio.run(test())
    assert store.asked == [[MARKS[0], "{i0}a"], [MARKS[0], "{i0}b", "{i0}c"]]


def test_where_a_part_of_a_shard_shows_another_mark_all_of_it_is_read() -> None:
    store = MemoryStore()
    shards = Shards(store)

    async def test() -> None:
        await shards.swap([swap(MARKS[0], None, a=b"1")])
        await store.swap([swap(MARKS[0], b"1", a=b"2", b=b"2")])
        assert await shards.read([[MARKS[0], "{i0}a", "{i0}b"]]) == ([[b"2", b"2", b"2"]], set())

    asyncio.run(test())


def test_a_shard_that_others_write_is_read_anew_for_a_while() -> None:
    store, clock = CountedStore(), Clock()
    shards = Shards(store, clock)
    group = [MARKS[0], "{i0}a"]

    async def test() -> None:
        await shards.swap([swap(MARKS[0], None, a=b"1")])
        await store.swap([swap(MARKS[0], b"1", a=b"2")])
        clock.now_s = 5.0
        assert await shards.swap([swap(MARKS[0], b"1", a=b"3")]) == [False]
        assert shards.others_s == 5.0
        for _ in range(3):
            assert await shards.read([group]) == ([[b"2", b"2"]], set())
        assert store.asked == [group] * 3
        clock.now_s += CONTESTED_S
        for _ in range(3):
            await shards.read([group])
        assert store.asked == [group] * 4

    asyncio.run(test())


def test_a_look_is_not_older_than_it_may_be_and_sees_what_others_did() -> None:
    store, clock = MemoryStore(), Clock()
    shards = Shards(store, clock)
    group = [MARKS[0], "{i0}a"]

    async def test() -> None:
        await shards.swap([swap(MARKS[0], None, a=b"1")])
        await store.swap([swap(MARKS[0], b"1", a=b"2")])
        clock.now_s = PROVED_S
        assert await shards.look([group]) == [[b"1", b"1"]]
        assert shards.others_s < 0.0
        clock.now_s += 0.1
        assert await shards.look([group]) == [[b"2", b"2"]]
        assert shards.others_s == clock.now_s

    asyncio.run(test())


def test_a_commit_that_is_refused_does_not_say_that_others_write_too() -> None:
    store = MemoryStore()
    shards = Shards(store)

    async def test() -> None:
        await shards.swap([swap(MARKS[0], None), swap(MARKS[1], None)])
        await store.swap([swap(MARKS[0], b"1")])
        assert await shards.swap([swap(MARKS[0], b"1")], commit=Commit([swap(MARKS[1], b"1", a=b"1")])) == [False, False]
        assert (await shards.read([[MARKS[1], "{i1}a"]])).groups == [[b"1", None]]
        assert (await shards.read([[MARKS[1], "{i1}a"]])).unproved == {MARKS[1]}

    asyncio.run(test())


def test_after_a_look_that_saw_another_mark_no_older_one_is_seen() -> None:
    store, clock = MemoryStore(), Clock()
    shards = Shards(store, clock)

    async def test() -> None:
        await shards.swap([swap(MARKS[0], None, a=b"1")])
        await store.swap([swap(MARKS[0], b"1", a=b"2", b=b"2")])
        assert await shards.look([[MARKS[0], "{i0}b"]]) == [[b"2", b"2"]]
        assert await shards.look([[MARKS[0], "{i0}a"]]) == [[b"2", b"2"]]

    asyncio.run(test())


def test_a_look_that_is_overtaken_by_a_swap_of_this_worker_sees_no_others() -> None:
    class SlowStore(MemoryStore):
        async def read(self, groups: Sequence[Group]) -> list[list[bytes | None]]:
            found = await super().read(groups)
            await asyncio.sleep(0.01)
            return found

    shards = Shards(SlowStore())

    async def test() -> None:
        await shards.swap([swap(MARKS[0], None, a=b"1")])
        looked, _ = await asyncio.gather(shards.look([[MARKS[0], "{i0}b"]]), shards.swap([swap(MARKS[0], b"1", a=b"2")]))
        assert looked == [[b"1", None]]
        assert shards.others_s < 0.0
        assert (await shards.read([[MARKS[0], "{i0}a"]])).unproved

    asyncio.run(test())


@pytest.mark.parametrize("pauses_s", [[LONGEST_S + 1.0] * 2, [2 * LONGEST_S + 1.0]])
def test_what_was_not_met_for_long_is_forgotten(pauses_s: list[float]) -> None:
    store, clock = CountedStore(), Clock()
    shards = Shards(store, clock)

    async def test() -> None:
        await shards.swap([swap(MARKS[0], None, a=b"1")])
        for pause_s in pauses_s:
            clock.now_s += pause_s
            await shards.read([[MARKS[0], "{i0}b"]])
        store.asked.clear()
        await shards.read([[MARKS[0], "{i0}a"]])

    asyncio.run(test())
    assert store.asked == [[MARKS[0], "{i0}a"]]


def test_what_is_met_again_and_again_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 40 * BYTES_A_VALUE)
    store = CountedStore()
    shards = Shards(store)

    async def test() -> None:
        await store.swap([Swap(MARKS[0], None, b"1", {})])
        for n in range(200):
            store.asked.clear()
            group = [MARKS[0], *(f"{{i0}}{k}" for k in range(n))]
            assert (await shards.read([group])).groups == [[b"1"] + [None] * n]
        assert len(store.asked[0]) > 100  # so many were not remembered, although all were met a moment ago

    asyncio.run(test())


def test_what_was_not_met_lately_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 8 * module.BYTES_A_VALUE)
    store = CountedStore()
    shards = Shards(store)

    async def test() -> None:
        mark = None
        for n in range(100):
            await shards.swap([Swap(MARKS[0], mark, after(mark), {f"{{i0}}{n}": b"1"})])
            mark = after(mark)
            await shards.read([[MARKS[0], "{i0}0"]])
        assert store.asked == []
        await shards.read([[MARKS[0], "{i0}50", "{i0}99", "{i0}0"]])

    asyncio.run(test())
    assert store.asked == [[MARKS[0], "{i0}50"]]
