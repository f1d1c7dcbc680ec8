"""Visitors who turn out to be customers: joined once, whatever happens, as the recount says; and counts are as without it."""

import asyncio
import math
from collections.abc import Sequence
from itertools import pairwise, permutations
from typing import Any

import numpy as np
from customers_oracle import assert_accounts_are
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from joins_oracle import assert_joined
from msgspec.structs import replace
from oracle import Record, Recount, home_partition, recount, sealed
from strategies import NOW_MS, click, encoded, logs
from strategies import events as fields
from test_laws import FEW, KEYS, RULES, Crash, FragileStore, assert_counts_are, count_all, cut, end_of, mark_of

from recsys import histories, joined_histories
from recsys.catalogue.catalogue import Catalogue
from recsys.customers import account, message, rfm
from recsys.customers import joins as joining
from recsys.customers.account import Account
from recsys.customers.joins import MOST_VISITORS, Joined, Letter, whole
from recsys.customers.merging import merged, told
from recsys.engine import Engine
from recsys.events import Event, decode
from recsys.hashing import NONE
from recsys.histories import Histories
from recsys.marks import encode, user_mark
from recsys.rules import Rules
from recsys.store import MemoryStore
from streams.cli.customer import lines

PARTITIONS = 3
DAY_MS = 86_400_000
LAW = settings(FEW, max_examples=20, phases=(Phase.explicit, Phase.reuse, Phase.generate))
"""To shrink a failure takes minutes."""


class Topic:
    """A topic to which workers write, too; they may die after so many letters."""

    def __init__(self, log: Sequence[Record], form: str = "") -> None:
        self.log = list(log)
        self.form = form
        """That letters are to name."""
        self.left: float = math.inf

    def send(self, event: dict[str, Any], partition: int | None = None) -> None:
        """Adds an event, in its user's home partition if no other is said."""
        home_id = event.get("user_id") or event["anonymous_id"]
        home = home_partition(str(home_id), PARTITIONS) if partition is None else partition
        self.log.append(Record(home, end_of(self.log, home) + 1, NOW_MS, None, encoded(event)))

    async def post(self, letters: Sequence[Letter]) -> None:
        for home, letter in joining.by_home(letters, lambda home_id: home_partition(home_id, PARTITIONS)):
            if self.left <= 0:
                raise Crash
            self.left -= 1
            value = joining.encode(replace(letter.message, form=self.form))
            origin = letter.partition, letter.offset, letter.message.event_time
            header = sealed(value, *origin, PARTITIONS, home, header="joining")
            self.log.append(Record(home, end_of(self.log, home) + 1, NOW_MS, None, value, (("joining", header),)))

    def behind(self, store: MemoryStore) -> list[int]:
        return [p for p in range(PARTITIONS) if mark_of(store, p).offset < end_of(self.log, p)]

    def recount(self) -> Recount:
        return recount(self.log, PARTITIONS, history=RULES.history, window=RULES.window)


async def run(
    topic: Topic, store: MemoryStore, rules: Rules = RULES, catalogue: Catalogue | None = None
) -> list[tuple[message.Customer, list[str]]]:
    """Counts all there is, and what comes of it; the messages on customers, and the items recommended to them then."""
    engine = Engine(store, KEYS, rules, catalogue=catalogue)
    said = []
    while behind := topic.behind(store):
        for partition in behind:
            for one in cut(topic.log, partition, (), PARTITIONS, mark_of(store, partition).offset + 1):
                counted = await engine.count(one, post=topic.post)
                assert not counted.lost
                answers = {each.user_id: each for _, each in await engine.recommend(counted, NOW_MS)}
                for _, customer in await engine.customers(counted):
                    items = answers[customer.user_id].items if customer.user_id in answers else []
                    said.append((customer, [item.item_id for item in items]))
    return said


def told_last(topic: Topic, store: MemoryStore | None = None, rules: Rules = RULES) -> dict[str, message.Customer]:
    """The newest message of each customer."""
    return {customer.user_id: customer for customer, _ in asyncio.run(run(topic, store or MemoryStore(), rules))}


def of_users(store: MemoryStore) -> dict[str, bytes]:
    """All that is kept on the users' side, bit by bit, but for versions."""
    values = {key: value for key, value in store.values.items() if value and "{u" in key and not key.endswith(":published")}
    return {
        key: encode(replace(user_mark(value), version=0)) if key.endswith(":mark") else value for key, value in values.items()
    }


@LAW
@given(logs(partitions=PARTITIONS), st.data())
def test_whatever_happens_visitors_join_as_the_topic_says(log: list[Record], data: st.DataObject) -> None:
    """Two workers, who both go on for ever, with partitions to and fro, chunks of any size, deaths at any write and any letter,
    and what was counted given again."""
    topic, store = Topic(log), FragileStore(10**9)
    workers = [Engine(store, KEYS, RULES) for _ in range(2)]
    owner: dict[int, int] = {}

    async def turn() -> None:
        who, partition = data.draw(st.integers(0, 1)), data.draw(st.sampled_from(topic.behind(store)))
        store.left, topic.left = data.draw(st.sampled_from([(math.inf, math.inf)] * 4 + [(0, 1), (1, 0), (3, 9), (9, 2)]))
        try:
            if owner.get(partition) != who:
                await workers[who].begin(partition, born="")
                owner[partition] = who
            start = (await workers[who].position(partition))[0] + 1 - data.draw(st.integers(0, 3))
            sizes = [data.draw(st.integers(1, 30))]
            for one in cut(topic.log, partition, sizes, PARTITIONS, max(0, start))[:1]:
                await workers[who].count(one, post=topic.post)
        except Crash:
            workers[who] = Engine(store, KEYS, RULES)
            for each in [p for p, theirs in owner.items() if theirs == who]:
                del owner[each]

    for _ in range(25):
        if topic.behind(store):
            asyncio.run(turn())
    store.left = topic.left = math.inf
    asyncio.run(run(topic, store))
    truth = topic.recount()
    assert_joined(truth, store.values, KEYS, PARTITIONS, RULES)
    assert_accounts_are(truth, store.values, KEYS, PARTITIONS, RULES.session_gap_ms)
    assert_counts_are(truth, store, PARTITIONS, RULES)
    again = MemoryStore()
    for partition in range(PARTITIONS):
        asyncio.run(count_all(again, cut(topic.log, partition, (), PARTITIONS)))
    assert of_users(again) == of_users(store)


@LAW
@given(logs(partitions=PARTITIONS))
def test_an_emptied_redis_is_filled_as_it_was_though_everybody_is_told_again(log: list[Record]) -> None:
    topic, store, again = Topic(log), MemoryStore(), MemoryStore()
    asyncio.run(run(topic, store))
    assert_counts_are(recount(log, PARTITIONS, history=RULES.history, window=RULES.window), store, PARTITIONS, RULES)  # as ever
    asyncio.run(run(topic, again))
    assert_joined(topic.recount(), again.values, KEYS, PARTITIONS, RULES)
    asyncio.run(run(topic, store))  # the copies of all letters
    assert of_users(again) == of_users(store)


def test_a_visitor_who_logs_in_is_told_with_the_customer() -> None:
    topic = Topic([])
    for n, item in enumerate("ab"):
        topic.send({"event_type": "click", "anonymous_id": "v", "item_id": item, "event_time": NOW_MS - n, "source": "web"})
    topic.send({"event_type": "order", "anonymous_id": "v", "item_id": "a", "price": 5, "currency": "EUR", "source": "web"})
    topic.send(click(anonymous_id="v", source="ios"))
    said = told_last(topic)
    known = said["u1"]
    assert (known.events, known.sources, known.orders) == ({"click": 3, "purchase": 1}, {"web": 3, "ios": 1}, 1)
    assert [(each.anonymous_id, each.events, each.sources) for each in known.visitors] == [("v", 3, {"web": 3})]
    assert known.rfm is not None
    assert (said["anon:v"].joined, said["anon:v"].rfm, said["anon:v"].events) == ("u1", None, {"click": 2, "purchase": 1})
    shown = dict(lines(known)) | dict(lines(said["anon:v"]))
    assert shown["visitors joined"].startswith("v (3 events, last seen 2025-11-24T")
    assert shown["joined"].startswith("u1")


def test_what_the_visitor_did_is_recommended_from_as_soon_as_it_is_joined() -> None:
    topic = Topic([])
    for user in ("p", "q", "r"):
        for item in ("tent", "stove"):
            topic.send(click(user_id=user, item_id=item))
    topic.send({"event_type": "click", "anonymous_id": "v", "item_id": "tent"})
    topic.send({"event_type": "identify", "anonymous_id": "v", "user_id": "new"})
    said = asyncio.run(run(topic, MemoryStore()))
    assert [items[0] for customer, items in said if customer.user_id == "new" and items] == ["stove"]


def test_on_a_shared_device_whoever_was_known_first_keeps_the_visitor() -> None:
    topic = Topic([])
    topic.send({"event_type": "click", "anonymous_id": "v", "item_id": "a"})
    store = MemoryStore()
    for user in ("first", "second"):
        topic.send({"event_type": "identify", "anonymous_id": "v", "user_id": user})
        said = told_last(topic, store)
    said = told_last(topic)
    assert [each.anonymous_id for each in said["first"].visitors] == ["v"]
    assert said["second"].events == {"identify": 1}
    assert sum(mark_of(store, p).refused for p in range(PARTITIONS)) == 1


def asked(*events: tuple[int, str]) -> list[bool]:
    """Which of these events of one customer, each at a day and from a visitor, identify."""
    customer = Account()
    return [
        joining.ask(customer, decode(encoded(click(anonymous_id=visitor, event_time=day * DAY_MS)), NOW_MS)) is not None
        for day, visitor in events
    ]


def test_ids_that_always_come_together_are_told_once_a_day_and_identify_always() -> None:
    assert asked((20_000, "v"), (20_000, "v"), (20_000, "w"), (20_001, "v"), (20_000, "v")) == [True, False, True, True, False]
    customer, said = Account(), decode(encoded({"event_type": "identify", "anonymous_id": "v", "user_id": 1}), NOW_MS)
    assert all(joining.ask(customer, said) for _ in range(3))


def test_what_a_visitor_does_later_joins_with_the_next_identification() -> None:
    topic, store = Topic([]), MemoryStore()
    for _ in range(2):
        topic.send({"event_type": "click", "anonymous_id": "v", "item_id": "a"})
        asyncio.run(run(topic, store))
        topic.send({"event_type": "identify", "anonymous_id": "v", "user_id": "u1"})
        said = told_last(topic, store)
    topic.send({"event_type": "click", "anonymous_id": "v", "item_id": "a"})
    said |= told_last(topic, store)
    assert said["u1"].events == {"click": 2, "identify": 2}
    assert said["anon:v"].events == {"click": 3}


def test_no_more_visitors_than_can_be_kept_join_a_customer() -> None:
    assert asked(*((20_000, f"v{n}") for n in range(MOST_VISITORS + 1)), (20_001, "v0"))[-2:] == [False, True]
    customer = Account()
    for n in range(MOST_VISITORS + 1):
        joining.take_in(customer, Joined(f"v{n}", "u1", 0, account.pack(Account(kinds={1: 1})), b""))
    assert whole(customer).kinds == {1: MOST_VISITORS}


def test_where_no_customers_are_counted_nobody_joins() -> None:
    topic = Topic([])
    topic.send({"event_type": "click", "anonymous_id": "v", "item_id": "a"})
    topic.send(click(anonymous_id="v"))
    sent = len(topic.log)
    assert not told_last(topic, rules=Rules(customers=False))
    assert len(topic.log) == sent


def test_orders_of_a_visitor_stand_once_among_all() -> None:
    topic, store = Topic([]), MemoryStore()
    order = {"event_type": "order", "item_id": "a", "price": 5, "currency": "EUR"}
    topic.send(order | {"anonymous_id": "v"})
    topic.send(order | {"user_id": "u1", "anonymous_id": "v"})
    asyncio.run(run(topic, store))
    spreads = rfm.together([rfm.unpack(store.values.get(KEYS.spreads(p))) for p in range(PARTITIONS)])
    assert spreads.frequency == {2: 1}


# Merging


@st.composite
def accounts(draw: st.DrawFn) -> tuple[list[Event], Account]:
    """An account, and the events that it counts, some of them far away."""
    found, theirs = [], Account()
    for each in draw(st.lists(fields(), max_size=6)):
        event = decode(encoded(each | {"user_id": "u"}), NOW_MS + 3_600_000)
        far = draw(st.sampled_from([0, 0, 0, 30 * 366, 19 * 366])) * DAY_MS
        event = replace(event, time_ms=max(event.time_ms - far, 800_000_000_000))
        account.count(theirs, event, NONE, begins_session=draw(st.booleans()))
        found.append(event)
    return found, theirs


@FEW
@given(accounts(), accounts(), accounts())
def test_accounts_are_merged_in_any_order(a: Any, b: Any, c: Any) -> None:
    three = [told(each) for _, each in (a, b, c)]
    orders = [merged(merged(x, y), z) for x, y, z in permutations(three)]
    orders += [merged(x, merged(y, z)) for x, y, z in permutations(three)]
    assert all(one == other for one, other in pairwise(orders))
    assert merged(three[0], Account()) == three[0] == merged(Account(), three[0])


@FEW
@given(accounts(), accounts())
def test_merged_accounts_are_those_of_all_events(a: Any, b: Any) -> None:
    (these, one), (those, other) = a, b
    both = Account()
    for event in (*these, *those):
        account.count(both, event, NONE, begins_session=False)
    found = merged(told(one), told(other))
    found.sessions = both.sessions = 0
    found.days = both.days = found.order_days = both.order_days = one.days  # which far days fit depends on the order of events
    assert found == told(both)


@given(st.lists(st.integers(1, 30), max_size=6), st.lists(st.integers(1, 30), min_size=1, max_size=9), st.integers(0, 6))
def test_histories_are_joined_by_time_and_what_is_new_stays_last(own: list[int], theirs: list[int], new: int) -> None:
    new = min(new, len(own))
    found = of_times(own, 6, first=100)
    customer = Account()
    packed = histories.pack(of_times(theirs, 9, first=200), np.zeros(1, np.int64))[0]
    joining.take_in(customer, Joined("v", "u1", 0, account.pack(Account()), packed))
    joined = joined_histories.with_visitors(found, {0: customer}, np.array([new], np.int32))
    old, last = own[: len(own) - new], own[len(own) - new :]
    timed = sorted(
        [(t, 200 + n) for n, t in enumerate(theirs)][-6:] + [(t, 100 + n) for n, t in enumerate(old)], key=lambda x: x[0]
    )
    expected = [item for _, item in timed] + [100 + len(old) + n for n in range(len(last))]
    assert joined.item[0, : joined.length[0]].tolist() == expected[-6:]
    assert found.item[0, : found.length[0]].tolist() == [100 + n for n in range(len(own))], "what is stored was changed"


def of_times(times: Sequence[int], room: int, first: int) -> Histories:
    found = histories.empty(1, room)
    found.time[0, : len(times)], found.length[0] = times, len(times)
    found.item[0, : len(times)] = range(first, first + len(times))
    return found
