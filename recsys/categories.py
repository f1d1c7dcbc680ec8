"""Categories: what is popular in each, kept as the rows of its items change, and told as lists.

A table holds the `KEPT` most popular items of a category, as those of an item shard are held (`recsys.popularity`); what it
lacks of an item is known again when the item is met. Any worker changes any table, by compare-and-set: of an item that two
have met the newer state is the one with more interactions, so it does not matter who comes first. Which items are in a
category says the catalogue alone, which is no part of the log: tables are made from the state, not a part of its exactness.
"""

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys import popularity
from recsys.catalogue.catalogue import Catalogue
from recsys.item_shards import ItemShards
from recsys.keys import Keys
from recsys.neighbour_lists import trending
from recsys.popularity import ENTRY, Popular
from recsys.recommendation import Neighbours
from recsys.rows import Rows
from recsys.rules import Rules
from recsys.store import Store, Swap

KEPT = 100
"""Items of a table: as many as may be hidden, or belong to another category by now, and 20 are left."""
VERSION = struct.Struct("<Q")
"""What a packed table begins with: how often it was changed."""


class Popularity(NamedTuple):
    """Of an item what a table holds of it."""

    item: int
    popularity: float
    landmark: int
    interactions: int


class Categories:
    """The categories whose items one worker's events changed."""

    def __init__(self, store: Store, items: ItemShards, keys: Keys, rules: Rules, catalogue: Catalogue) -> None:
        self._store = store
        self._items = items
        self._keys = keys
        self._rules = rules
        self._catalogue = catalogue
        self._changed: dict[str, dict[int, Popularity]] = {}

    def note(self, rows: Rows) -> None:
        """Takes in that these rows are what is stored now."""
        columns = (rows.item, rows.popularity, rows.landmark, rows.interactions)
        for each in map(Popularity, *(column.tolist() for column in columns)):
            for path in self._catalogue.category(each.item):
                self._changed.setdefault(path, {})[each.item] = each

    async def trending(self, now_ms: float) -> list[tuple[str, Neighbours]]:
        """The categories that were changed since this was asked last, each with the most popular items that may be shown.

        A table that another worker changes meanwhile is changed when this is asked again.
        """
        changed, self._changed = self._changed, {}
        if not changed:
            return []
        keys = [self._keys.category(path) for path in changed]
        stored = [value for [value] in await self._store.read([[key] for key in keys])]
        tables = {path: self._merged(path, value, new) for (path, new), value in zip(changed.items(), stored, strict=True)}
        versions = [VERSION.unpack_from(value)[0] + 1 if value else 1 for value in stored]
        swaps = [
            Swap(key, value, VERSION.pack(version) + popularity.pack(table), {})
            for key, value, version, table in zip(keys, stored, versions, tables.values(), strict=True)
        ]
        done = await self._store.swap(swaps)
        shown = {}
        for (path, table), version, ok in zip(tables.items(), versions, done, strict=True):
            if ok:
                shown[path] = popularity.without(table, self._catalogue.hidden), version
            else:
                self._changed[path] = changed[path] | self._changed.get(path, {})
        names = await self._items.named(
            item for table, _ in shown.values() for item in table.item[: self._rules.top_n].tolist()
        )
        return [(path, trending(table, names, now_ms, self._rules, version)) for path, (table, version) in shown.items()]

    def _merged(self, path: str, stored: bytes | None, new: dict[int, Popularity]) -> Popular:
        """A stored table and what was met since."""
        table = np.concatenate((read_table(stored), np.array(list(new.values()), ENTRY)))
        table = table[np.lexsort((table["interactions"], table["item"]))]
        newest = np.append(table["item"][1:] != table["item"][:-1], np.ones(min(len(table), 1), np.bool_))
        table = table[newest & np.array([self._belongs(item, path) for item in table["item"].tolist()], np.bool_)]
        return popularity.first(popularity.unpack(self._rules, table.tobytes()), KEPT)

    def _belongs(self, item: int, path: str) -> bool:
        """Whether an item is in a category, as far as is known: a catalogue that is still being read does not know all."""
        return item not in self._catalogue.names or path in self._catalogue.category(item)


def read_table(stored: bytes | None) -> NDArray[np.void]:
    """The entries of a stored table; of none, none."""
    return np.frombuffer(stored or b"", ENTRY, offset=VERSION.size if stored else 0)
