"""The lists of baskets: what is bought together with an item, and what is bought after it was looked at, as messages."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from recsys import marks
from recsys.baskets import lift
from recsys.catalogue.catalogue import Catalogue
from recsys.compiled import F64, I64, U64
from recsys.damage import missing_row
from recsys.hashing import NONE
from recsys.index import among, distinct
from recsys.item_shards import ItemShards
from recsys.keys import AFTER, TOGETHER, Keys
from recsys.neighbour_lists import lists_of, strength, strongest
from recsys.recommendation import Neighbours
from recsys.rows import Rows, without_neighbours, worth
from recsys.rules import Rules
from recsys.store import Store

FRESH_S = 5.0
"""So long is believed in how many baskets a neighbour is, where other workers count, too."""
UNKNOWN = (0, -math.inf)
REMEMBERED = 500_000
"""Items of which it is remembered; beyond that it is begun anew."""


class BasketLists:
    """Makes the lists of `Engine`'s items; remembers in how many baskets their neighbours are."""

    def __init__(self, store: Store, items: ItemShards, keys: Keys, rules: Rules, catalogue: Catalogue) -> None:
        self._store = store
        self._items = items
        self._keys = keys
        self._rules = rules
        self._catalogue = catalogue
        self._in_baskets: dict[int, tuple[int, float]] = {}
        """By item: the number of baskets, and when it was read."""

    def forget(self, items: Iterable[int]) -> None:
        """To be called with items that came into baskets, before the lists of any of them are made."""
        for item in items:
            self._in_baskets.pop(item, None)

    async def together(self, items: Sequence[int]) -> list[Neighbours]:
        """What is bought together with those of the items (hashes) that were bought.

        The score is P(other | item) from decayed baskets, as that of similar items is; counts and lift are whole.
        """
        loaded, version = await self._load(items, TOGETHER)
        shown = strongest(loaded, self._rules.top_n)
        names = await self._name(loaded, shown.other)
        others = distinct(shown.other)
        in_baskets = await self._in_baskets_of(others)
        each = in_baskets[np.searchsorted(others, shown.other)]
        # Shards are written one after the other: an item that is in no basket yet is left out, as one without a name.
        shown.other[each == 0.0] = NONE
        own = loaded.interactions[:, None].astype(np.float64)
        lifts = lift(shown.counts.astype(np.float64), await self._baskets(), own, np.maximum(each, 1.0))
        return list(lists_of(loaded, shown, strength(loaded, self._rules), names, version, lifts))

    async def bought_after(self, items: Sequence[int]) -> list[Neighbours]:
        """What was bought after those of the items (hashes) after which something was.

        The score is the decayed weight by how often the item is met: weight / (popularity + 1), as of the newest event of both.
        """
        loaded, version = await self._load(items, AFTER)
        shown = strongest(loaded, self._rules.top_n)
        names = await self._name(loaded, shown.other)
        viewed, _ = await self._items.load(loaded.item)
        if len(viewed.item) < len(loaded.item):
            raise missing_row(int(np.setdiff1d(loaded.item, viewed.item)[0]))
        return list(lists_of(loaded, shown, self._after_strength(loaded, viewed), names, version))

    async def _load(self, items: Sequence[int], table: str) -> tuple[Rows, I64]:
        """The rows of those of the items (hashes) that have one and may be shown, without the neighbours that may not."""
        wanted, gone = np.unique(np.array(items, np.uint64)), self._catalogue.hidden
        loaded, version = await self._items.load(wanted[~among(wanted, gone)], table)
        return without_neighbours(loaded, gone), version

    def _after_strength(self, loaded: Rows, viewed: Rows) -> F64:
        """What a weight of 1 in each row is worth; every item has a viewed row."""
        now = np.maximum(loaded.updated, viewed.updated)
        popularity = viewed.popularity * worth(viewed.landmark, now, self._rules.half_life_ms)
        return worth(loaded.landmark, now, self._rules.half_life_ms) / (popularity + 1.0)

    async def _name(self, loaded: Rows, others: U64) -> Mapping[int, str]:
        """The names of items and their neighbours; the rows get theirs."""
        names = await self._items.named(distinct(np.append(loaded.item, others[others != NONE])).tolist())
        for r, item in enumerate(loaded.item.tolist()):
            if item not in names:
                raise missing_row(item)
            loaded.ids[r] = names[item]
        return names

    async def _baskets(self) -> int:
        """How many baskets were counted, on all partitions."""
        groups = [[self._keys.user_mark(partition)] for partition in await self._items.partitions()]
        return sum(marks.user_mark(value).baskets for [value] in await self._store.read(groups))

    async def _in_baskets_of(self, items: U64) -> F64:
        """In how many baskets each item (sorted hashes) is."""
        now_s = time.monotonic()
        old_s = self._items.old_since(now_s, FRESH_S)
        if len(self._in_baskets) > REMEMBERED:
            self._in_baskets.clear()
        remembered = [self._in_baskets.get(item, UNKNOWN) for item in items.tolist()]
        found = np.array([n for n, _ in remembered], np.float64)
        old = np.array([n == 0 or read_s < old_s for n, read_s in remembered], np.bool_)
        lacking = items[old & (items != NONE)]
        if len(lacking):
            read = await self._items.load_interactions(lacking, TOGETHER)
            found[np.searchsorted(items, lacking)] = read
            self._in_baskets |= {item: (n, now_s) for item, n in zip(lacking.tolist(), read.tolist(), strict=True) if n}
        return found
