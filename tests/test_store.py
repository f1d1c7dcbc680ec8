"""The store keeps its promises over Redis and over a dictionary alike."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from recsys.connection import open_client, open_store
from recsys.keys import literal
from recsys.redis_store import KEYS_A_COMMAND
from recsys.store import Commit, Entry, MemoryStore, Replacement, Store, Swap
from streams.settings import Settings

Test = Callable[[Store, str], Awaitable[None]]
EVERYWHERE = pytest.mark.parametrize("redis_kind", ["memory", "single", "cluster"], indirect=True)
GUARDED = pytest.mark.parametrize("redis_kind", ["memory", "single"], indirect=True)
BOTH = pytest.mark.parametrize("redis_kind", ["single", "cluster"], indirect=True)


@pytest.fixture
def run(request: pytest.FixtureRequest, redis_kind: str) -> Callable[[Test], None]:
    """Runs a test of a store; keys begin with the prefix that it is given, and lie in one slot."""
    if redis_kind == "memory":
        return lambda test: asyncio.run(test(MemoryStore(), "p:"))  # type: ignore[arg-type]
    settings: Settings = request.getfixturevalue("namespace")

    async def over_redis(test: Test) -> None:
        async with open_store(settings.redis) as store:
            await test(store, settings.key_prefix + "{i1}:")

    return lambda test: asyncio.run(over_redis(test))


@EVERYWHERE
def test_a_swap_holds_entirely_if_the_mark_is_the_expected_one(run: Callable[[Test], None]) -> None:
    async def test(store: Store, p: str) -> None:
        assert await store.swap([Swap(p + "mark", None, b"1", {p + "a": b"x", p + "b": b"y"})]) == [True]
        assert await store.read([[p + "mark", p + "a", p + "b", p + "c"]]) == [[b"1", b"x", b"y", None]]
        assert await store.swap([Swap(p + "mark", b"1", b"2", {p + "a": b"z"})]) == [True]
        assert await store.read([[p + "mark", p + "a", p + "b"]]) == [[b"2", b"z", b"y"]]

    run(test)


@EVERYWHERE
def test_a_swap_with_another_mark_changes_nothing_and_the_others_hold(run: Callable[[Test], None]) -> None:
    async def test(store: Store, p: str) -> None:
        await store.swap([Swap(p + "m1", None, b"1", {p + "a": b"old"}), Swap(p + "m2", None, b"1", {})])
        swaps = [
            Swap(p + "m1", b"0", b"2", {p + "a": b"new"}),
            Swap(p + "m2", b"1", b"2", {p + "b": b"new"}),
            Swap(p + "m1", None, b"2", {p + "a": b"new"}),
            Swap(p + "m3", b"1", b"2", {p + "c": b"new"}),
        ]
        assert await store.swap(swaps) == [False, True, False, False]
        keys = [p + "m1", p + "m2", p + "m3", p + "a", p + "b", p + "c"]
        assert await store.read([keys]) == [[b"1", b"2", None, b"old", b"new", None]]

    run(test)


@EVERYWHERE
def test_a_commit_is_made_only_where_all_before_it_was(run: Callable[[Test], None]) -> None:
    async def test(store: Store, p: str) -> None:
        first, second = Swap(p + "m1", None, b"1", {p + "a": b"x"}), Swap(p + "m2", None, b"1", {p + "b": b"x"})
        commit = Commit([Swap(p + "u", None, b"1", {p + "c": b"x"}), Swap(p + "v", b"0", b"1", {})])
        assert await store.swap([first, second], commit=commit) == [True, True, True, False]
        again = Commit([Swap(p + "u", b"1", b"2", {p + "c": b"y"})])
        late = Swap(p + "m2", None, b"3", {p + "b": b"y"})
        assert await store.swap([Swap(p + "m1", b"1", b"2", {}), late], commit=again) == [True, False, False]
        assert await store.swap([], commit=again) == [True]
        assert await store.read([[p + "m1", p + "m2", p + "u", p + "v", p + "c"]]) == [[b"2", b"1", b"2", None, b"y"]]

    run(test)


@GUARDED
def test_a_commit_holds_in_one_life_of_the_store_only_and_where_the_guards_do(run: Callable[[Test], None]) -> None:
    async def test(store: Store, p: str) -> None:
        life = await store.life()
        user = Swap(p + "u", None, b"1", {})
        assert await store.swap([Swap(p + "m", None, b"1", {})], commit=Commit([user], b"another")) == [True, False]
        assert await store.swap([Swap(p + "m", b"1", b"2", {})], {p + "u": b"0"}, Commit([user], life)) == [False, False]
        assert await store.swap([Swap(p + "m", b"1", b"2", {})], {p + "u": None}, Commit([user], life)) == [True, True]
        assert await store.swap([], {p + "there": b"1"}, Commit([Swap(p + "u", b"1", b"2", {})])) == [False]

    run(test)


@GUARDED
def test_a_guard_that_does_not_hold_keeps_everything_as_it_is(run: Callable[[Test], None]) -> None:
    async def test(store: Store, p: str) -> None:
        await store.put([Entry(p + "there", b"1")])
        holding = {p + "there": b"1", p + "missing": None}
        assert await store.swap([Swap(p + "m", None, b"1", {p + "a": b"x"})], holding) == [True]
        assert await store.put([Entry(p + "b", b"x")], holding)
        for broken in ({p + "there": b"2"}, {p + "there": None}, {p + "there": b"1", p + "missing": b"1"}):
            assert await store.swap([Swap(p + "m", b"1", b"2", {p + "a": b"y"}), Swap(p + "n", None, b"1", {})], broken) == [
                False,
                False,
            ]
            assert not await store.put([Entry(p + "b", b"y")], broken)
        assert await store.read([[p + "m", p + "a", p + "n", p + "b"]]) == [[b"1", b"x", None, b"x"]]

    run(test)


@EVERYWHERE
def test_of_values_with_versions_the_highest_stays(run: Callable[[Test], None]) -> None:
    async def test(store: Store, p: str) -> None:
        for number, text in ((5, b"five"), (4, b"four"), (5, b"five again"), (12, b"twelve"), (7, b"seven")):
            await store.put([Entry(p + "a", b'{"text":"%s","version":%d}' % (text, number), version=number)])
        assert await store.read([[p + "a"]]) == [[b'{"text":"twelve","version":12}']]
        await store.put([Entry(p + "a", b"always")])
        await store.put([Entry(p + "a", b'{"version":1}', version=1)])
        assert await store.read([[p + "a"]]) == [[b'{"version":1}']]

    run(test)


@EVERYWHERE
def test_many_and_large_groups_come_back_in_their_order(run: Callable[[Test], None]) -> None:
    async def test(store: Store, p: str) -> None:
        many = [Entry(f"{p}{n}", str(n).encode()) for n in range(3 * KEYS_A_COMMAND)]
        await store.put(many)
        groups = [[f"{p}{n}" for n in range(first, first + size)] for first, size in ((0, 1), (5, 450), (2, 199), (9, 3))]
        assert await store.read(groups) == [[key.removeprefix(p).encode() for key in group] for group in groups]
        assert await store.read([]) == []
        await store.put([])
        assert await store.swap([]) == []

    run(test)


@EVERYWHERE
def test_binary_values_stay_as_they_are(run: Callable[[Test], None]) -> None:
    async def test(store: Store, p: str) -> None:
        value = bytes(range(256)) + "\r\n{u0}\0é".encode()
        await store.swap([Swap(p + "m", None, value, {p + "v\n{u1}": value})])
        assert await store.read([[p + "m"], [p + "v\n{u1}"]]) == [[value], [value]]
        assert await store.swap([Swap(p + "m", value, b"2", {})]) == [True]

    run(test)


@BOTH
def test_values_live_as_long_as_they_were_given_and_marks_for_ever(namespace: Settings) -> None:
    async def write() -> None:
        async with open_store(namespace.redis) as store:
            p = namespace.key_prefix + "{i1}:"
            await store.swap([Swap(p + "m", None, b"1", {p + "a": b"x"}, lifetime_s=100)])
            await store.swap([Swap(p + "n", None, b"1", {p + "b": b"x"})])
            await store.put([Entry(p + "c", b"x", 200), Entry(p + "d", b"x")])
            mixed = Swap(p + "o", None, b"1", {p + "e": b"x", p + "f": b"x"}, 300, {p + "g": b"x", p + "h": b"x"})
            await store.swap([mixed, Swap(p + "q", None, b"1", {p + "i": b"x"}, 400, {p + "j": b"x"})])
            await store.swap([Swap(p + "q", b"1", b"2", {}, 400, {p + "i": b"y"})])  # from now on for ever

    asyncio.run(write())
    with open_client(namespace.redis) as client:
        lifetimes = {key: client.ttl(namespace.key_prefix + "{i1}:" + key) for key in "mabncdoefghqij"}
    mortal = {"a": 100, "c": 200, "e": 300, "f": 300}
    assert lifetimes == {key: pytest.approx(mortal[key], abs=2) if key in mortal else -1 for key in lifetimes}


@EVERYWHERE
def test_lasting_values_are_swapped_with_the_others_and_like_them(run: Callable[[Test], None]) -> None:
    async def test(store: Store, p: str) -> None:
        first = Swap(p + "m", None, b"1", {p + "a": b"a1", p + "b": b"b1"}, 100, {p + "c": b"c1"})
        refused = Swap(p + "m", None, b"2", {p + "a": b"a2"}, 100, {p + "c": b"c2"})
        after = Swap(p + "n", None, b"1", {p + "d": b"d1"}, 0, {p + "e": b"e1", p + "f": b"f1"})
        commit = Commit([Swap(p + "m", b"1", b"2", {}, 100, {p + "a": b"a3"})])
        assert await store.swap([first, refused, after]) == [True, False, True]
        assert await store.swap([], commit=commit) == [True]
        assert await store.read([[p + each for each in "mabcndef"]]) == [[b"2", b"a3", b"b1", b"c1", b"1", b"d1", b"e1", b"f1"]]

    run(test)


@EVERYWHERE
def test_a_value_is_replaced_or_removed_only_if_it_is_the_expected_one(run: Callable[[Test], None]) -> None:
    async def test(store: Store, p: str) -> None:
        await store.put([Entry(p + "a", b"1"), Entry(p + "b", b"1"), Entry(p + "c", b"1"), Entry(p + "e", b"")])
        changes = [
            Replacement(p + "a", b"1", b"2"),
            Replacement(p + "b", b"0", b"2"),
            Replacement(p + "c", b"1", None),
            Replacement(p + "d", b"1", b"2"),
            Replacement(p + "e", b"", b"2"),
        ]
        assert await store.replace(changes) == [True, False, True, False, True]
        assert await store.read([[p + each] for each in "abcde"]) == [[b"2"], [b"1"], [None], [None], [b"2"]]

    run(test)


@EVERYWHERE
def test_a_scan_gives_every_key_that_matches_and_no_other(run: Callable[[Test], None]) -> None:
    async def test(store: Store, p: str) -> None:
        await store.put([Entry(f"{p}{kind}:{n}", b"") for kind in ("recs", "similar", "item") for n in range(1200)])
        found = {key async for key in store.scan(literal(p) + "[rs]*")}
        assert found == {f"{p}{kind}:{n}" for kind in ("recs", "similar") for n in range(1200)}

    run(test)


@EVERYWHERE
def test_values_with_one_of_some_texts_in_them_are_found(run: Callable[[Test], None]) -> None:
    async def test(store: Store, p: str) -> None:
        await store.put([Entry(f"{p}{n}", b'{"n":"%d","\xc3\xa4.%%":0}' % n) for n in range(700)])
        asked = [f"{p}{n}" for n in (699, 7, 10_000, 77, *range(100, 600), 0)]
        assert await store.find(asked, [b'"7"', b'"77"', b'"599"']) == [f"{p}{n}" for n in (7, 77, 599)]
        assert await store.find(asked[:3], [b'"\xc3\xa4.%"']) == asked[:2], "no character of a text is special"
        assert await store.find(asked, []) == await store.find([], [b"7"]) == []

    run(test)


@BOTH
def test_a_replaced_value_keeps_its_lifetime(run: Callable[[Test], None], namespace: Settings) -> None:
    async def test(store: Store, p: str) -> None:
        await store.put([Entry(p + "a", b"1", 1000)])
        assert await store.replace([Replacement(p + "a", b"1", b"2")]) == [True]
        with open_client(namespace.redis) as client:
            assert 0 < client.ttl(p + "a") <= 1000

    run(test)
