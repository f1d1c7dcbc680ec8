"""The build: a worker that counts the log from its beginning into the new generation, until hardly anything is left."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import uvloop
from aiokafka import AIOKafkaProducer
from msgspec.structs import replace
from redis import Redis

from recsys.generations import aside
from recsys.keys import Keys
from recsys.layout import Layout
from recsys.marks import UserMark, user_mark
from streams.lag import Span, behind, read_published, read_spans, total_behind
from streams.outbox import Headers, Outbox, Outgoing
from streams.progress import Progress
from streams.rebuild.building import Building
from streams.settings import Settings
from streams.topics import CUSTOMERS, EVENTS, RECOMMENDATIONS, REJECTED
from streams.worker import run

POLL_S = 0.5
STILL_S = 10.0
"""After so long without progress what is left, if it is little, is left to the workers."""
NEARLY = 1000
"""Records that may be left when the new generation takes over: less than a second's work."""


class Past(NamedTuple):
    """What of the log was dealt with by the live generation."""

    told: frozenset[str]
    """The topics on which users were told everything."""
    rejected: str
    counted: Callable[[], Mapping[int, int]]
    """By partition, the last offset that it has counted by now."""


class PastOutbox(Outbox):
    """Writes what a worker writes that counts the past: nothing for users, and nothing to `rejected` that is there already.

    What came elsewhere is sent on once more: where it was before, that is a repeat.
    """

    def __init__(self, producer: AIOKafkaProducer, past: Past) -> None:
        super().__init__(producer)
        self._past = past

    async def publish(self, topic: str, messages: Sequence[tuple[bytes, bytes | None, Headers]]) -> None:
        if topic not in self._past.told:
            await super().publish(topic, messages)

    async def deliver(self, topic: str, records: Iterable[Outgoing]) -> None:
        records = list(records)
        if records and topic == self._past.rejected:
            counted = await asyncio.to_thread(self._past.counted)
            records = [record for record in records if not is_there(dict(record.headers), counted)]
        await super().deliver(topic, records)


def is_there(headers: Mapping[str, bytes], counted: Mapping[int, int]) -> bool:
    """Whether the live generation has rejected the record with these headers."""
    return int(headers["offset"]) <= counted.get(int(headers["partition"]), -1)


def past_of(settings: Settings, client: Redis, building: Building, layout: Layout | None, live: Keys) -> Past:
    """The past of a live generation; one of another topic or number of partitions has rejected nothing of this log."""

    def counted() -> dict[int, int]:
        if layout is None or layout.log != (building.topic, building.partitions):
            return {}
        return {partition: mark.offset for partition, mark in read_marks(client, live, building.partitions).items()}

    return Past(frozenset(map(settings.topic, (RECOMMENDATIONS, CUSTOMERS))), settings.topic(REJECTED), counted)


def read_marks(client: Redis, keys: Keys, partitions: int) -> dict[int, UserMark]:
    """The marks of a generation, by partition."""
    stored = client.mget([keys.user_mark(partition) for partition in range(partitions)])
    return {partition: user_mark(value) for partition, value in enumerate(stored)}  # type: ignore[arg-type]


def build(settings: Settings, client: Redis, building: Building, past: Past, live: tuple[Keys, int]) -> dict[int, UserMark]:
    """Counts into the new generation until at most `NEARLY` records were left at a look, and these are counted, too.

    `live` is the live generation's keys and partitions. Returns its marks as they were before that look: what they stand
    for, the new generation has counted as well. Raises what ends a worker.
    """
    with Progress("rebuilding", "records") as progress, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_build(settings, client, building, past, live, progress))


async def _build(
    settings: Settings, client: Redis, building: Building, past: Past, live: tuple[Keys, int], progress: Progress
) -> dict[int, UserMark]:
    beside = replace(settings, key_prefix=aside(settings.key_prefix, building.generation))
    worker = asyncio.create_task(run(beside, lambda producer: PastOutbox(producer, past), lambda _: None, settings.key_prefix))
    look = asyncio.create_task(_until_nearly_all_is_counted(settings, client, building, live, progress))
    try:
        await asyncio.wait((worker, look), return_when=asyncio.FIRST_COMPLETED)
        if worker.done():
            worker.result()
        return await look
    finally:
        for task in (look, worker):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _until_nearly_all_is_counted(
    settings: Settings, client: Redis, building: Building, live: tuple[Keys, int], progress: Progress
) -> dict[int, UserMark]:
    """Twice at least: what was sent on to its home partition in the first round is behind the ends of that round."""
    keys = building.keys(settings.key_prefix)
    first = True
    done_before = 0
    while True:
        marks = await asyncio.to_thread(read_marks, client, *live)
        spans = await asyncio.to_thread(read_spans, settings.brokers, settings.topic(EVENTS))
        total = sum(span.end - span.begin for span in spans.values())
        at_look = left = await asyncio.to_thread(left_of, spans, client, keys)
        if first:
            done_before = total - left
        moved = time.monotonic()
        # Where a partition ends in a transaction's marker its last offset is no record: that one is never counted.
        while left and not (left <= NEARLY and time.monotonic() - moved > STILL_S):
            progress.show(1 - left / total, total - left - done_before)
            await asyncio.sleep(POLL_S)
            before, left = left, await asyncio.to_thread(left_of, spans, client, keys)
            moved = time.monotonic() if left < before else moved
        if at_look <= NEARLY and not first:
            return marks
        first = False


def left_of(spans: Mapping[int, Span], client: Redis, keys: Keys) -> int:
    """The records that the generation with these keys has not published yet."""
    return total_behind(spans, read_published(client, keys, spans))


def uncounted(spans: Mapping[int, Span], marks: Mapping[int, UserMark]) -> int:
    """The records that are not counted yet.

    >>> uncounted({0: Span(0, 10)}, {0: UserMark(offset=3)})
    6
    """
    return sum(behind(span, marks[partition].offset) for partition, span in spans.items())
