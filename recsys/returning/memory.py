"""The memory of sales: what a worker remembers of how items sell, the newest that it has read or written."""

import numpy as np

from recsys.compiled import F64, U64, Bools, compiled, compiled_maker
from recsys.hashing import NONE
from recsys.index import NOWHERE, Index, find, slot
from recsys.returning.sales import Sales, Sold, empty

ITEMS_REMEMBERED = 1 << 18
"""Items whose sales a worker remembers; beyond that it starts anew. About 100 bytes each."""
FIRST_ROOM = 1 << 10


class SalesMemory:
    """Sales in places, which compiled code finds by an item's hash.

    >>> from recsys.returning import sales
    >>> memory = SalesMemory()
    >>> memory.put(Sold(np.array([7, 9], np.uint64), sales.empty(2)), 0.0)
    >>> memory.lacking(np.array([7, 8], np.uint64), 0.0), memory.lacking(np.array([7], np.uint64), 1.0)
    (array([8], dtype=uint64), array([7], dtype=uint64))
    """

    def __init__(self) -> None:
        self._items = 0
        self._room(FIRST_ROOM)

    def _room(self, items: int) -> None:
        size = 1 << int(2 * items).bit_length()
        self.where = Index(np.zeros(size, np.uint64), np.zeros(size, np.int32))
        self.item = np.zeros(items, np.uint64)
        self._read = np.zeros(items)
        self.sales = empty(items)

    def put(self, sold: Sold, now_s: float) -> None:
        """Remembers sales that were read or written at `now_s`."""
        more = len(sold.item)
        if self._items + more > len(self.item):
            old = Sold(self.item[: self._items], Sales._make(column[: self._items] for column in self.sales))
            read = self._read[: self._items]
            self._room(2 * (self._items + more))
            _put(self.where, self.item, self._read, self.sales, old.item, old.sales, read, 0)
        at = np.full(more, now_s)
        self._items = _put(self.where, self.item, self._read, self.sales, sold.item, sold.sales, at, self._items)

    def trim(self) -> None:
        """Starts anew where it holds too much; not within a batch."""
        if self._items > ITEMS_REMEMBERED:
            self._items = 0
            self._room(FIRST_ROOM)

    def lacking(self, items: U64, since_s: float) -> U64:
        """Those of the items (hashes) of which nothing is remembered, or what was read before `since_s`."""
        return items[_lacking(self.where, self._read, items, since_s)]


@compiled
def _put(where: Index, item: U64, read: F64, sales: Sales, new: U64, sold: Sales, now_s: F64, items: int) -> int:
    for i in range(len(new)):
        at = slot(where.keys, new[i])
        if where.keys[at] == NONE:
            where.keys[at], where.place[at] = new[i], items
            item[items] = new[i]
            items += 1
        r = where.place[at]
        read[r] = now_s[i]
        sales.landmark[r], sales.first[r] = sold.landmark[i], sold.first[i]
        sales.n[r], sales.nr[r], sales.nq[r] = sold.n[i], sold.nr[i], sold.nq[i]
        sales.m[r], sales.observed[r], sales.expected[r] = sold.m[i], sold.observed[i], sold.expected[i]
    return items


@compiled_maker
def _lacking(where: Index, read: F64, items: U64, since_s: float) -> Bools:
    lacking = np.zeros(len(items), np.bool_)
    for i in range(len(items)):
        place = find(where, items[i])
        lacking[i] = place == NOWHERE or read[place] < since_s
    return lacking
