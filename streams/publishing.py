"""Publishing: what becomes of a counted chunk: rank, write to Redis and to the topic, note that it is out.

Recommendations go out at once, beside the counting of the next batch and in order; the rest in rounds. A chunk that was counted
but not noted as published is read and published once more by whoever has the partition then.
"""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence, Set
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from faust.types import TP

from recsys.customers import message as customer_message
from recsys.engine import Counted, Engine, Gone
from recsys.keys import AFTER, TOGETHER, VIEWED, Keys
from recsys.recommendation import Written, encode
from recsys.store import Entry, Replacement, Store
from streams import topics
from streams.cold_lists import ColdLists
from streams.driver import ChunkConsumer, Records
from streams.lease import Lease, holds, now
from streams.outbox import Headers, Outbox
from streams.published import PublishedMarks
from streams.settings import Settings
from streams.source import source_header

ROUND_S = 0.25
"""How often neighbour lists, what is popular and the published marks are written: an item that is met often is written once."""
BUSY_ROUND_S = 2.0
ROUND_SHARE = 0.1
"""A round should take no more than this share of the time: after a long one the next waits longer, up to `BUSY_ROUND_S`."""
LEARNED_S = 1.0
"""How often what was learned is written, in rounds: a crash costs no more of it, or what came since the last round."""
LOOK_S = 5.0
"""How often a worker that publishes nothing looks whether its published marks were moved back."""
SETTLE_S = 5.0
"""How long a rebalance may wait for what is being published."""
TOLD_S = 600
"""For how long it can be read what a worker told of itself last; while it has nothing to do it tells nothing."""
NAME = f"{socket.gethostname()}-{os.getpid()}"
"""What this worker is known by."""
ITEMS_AT_ONCE = 200
"""Neighbour lists made without letting anything else run."""
LARGEST_MESSAGE = 900_000
"""Bytes; brokers take a megabyte by default. Only hundreds of items (`FRESHET_TOP_N`) with the longest ids come near it."""


class Outcome(NamedTuple):
    """Counted chunks, and the consumer that had them when they were counted."""

    consumer: ChunkConsumer
    chunks: Sequence[Records]
    counted: Counted

    def ours(self) -> dict[int, int]:
        """By partition, the ends of the chunks that are counted and still ours: the others are published where they are now."""
        fresh = {chunk.tp.partition for chunk in self.chunks if not self.consumer.is_stale(chunk)}
        return {partition: end for partition, end in self.counted.ends.items() if partition in fresh}


class Publishing:
    """Publishes counted chunks, one after the other."""

    def __init__(
        self, settings: Settings, keys: Keys, engine: Engine, store: Store, outbox: Outbox, lease: Lease
    ) -> None:  # fmt: skip
        self._keys = keys
        self._retention_s = settings.retention_s
        self._events = settings.topic(topics.EVENTS)
        self._recommendations = settings.topic(topics.RECOMMENDATIONS)
        self._customers = settings.topic(topics.CUSTOMERS)
        self._keeps_accounts = settings.customers
        self._engine = engine
        self._store = store
        self._outbox = outbox
        self._lease = lease
        self._waiting: asyncio.Queue[Outcome] = asyncio.Queue()
        self._made = asyncio.Event()
        self._made.set()
        self._lists = {
            VIEWED: (engine.similar, keys.similar),
            TOGETHER: (engine.baskets.together, keys.together),
            AFTER: (engine.baskets.bought_after, keys.bought_after),
        }
        """By table of rows: what makes the lists of items, and where they are kept."""
        self._changed: dict[str, set[int]] = {table: set() for table in self._lists}
        self.marks = PublishedMarks(store, self._keys, engine)
        self._one_batch = asyncio.Lock()
        self._one_round = asyncio.Lock()
        self._trending_known = False
        self._trending_due = False
        self.cold = ColdLists(settings, keys, engine, store, self.marks.offsets.keys())

    async def take(self, outcome: Outcome) -> None:
        """Takes a counted batch."""
        self._made.clear()
        await self._waiting.put(outcome)

    async def all_made(self) -> None:
        """Returns when the messages of what was taken are made: nothing of it computes any more, and they are on their way."""
        await self._made.wait()

    async def run(self) -> None:
        """Publishes the recommendations of what was taken, for ever."""
        while True:
            outcome = await self._waiting.get()
            async with self._one_batch:
                await self._publish(outcome)
            self._waiting.task_done()

    async def run_rounds(self, consumer: ChunkConsumer) -> None:
        """Publishes the rest every `ROUND_S`, less often where that takes long, for ever."""
        looked, written, told, pause = now(), now(), 0, ROUND_S
        while True:
            await asyncio.sleep(pause)
            begun = now()
            mine: set[TP] = set()
            if now() - looked > LOOK_S:
                mine, looked = consumer.assignment(), now()
            moved = await self._round({tp.partition for tp in mine})
            pause = min(max(ROUND_S, (now() - begun) / ROUND_SHARE), BUSY_ROUND_S)
            if self._engine.stages.passages != told:
                told = self._engine.stages.passages
                await self._store.put([Entry(self._keys.worker(NAME), self._engine.stages.told(), TOLD_S)])
            if now() - written > LEARNED_S:
                async with self._one_batch:  # a partition that is given up is written by whoever has it then
                    await self._write_learned(self.marks.offsets)
                written = now()
            again = frozenset(tp for tp in consumer.assignment() if tp.partition in moved)
            if again:
                await consumer.seek_by_mark(again)

    async def drain(self) -> None:
        """Returns when all that was taken is published, and what was learned of it is written."""
        await self._waiting.join()
        await self._write_learned(self.marks.offsets)
        await self._round()
        await self.cold.make()

    async def settle(self, revoked: Collection[int]) -> None:
        """Returns when nothing of the revoked partitions is being published; not later than the group may wait for it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S), self._one_batch:
                self.marks.give_up(revoked)
                await self._write_learned(revoked)

    @asynccontextmanager
    async def between_batches(self) -> AsyncIterator[None]:
        """While this is open, no recommendation and no customer is published."""
        async with self._one_batch:
            yield

    async def show_again(self, items: Sequence[int]) -> None:
        """In the next round publishes the lists of items (hashes) that were hidden, and those that they belong into."""
        for table, around in (await self._engine.around(items)).items():
            self._changed[table].update(around)
        self.refresh_trending()

    def refresh_trending(self) -> None:
        """In the next round publishes what is popular: the catalogue has changed."""
        self._trending_due = True

    async def _publish(self, outcome: Outcome) -> None:
        """Recommendations of the users that the batch touched, to Redis and to the topic."""
        ends, begun = outcome.ours(), now()
        self.marks.open(ends)
        newest = {user: newest for user, newest in outcome.counted.newest.items() if newest.partition in ends}
        customers = [known for known in outcome.counted.customers if known.partition in ends]
        counted = outcome.counted._replace(newest=newest, customers=customers)
        if not self._trending_known:
            await self._publish_trending()
        of_customers = await self._about_customers(counted)
        answers = await self._engine.answers(counted, int(time.time() * 1000))  # nothing waits between this and its writing
        with self._engine.stages.timed("encode"):
            encoded = [(newest, message.user_id, within_a_record(message)) for newest, message in answers]
            entries = [Entry(self._keys.recs(user), value, self._retention_s) for _, user, value in encoded]
            messages = [
                (user.encode(), value, source_header(self._events, newest.partition, newest.arrival.offset))
                for newest, user, value in encoded
            ]
        self._lease.check()
        self._made.set()
        if not holds(begun):  # others may know better by now: who refuses, for one
            await self._note(outcome, ends, {})
            return
        with self._engine.stages.timed("publish"):
            await asyncio.gather(
                self._store.put(entries),
                self._outbox.publish(self._recommendations, messages),
                self._outbox.publish(self._customers, of_customers),
            )
            # After the topic: what Redis has says which segment was told last, and a change is told twice rather than never.
            known = [Entry(self._keys.customer(key.decode()), value, self._retention_s) for key, value, _ in of_customers]
            if known:
                await self._store.put(known)
        if gone := [each for each in counted.gone if each.partition in ends]:
            await self._take_back(gone)
        for table, items in counted.changed.items():
            self._changed[table].update(items.tolist())
        await self._note(outcome, ends, outcome.ours() if holds(begun) else {})

    async def _note(self, outcome: Outcome, ends: Mapping[int, int], ours: Mapping[int, int]) -> None:
        """Of what was to go out up to `ends`, `ours` is out, and in good time; the rest is published once more."""
        late = ends.keys() - ours.keys()
        if late:
            await self.marks.move_back_open(late)
        self.marks.note(ours)
        if late:
            await self._publish_again(outcome, late)

    async def _take_back(self, gone: Sequence[Gone]) -> None:
        """Nothing is recommended to them any more, and of customers nothing told; what is kept of them goes last."""
        for topic, key, users in (
            (self._recommendations, self._keys.recs, [each.user for each in gone if each.unrecommended]),
            (self._customers, self._keys.customer, [each.user for each in gone if each.untold and self._keeps_accounts]),
        ):
            if users:
                await untell(self._outbox, self._store, topic, key, users)
        for partition in {each.partition for each in gone}:
            await self._engine.erasure.sweep(partition, [each.user for each in gone if each.partition == partition])

    async def _about_customers(self, counted: Counted) -> list[tuple[bytes, bytes, Headers]]:
        """Key, value and headers of a message for each customer of whom the batch has an event."""
        refusing = self._engine.refusals.analyse  # since it was counted, perhaps
        counted = counted._replace(customers=[known for known in counted.customers if known.user not in refusing])
        told = await self._engine.customers(counted)
        with self._engine.stages.timed("encode"):
            return [
                (
                    known.user.encode(),
                    customer_message.encode(message),
                    source_header(self._events, known.partition, known.arrival.offset),
                )
                for known, message in told
            ]

    async def _publish_again(self, outcome: Outcome, late: Set[int]) -> None:
        """What went out late is read and published once more by whoever has the partition now; by us, if we have it still."""
        still_ours = outcome.ours().keys()
        self.marks.give_up(late - still_ours)
        again = frozenset(chunk.tp for chunk in outcome.chunks if chunk.tp.partition in late & still_ours)
        if again:
            await outcome.consumer.seek_by_mark(again)

    async def _round(self, look_at: Collection[int] = ()) -> list[int]:
        """Neighbour lists of changed items and what is popular; then, of what is all out, the marks.

        Returns the partitions whose mark was moved back by somebody else.
        """
        async with self._one_round:
            out = {**self.marks.known(look_at), **self.marks.take()}
            changed, self._changed = self._changed, {table: set() for table in self._lists}
            if any(changed.values()):
                with self._engine.stages.timed("lists"):
                    await self._publish_lists(changed)
            elif self._trending_due:
                await self._publish_trending()
            return await self.marks.write(out)

    async def _publish_lists(self, changed: Mapping[str, Set[int]]) -> None:
        self._engine.baskets.forget(changed[TOGETHER])
        for table, (made, key) in self._lists.items():
            items = list(changed[table])
            for first in range(0, len(items), ITEMS_AT_ONCE):
                hidden = self._engine.hidden
                rows = await made(items[first : first + ITEMS_AT_ONCE])
                self._engine.take_out(rows, hidden)
                await self._store.put([Entry(key(row.item_id or ""), encode(row), version=row.version) for row in rows])
        hidden = self._engine.hidden
        told = await self._engine.trending_by_category()
        self._engine.take_out((each for _, each in told), hidden)
        await self._store.put([Entry(self._keys.trending_in(path), encode(each), version=each.version) for path, each in told])
        await self._publish_trending()

    async def _write_learned(self, partitions: Collection[int]) -> None:
        learned = self._engine.learned(partitions)
        if learned:
            await self._store.put(learned)

    async def _publish_trending(self) -> None:
        self._trending_due = False
        hidden = self._engine.hidden
        popular = await self._engine.trending()
        if popular:
            self._engine.take_out([popular], hidden)
            self._trending_known = True
            await self._store.put([Entry(self._keys.trending, encode(popular), version=popular.version)])


async def untell(outbox: Outbox, store: Store, topic: str, key: Callable[[str], str], users: Sequence[str]) -> None:
    """Has the topic say nothing of these users any more, and then takes their public keys away; in a batch, or between them."""
    await outbox.publish(topic, [(user.encode(), None, ()) for user in users])
    keys = [key(user) for user in users]
    there = zip(keys, await store.read([[name] for name in keys]), strict=True)
    await store.replace([Replacement(name, value, None) for name, [value] in there if value is not None])


def within_a_record(message: Written) -> bytes:
    """The encoded message; of one that no broker would take, the first items."""
    value = encode(message)
    while len(value) > LARGEST_MESSAGE:
        message.shorten()
        value = encode(message)
    return value
