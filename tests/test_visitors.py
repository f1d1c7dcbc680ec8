"""The visitors that are kept of items have no order of arrival: they are merged in any order, any number of times."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hostile import STRANGE_IDS
from hypothesis import given, settings
from hypothesis import strategies as st
from test_rank import event

from recsys.batch import Arrival
from recsys.engine import Chunk, Engine
from recsys.events import Kind
from recsys.hashing import hash_id
from recsys.keys import Keys
from recsys.rules import Rules
from recsys.sharding import ITEM_SHARDS
from recsys.store import MemoryStore
from recsys.visitors import Visitor, Visits, merge, unpack

ITEMS = 3
LONG = "anon:" + "🦉" * 128
USERS = ["u", "u1", "u2", "u10", "ü", "日本", LONG, LONG[:-1]]
HOMES = {user: home for home, user in enumerate(USERS, 2**16 - len(USERS))}
Visit = tuple[str, int, int]
"""(user, item, time)"""
VISITS = st.lists(st.tuples(st.sampled_from(USERS), st.integers(0, ITEMS - 1), st.integers(0, 4) | st.just(2**48 - 1)))


def plain(visits: Sequence[Visit], most: int) -> list[list[Visitor]]:
    newest: list[dict[str, int]] = [defaultdict(int) for _ in range(ITEMS)]
    for user, item, time in visits:
        newest[item][user] = max(newest[item][user], time)
    order = [sorted(of_item.items(), key=lambda each: (-each[1], each[0].encode()))[:most] for of_item in newest]
    return [[Visitor(user, HOMES[user], time) for user, time in of_item] for of_item in order]


def merged(stored: Sequence[bytes | None], visits: Sequence[Visit], most: int) -> list[bytes | None]:
    """The lists after these visits, which come at once."""
    users = sorted({user for user, _, _ in visits}, key=hash)
    rows = [(HOMES[user], n, time, item, users.index(user)) for n, (user, item, time) in enumerate(visits)]
    table = np.array(rows, np.int64).reshape(-1, 5).T
    kinds = (np.int32, np.int64, np.int64, np.uint64, np.int32)
    found = Visits._make(column.astype(kind) for column, kind in zip(table, kinds, strict=True))
    new = merge(stored, found, found.item.astype(np.int64), users, most)
    return [value or before for value, before in zip(new, stored, strict=True)]


@settings(deadline=None, max_examples=40)
@given(visits=VISITS, most=st.integers(1, 5), data=st.data())
def test_whatever_the_order_the_batches_and_the_repetitions_the_bytes_are_the_same(
    visits: list[Visit], most: int, data: st.DataObject
) -> None:
    again = data.draw(st.permutations(visits + visits[: data.draw(st.integers(0, 5))]))
    stored: list[bytes | None] = [None] * ITEMS
    while again:
        size = data.draw(st.integers(1, 6))
        stored, again = merged(stored, again[:size], most), again[size:]
    assert stored == merged([None] * ITEMS, visits, most)
    assert [unpack(value) for value in stored] == plain(visits, most)


@settings(deadline=None, max_examples=40)
@given(early=VISITS, late=VISITS, most=st.integers(1, 3))
def test_a_smaller_number_of_visitors_holds_from_an_items_next_visit_on(
    early: list[Visit], late: list[Visit], most: int
) -> None:
    stored = merged(merged([None] * ITEMS, early, 2 * most), late, most)
    whole, before = plain(early + late, most), plain(early, 2 * most)
    for value, wanted, was in zip(stored, whole, before, strict=True):
        assert unpack(value) in (wanted, was)
        assert unpack(value)[:most] == wanted


def test_what_changes_nothing_is_not_written() -> None:
    visits = Visits(*(np.array([n]) for n in (0, 7, 5, 0, 0)))
    [first] = merge([None], visits, np.array([0]), ["u"], 1)
    assert merge([first], visits, np.array([0]), ["u"], 1) == [None]
    assert merge([first], visits._replace(time=np.array([4])), np.array([0]), ["u"], 1) == [None]
    assert merge([first], visits._replace(time=np.array([4])), np.array([0]), ["other"], 1) == [None]
    assert merge([first, None], Visits._make(column[:0] for column in visits), np.zeros(0, np.int64), [], 1) == [None, None]


def test_a_list_of_another_version_is_refused() -> None:
    visits = Visits(*(np.array([n]) for n in (0, 7, 5, 0, 0)))
    for refused in (lambda: merge([b"\x09"], visits, np.array([0]), ["u"], 1), lambda: unpack(b"\x09")):
        with pytest.raises(ValueError, match="stored in form 9, this version reads 1"):
            refused()


def test_interactions_are_visits_and_repeats_refunds_and_searches_are_none() -> None:
    store, keys = MemoryStore(), Keys("p:")
    engine = Engine(store, keys, Rules())
    kinds = [Kind.CLICK, Kind.PURCHASE, Kind.REFUND, Kind.IMPRESSION, Kind.REMOVE_FROM_CART]
    events = [event("u", "cup", kind=kind, at_ms=n) for n, kind in enumerate(kinds)]
    events += [event("v", "pot", at_ms=n, event_id="e") for n in range(2)]
    events += [event(user, "hat") for user in STRANGE_IDS if 1 <= len(user) <= 128]
    arrivals = [Arrival(offset, each) for offset, each in enumerate(events)]
    asyncio.run(engine.count(Chunk(0, 0, len(events) - 1, arrivals)))

    def of(item: str) -> list[tuple[str, int]]:
        found = unpack(store.values.get(keys.visitors(hash_id(item) % ITEM_SHARDS, hash_id(item))))
        return [(each.user, each.time_ms) for each in found]

    assert of("cup") == [("u", events[1].time_ms)], "the purchase is the newest interaction"
    assert of("pot") == [("v", events[5].time_ms)], "the second is a repeat of the first"
    assert {user for user, _ in of("hat")} == {each.user_id for each in events[7:]}


def test_with_none_to_keep_nothing_is_written_and_rows_are_the_same() -> None:
    def counted(visitors: int) -> dict[str, bytes]:
        store = MemoryStore()
        arrivals = [Arrival(n, event(f"u{n % 2}", item)) for n, item in enumerate(("a", "b", "a"))]
        asyncio.run(Engine(store, Keys("p:"), Rules(visitors=visitors)).count(Chunk(0, 0, 2, arrivals)))
        return store.values

    some, none = counted(5), counted(0)
    assert {key for key in some if "visitors" in key} == some.keys() - none.keys()
    assert none == {key: some[key] for key in none}
