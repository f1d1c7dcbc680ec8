"""The shelf: what Redis says of items of the catalogue, for one who has not read the topic."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from recsys.catalogue.item import decode
from recsys.keys import Keys
from recsys.store import Store

Hidden = Literal["deleted", "unavailable"]
AT_ONCE = 32
"""Partitions of `items` that are asked for together; their number is not noted anywhere, the marks of those in use are."""


class Shelf(NamedTuple):
    """Of the items that were asked for, which are described, and which are shown to nobody."""

    described: frozenset[str]
    hidden: dict[str, Hidden]


EMPTY = Shelf(frozenset(), {})
"""Where no catalogue is read."""


async def on_shelf(store: Store, keys: Keys, items: Iterable[str]) -> Shelf:
    """What is public of these items (ids): their Item JSON, and what is noted as deleted, at most half a second ago."""
    asked = list(dict.fromkeys(items))
    values = [value for [value] in await store.read([[keys.item(item)] for item in asked])]
    stored = {item: value for item, value in zip(asked, values, strict=True) if value}
    hidden: dict[str, Hidden] = {
        item: "unavailable" for item, value in stored.items() if not decode(item.encode(), value).available
    }
    gone = await _deleted(store, keys) if len(stored) < len(asked) else set()
    hidden |= {item: "deleted" for item in asked if item in gone and item not in stored}
    return Shelf(frozenset(stored), hidden)


async def _deleted(store: Store, keys: Keys) -> set[str]:
    found: set[str] = set()
    first = 0
    while True:
        numbers = range(first, first + AT_ONCE)
        replies = await store.read([[keys.catalogue_mark(n), keys.catalogue_deleted(n)] for n in numbers])
        found.update(*(_items(deleted) for _, deleted in replies))
        if all(mark is None for mark, _ in replies):
            return found
        first += AT_ONCE


def _items(deleted: bytes | None) -> Sequence[str]:
    return msgspec.json.decode(deleted, type=list[str]) if deleted else []
