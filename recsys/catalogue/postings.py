"""Postings: the items' terms, and for each term the items that have it, in columns that compiled code changes in place.

A term's items stand in blocks of eight, so that lists grow and shrink without being moved, and freed room is used again. A term
of more than `PART` items has its list in parts by the items' hashes, one more for every `PART` items. The parts are those of
linear hashing: an item more or less splits or joins one part at most (Litwin, 1980, "Linear hashing: a new tool for file and
table addressing").
"""

import math
from typing import Any, NamedTuple

import numpy as np

from recsys.catalogue.terms import MOST_TERMS
from recsys.compiled import F32, F64, I32, I64, U64, Bools, compiled
from recsys.hashing import NONE
from recsys.index import NOWHERE, Index, enter, find, forget, move

BLOCK = 8
"""Items in a block."""
PART = 256
"""Items above which a list is cut; a part has at most about twice as many."""
STEP = 4
"""Terms by which the room that an item's terms take is measured."""
CLASSES = MOST_TERMS // STEP + 1
ROWS, FREE_ROW, BLOCKS, FREE_BLOCK, PLACES, FREE_PLACE, ENTRIES, ITEMS, CHANGES = range(9)
"""Where the counters stand: how much was ever taken of each, what is free next, how many items and changes there are."""

_ONE, _SPREAD = np.uint64(1), np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_27, _30, _31 = np.uint64(27), np.uint64(30), np.uint64(31)


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
        _index(0), _column(np.uint64), _column(np.int32), _column(np.int32), _column(np.bool_), _column(np.int64),
        _column(np.int32), _column(np.float32), _column(np.int32),
        _index(0), _column(np.uint64), _column(np.int32), _column(np.float64), _column(np.int32), _column(np.int32),
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


def _index(room: int) -> Index:
    slots = 1 << int(2 * room).bit_length()
    return Index(np.zeros(slots, np.uint64), np.zeros(slots, np.int32))


def _moved(old: Index, room: int) -> Index:
    new = _index(room)
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


@compiled
def put(postings: Postings, item: int, term: U64, weight: F32) -> bool:
    """Gives an item these terms, by rising hash, and no others. Returns whether that changes anything."""
    counter = postings.counter
    place = find(postings.where, item)
    if place == NOWHERE:
        place = _new_place(postings, item)
    elif _equal(postings, place, term, weight):
        return False
    old, end = postings.start[place], postings.start[place] + postings.terms[place]
    _drop_others(postings, place, term)
    start = _entries(postings, len(term))
    for i in range(len(term)):
        while old < end and (postings.row[old] == NOWHERE or postings.key[postings.row[old]] < term[i]):
            old += 1
        e = start + i
        if old < end and postings.key[postings.row[old]] == term[i]:
            postings.row[e], postings.at[e] = postings.row[old], postings.at[old]
        else:
            postings.row[e], postings.at[e] = _row(postings, term[i]), NOWHERE
        postings.weight[e] = weight[i]
    _free_entries(postings, place)
    postings.start[place], postings.terms[place] = start, len(term)
    for e in range(start, start + len(term)):
        if postings.at[e] == NOWHERE:
            _post(postings, place, e)
    counter[CHANGES] += 1
    postings.version[place] = counter[CHANGES]
    return True


@compiled
def remove(postings: Postings, item: int) -> bool:
    """Takes an item out. Returns whether it was there."""
    counter = postings.counter
    place = find(postings.where, item)
    if place == NOWHERE:
        return False
    for e in range(postings.start[place], postings.start[place] + postings.terms[place]):
        _unpost(postings, place, e)
    _free_entries(postings, place)
    forget(postings.where, item)
    postings.start[place], postings.terms[place], postings.shown[place] = counter[FREE_PLACE], 0, False
    counter[FREE_PLACE] = place
    counter[ITEMS] -= 1
    counter[CHANGES] += 1
    postings.version[place] = counter[CHANGES]
    return True


@compiled
def show(postings: Postings, item: int, shown: bool) -> bool:
    """Lets an item be in results, or not. Returns whether that changes anything."""
    place = find(postings.where, item)
    if place == NOWHERE or postings.shown[place] == shown:
        return False
    postings.shown[place] = shown
    postings.counter[CHANGES] += 1
    postings.version[place] = postings.counter[CHANGES]
    return True


@compiled
def list_of(postings: Postings, row: int, item: int) -> int:
    """The row of the part of a term's list that an item belongs to; `row` is the term's."""
    return _part_row(postings, row, _part(item, _parts(postings.holders[row])))


@compiled
def _parts(holders: int) -> int:
    return max(1, (holders + PART - 1) // PART)


@compiled
def _part(item: int, parts: int) -> int:
    """In which of so many parts an item's posting stands."""
    power = 1
    while 2 * power <= parts:
        power *= 2
    part = np.int64(item & np.uint64(2 * power - 1))
    return part if part < parts else part - power  # type: ignore[return-value]


@compiled
def _origin(part: int) -> int:
    """The part that this one was split from: its number without the highest bit."""
    power = 1
    while 2 * power <= part:
        power *= 2
    return part - power


@compiled
def _part_key(term: int, part: int) -> int:
    """The hash under which a further part of a term stands: splitmix64 (Steele, Lea, Flood, 2014)."""
    mixed = term ^ np.uint64(part) * _SPREAD
    mixed = (mixed ^ mixed >> _30) * _MIX_1
    mixed = (mixed ^ mixed >> _27) * _MIX_2
    return max(mixed ^ mixed >> _31, _ONE)  # type: ignore[return-value]


@compiled
def _part_row(postings: Postings, row: int, part: int) -> int:
    if part == 0:
        return row
    return find(postings.rows, _part_key(postings.key[row], part))


@compiled
def _post(postings: Postings, place: int, e: int) -> None:
    """Notes an item in the list of the term of its entry `e`."""
    row = postings.row[e]
    postings.holders[row] += 1
    postings.log[row] = math.log(1.0 + postings.holders[row])
    parts = _parts(postings.holders[row])
    if parts > _parts(postings.holders[row] - 1):
        new = _row(postings, _part_key(postings.key[row], parts - 1))
        _split(postings, row, _part_row(postings, row, _origin(parts - 1)), new, parts)
    postings.at[e] = _push(postings, list_of(postings, row, postings.item[place]), place)


@compiled
def _unpost(postings: Postings, place: int, e: int) -> None:
    """Takes an item out of the list of the term of its entry `e`, which belongs to no term afterwards."""
    row = postings.row[e]
    _pull(postings, row, list_of(postings, row, postings.item[place]), postings.at[e])
    postings.row[e] = NOWHERE
    postings.holders[row] -= 1
    postings.log[row] = math.log(1.0 + postings.holders[row])
    parts = _parts(postings.holders[row])
    if parts < _parts(postings.holders[row] + 1):
        last = _part_row(postings, row, parts)
        _join(postings, row, _part_row(postings, row, _origin(parts)), last)
        _free_row(postings, last)
    if postings.holders[row] == 0:
        _free_row(postings, row)


@compiled
def _split(postings: Postings, row: int, origin: int, new: int, parts: int) -> None:
    """Moves those items that belong there to a new part, the last of so many."""
    block, k = postings.head[origin], (postings.length[origin] - 1) % BLOCK
    for _ in range(postings.length[origin]):
        at = block * BLOCK + k
        below = postings.below[block]
        place = postings.place[at]
        if _part(postings.item[place], parts) == parts - 1:
            _pull(postings, row, origin, at)
            postings.at[_entry(postings, place, row)] = _push(postings, new, place)
        k -= 1
        if k < 0:
            block, k = below, BLOCK - 1


@compiled
def _join(postings: Postings, row: int, origin: int, last: int) -> None:
    """Moves all items of the last part to the one that it was split from."""
    for _ in range(postings.length[last]):
        at = postings.head[last] * BLOCK + (postings.length[last] - 1) % BLOCK
        place = postings.place[at]
        _pull(postings, row, last, at)
        postings.at[_entry(postings, place, row)] = _push(postings, origin, place)


@compiled
def _push(postings: Postings, row: int, place: int) -> int:
    """Appends an item to a list; returns where it stands."""
    k = postings.length[row] % BLOCK
    if k == 0:
        block = postings.counter[FREE_BLOCK]
        if block == NOWHERE:
            block = postings.counter[BLOCKS]
            postings.counter[BLOCKS] += 1
        else:
            postings.counter[FREE_BLOCK] = postings.below[block]
        postings.below[block] = postings.head[row]
        postings.head[row] = block
    at = postings.head[row] * BLOCK + k
    postings.place[at] = place
    postings.length[row] += 1
    return at  # type: ignore[no-any-return]


@compiled
def _pull(postings: Postings, term: int, row: int, at: int) -> None:
    """Takes the posting that stands there out of a list of a term; the last of the list takes its room."""
    head = postings.head[row]
    last = head * BLOCK + (postings.length[row] - 1) % BLOCK
    if last != at:
        moved = postings.place[last]
        postings.place[at] = moved
        postings.at[_entry(postings, moved, term)] = at
    postings.length[row] -= 1
    if postings.length[row] % BLOCK == 0:
        postings.head[row] = postings.below[head]
        postings.below[head] = postings.counter[FREE_BLOCK]
        postings.counter[FREE_BLOCK] = head


@compiled
def _entry(postings: Postings, place: int, row: int) -> int:
    """An item's entry for a term that it has."""
    e = postings.start[place]
    while postings.row[e] != row:
        e += 1
    return e  # type: ignore[no-any-return]


@compiled
def _equal(postings: Postings, place: int, term: U64, weight: F32) -> bool:
    if postings.terms[place] != len(term):
        return False
    start = postings.start[place]
    for i in range(len(term)):
        if postings.key[postings.row[start + i]] != term[i] or postings.weight[start + i] != weight[i]:
            return False
    return True


@compiled
def _drop_others(postings: Postings, place: int, term: U64) -> None:
    """Takes an item out of the lists of all terms but these."""
    i = 0
    for e in range(postings.start[place], postings.start[place] + postings.terms[place]):
        key = postings.key[postings.row[e]]
        while i < len(term) and term[i] < key:
            i += 1
        if i == len(term) or term[i] != key:
            _unpost(postings, place, e)


@compiled
def _new_place(postings: Postings, item: int) -> int:
    counter = postings.counter
    place = counter[FREE_PLACE]
    if place == NOWHERE:
        place = counter[PLACES]
        counter[PLACES] += 1
    else:
        counter[FREE_PLACE] = postings.start[place]
    counter[ITEMS] += 1
    postings.item[place], postings.start[place], postings.terms[place], postings.shown[place] = item, 0, 0, True
    enter(postings.where, item, place)
    return place  # type: ignore[no-any-return]


@compiled
def _row(postings: Postings, key: int) -> int:
    """The row of a term or a part, a new one where it has none."""
    row = find(postings.rows, key)
    if row != NOWHERE:
        return row
    row = postings.counter[FREE_ROW]
    if row == NOWHERE:
        row = postings.counter[ROWS]
        postings.counter[ROWS] += 1
    else:
        postings.counter[FREE_ROW] = postings.head[row]
    postings.key[row], postings.holders[row], postings.length[row], postings.head[row] = key, 0, 0, NOWHERE
    enter(postings.rows, key, row)
    return row  # type: ignore[no-any-return]


@compiled
def _free_row(postings: Postings, row: int) -> None:
    forget(postings.rows, postings.key[row])
    postings.key[row] = NONE
    postings.head[row] = postings.counter[FREE_ROW]
    postings.counter[FREE_ROW] = row


@compiled
def _entries(postings: Postings, terms: int) -> int:
    """Room for so many terms, the first entry of it."""
    size_class = (terms + STEP - 1) // STEP
    start = postings.free[size_class]
    if start == NOWHERE:
        start = postings.counter[ENTRIES]
        postings.counter[ENTRIES] += size_class * STEP
    else:
        postings.free[size_class] = postings.row[start]
    return start  # type: ignore[no-any-return]


@compiled
def _free_entries(postings: Postings, place: int) -> None:
    size_class = (postings.terms[place] + STEP - 1) // STEP
    if size_class:
        start = postings.start[place]
        postings.row[start] = postings.free[size_class]
        postings.free[size_class] = start
