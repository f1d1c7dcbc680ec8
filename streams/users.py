"""Users on the stream: what the compacted topic `users` says of each goes to Redis, where whoever needs it looks it up.

There may be millions, so none is kept in memory, and each partition is read by one worker: the one that has the partition of
`events` with its number (modulo the number of partitions of `events`). Who refuses something is noted with the mark, for all
workers: `streams.consent`.

    record → freshet:user:<user>, or `rejected` → mark and refusals

See docs/decisions/0027-what-is-told-of-customers.md and 0030-what-a-refusal-does.md.
"""

import asyncio
import logging
from collections.abc import Sequence, Set
from typing import NoReturn

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from msgspec import Struct

from recsys.catalogue.deletions import offset_of
from recsys.customers import consent
from recsys.customers.consent import Refusals
from recsys.customers.user import BadUser, User, decode, encode, user_id
from recsys.keys import Keys
from recsys.marks import START
from recsys.record import with_given
from recsys.store import Store, Swap
from streams import topics
from streams.compacted import FETCH_WAIT_MS, LOOK_S, POLL_MS, RECORDS, move_back, write
from streams.counting import fitting
from streams.home import Rejected
from streams.lease import holds, now
from streams.outbox import Outbox, Outgoing
from streams.settings import Settings

log = logging.getLogger("freshet.worker")


class Part(Struct):
    """A partition of `users` that is ours."""

    number: int
    stored: bytes | None
    """The mark, as it stands in Redis."""
    done: int
    """Up to where records have had their effects."""
    refusals: Refusals
    """Of its users."""
    noted: bytes | None
    """The same, as they stand in Redis."""


class UserStream:
    """Reads the topic `users` for one worker, those partitions that go with the partitions of `events` in `owned`, which others
    change. It must be told how many partitions of `events` and `rejected` there are.
    """

    def __init__(
        self, settings: Settings, keys: Keys, store: Store, outbox: Outbox, partitions: int, rejected_partitions: int,
        owned: Set[int],
    ) -> None:  # fmt: skip
        self._brokers = settings.brokers
        self._topic = settings.topic(topics.USERS)
        self._rejected = settings.topic(topics.REJECTED)
        self._keys = keys
        self._store = store
        self._outbox = outbox
        self._partitions = partitions
        self._rejected_partitions = rejected_partitions
        self._owned = owned
        self._parts: dict[int, Part] = {}

    async def run(self) -> NoReturn:
        """Reads for ever."""
        async with AIOKafkaConsumer(
            **self._brokers.connection(), group_id=None, auto_offset_reset="earliest", fetch_max_wait_ms=FETCH_WAIT_MS,
        ) as consumer:  # fmt: skip
            numbers = range(await self._outbox.partitions(self._topic))
            looked = now()
            while True:
                await self._take_over(consumer, {number for number in numbers if self._is_ours(number)})
                if not self._parts:
                    await asyncio.sleep(POLL_MS / 1000)
                    continue
                fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS)
                for place, records in fetched.items():
                    await self._take(self._parts[place.partition], records)
                if now() - looked > LOOK_S:
                    await self._look_at_marks()
                    looked = now()

    def _is_ours(self, number: int) -> bool:
        return number % self._partitions in self._owned

    async def _take_over(self, consumer: AIOKafkaConsumer, ours: set[int]) -> None:
        """Reads what is ours now and nothing else: what is new, from its mark."""
        if ours == self._parts.keys():
            return
        new = sorted(ours - self._parts.keys())
        self._parts = {number: part for number, part in self._parts.items() if number in ours}
        ends = await consumer.end_offsets([TopicPartition(self._topic, number) for number in new])
        for number, (mark, noted) in zip(new, await read_refusals(self._store, self._keys, new), strict=True):
            done = START if noted is None else offset_of(mark)  # an earlier version noted no refusals
            if done >= ends[TopicPartition(self._topic, number)]:
                log.warning("the topic %s was made anew: it is told from its beginning", self._topic)
                done = START
            self._parts[number] = Part(number, mark, done, consent.unpack(noted), noted)
        consumer.assign([TopicPartition(self._topic, number) for number in self._parts])
        for number, part in self._parts.items():
            consumer.seek(TopicPartition(self._topic, number), part.done + 1)

    async def _take(self, part: Part, records: Sequence[ConsumerRecord]) -> None:
        """Has the effects of records, and notes that; somebody else has them, if the partition was not ours all the while."""
        values: dict[str, bytes | None] = {}
        outgoing: list[Outgoing] = []
        changed = part.noted is None
        for record in records:
            try:
                name, user = told_by(record)
            except BadUser as bad:
                outgoing.append(Outgoing(part.number % self._rejected_partitions, *fitting(Rejected(record, with_given(bad)))))
            else:
                values[self._keys.described(name)] = None if user is None else encode(user)
                changed |= part.refusals.hear(name, None if user is None else user.consent)
        if not self._is_ours(part.number):
            del self._parts[part.number]
            return
        begun = now()
        await write(self._store, values)
        if outgoing:
            await self._outbox.deliver(self._rejected, outgoing)
        mark = str(records[-1].offset).encode()
        noted = consent.pack(part.refusals) if changed else part.noted
        more = {self._keys.refusals(part.number): noted} if changed and noted is not None else {}
        swap = Swap(self._keys.users_mark(part.number), part.stored, mark, {}, lasting=more)
        in_time = self._is_ours(part.number) and holds(begun)
        if in_time and all(await self._store.swap([swap])):
            part.stored, part.done, part.noted = mark, records[-1].offset, noted
        else:
            await self._move_back(part)  # older values may have gone out after newer ones of another worker

    async def _look_at_marks(self) -> None:
        """Where a worker whose effects came late moved a mark back, or Redis was emptied, all from there is done once more."""
        parts = list(self._parts.values())
        found = await self._store.read([[self._keys.users_mark(part.number)] for part in parts])
        for part, [mark] in zip(parts, found, strict=True):
            if mark != part.stored:
                del self._parts[part.number]

    async def _move_back(self, part: Part) -> None:
        """Has whoever owns the partition now do everything after what we are sure of once more."""
        del self._parts[part.number]
        await move_back(self._store, self._keys.users_mark(part.number), part.done)


async def read_refusals(store: Store, keys: Keys, numbers: Sequence[int]) -> list[list[bytes | None]]:
    """The mark of each of these partitions of `users`, and who refuses what up to there; None: nobody has noted it yet."""
    return await store.read([[keys.users_mark(number), keys.refusals(number)] for number in numbers])


def told_by(record: ConsumerRecord) -> tuple[str, User | None]:
    """Whom a record is about, and what it says; None: the user is deleted. Raises `BadUser`."""
    if not record.value:
        return user_id(record.key), None
    user = decode(record.key, record.value)
    return user.user_id, user
