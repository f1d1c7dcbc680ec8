"""An index: where the items of some columns stand, as an open-addressing table that compiled code can look into."""

from typing import NamedTuple

import numpy as np

from recsys.compiled import I32, I64, U64, Bools, compiled, compiled_maker
from recsys.hashing import NONE

NOWHERE = -1


class Index(NamedTuple):
    """Places of items by hash; the size of the table is a power of two, at least twice the number of items."""

    keys: U64
    """`NONE` where the table is free."""
    place: I32


def index(items: U64) -> Index:
    """The index of items that stand in the places 0, 1, 2 …

    >>> numbered = index(np.array([7, 9, 23], np.uint64))
    >>> find(numbered, np.uint64(23)), find(numbered, np.uint64(8))
    (2, -1)
    """
    found = with_room(len(items))
    _fill(found, items)
    return found


def with_room(items: int) -> Index:
    """No items yet, and room for so many.

    >>> len(with_room(3).keys)
    8
    """
    size = 1 << int(2 * items).bit_length()
    return Index(np.zeros(size, np.uint64), np.zeros(size, np.int32))


@compiled
def slot(keys: U64, item: int) -> int:
    """Where an item stands in a table, or the free slot where it belongs."""
    last = len(keys) - 1
    at = np.int64(item & np.uint64(last))
    while keys[at] != NONE and keys[at] != item:
        at = (at + 1) & last
    return at  # type: ignore[return-value]


@compiled
def find(where: Index, item: int) -> int:
    """The place of an item, `NOWHERE` where it has none."""
    at = slot(where.keys, item)
    if where.keys[at] == NONE:
        return NOWHERE
    return where.place[at]  # type: ignore[no-any-return]


@compiled_maker
def places(where: Index, items: U64) -> I64:
    """The place of each item, `NOWHERE` of those that have none.

    >>> places(index(np.array([7, 9], np.uint64)), np.array([9, 8, 9], np.uint64))
    array([ 1, -1,  1])
    """
    found = np.empty(len(items), np.int64)
    for i in range(len(items)):
        found[i] = find(where, items[i])
    return found


@compiled
def clear(where: Index) -> None:
    """Takes all items out."""
    for at in range(len(where.keys)):
        where.keys[at] = NONE


@compiled
def enter(where: Index, item: int, place: int) -> None:
    """Notes an item's place; the table has to have room for it."""
    at = slot(where.keys, item)
    where.keys[at], where.place[at] = item, place


@compiled
def forget(where: Index, item: int) -> None:
    """Takes an item out that is in the table; those behind it move up, so that each is still found.

    Knuth, 1973, "The Art of Computer Programming", 6.4, algorithm R.
    """
    last = len(where.keys) - 1
    gap = slot(where.keys, item)
    where.keys[gap] = NONE
    at = (gap + 1) & last
    while where.keys[at] != NONE:
        first = np.int64(where.keys[at] & np.uint64(last))
        if ((at - first) & last) >= ((at - gap) & last):
            where.keys[gap], where.place[gap] = where.keys[at], where.place[at]
            where.keys[at] = NONE
            gap = at
        at = (at + 1) & last


@compiled
def move(old: Index, new: Index) -> None:
    """Notes in a larger table all that stands in a smaller one."""
    for at in range(len(old.keys)):
        if old.keys[at] != NONE:
            enter(new, old.keys[at], old.place[at])


@compiled
def _fill(where: Index, items: U64) -> None:
    for place in range(len(items)):
        enter(where, items[place], place)


def distinct(items: U64) -> U64:
    """Each of the items (any array of hashes) once, sorted; that of numpy, `unique`, takes five times as long.

    >>> distinct(np.array([[9, 3], [7, 9]], np.uint64))
    array([3, 7, 9], dtype=uint64)
    """
    there = np.sort(items, axis=None)
    is_first = np.ones(len(there), np.bool_)
    np.not_equal(there[1:], there[:-1], out=is_first[1:])
    found: U64 = there[is_first]
    return found


def among(items: U64, gone: U64) -> Bools:
    """Which of the items (any array of hashes) are among the sorted hashes `gone`.

    >>> among(np.array([[3, 4], [5, 0]], np.uint64), np.array([4, 5], np.uint64))
    array([[False,  True],
           [ True, False]])
    """
    if not len(gone):
        return np.zeros(items.shape, np.bool_)
    found: Bools = gone[np.minimum(np.searchsorted(gone, items), len(gone) - 1)] == items
    return found


@compiled
def is_among(item: int, gone: U64) -> bool:
    """The same for one item."""
    low, high = 0, len(gone)
    while low < high:
        middle = (low + high) // 2
        if gone[middle] < item:
            low = middle + 1
        else:
            high = middle
    return low < len(gone) and gone[low] == item
