"""The partitions of the topic `items` as a worker has them: what it has read, up to where the effects are had, what waits."""

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from msgspec import Struct

from recsys.catalogue.deletions import offset_of
from recsys.catalogue.item import CatalogueItem, decode, item_id
from recsys.marks import START
from recsys.store import Entry, Replacement, Store, Swap


class Part(Struct):
    """A partition of `items`."""

    number: int
    read: int = START
    """The last offset that memory knows."""
    owned: bool = False
    stored: bytes | None = None
    """The mark, as it stands in Redis."""
    noted: int = START
    """What it says."""
    done: int = START
    """Up to where records have had their effects here, but for sweeps."""
    turn: int = 0
    """How often the partition was taken over."""


class Pending(Struct):
    """A hidden item that may stand in what is published."""

    part: Part
    offset: int
    """Of the record that hid it: the mark stays before it."""
    due: float
    swept: bool = False
    """Once."""


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


def told_by(record: ConsumerRecord) -> CatalogueItem | str:
    """The item that a record describes, or the id of the one that it deletes. Raises `BadItem`."""
    return decode(record.key, record.value) if record.value else item_id(record.key)


async def has_read(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    """Whether everything before these ends was fetched."""
    for place, end in ends.items():
        if await consumer.position(place) < end:
            return False
    return True


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
