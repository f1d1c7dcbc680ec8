"""What visitors bought, with what the customers did whom they joined: equal to a recount, and what rankings start from."""

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joins_oracle import assert_as_one, assert_joined
from oracle import home_partition
from returning_oracle import DAY, Bought, together
from strategies import NOW_MS, click
from test_forget import forget
from test_joins import PARTITIONS, Topic, run, told_last
from test_laws import KEYS, RULES, cut, mark_of
from test_returning import NOW, USERS, counted, recounted, start, streams

from recsys.catalogue.catalogue import Catalogue
from recsys.catalogue.item import CatalogueItem
from recsys.engine import Counted, Engine
from recsys.onlooker import Onlooker
from recsys.recommendation import Reason
from recsys.returning import purchases
from recsys.returning.pooling import pooled
from recsys.returning.purchases import HELD, MOST, Purchases
from recsys.store import MemoryStore

ALL = np.array([0, USERS])
ORDER = {"event_type": "order", "price": 5, "currency": "EUR"}


def in_order(bought: Purchases, users: list[int]) -> Purchases:
    return Purchases._make(column[users] for column in bought)


@settings(max_examples=200, deadline=None)
@given(streams(), st.permutations(range(USERS)))
def test_what_several_bought_is_that_of_a_recount_in_any_order(events: list[Bought], users: list[int]) -> None:
    state, truth = start(6), recounted(events)
    counted(state, events)
    found = pooled(in_order(state.purchases, users), ALL)
    assert_as_one(together([truth.customers[user] for user in range(USERS)]), found, 0, max(e.time for e in events) + DAY)


@pytest.mark.parametrize("seed", range(2))
def test_of_more_than_is_held_the_strongest_stay(seed: int) -> None:
    random = np.random.default_rng(seed)
    events = []
    for n in range(120):
        bought = (1 + random.zipf(1.3, int(random.integers(1, 30))) % 400).tolist()
        events.append(Bought(int(random.integers(USERS)), bought, NOW + n * DAY, refund=random.random() < 0.05))
    state, truth = start(400), recounted(events)
    counted(state, events)
    found = pooled(state.purchases, ALL)
    assert len(set(state.purchases.item[state.purchases.item > 0].tolist())) > found.held[0] == HELD
    assert_as_one(together([truth.customers[user] for user in range(USERS)]), found, 0, NOW + 200 * DAY)


@settings(max_examples=30, deadline=None)
@given(streams())
def test_with_nobody_else_it_stays_what_it_was(events: list[Bought]) -> None:
    state = start(6)
    counted(state, events)
    alone = pooled(state.purchases, np.arange(USERS + 1))
    for name, column in state.purchases._asdict().items():
        for user in range(USERS):
            filled = slice(state.purchases.held[user]) if column.ndim == 2 else ()
            assert getattr(alone, name)[user][filled].tolist() == column[user][filled].tolist()


def test_no_more_baskets_are_counted_of_an_item_than_can_be_stored() -> None:
    state = start(1)
    counted(state, [Bought(user, [1], NOW) for user in range(USERS)])
    state.purchases.k[:, 0] = MOST - 1
    found = pooled(state.purchases, ALL)
    assert purchases.unpack([purchases.pack(found, 0)]).k[0, 0] == MOST


# Of visitors who join


def of_visitor(*items: str) -> list[dict[str, Any]]:
    """A visitor's orders, one a week, and then a look at something else."""
    weeks = range(len(items), 0, -1)
    orders = [
        ORDER | {"anonymous_id": "v", "item_id": item, "event_time": NOW_MS - 7 * DAY * week}
        for item, week in zip(items, weeks, strict=True)
    ]
    return [*orders, {"event_type": "click", "anonymous_id": "v", "item_id": "tea"}]


def bought_again(store: MemoryStore, user: str) -> list[tuple[str, Reason]]:
    """The items that are recommended since they were bought before."""
    look = Onlooker(store, KEYS, RULES, PARTITIONS)
    found = asyncio.run(look.recommend(user, home_partition(user, PARTITIONS), "personal", now_ms=NOW_MS)).items
    return [(item.item_id, reason) for item in found for reason in item.reasons if reason.kind == "bought_again"]


def test_who_bought_as_a_visitor_is_recommended_it_again_until_the_visitor_is_erased() -> None:
    topic, store = Topic([]), MemoryStore()
    for event in (*of_visitor("milk", "milk", "milk"), click(item_id="cup", anonymous_id="v")):
        topic.send(event)
    asyncio.run(run(topic, store))
    assert [(item, reason.count) for item, reason in bought_again(store, "u1")] == [("milk", 3)]
    topic.send(forget("anon:v"))
    asyncio.run(run(topic, store))
    assert bought_again(store, "u1") == []
    assert_joined(topic.recount(), store.values, KEYS, PARTITIONS, RULES)


def test_what_the_visitor_bought_is_among_the_favourites() -> None:
    catalogue, topic, store = Catalogue(), Topic([]), MemoryStore()
    for item, brand in (("milk", "Alm"), ("cup", "Ton")):
        catalogue.put(CatalogueItem(item, brand=brand))
    now = {"event_time": NOW_MS}
    for event in (now | ORDER | {"anonymous_id": "v", "item_id": "milk"}, click(item_id="cup", anonymous_id="v", **now)):
        topic.send(event)

    def liked() -> dict[str, float]:
        said = [each for each, _ in asyncio.run(run(topic, store, catalogue=catalogue)) if each.user_id == "u1"]
        assert said[-1].favourites
        return {brand.name: brand.share for brand in said[-1].favourites.brands}

    assert liked() == {"Alm": 0.8, "Ton": 0.2}
    topic.send(forget("anon:v"))
    assert liked() == {"Ton": 1.0}


def test_a_customers_first_basket_teaches_what_follows_on_those_of_the_visitor() -> None:
    topic, store = Topic([]), MemoryStore()
    for event in (*of_visitor("milk", "milk"), click(anonymous_id="v")):
        topic.send(event)
    told_last(topic, store)
    topic.send(ORDER | {"user_id": "u1", "item_id": "milk"})
    found = newest(topic, store)
    [place] = found.before.places.tolist()
    assert (found.before.purchases.baskets.tolist(), found.before.purchases.k[0, 0]) == ([2], 2)
    assert (found.users.purchases.baskets[place], found.users.purchases.k[place, 0]) == (3, 3)
    own = purchases.unpack([store.values[KEYS.bought(home_partition("u1", PARTITIONS), "u1")]])
    assert (own.baskets[0], own.k[0, 0]) == (1, 1), "more than the customer's own is stored"
    marks = [mark_of(store, partition) for partition in range(PARTITIONS)]
    assert (sum(mark.bought for mark in marks), sum(mark.bought_again for mark in marks)) == (3, 1), "it was counted twice"


def newest(topic: Topic, store: MemoryStore) -> Counted:
    """What is left of the one chunk that is not counted yet."""
    [partition] = topic.behind(store)
    [chunk] = cut(topic.log, partition, (), PARTITIONS, mark_of(store, partition).offset + 1)
    return asyncio.run(Engine(store, KEYS, RULES).count(chunk, post=topic.post))
