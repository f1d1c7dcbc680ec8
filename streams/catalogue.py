"""The catalogue on the stream: every worker reads the whole compacted topic `items` into its memory.

What a record brings about beside that, one worker does, the one that has the partition of `events` with its number:

    record → freshet:item:<item>, or `rejected` → what is published, without items that are hidden now (`streams.sweep`) → mark

See docs/decisions/0017-the-catalogue-is-read-by-every-worker.md.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import NoReturn

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from recsys.catalogue.catalogue import Catalogue
from recsys.catalogue.deletions import encode, offset_of, read_deletions
from recsys.catalogue.item import BadItem
from recsys.catalogue.last_words import LastWords
from recsys.hashing import hash_item
from recsys.keys import Keys
from recsys.marks import START
from recsys.record import with_given
from recsys.store import Store, Swap
from streams import topics
from streams.compacted import FETCH_WAIT_MS, LOOK_S, POLL_MS, RECORDS, SLICE_S, has_read, move_back, raise_count, write
from streams.counting import fitting
from streams.home import Rejected
from streams.item_parts import Part, Pending, told_by
from streams.lease import holds, now
from streams.outbox import Outbox, Outgoing
from streams.publishing import Publishing
from streams.settings import Settings
from streams.sweep import Sweep

ROUND_S = 0.05
AGAIN_S = 0.4
"""So long after the begin of a first sweep a second one takes out what was ranked by workers that had not heard of the record,
and published after the first had passed."""
MARK_S = 0.5
"""How often marks are written: a crash repeats the effects of no more, where no sweep is under way."""
TOLD_S = 10.0
"""How often it is said how far the catalogue is read, until it is."""
METADATA_MS = 30_000
"""How often it is asked how many partitions the topic has."""

log = logging.getLogger("freshet.worker")


class CatalogueStream:
    """Reads the topic `items` for one worker. It must be told how many partitions of `events` and `rejected` there are.

    The effects of the records it has while the partitions of `events` are in `owned`, which others change.
    """

    def __init__(
        self, settings: Settings, keys: Keys, catalogue: Catalogue, store: Store, outbox: Outbox, publishing: Publishing,
        partitions: int, rejected_partitions: int, owned: Set[int],
    ) -> None:  # fmt: skip
        self._brokers = settings.brokers
        self._topic = settings.topic(topics.ITEMS)
        self._rejected = settings.topic(topics.REJECTED)
        self._keys = keys
        self._catalogue = catalogue
        self._words = LastWords(catalogue)
        self._store = store
        self._outbox = outbox
        self._publishing = publishing
        self._partitions = partitions
        self._rejected_partitions = rejected_partitions
        self._owned = owned
        self._sweep = Sweep(settings, keys, store, outbox)
        self._parts: dict[int, Part] = {}
        self._pending: dict[str, Pending] = {}
        self._sweeping: set[str] = set()
        """The items that are being swept."""
        self._has_read_all = False

    async def run(self) -> NoReturn:
        """Reads for ever."""
        async with AIOKafkaConsumer(
            **self._brokers.connection(), group_id=None, auto_offset_reset="earliest", fetch_max_wait_ms=FETCH_WAIT_MS,
            metadata_max_age_ms=METADATA_MS,
        ) as consumer:  # fmt: skip
            await self._open(consumer, range(await self._outbox.partitions(self._topic)))
            begun = told = time.monotonic()
            ends = await consumer.end_offsets(list(self._places(self._parts)))
            while True:
                added = (consumer.partitions_for_topic(self._topic) or set()) - self._parts.keys()
                if added:
                    log.info("the topic %s has %d partitions more", self._topic, len(added))
                    await self._open(consumer, sorted(added))
                await self._take_over(consumer)
                fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS)
                self._give_up_others()
                for place, records in fetched.items():
                    await self._take(self._parts[place.partition], records)
                if self._has_read_all:
                    continue
                if await has_read(consumer, ends):
                    self._has_read_all = True
                    log.info("the catalogue is read: %d items in %.1f s", len(self._catalogue), time.monotonic() - begun)
                elif time.monotonic() - told > TOLD_S:
                    told = time.monotonic()
                    log.info("the catalogue is being read: %d items in %.0f s", len(self._catalogue), told - begun)

    async def run_rounds(self) -> NoReturn:
        """Sweeps and writes marks, for ever."""
        marked = looked = now()
        while True:
            await asyncio.sleep(ROUND_S)
            await self._sweep_due()
            if now() - marked > MARK_S:
                await self._write_marks()
                marked = now()
            if now() - looked > LOOK_S:
                await self._look_at_marks()
                looked = now()

    # Into memory

    def _places(self, numbers: Iterable[int]) -> Iterator[TopicPartition]:
        return (TopicPartition(self._topic, number) for number in numbers)

    async def _open(self, consumer: AIOKafkaConsumer, numbers: Sequence[int]) -> None:
        """From now on reads these partitions, too, from their beginning."""
        for number, deletions in zip(numbers, await read_deletions(self._store, self._keys, numbers), strict=True):
            self._words.open(number, deletions)
            self._parts[number] = Part(number)
        read = {place: await consumer.position(place) for place in consumer.assignment()}
        consumer.assign(list(self._places(self._parts)))  # forgets how far the others are read
        for place, position in read.items():
            consumer.seek(place, position)
        await consumer.seek_to_beginning(*self._places(numbers))

    async def _take(self, part: Part, records: Sequence[ConsumerRecord]) -> None:
        """Takes records into memory, those that are new to it; and has their effects, where these are ours and not had yet."""
        before = part.done
        values: dict[str, bytes | None] = {}
        rejected: list[Rejected] = []
        shown: list[str] = []
        slice_ends, arrivals = time.monotonic() + SLICE_S, self._catalogue.arrivals
        for record in records:
            if time.monotonic() > slice_ends:
                await asyncio.sleep(0)
                slice_ends = time.monotonic() + SLICE_S
            has_effects = part.owned and record.offset > part.done
            try:
                told = told_by(record)
            except BadItem as bad:
                part.read = max(part.read, record.offset)
                if has_effects:
                    rejected.append(Rejected(record, with_given(bad)))
                continue
            item = told if isinstance(told, str) else told.item_id
            was_hidden = self._words.is_hidden(item)
            is_new = record.offset > part.read
            if is_new:
                part.read = record.offset
                self._words.hear(part.number, record.offset, record.timestamp, told)
            if has_effects and self._words.speaks(part.number, item):
                values[item] = record.value or None
                if not self._words.is_hidden(item):
                    self._pending.pop(item, None)
                    self._sweeping.discard(item)
                    shown += [item] * (is_new and was_hidden)
                elif not (is_new and was_hidden) and item not in self._pending:
                    self._pending[item] = Pending(part, record.offset, now())
        if self._has_read_all and self._catalogue.arrivals > arrivals:
            self._publishing.cold.hasten()
        if part.owned and records[-1].offset > part.done:
            begun = now()
            await self._write(part, values, rejected)
            if not part.owned or not self._is_ours(part) or not holds(begun):
                await self._move_back(part, before)  # it may have gone out after what another worker wrote
                return
            part.done = records[-1].offset
            if shown:
                await self._publishing.show_again([hash_item(item) for item in shown])

    # Effects

    def _is_ours(self, part: Part) -> bool:
        return part.number % self._partitions in self._owned

    async def _take_over(self, consumer: AIOKafkaConsumer) -> None:
        """Goes on with the effects of the partitions that are ours now, from their marks."""
        self._give_up_others()
        new = {TopicPartition(self._topic, p.number): p for p in self._parts.values() if not p.owned and self._is_ours(p)}
        if not new:
            return
        ends = await consumer.end_offsets(list(new))  # asked at once, for it waits for the fetch that is under way
        await raise_count(self._store, self._keys.catalogue, len(self._parts))  # for who only looks
        marks = await self._store.read([[self._keys.catalogue_mark(part.number)] for part in new.values()])
        for (place, part), [mark] in zip(new.items(), marks, strict=True):
            part.stored, part.noted = mark, offset_of(mark)
            if part.noted >= ends[place]:
                log.warning("the topic %s was made anew: it is told from its beginning", self._topic)
                part.noted = START
            part.done = part.noted
            part.owned = True
            part.turn += 1
            if await consumer.position(place) > part.done + 1:
                consumer.seek(place, part.done + 1)

    def _give_up_others(self) -> None:
        """Somebody else has them by now."""
        for part in self._parts.values():
            if part.owned and not self._is_ours(part):
                self._give_up(part)

    def _give_up(self, part: Part) -> None:
        """What is not done of the partition, somebody else does, or we from its mark."""
        part.owned = False
        self._pending = {item: pending for item, pending in self._pending.items() if pending.part is not part}

    async def _write(self, part: Part, values: dict[str, bytes | None], rejected: Iterable[Rejected]) -> None:
        """Makes items public, with their values as they came (None: not any more), and sets bad records aside."""
        await write(self._store, {self._keys.item(item): value for item, value in values.items()})
        outgoing = [Outgoing(part.number % self._rejected_partitions, *fitting(each)) for each in rejected]
        if outgoing:
            await self._outbox.deliver(self._rejected, outgoing)

    async def _sweep_due(self) -> None:
        """Not before the catalogue is read: until then a later record may say that an item is there after all."""
        due = {item: each for item, each in self._pending.items() if each.due <= now()}
        if not due or not self._has_read_all:
            return
        self._sweeping, begun = set(due), now()
        swept = await self._sweep.once(self._sweeping)
        self._publishing.refresh_trending()
        log.info(
            "%d items are hidden: of %d published lists %d were changed, in %.2f s",
            len(due), swept.looked, swept.changed, swept.seconds,
        )  # fmt: skip
        for item, each in due.items():
            if self._pending.get(item) is not each:
                continue
            if each.swept:
                del self._pending[item]
            else:
                each.swept, each.due = True, begun + AGAIN_S

    async def _write_marks(self) -> None:
        """Notes up to where the records have had their effects."""
        for part in [part for part in self._parts.values() if part.owned]:
            waiting = [each.offset for each in self._pending.values() if each.part is part]
            offset = min([part.done, *(offset - 1 for offset in waiting)])
            changed = part.number in self._words.unnoted and part.read >= part.noted
            if offset <= part.noted and (waiting or not changed):
                continue
            turn, mark = part.turn, str(offset).encode()
            values = {}
            if changed:
                deleted = self._words.deletions[part.number].items
                # who reads of the others behind the mark must find them new
                swept = {item: when for item, when in deleted.items() if item not in self._pending}
                values[self._keys.catalogue_deleted(part.number)] = encode(swept)
                if len(swept) == len(deleted):
                    self._words.unnoted.discard(part.number)
            [held] = await self._store.swap([Swap(self._keys.catalogue_mark(part.number), part.stored, mark, values)])
            if not held:
                if values:
                    self._words.unnoted.add(part.number)
                self._give_up(part)
            elif part.turn == turn:
                part.stored, part.noted = mark, offset

    async def _look_at_marks(self) -> None:
        """A worker whose effects came late has moved a mark back: then all from there is to be done once more."""
        owned = [part for part in self._parts.values() if part.owned]
        found = await self._store.read([[self._keys.catalogue_mark(part.number)] for part in owned])
        for part, [mark] in zip(owned, found, strict=True):
            if mark != part.stored:
                self._give_up(part)

    async def _move_back(self, part: Part, offset: int) -> None:
        """Has whoever owns the partition now do everything after `offset` once more."""
        self._give_up(part)
        await move_back(self._store, self._keys.catalogue_mark(part.number), offset)
