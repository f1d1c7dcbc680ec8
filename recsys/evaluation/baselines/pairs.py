"""Pairs of items and what they weigh: for each first item a small hash table of the second ones.

All tables lie in one arena. A table is between 3/8 and 3/4 full (the smallest has 4 places) and moves when it gets too full;
the place that it leaves goes to the next table of that size. A place takes 12 bytes, so a pair takes 16 to 32, apart from what
is free in the arena, of which the untouched part is never real memory.
"""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I32, I64, compiled_maker

FREE = -1
SMALLEST = 4
"""Places of the smallest table, a power of two."""
SIZES = 40


class Pairs(NamedTuple):
    """The tables, one an item, and the arena in which they lie."""

    begin: I64
    """Of each item where its table begins."""
    places: I32
    """Of each item the size of its table: 0 or a power of two."""
    filled: I32
    """Of each item how many places of its table are taken."""
    other: I32
    """The second item of each place in the arena, `FREE` where there is none."""
    weight: F64
    used: I64
    """One number: how much of the arena was given out."""
    left: I64
    """Of each size (as a power of two) where in the arena a table of it was left, `FREE` if none was. The others that were
    left follow: in the first place of each stands where the next begins, in units of `SMALLEST`."""


def pairs(items: int) -> Pairs:
    """No pairs of `items` items."""
    return Pairs(
        np.zeros(items, np.int64),
        np.zeros(items, np.int32),
        np.zeros(items, np.int32),
        np.empty(1024, np.int32),
        np.empty(1024, np.float64),
        np.zeros(1, np.int64),
        np.full(SIZES, FREE, np.int64),
    )


@compiled_maker
def add(of: Pairs, first: int, second: int, amount: float) -> Pairs:
    """Adds to the weight of a pair. The pairs that it returns take the place of those that it got."""
    if 4 * (of.filled[first] + 1) > 3 * of.places[first]:
        of = _widened(of, first)
    place = _place(of, first, second)
    if of.other[place] == FREE:
        of.other[place], of.weight[place] = second, 0.0
        of.filled[first] += 1
    of.weight[place] += amount
    return of


@compiled_maker
def _place(of: Pairs, first: int, second: int) -> int:
    """Where the second item stands in the table of the first, or the free place where it belongs."""
    mask = of.places[first] - 1
    begin = of.begin[first]
    # Fibonacci hashing: the golden ratio's multiples spread neighbouring numbers.
    place = np.int64((np.uint64(second) * np.uint64(11400714819323198485)) >> np.uint64(32)) & mask
    while of.other[begin + place] != FREE and of.other[begin + place] != second:
        place = (place + 1) & mask
    return begin + place  # type: ignore[no-any-return]


@compiled_maker
def _widened(of: Pairs, first: int) -> Pairs:
    """The pairs with a table of twice the size for an item."""
    begin, places = of.begin[first], of.places[first]
    size = max(SMALLEST, 2 * places)
    of, fresh = _table(of, size)
    of.begin[first], of.places[first] = fresh, size
    for i in range(begin, begin + places):
        if of.other[i] != FREE:
            place = _place(of, first, of.other[i])
            of.other[place], of.weight[place] = of.other[i], of.weight[i]
    if places > 0:
        power = _power(places)
        of.other[begin] = FREE if of.left[power] == FREE else of.left[power] // SMALLEST
        of.left[power] = begin
    return of


@compiled_maker
def _table(of: Pairs, size: int) -> tuple[Pairs, int]:
    """An empty table of this size: one that was left, or the next part of the arena, which doubles where it is full."""
    begin = of.left[_power(size)]
    if begin != FREE:
        following = of.other[begin]
        of.left[_power(size)] = FREE if following == FREE else np.int64(following) * SMALLEST
    else:
        begin = of.used[0]
        of.used[0] = begin + size
        if begin + size > len(of.other):
            other = np.empty(2 * (begin + size), np.int32)
            weight = np.empty(2 * (begin + size), np.float64)
            other[:begin] = of.other[:begin]
            weight[:begin] = of.weight[:begin]
            of = Pairs(of.begin, of.places, of.filled, other, weight, of.used, of.left)
    of.other[begin : begin + size] = FREE
    return of, begin


@compiled_maker
def _power(size: int) -> int:
    power = 0
    while 1 << power < size:
        power += 1
    return power
