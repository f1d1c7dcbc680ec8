"""Posting lists: for each term the items that have it.

A term's items stand in blocks of eight, so that lists grow and shrink without being moved, and freed room is used again. A term
of more than `PART` items has its list in parts by the items' hashes, one more for every `PART` items. The parts are those of
linear hashing: an item more or less splits or joins one part at most (Litwin, 1980, "Linear hashing: a new tool for file and
table addressing").
"""

import math

import numpy as np

from recsys.catalogue.columns import BLOCK, BLOCKS, FREE_BLOCK, FREE_ROW, ROWS, Postings, give_back, take
from recsys.compiled import compiled
from recsys.hashing import NONE
from recsys.index import NOWHERE, enter, find, forget

PART = 256
"""Items above which a list is cut; a part has at most about twice as many."""

_ONE, _SPREAD = np.uint64(1), np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_27, _30, _31 = np.uint64(27), np.uint64(30), np.uint64(31)


@compiled
def list_of(postings: Postings, row: int, item: int) -> int:
    """The row of the part of a term's list that an item belongs to; `row` is the term's."""
    return _part_row(postings, row, _part(item, _parts(postings.holders[row])))


@compiled
def post(postings: Postings, place: int, e: int) -> None:
    """Notes an item in the list of the term of its entry `e`."""
    row = postings.row[e]
    postings.holders[row] += 1
    postings.log[row] = math.log(1.0 + postings.holders[row])
    parts = _parts(postings.holders[row])
    if parts > _parts(postings.holders[row] - 1):
        new = row_of(postings, _part_key(postings.key[row], parts - 1))
        _split(postings, row, _part_row(postings, row, _origin(parts - 1)), new, parts)
    postings.at[e] = _push(postings, list_of(postings, row, postings.item[place]), place)


@compiled
def unpost(postings: Postings, place: int, e: int) -> None:
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
def row_of(postings: Postings, key: int) -> int:
    """The row of a term or a part, a new one where it has none."""
    row = find(postings.rows, key)
    if row != NOWHERE:
        return row
    row = take(postings.counter, FREE_ROW, postings.head, postings.counter, ROWS, 1)
    postings.key[row], postings.holders[row], postings.length[row], postings.head[row] = key, 0, 0, NOWHERE
    enter(postings.rows, key, row)
    return row


@compiled
def _free_row(postings: Postings, row: int) -> None:
    forget(postings.rows, postings.key[row])
    postings.key[row] = NONE
    give_back(postings.counter, FREE_ROW, postings.head, row)


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
        counter = postings.counter
        block = take(counter, FREE_BLOCK, postings.below, counter, BLOCKS, 1)
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
        give_back(postings.counter, FREE_BLOCK, postings.below, head)


@compiled
def _entry(postings: Postings, place: int, row: int) -> int:
    """An item's entry for a term that it has."""
    e = postings.start[place]
    while postings.row[e] != row:
        e += 1
    return e  # type: ignore[no-any-return]
