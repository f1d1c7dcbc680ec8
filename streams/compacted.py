"""The compacted topics `items` and `users`, as workers read them on: how often, their marks in Redis, what is written there.

What becomes of their records: `streams.catalogue`, `streams.users` and `streams.consent`.
"""

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from recsys.catalogue.deletions import offset_of
from recsys.store import Entry, Replacement, Store, Swap

FETCH_WAIT_MS = 500
"""How long the broker may hold a fetch when nothing is new; a record ends it."""
POLL_MS = 200
"""How soon it is noticed that a partition was given to this worker or taken from it."""
RECORDS = 500
"""Taken at once."""
SLICE_S = 0.002
"""For how long records are read into memory before events have their turn."""
LOOK_S = 5.0
"""How often it is looked whether somebody moved the marks back."""


async def has_read(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    """Whether everything before these ends was fetched."""
    for place, end in ends.items():
        if await consumer.position(place) < end:
            return False
    return True


async def move_back(store: Store, mark_key: str, offset: int) -> None:
    """Moves a mark back to `offset`, if it is beyond.

    It gets other bytes in any case, with a zero more in front, so that a worker that is about to move it must read again, too:
    its effects may have been had before ours.
    """
    while True:
        [[stored]] = await store.read([[mark_key]])
        back = f"{min(offset_of(stored), offset):0{len(stored or b'') + 1}}".encode()
        if (await store.swap([Swap(mark_key, stored, back, {})]))[0]:
            return


async def raise_count(store: Store, key: str, count: int) -> None:
    """Writes a number where none that is as high stands: who has not heard of added partitions yet does not set it back."""
    while True:
        [[stored]] = await store.read([[key]])
        if int(stored or 0) >= count or (await store.swap([Swap(key, stored, str(count).encode(), {})]))[0]:
            return


async def write(store: Store, values: Mapping[str, bytes | None]) -> None:
    """Writes values by key, whatever is there; None: takes away what is there."""
    entries = [Entry(key, value) for key, value in values.items() if value is not None]
    if entries:
        await store.put(entries)
    removed = [key for key, value in values.items() if value is None]
    if removed:
        found = zip(removed, await store.read([[key] for key in removed]), strict=True)
        there = [Replacement(key, value, None) for key, [value] in found if value is not None]
        if there:
            await store.replace(there)
