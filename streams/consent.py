"""Consent on the stream: every worker knows all who refuse something, and whoever has a user's home partition takes back what
there is of that user.

Before anything is counted, Redis says who refuses up to the marks of the topic `users` (`streams.users`), and the topic what
came since; from then on the topic is read on.

    record → the worker's memory → what was published and kept of who refuses now (`streams.withdrawal`)

See docs/decisions/0030-what-a-refusal-does.md.
"""

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NoReturn

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from recsys.catalogue.deletions import offset_of
from recsys.customers import consent
from recsys.customers.consent import Refusals
from recsys.customers.user import BadUser
from recsys.events import ANONYMOUS
from recsys.keys import Keys
from recsys.marks import START
from recsys.store import Store
from streams import topics
from streams.compacted import FETCH_WAIT_MS, POLL_MS, SLICE_S, has_read
from streams.home import home_partition
from streams.lease import SESSION_TIMEOUT_S, now
from streams.outbox import Outbox
from streams.settings import Settings
from streams.users import read_refusals, told_by
from streams.withdrawal import Withdrawal

RECORDS = 5_000
"""Taken at once: most say nothing of consent."""

AT_ONCE = 500
"""Users whose keys are looked at together."""

AGAIN_S = SESSION_TIMEOUT_S + 2.0
"""After this what was taken back is taken back once more: a worker that had the partition before, and had not heard of the
refusal, may have sent what it had made, as long as its lease held, and have ended before it could say so."""

log = logging.getLogger("freshet.worker")


class ConsentStream:
    """Reads for one worker who refuses what, from the topic `users` and from what is kept of it under `keys`, into `refusals`.

    `partitions` is how many there are of `events`; `turns` tells those that are the worker's, and for each how often it was
    taken over.
    """

    def __init__(
        self, settings: Settings, keys: Keys, store: Store, outbox: Outbox, refusals: Refusals, withdrawal: Withdrawal,
        partitions: int, turns: Callable[[], Mapping[int, int]],
    ) -> None:  # fmt: skip
        self._brokers = settings.brokers
        self._topic = settings.topic(topics.USERS)
        self._keys = keys
        self._store = store
        self._outbox = outbox
        self._refusals = refusals
        self._withdrawal = withdrawal
        self._partitions = partitions
        self._turns = turns
        self._parts: dict[int, Refusals] = {}
        """By partition of `users`."""
        self._lately: set[str] = set()
        """Of whom something else was said since the last withdrawal."""
        self._looked: dict[int, int] = {}
        """The turns in which everybody was looked after whose home is there."""
        self._again: deque[tuple[float, Mapping[int, Sequence[str]]]] = deque()
        """When to take back once more, and of whom, by partition."""
        self._consumer: AIOKafkaConsumer | None = None

    async def load(self) -> None:
        """Returns when all is known that was said by then; to be called once, before anything is counted."""
        begun = time.monotonic()
        self._consumer = consumer = AIOKafkaConsumer(
            **self._brokers.connection(), group_id=None, auto_offset_reset="earliest", fetch_max_wait_ms=FETCH_WAIT_MS
        )
        await consumer.start()
        places = [TopicPartition(self._topic, number) for number in range(await self._outbox.partitions(self._topic))]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found = await read_refusals(self._store, self._keys, [place.partition for place in places])
        for place, (mark, noted) in zip(places, found, strict=True):
            self._parts[place.partition] = consent.unpack(noted)
            done = START if noted is None else offset_of(mark)
            consumer.seek(place, 0 if done >= ends[place] else done + 1)  # 0: the topic was made anew
        self._refusals.join(self._parts.values(), {user for part in self._parts.values() for user in part.everybody()})
        while not await has_read(consumer, ends):
            self._lately |= await self._hear(await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS))
        log.info(
            "consent is read: %d users refuse a personal recommendation, %d to be analysed, in %.1f s",
            len(self._refusals.personalise), len(self._refusals.analyse), time.monotonic() - begun,
        )  # fmt: skip

    async def run(self) -> NoReturn:
        """Reads on for ever, and has what is refused taken back: at once, and once more after `AGAIN_S`."""
        assert self._consumer is not None, "it is not loaded"
        while True:
            self._lately |= await self._hear(await self._consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS))
            turns = dict(self._turns())
            while self._again and self._again[0][0] <= now():
                await self._withdraw(self._again.popleft()[1], turns)
            due = self._due(turns)
            if due:
                await self._withdraw(due, turns)
                self._again.append((now() + AGAIN_S, due))
            # Whoever's home is nobody's now is looked after by whoever takes it over.
            self._looked, self._lately = turns, set()

    def _due(self, turns: Mapping[int, int]) -> Mapping[int, Sequence[str]]:
        """By partition, who refuses and said so lately, or whose home was taken over."""
        new = {partition for partition, turn in turns.items() if self._looked.get(partition) != turn}
        if not new and not self._lately:
            return {}
        refusing = self._refusals.everybody()
        homes = self._at_home(refusing if new else self._lately & refusing)
        found = {
            partition: users if partition in new else [user for user in users if user in self._lately]
            for partition, users in homes.items()
            if partition in turns
        }
        return {partition: users for partition, users in found.items() if users}

    async def _withdraw(self, due: Mapping[int, Sequence[str]], turns: Mapping[int, int]) -> None:
        """As long as a partition is the worker's: else another one does it, and would be in its way."""
        for partition, users in due.items():
            for at in range(0, len(users), AT_ONCE):
                if partition not in turns or self._turns().get(partition) != turns[partition]:
                    break
                await self._withdrawal.of(partition, users[at : at + AT_ONCE])

    async def close(self) -> None:
        """Ends reading."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def _hear(self, fetched: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> set[str]:
        """Takes records into memory; those of whom something else is known now."""
        changed: set[str] = set()
        slice_ends = time.monotonic() + SLICE_S
        for place, records in fetched.items():
            part = self._parts[place.partition]
            for record in records:
                if time.monotonic() > slice_ends:
                    await asyncio.sleep(0)
                    slice_ends = time.monotonic() + SLICE_S
                try:
                    name, user = told_by(record)
                except BadUser:  # set aside by whoever has the partition of `users`
                    continue
                if part.hear(name, None if user is None else user.consent):
                    self._refusals.join(self._parts.values(), [name])
                    changed.add(name)
        return changed

    def _at_home(self, users: Iterable[str]) -> dict[int, list[str]]:
        """Users by their home partition."""
        found: dict[int, list[str]] = defaultdict(list)
        for user in users:
            found[home_partition(user.removeprefix(ANONYMOUS), self._partitions)].append(user)
        return found
