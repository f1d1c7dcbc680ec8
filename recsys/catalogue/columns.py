"""Columns: the arrays of an inverted index that compiled code changes in place, and the room in them."""

from typing import Any, NamedTuple

import numpy as np

from recsys.catalogue.terms import MOST_TERMS
from recsys.compiled import F32, F64, I32, I64, U64, Bools, compiled
from recsys.index import NOWHERE, Index, move
from recsys.index import with_room as index_with_room

BLOCK = 8
"""Items in a block."""
STEP = 4
"""Terms by which the room that an item's terms take is measured."""
CLASSES = MOST_TERMS // STEP + 1
ROWS, FREE_ROW, BLOCKS, FREE_BLOCK, PLACES, FREE_PLACE, ENTRIES, ITEMS, CHANGES = range(9)
"""Where the counters stand: how much was ever taken of each, what is free next, how many items and changes there are."""


class Postings(NamedTuple):
    """Items in places, their terms in entries one after the other, lists in rows: a term's row is that of its first part."""

    where: Index
    """The places of items."""
    item: U64
    start: I32
    """An item's first entry; of a free place the next free one."""
    terms: I32
    """How many entries it has."""
    shown: Bools
    """False where it is in no result."""
    version: I64
    """The number of the item's last change, never that of another one."""
    row: I32
    """Of each entry its term's row; at the start of free entries, the next free ones of that size."""
    weight: F32
    at: I32
    """Where in `place` the entry's posting stands."""
    rows: Index
    """The rows of terms and of parts."""
    key: U64
    """A term's hash; of a further part the hash of term and part."""
    holders: I32
    """How many items have the term; 0 of further parts."""
    log: F64
    """ln(1 + holders)."""
    length: I32
    """Items in the list."""
    head: I32
    """The last block of the list; of a free row the next free one."""
    place: I32
    """The places of the items in the lists, block by block."""
    below: I32
    """The block before; of a free block the next free one."""
    counter: I64
    free: I32
    """The first free entries of each size."""


def empty() -> Postings:
    """No items, and little room."""
    counter = np.zeros(9, np.int64)
    counter[[FREE_ROW, FREE_BLOCK, FREE_PLACE]] = NOWHERE
    return Postings(
        index_with_room(0), _column(np.uint64), _column(np.int32), _column(np.int32), _column(np.bool_), _column(np.int64),
        _column(np.int32), _column(np.float32), _column(np.int32),
        index_with_room(0), _column(np.uint64), _column(np.int32), _column(np.float64), _column(np.int32), _column(np.int32),
        _column(np.int32), _column(np.int32), counter, np.full(CLASSES, NOWHERE, np.int32),
    )  # fmt: skip


def with_room(postings: Postings) -> Postings:
    """The same with room for one more item of any terms; a column that has too little grows by half."""
    counter = postings.counter
    found = postings
    if counter[PLACES] >= len(found.item):
        room = _more(len(found.item))
        found = found._replace(
            where=_moved(found.where, room), item=_longer(found.item, room), start=_longer(found.start, room),
            terms=_longer(found.terms, room), shown=_longer(found.shown, room), version=_longer(found.version, room),
        )  # fmt: skip
    if counter[ENTRIES] + MOST_TERMS > len(found.row):
        room = _more(len(found.row))
        found = found._replace(row=_longer(found.row, room), weight=_longer(found.weight, room), at=_longer(found.at, room))
    if counter[ROWS] + 2 * MOST_TERMS > len(found.key):  # a term may be new, or be cut once more
        room = _more(len(found.key))
        found = found._replace(
            rows=_moved(found.rows, room), key=_longer(found.key, room), holders=_longer(found.holders, room),
            log=_longer(found.log, room), length=_longer(found.length, room), head=_longer(found.head, room),
        )  # fmt: skip
    if counter[BLOCKS] + 4 * MOST_TERMS > len(found.below):  # joining two parts takes one, a posting one, cutting a list two
        room = _more(len(found.below))
        found = found._replace(place=_longer(found.place, BLOCK * room), below=_longer(found.below, room))
    return found


def size(postings: Postings) -> int:
    """Bytes of all columns."""
    return sum(column.nbytes for part in postings for column in (part if isinstance(part, Index) else (part,)))


@compiled
def take(free: I64 | I32, which: int, following: I32, counter: I64, used: int, size: int) -> int:
    """The room that was freed last, else `size` more behind what is used; freed room stands in chains."""
    at = free[which]
    if at == NOWHERE:
        at = counter[used]
        counter[used] += size
    else:
        free[which] = following[at]
    return at  # type: ignore[no-any-return]


@compiled
def give_back(free: I64 | I32, which: int, following: I32, at: int) -> None:
    """Room that the next one may take."""
    following[at] = free[which]
    free[which] = at


def _moved(old: Index, room: int) -> Index:
    new = index_with_room(room)
    move(old, new)
    return new


def _column(kind: type[np.generic]) -> Any:
    return np.zeros(0, kind)


def _more(room: int) -> int:
    return room + room // 2 + 16 * MOST_TERMS


def _longer(column: Any, room: int) -> Any:
    longer = np.zeros(room, column.dtype)
    longer[: len(column)] = column
    return longer
