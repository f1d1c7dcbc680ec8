"""What the store has of the catalogue: enough for one who only looks to leave out what may not be shown."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from recsys.catalogue.item import decode
from recsys.compiled import U64
from recsys.hashing import hash_item
from recsys.keys import Keys
from recsys.marks import START
from recsys.store import Store


class Deleted(NamedTuple):
    """What a partition of the topic `items` has deleted."""

    items: frozenset[str] = frozenset()
    until: int = START
    """Up to this offset."""


async def read_deleted(store: Store, keys: Keys) -> list[Deleted]:
    """Of each partition; Kafka itself forgets that after a while."""
    [[partitions]] = await store.read([[keys.catalogue]])
    groups = [[keys.catalogue_mark(number), keys.catalogue_deleted(number)] for number in range(int(partitions or 0))]
    found = await store.read(groups) if groups else []
    return [
        Deleted(frozenset(msgspec.json.decode(items or b"[]", type=list[str])), int(mark or START)) for mark, items in found
    ]


async def is_told(store: Store, keys: Keys) -> bool:
    """Whether anything was ever read of the topic `items`."""
    return any(part.until > START for part in await read_deleted(store, keys))


async def deleted(store: Store, keys: Keys) -> U64:
    """The items (hashes, rising) that are deleted."""
    return sorted_hashes([item for part in await read_deleted(store, keys) for item in part.items])


async def unavailable(store: Store, keys: Keys, items: Sequence[str]) -> U64:
    """Those of the items (ids) that are described as not available: their hashes, rising."""
    found = await store.read([[keys.item(item)] for item in items]) if items else []
    described = [(item, decode(item.encode(), value)) for item, [value] in zip(items, found, strict=True) if value]
    return sorted_hashes([item for item, told in described if not told.available])


def sorted_hashes(items: Sequence[str]) -> U64:
    """
    >>> sorted_hashes(["b", "a", "b"]).shape
    (2,)
    """
    return np.unique(np.array([hash_item(item) for item in items], np.uint64))
