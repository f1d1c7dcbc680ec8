"""The catalogue: what a worker knows of all items, from their own descriptions."""

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from recsys.catalogue.content import Content
from recsys.catalogue.item import CatalogueItem, prefixes
from recsys.catalogue.lists import Lists
from recsys.catalogue.terms import terms
from recsys.catalogue.traits import Shelves
from recsys.compiled import F64, U64
from recsys.hashing import hash_item

NEWEST = 1000
"""Items that are remembered as having come last."""


class Catalogue:
    """The items that were put and not removed: their ids, categories, whether they may be shown, and which are alike.

    >>> catalogue = Catalogue()
    >>> for id, title in ("a", "red mug"), ("b", "blue mug"), ("c", "green tea"):
    ...     _ = catalogue.put(CatalogueItem(id, title, categories=("Home > Kitchen",)))
    >>> alike, cosines = catalogue.alike(np.array([hash_item("a")], np.uint64), 2)
    >>> [catalogue.names[item] for item in alike[0].tolist()]
    ['b', 'c']
    >>> catalogue.category(hash_item("a"))
    ('Home', 'Home > Kitchen')
    >>> catalogue.remove("b"), len(catalogue), hash_item("b") in catalogue.hidden
    (True, 2, True)
    """

    def __init__(self, rates: Mapping[str, float] | None = None) -> None:
        """`rates` say what a unit of each currency is worth in the shop's, see `Shelves`."""
        self.content = Content()
        self.shelves = Shelves(rates or {})
        self.names: dict[int, str] = {}
        """The ids of the items, by hash."""
        self.newest: dict[int, float] = {}
        """The last items that came, in the order in which they did, and when, in milliseconds; a change of one that is there is
        none."""
        self.arrivals = 0
        """How many came, for those who look at `newest` now and then."""
        self._categories: dict[int, tuple[str, ...]] = {}
        self._lists: Lists | None = None
        self._hidden = np.zeros(0, np.uint64)
        self._changed: dict[int, bool] = {}
        """Items that were hidden (True) or shown since `_hidden` was made."""

    def __len__(self) -> int:
        return len(self.names)

    def put(self, item: CatalogueItem, came_ms: float = math.inf) -> bool:
        """Takes an item in, in place of what was known of it. Returns whether that changes anything that ranking sees.

        `came_ms` is the time of its record: a catalogue that is read anew has all its items, and few of them are new.

        That is its vector, its categories, and whether it may be shown.
        """
        number = hash_item(item.item_id)
        if number not in self.names:
            self._arrive(number, came_ms)
        self.names[number] = item.item_id
        changed = self._sort_in(number, item.categories)
        self.shelves.put(number, item)
        moved = self.content.put(number, terms(item))
        if item.available:
            moved = self.content.show(number) or moved
        else:
            self.content.hide(number)
        if moved and self._lists:
            self._lists.spread(number)
        hidden = self._hide(number, not item.available)
        return moved or hidden or changed

    def remove(self, item_id: str) -> bool:
        """Takes an item out; it stays hidden until it is put again. Returns whether it was known, or is hidden only now."""
        number = hash_item(item_id)
        known = self.names.pop(number, None) is not None
        self._categories.pop(number, None)
        self.newest.pop(number, None)
        self.content.remove(number)
        self.shelves.remove(number)
        return self._hide(number, True) or known

    @property
    def hidden(self) -> U64:
        """The items (hashes, rising) that may not be shown: they were removed, or are not available."""
        if self._changed:
            added = np.array([item for item, hidden in self._changed.items() if hidden], np.uint64)
            gone = np.array([item for item, hidden in self._changed.items() if not hidden], np.uint64)
            self._hidden = np.union1d(np.setdiff1d(self._hidden, gone, assume_unique=True), added)
            self._changed = {}
        return self._hidden

    def hidden_since(self, before: U64) -> set[int]:
        """The items (hashes) that were hidden since `hidden` was `before`."""
        return set() if self.hidden is before else set(np.setdiff1d(self.hidden, before, assume_unique=True).tolist())

    def category(self, item: int) -> tuple[str, ...]:
        """The categories of an item (hash), each path's prefixes before it, none twice; none of an unknown item."""
        return self._categories.get(item, ())

    def alike(self, items: U64, room: int) -> tuple[U64, F64]:
        """For each item (hash) a line of `room` alike items (`NONE` behind the last), by falling cosine, and the cosines.

        Hidden items are in no line; the line of an unknown item is empty. An item that has come is in the lines of others from
        then on. Which items are alike says `Content.alike`; the lists are kept, see `Lists.of` for how they may lag.
        """
        if self._lists is None or self._lists.room < room:
            self._lists = Lists(self.content, room)
        found, cosines = self._lists.of(items)
        return found[:, :room], cosines[:, :room]

    @property
    def nbytes(self) -> int:
        """Bytes of vectors, inverted index, lists and traits."""
        return self.content.nbytes + self.shelves.nbytes + (self._lists.nbytes if self._lists else 0)

    def _arrive(self, item: int, came_ms: float) -> None:
        self.arrivals += 1
        self.newest[item] = came_ms
        if len(self.newest) > NEWEST:
            del self.newest[next(iter(self.newest))]

    def _sort_in(self, item: int, paths: tuple[str, ...]) -> bool:
        new = _prefixes(paths)
        if self._categories.get(item, ()) == new:
            return False
        self._categories[item] = new
        return True

    def _hide(self, item: int, hidden: bool) -> bool:
        """Returns whether that is new."""
        before = self._changed.get(item)
        if before is None:
            at = int(np.searchsorted(self._hidden, np.uint64(item)))
            before = at < len(self._hidden) and int(self._hidden[at]) == item
        if before == hidden:
            return False
        self._changed[item] = hidden
        return True


@lru_cache(maxsize=1 << 12)
def _prefixes(paths: tuple[str, ...]) -> tuple[str, ...]:
    """All prefixes of some paths; remembered so that items of the same categories share one tuple."""
    return tuple(dict.fromkeys(prefix for path in paths for prefix in prefixes(path)))
