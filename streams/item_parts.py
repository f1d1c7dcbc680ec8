"""The partitions of the topic `items` as a worker has them: what it has read, up to where the effects are had, what waits."""

from aiokafka import ConsumerRecord
from msgspec import Struct

from recsys.catalogue.item import CatalogueItem, decode, item_id
from recsys.marks import START


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


def told_by(record: ConsumerRecord) -> CatalogueItem | str:
    """The item that a record describes, or the id of the one that it deletes. Raises `BadItem`."""
    return decode(record.key, record.value) if record.value else item_id(record.key)
