"""The partitions of the topic `items` as a worker has them: what it has read, up to where the effects are had, what waits."""

from collections.abc import Iterable

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from msgspec import Struct, field

from recsys.catalogue.item import CatalogueItem, decode, item_id
from recsys.keys import Keys
from recsys.marks import START
from recsys.store import Store, Swap


class Part(Struct):
    """A partition of `items`."""

    number: int
    read: int = START
    """The last offset that memory knows."""
    deleted: set[str] = field(default_factory=set)
    """The items that are deleted: Kafka itself forgets that after a while."""
    deleted_until: int = START
    """Up to this offset the records before it do not change that."""
    deletions_noted: bool = True
    """Whether these stand in Redis."""
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


async def opened(numbers: Iterable[int], store: Store, keys: Keys) -> list[Part]:
    """These partitions, of which nothing is read; what was deleted before, the topic may say nothing of any more."""
    parts = [Part(number) for number in numbers]
    groups = [[keys.catalogue_mark(part.number), keys.catalogue_deleted(part.number)] for part in parts]
    for part, [mark, deleted] in zip(parts, await store.read(groups), strict=True):
        part.deleted_until = offset_of(mark)
        part.deleted = set(msgspec.json.decode(deleted, type=list[str])) if deleted else set()
    return parts


def offset_of(mark: bytes | None) -> int:
    """
    >>> offset_of(None), offset_of(b"17")
    (-1, 17)
    """
    return int(mark) if mark else START


async def move_back(store: Store, mark_key: str, offset: int) -> None:
    """Moves a mark back to `offset`, if it is beyond."""
    while True:
        [[stored]] = await store.read([[mark_key]])
        if offset_of(stored) <= offset or (await store.swap([Swap(mark_key, stored, str(offset).encode(), {})]))[0]:
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
