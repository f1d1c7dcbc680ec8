"""The build: a worker that counts the log from its beginning into the new generation, until hardly anything is left."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

import uvloop
from aiokafka import AIOKafkaProducer
from msgspec.structs import replace
from redis import Redis

from recsys.generations import aside
from recsys.keys import Keys
from recsys.marks import UserMark, user_mark
from streams.cli.progress import Progress
from streams.lag import Span, behind, read_published, read_spans, total_behind
from streams.outbox import Headers, Letter, Outbox
from streams.rebuild.building import Building
from streams.settings import Settings
from streams.topics import EVENTS, RECOMMENDATIONS, REJECTED
from streams.worker import run

POLL_S = 0.5
NEARLY = 1000
"""Records that may be left when the new generation takes over: less than a second's work."""


class Past(NamedTuple):
    """What of the log was dealt with by the live generation: by partition, the last offset it has counted."""

    recommendations: str
    rejected: str
    counted: Mapping[int, int]


class PastOutbox(Outbox):
    """Writes what a worker writes that counts the past: no recommendations, and nothing to `rejected` that is there already.

    What came elsewhere is sent on once more: where it was before, that is a repeat.
    """

    def __init__(self, producer: AIOKafkaProducer, past: Past) -> None:
        super().__init__(producer)
        self._past = past

    async def publish(self, topic: str, messages: Iterable[tuple[bytes, bytes, Headers]]) -> None:
        if topic != self._past.recommendations:
            await super().publish(topic, messages)

    async def deliver(self, topic: str, letters: Iterable[Letter]) -> None:
        if topic == self._past.rejected:
            letters = [letter for letter in letters if not self._is_there(dict(letter.headers))]
        await super().deliver(topic, letters)

    def _is_there(self, headers: Mapping[str, bytes]) -> bool:
        return int(headers["offset"]) <= self._past.counted.get(int(headers["partition"]), -1)


def past_of(settings: Settings, counted: Mapping[int, int]) -> Past:
    return Past(settings.topic(RECOMMENDATIONS), settings.topic(REJECTED), counted)


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
    worker = asyncio.create_task(run(beside, lambda producer: PastOutbox(producer, past), lambda _: None))
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
        marks = read_marks(client, *live)
        spans = await asyncio.to_thread(read_spans, settings.brokers, settings.topic(EVENTS))
        total = sum(span.end - span.begin for span in spans.values())
        at_look = left = left_of(spans, client, keys)
        if first:
            done_before = total - left
        while left:
            progress.show(1 - left / total, total - left - done_before)
            await asyncio.sleep(POLL_S)
            left = left_of(spans, client, keys)
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
