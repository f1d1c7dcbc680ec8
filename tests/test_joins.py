"""Visitors who turn out to be customers: joined once, whatever happens, as the recount says; and counts are as without it."""

import asyncio
import math
from collections.abc import Sequence

from customers_oracle import expected, found_in
from hypothesis import given
from hypothesis import strategies as st
from oracle import Joined, Record, Recount, home_partition, recount, sealed
from strategies import NOW_MS, logs
from test_laws import FEW, KEYS, RULES, Crash, FragileStore, assert_counts_are, count_all, cut, end_of, mark_of

from recsys import histories
from recsys.customers import account, joins
from recsys.customers.account import Joins, Part
from recsys.customers.joins import Letter
from recsys.engine import Engine
from recsys.hashing import hash_id
from recsys.store import MemoryStore

PARTITIONS = 3
DAY_MS = 86_400_000


class Topic:
    """A topic to which the workers themselves write, too, and die at it after so many letters."""

    def __init__(self, log: Sequence[Record], partitions: int = PARTITIONS) -> None:
        self.log = list(log)
        self.partitions = partitions
        self.left: float = math.inf

    async def post(self, letters: Sequence[Letter]) -> None:
        for letter in letters:
            if self.left <= 0:
                raise Crash
            self.left -= 1
            home, value = home_partition(letter.home_id, self.partitions), joins.encode(letter.message)
            origin = letter.partition, letter.offset, letter.message.event_time
            header = sealed(value, *origin, self.partitions, home, header="joining")
            self.log.append(Record(home, end_of(self.log, home) + 1, NOW_MS, None, value, (("joining", header),)))

    def behind(self, store: MemoryStore) -> list[int]:
        return [p for p in range(self.partitions) if mark_of(store, p).offset < end_of(self.log, p)]

    def recount(self) -> Recount:
        return recount(self.log, self.partitions, history=RULES.history, window=RULES.window)


def run(topic: Topic, store: MemoryStore) -> None:
    """Counts all there is, and what comes of it."""

    async def everything() -> None:
        engine = Engine(store, KEYS, RULES)
        while behind := topic.behind(store):
            for partition in behind:
                for one in cut(topic.log, partition, (), topic.partitions, mark_of(store, partition).offset + 1):
                    assert not (await engine.count(one, post=topic.post)).lost

    asyncio.run(everything())


def of_users(store: MemoryStore) -> dict[str, bytes]:
    """All that is kept on the users' side, bit by bit, but for versions."""
    values = {key: value for key, value in store.values.items() if "{u" in key and not key.endswith(":published")}
    for key, value in values.items():
        if key.endswith(":mark"):
            mark = account.msgspec.json.decode(value)
            values[key] = account.msgspec.json.encode(mark | {"version": 0})
    return values


def assert_joined(truth: Recount, store: MemoryStore, partitions: int = PARTITIONS) -> None:
    """Everybody asked whom they should, everybody was told; and accounts have the parts that they should, and no others."""
    assert truth.identified == truth.identifies
    assert truth.heard == truth.told
    assert sum(mark_of(store, p).refused for p in range(partitions)) == truth.refused
    kept: dict[str, Joins] = {}
    for key, value in store.values.items():
        if ":account:" in key and (found := account.unpack(value).joins) is not None:
            kept[key.partition(":account:")[2]] = found
    assert {user: each.customer for user, each in kept.items() if each.customer} == {
        f"anon:{visitor}": customer for visitor, customer in truth.customer_of.items()
    }
    assert {user: each.asked for user, each in kept.items() if each.asked} == {u: a for u, a in truth.asked.items() if a}
    assert {user: set(each.parts) for user, each in kept.items() if each.parts} == {
        customer: set(parts) for customer, parts in truth.joined.items() if parts
    }
    for customer, parts in truth.joined.items():
        for visitor, part in parts.items():
            assert_part(kept[customer].parts[visitor], part)


def assert_part(part: Part, joined: Joined) -> None:
    assert found_in(account.unpack(part.account)) == expected(joined.events, RULES.session_gap_ms)
    past = histories.unpack([part.history or None], RULES.history)
    assert past.item[0, : past.length[0]].tolist() == [hash_id(entry.item) for entry in joined.history]
    assert past.time[0, : past.length[0]].tolist() == [entry.time_ms for entry in joined.history]


@FEW
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
            start = data.draw(st.integers(0, 3))
            position = (await workers[who].position(partition))[0] + 1
            sizes = [data.draw(st.integers(1, 30))]
            for one in cut(topic.log, partition, sizes, PARTITIONS, max(0, position - start))[:1]:
                await workers[who].count(one, post=topic.post)
        except Crash:
            workers[who] = Engine(store, KEYS, RULES)
            for each in [p for p, theirs in owner.items() if theirs == who]:
                del owner[each]

    for _ in range(25):
        if topic.behind(store):
            asyncio.run(turn())
    store.left = topic.left = math.inf
    run(topic, store)
    truth = topic.recount()
    assert_joined(truth, store)
    assert_counts_are(truth, store, PARTITIONS, RULES)
    again = MemoryStore()
    for partition in range(PARTITIONS):
        asyncio.run(count_all(again, cut(topic.log, partition, (), PARTITIONS)))
    assert of_users(again) == of_users(store)


@FEW
@given(logs(partitions=PARTITIONS))
def test_counts_are_as_if_nobody_had_joined(log: list[Record]) -> None:
    """What an independent program counts that knows nothing of joins."""
    topic, store = Topic(log), MemoryStore()
    run(topic, store)
    assert_counts_are(recount(log, PARTITIONS, history=RULES.history, window=RULES.window), store, PARTITIONS, RULES)


@FEW
@given(logs(partitions=PARTITIONS))
def test_an_emptied_redis_is_filled_as_it_was_though_everybody_is_told_again(log: list[Record]) -> None:
    topic, store, again = Topic(log), MemoryStore(), MemoryStore()
    run(topic, store)
    run(topic, again)
    run(topic, store)
    once, twice = of_users(store), of_users(again)
    assert once.keys() == twice.keys()
    assert {key for key in once if once[key] != twice[key]} == set()
    assert_joined(topic.recount(), again)
