"""The shelf: what Redis says of items of the catalogue, for one who has not read the topic."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from recsys.catalogue.deletions import Deletions, partitions_read, read_deletions
from recsys.catalogue.item import decode
from recsys.compiled import U64
from recsys.hashing import hash_item
from recsys.keys import Keys
from recsys.marks import START
from recsys.store import Store

Hidden = Literal["deleted", "unavailable"]


class Shelf(NamedTuple):
    """Of the items that were asked for, which are described, and which are shown to nobody."""

    described: frozenset[str]
    hidden: dict[str, Hidden]


EMPTY = Shelf(frozenset(), {})
"""Where no catalogue is read."""


async def on_shelf(store: Store, keys: Keys, items: Iterable[str]) -> Shelf:
    """What is public of these items (ids): their Item JSON, and what is noted as deleted, at most half a second ago."""
    asked = list(dict.fromkeys(items))
    found = await store.read([[keys.item(item)] for item in asked]) if asked else []
    stored = {item: value for item, [value] in zip(asked, found, strict=True) if value}
    hidden: dict[str, Hidden] = {
        item: "unavailable" for item, value in stored.items() if not decode(item.encode(), value).available
    }
    if len(stored) < len(asked):
        gone = {item for part in await _all_deletions(store, keys) for item in part.items}
        hidden |= {item: "deleted" for item in asked if item in gone and item not in stored}
    return Shelf(frozenset(stored), hidden)


async def is_told(store: Store, keys: Keys) -> bool:
    """Whether anything was ever read of the topic `items`."""
    return any(part.until > START for part in await _all_deletions(store, keys))


async def deleted(store: Store, keys: Keys) -> U64:
    """The items (hashes, rising) that are deleted."""
    return sorted_hashes([item for part in await _all_deletions(store, keys) for item in part.items])


async def unavailable(store: Store, keys: Keys, items: Sequence[str]) -> U64:
    """Those of the items (ids) that are described as not available: their hashes, rising."""
    hidden = (await on_shelf(store, keys, items)).hidden
    return sorted_hashes([item for item, why in hidden.items() if why == "unavailable"])


async def _all_deletions(store: Store, keys: Keys) -> list[Deletions]:
    return await read_deletions(store, keys, await partitions_read(store, keys))


def sorted_hashes(items: Sequence[str]) -> U64:
    """
    >>> sorted_hashes(["b", "a", "b"]).shape
    (2,)
    """
    return np.unique(np.array([hash_item(item) for item in items], np.uint64))
