"""Deletions: what each partition of the topic `items` has deleted, as Redis keeps it; Kafka forgets that after a while."""

from collections.abc import Collection, Mapping

import msgspec
from msgspec import Struct, field

from recsys.keys import Keys
from recsys.marks import START
from recsys.store import Store


class Deletions(Struct):
    """What a partition has deleted."""

    items: dict[str, int] = field(default_factory=dict)
    """By item, when, in ms."""
    until: int = START
    """Up to this offset: no record before it puts one of them back."""


async def partitions_read(store: Store, keys: Keys) -> range:
    """The partitions of which anything was ever read."""
    [[count]] = await store.read([[keys.catalogue]])
    return range(int(count or 0))


async def read_deletions(store: Store, keys: Keys, partitions: Collection[int]) -> list[Deletions]:
    """What is noted of each of the partitions."""
    groups = [[keys.catalogue_mark(number), keys.catalogue_deleted(number)] for number in partitions]
    found = await store.read(groups) if groups else []
    return [Deletions(_decoded(items), offset_of(mark)) for mark, items in found]


def encode(items: Mapping[str, int]) -> bytes:
    """
    >>> encode({"b": 7, "a": 9})
    b'{"a":9,"b":7}'
    """
    return msgspec.json.encode(dict(sorted(items.items())))


def offset_of(mark: bytes | None) -> int:
    """
    >>> offset_of(None), offset_of(b"17")
    (-1, 17)
    """
    return int(mark) if mark else START


def _decoded(value: bytes | None) -> dict[str, int]:
    """Of a list, as it was written once, nobody knows when: before all that other partitions say."""
    told = msgspec.json.decode(value or b"{}", type=dict[str, int] | list[str])
    return dict.fromkeys(told, 0) if isinstance(told, list) else told
