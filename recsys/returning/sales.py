"""Sales: of each item, how often it is bought, by whom, and how that compares with what was to be expected.

The decayed counts are worth what they were at the item's `landmark`, the newest time at which it was bought. This is forward
decay (Cormode, Shkapenyuk, Srivastava, Xu, 2009) whose landmark moves with every newer purchase: there are only four counts
to rewrite, of three half-lives, and no factor is ever above 1, however far apart the times are.

Packed, an item is a version byte and eight columns of 8 bytes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I64, U8, U64, Bools, compiled, compiled_maker
from recsys.returning.purchases import fade

DAY_MS = 86_400_000.0
HALF_LIFE_MS, TREND_MS, FAST_TREND_MS = 90 * DAY_MS, 14 * DAY_MS, 4 * DAY_MS

EXPOSED, BOUGHT_FIRST, BOUGHT_AGAIN = 0, 1, 2
"""What is told of an item: one who holds it opened a basket; it was bought by one who does not hold it; by one who does."""

VERSION = 1
ITEM = np.dtype(
    [
        ("landmark", np.int64),
        ("first", np.int64),
        ("n", np.float64),
        ("nr", np.float64),
        ("nq", np.float64),
        ("m", np.float64),
        ("observed", np.float64),
        ("expected", np.float64),
    ]
)


class Sales(NamedTuple):
    """The sales of some items: columns of one length."""

    landmark: I64
    """The newest event time at which the item was bought, in milliseconds; 0 for one that never was."""
    first: I64
    """The oldest, likewise."""
    n: F64
    """Baskets with the item, half-life 90 days."""
    nr: F64
    """The same, half-life 14 days."""
    nq: F64
    """The same, half-life 4 days."""
    m: F64
    """Of `n`, the baskets of users who did not hold it."""
    observed: F64
    """Baskets of users who held the item and bought it again: O."""
    expected: F64
    """How many of these were to be expected from how often and how long ago they had bought it: E."""


class Sold(NamedTuple):
    """Items and their sales."""

    item: U64
    sales: Sales


def nothing_sold() -> Sold:
    return Sold(np.empty(0, np.uint64), empty(0))


def take(sold: Sold, which: Bools) -> Sold:
    """The items at which `which` is true."""
    return Sold(sold.item[which], Sales._make(column[which] for column in sold.sales))


def join(parts: Sequence[Sold]) -> Sold:
    """Items of several parts together."""
    columns = zip(*(part.sales for part in parts), strict=True)
    return Sold(np.concatenate([part.item for part in parts]), Sales._make(np.concatenate(each) for each in columns))


def empty(items: int) -> Sales:
    """The sales of items that were never bought."""
    columns = np.zeros(items, ITEM)
    return _columns(columns)


def unpack(packed: Sequence[bytes | None]) -> Sales:
    """Sales from their stored bytes (None: an item that was never bought).

    Raises `ValueError` for bytes of another version.

    >>> unpack([None, pack(empty(1), 0)]).n
    array([0., 0.])
    """
    nothing = bytes(ITEM.itemsize)
    for value in packed:
        if value and (value[0] != VERSION or len(value) != 1 + ITEM.itemsize):
            raise ValueError(f"sales are stored in form {value[0]}, this version reads {VERSION}")
    return _columns(np.frombuffer(b"".join(value[1:] if value else nothing for value in packed), ITEM))


def _columns(table: "np.ndarray[tuple[int], np.dtype[np.void]]") -> Sales:
    # Copies: a compiled function is made for contiguous columns only.
    return Sales._make(table[name].copy() for name in Sales._fields)


def pack(sales: Sales, place: int) -> bytes:
    """The bytes to store for one item."""
    return bytes((VERSION,)) + b"".join(column[place].tobytes() for column in sales)


def merge(sales: Sales, time: I64, what: U8, weight: F64, at: I64) -> None:
    """Adds what was told of items to their sales, in this order; `at` says for each its place. See `basket_fold.Deltas`."""
    _merge(sales, time, what, weight, at)


@compiled
def _merge(sales: Sales, time: I64, what: U8, weight: F64, at: I64) -> None:
    for d in range(len(at)):
        add(sales, at[d], time[d], what[d], weight[d])


@compiled
def add(sales: Sales, r: int, time: int, what: int, weight: float) -> None:
    """Adds what was told of one item."""
    if what == EXPOSED:
        sales.expected[r] += weight
        return
    if sales.landmark[r] == 0:
        sales.landmark[r] = sales.first[r] = time
    sales.first[r] = min(sales.first[r], time)
    before, now = sales.landmark[r], max(sales.landmark[r], time)
    sales.landmark[r] = now
    old, new = fade(before, now, HALF_LIFE_MS), fade(time, now, HALF_LIFE_MS)
    sales.n[r] = sales.n[r] * old + new
    sales.m[r] *= old
    if what == BOUGHT_FIRST:
        sales.m[r] += new
    else:
        sales.observed[r] += 1.0
    sales.nr[r] = sales.nr[r] * fade(before, now, TREND_MS) + fade(time, now, TREND_MS)
    sales.nq[r] = sales.nq[r] * fade(before, now, FAST_TREND_MS) + fade(time, now, FAST_TREND_MS)


@compiled_maker
def best_selling(sales: Sales, item: U64, now: int, best: U64) -> None:
    """Fills `best` with the items of the largest n at `now`, ties by hash; `NONE` where fewer were ever bought."""
    worth = np.zeros(len(best))
    best[:] = 0
    last = len(best) - 1
    for r in range(len(item)):
        if sales.landmark[r] == 0:
            continue
        n = sales.n[r] * fade(sales.landmark[r], now, HALF_LIFE_MS)
        if best[last] != 0 and (n < worth[last] or (n == worth[last] and item[r] > best[last])):
            continue
        place = last
        while place > 0 and (
            best[place - 1] == 0 or worth[place - 1] < n or (worth[place - 1] == n and best[place - 1] > item[r])
        ):
            best[place], worth[place] = best[place - 1], worth[place - 1]
            place -= 1
        best[place], worth[place] = item[r], n
