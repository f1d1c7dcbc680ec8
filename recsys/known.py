"""What is known of items: their rows, as columns that compiled code finds an item in by its hash.

An evaluation knows everything, its columns are those of the rows themselves (`known_rows`). A worker remembers what it met
(`Memory`), the newest that it has read or written.
"""

from typing import Any, NamedTuple

import numpy as np

from recsys.alike import NOTHING_ALIKE, Alike
from recsys.compiled import F32, F64, I32, I64, U32, U64, Bools, compiled, compiled_maker
from recsys.hashing import NONE
from recsys.index import NOWHERE, Index, find, index, move, slot, with_room
from recsys.rows import Rows
from recsys.rules import Rules

BYTES_REMEMBERED = 1 << 27
"""About as much of neighbours a worker remembers between batches; beyond that it starts anew."""
BYTES_PER_NEIGHBOUR = 16
FIRST_ROOM = 1 << 10


class Known(NamedTuple):
    """Items in places; see `recsys.rows.Rows` for the columns. Matrices have a line for each row that is held."""

    where: Index
    popularity: F64
    trend: F64
    landmark: I64
    first: I64
    interactions: I64
    row: I32
    """The line of the item's neighbours, `NOWHERE` where they are not held."""
    read: F64
    """When the neighbours were read, in seconds of any clock that does not go back."""
    length: I32
    other: U64
    weight: F32
    counts: U32
    alike: Alike
    """Of the items that are ranked from, which others are like them; it knows other items than the columns do."""


OF_ITEMS, OF_ROWS = slice(1, 8), slice(8, 12)
"""The columns with a place for each item, and the matrices."""


def known_rows(rows: Rows, alike: Alike = NOTHING_ALIKE) -> Known:
    """All of `rows`, the same columns: what is merged into them is known at once."""
    n = len(rows.item)
    return Known(
        index(rows.item),
        rows.popularity,
        rows.trend,
        rows.landmark,
        rows.first,
        rows.interactions,
        np.arange(n, dtype=np.int32),
        np.full(n, np.inf),
        rows.length,
        rows.other,
        rows.weight,
        rows.counts,
        alike,
    )


def neighbours_of(known: Known, items: U64) -> U64:
    """The neighbours of those of the items (hashes) whose rows are held."""
    found = [known.other[line, : known.length[line]] for line in _lines(known, items).tolist() if line != NOWHERE]
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.uint64)


class Memory:
    """What a worker remembers of the items that it met; the newest of each that it has read or written.

    >>> memory = Memory(Rules())
    >>> from recsys import rows
    >>> memory.put(rows.empty(np.array([7, 9], np.uint64), 3), 0.0)
    >>> memory.lacking(np.array([7, 8], np.uint64), 0.0)
    array([8], dtype=uint64)
    """

    def __init__(self, rules: Rules) -> None:
        self._width = rules.row_limit + 1
        self._most = BYTES_REMEMBERED // (BYTES_PER_NEIGHBOUR * self._width)
        self._items, self._rows = 0, 0
        self.known = _room(FIRST_ROOM, FIRST_ROOM, self._width)

    def put(self, rows: Rows, now_s: float) -> None:
        """Remembers rows that were read or written at `now_s`."""
        more = len(rows.item)
        self._make_room(self._items + more, self._rows + more)
        told = (rows.item, rows.popularity, rows.trend, rows.landmark, rows.first, rows.interactions, *rows[8:])
        self._items, self._rows = _put(self.known, *told, now_s, self._items, self._rows)

    def put_absent(self, items: U64) -> None:
        """Remembers of items (hashes) that were sought and have no row that there is nothing to know."""
        self._make_room(self._items + len(items), self._rows)
        self._items = _put_absent(self.known, items, self._items)

    def tell_alike(self, alike: Alike) -> None:
        """What is told of the items that are ranked from next."""
        self.known = self.known._replace(alike=alike)

    def lacking(self, items: U64, since_s: float) -> U64:
        """Those of the items (hashes) whose neighbours are not held, or were read before `since_s`."""
        return items[_lacking(self.known, items, since_s)]

    def trim(self) -> None:
        """Starts anew where it holds too much; not within a batch, which would lose what it has just read."""
        if self._rows > self._most:
            self._items, self._rows = 0, 0
            self.known = _room(FIRST_ROOM, FIRST_ROOM, self._width)

    def _make_room(self, items: int, rows: int) -> None:
        known = self.known
        if items > len(known.row):
            room = 2 * items
            table = with_room(room)
            move(known.where, table)
            self.known = known = Known._make((table, *(_longer(column, room) for column in known[OF_ITEMS]), *known[8:]))
        if rows > len(known.length):
            self.known = Known._make((*known[:8], *(_longer(column, 2 * rows) for column in known[OF_ROWS]), known.alike))


def _room(items: int, rows: int, width: int) -> Known:
    return Known(
        with_room(items),
        np.zeros(items),
        np.zeros(items),
        np.zeros(items, np.int64),
        np.zeros(items, np.int64),
        np.zeros(items, np.int64),
        np.full(items, NOWHERE, np.int32),
        np.zeros(items),
        np.zeros(rows, np.int32),
        np.zeros((rows, width), np.uint64),
        np.zeros((rows, width), np.float32),
        np.zeros((rows, width), np.uint32),
        NOTHING_ALIKE,
    )


def _longer(column: Any, room: int) -> Any:
    longer = np.zeros((room, *column.shape[1:]), column.dtype)
    longer[: len(column)] = column
    return longer


@compiled
def _put(
    known: Known, item: U64, popularity: F64, trend: F64, landmark: I64, first: I64, interactions: I64,
    length: I32, other: U64, weight: F32, counts: U32, now_s: float, items: int, rows: int,
) -> tuple[int, int]:  # fmt: skip
    width = known.other.shape[1]
    for r in range(len(item)):
        at = slot(known.where.keys, item[r])
        if known.where.keys[at] == NONE:
            known.where.keys[at], known.where.place[at] = item[r], items
            known.row[items] = NOWHERE
            items += 1
        place = known.where.place[at]
        known.popularity[place], known.trend[place] = popularity[r], trend[r]
        known.landmark[place], known.first[place], known.read[place] = landmark[r], first[r], now_s
        known.interactions[place] = interactions[r]
        if known.row[place] == NOWHERE:
            known.row[place] = rows
            rows += 1
        line = known.row[place]
        # A row that was written under a higher limit may be longer: what stands behind is left out.
        known.length[line] = min(length[r], width)
        for i in range(known.length[line]):
            known.other[line, i], known.weight[line, i], known.counts[line, i] = other[r, i], weight[r, i], counts[r, i]
    return items, rows


@compiled
def _put_absent(known: Known, item: U64, items: int) -> int:
    for i in range(len(item)):
        at = slot(known.where.keys, item[i])
        if known.where.keys[at] == NONE:
            known.where.keys[at], known.where.place[at] = item[i], items
            known.row[items] = NOWHERE
            known.popularity[items], known.trend[items], known.interactions[items] = 0.0, 0.0, 0
            known.landmark[items], known.first[items], known.read[items] = 0, 0, 0.0
            items += 1
    return items


@compiled_maker
def _lines(known: Known, items: U64) -> I32:
    lines = np.full(len(items), NOWHERE, np.int32)
    for i in range(len(items)):
        place = find(known.where, items[i])
        if place != NOWHERE:
            lines[i] = known.row[place]
    return lines


@compiled_maker
def _lacking(known: Known, items: U64, since_s: float) -> Bools:
    lacking = np.zeros(len(items), np.bool_)
    for i in range(len(items)):
        place = find(known.where, items[i])
        lacking[i] = place == NOWHERE or known.row[place] == NOWHERE or known.read[place] < since_s
    return lacking
