"""Pooling: what several users bought and hold, as if one had. Pure, and in any order: several come to the same.

What is kept of purchases is not each of them, so this much is exact: in how many baskets an item was, when it was bought last,
and the sums that fade by event time, those of one made as old as those of the other. By baskets a sum fades as it did among its
own user's up to that one's last purchase of the item, and from there on among everybody's.

Baskets are numbered anew, by event time: a basket's number counts its user's baskets up to it, and those that the others had
made by then. When a basket was made is the newest time of the held items that its user bought last in it or in an earlier one.
So one of which nothing is held was made with the one before it, and those of one user keep their order, also where events came
late. Of more items than are held the strongest stay.
"""

from typing import NamedTuple

import numpy as np

from recsys import index
from recsys.compiled import F64, I32, I64, U64, compiled
from recsys.hashing import NONE
from recsys.index import Index, slot
from recsys.returning.purchases import BASKET_FADE, HALF_LIFE_60_MS, HALF_LIFE_200_MS, HELD, MOST, Purchases, fade


class Lines(NamedTuple):
    """Scratch: the items that one of several users holds, each once, with the columns of `Purchases`."""

    item: U64
    k: I64
    fb: F64
    f60: F64
    f200: F64
    time: I64
    basket: I32
    where: Index


def pooled(several: Purchases, start: I64) -> Purchases:
    """The purchases of the users `start[n]` to `start[n + 1]` in the place n, as those of one.

    What only counting goes by (the last event, its session) stays that of the first of them.

    >>> from recsys.returning.purchases import count_line, empty
    >>> both = empty(2)
    >>> both.baskets[:] = 1
    >>> for user, time in enumerate((20, 10)):
    ...     count_line(both, user, -1, 7, time)
    >>> one = pooled(both, np.array([0, 2]))
    >>> [column[0, 0].item() for column in (one.k, one.basket, one.time, one.fb)], one.baskets
    ([2, 2, 20, 1.899999976158142], array([2], dtype=int32))
    """
    found = Purchases._make(column[start[:-1]] for column in several)
    found.baskets[:] = np.add.reduceat(several.baskets, start[:-1])
    lines = _room_for(int(np.add.reduceat(several.held, start[:-1]).max(initial=0)))
    newest, number = np.maximum.accumulate(several.time, axis=1), np.zeros_like(several.basket)
    for n, (begin, end) in enumerate(zip(start[:-1].tolist(), start[1:].tolist(), strict=True)):
        there = _strongest(lines, _gather(several, begin, end, newest, number, lines))
        found.held[n] = len(there)
        for name in ("item", "fb", "f60", "f200", "time", "basket"):
            getattr(found, name)[n, : len(there)] = getattr(lines, name)[there]
        found.k[n, : len(there)] = np.minimum(lines.k[there], MOST)
    return found


def _room_for(items: int) -> Lines:
    return Lines(
        np.zeros(items, np.uint64), np.zeros(items, np.int64), np.zeros(items), np.zeros(items), np.zeros(items),
        np.zeros(items, np.int64), np.zeros(items, np.int32), index.with_room(items),
    )  # fmt: skip


def _strongest(lines: Lines, filled: int) -> I64:
    """The places of the `HELD` items that stay, see `purchases.count_line`, in the order of their last baskets."""
    order = np.argsort(lines.basket[:filled], kind="stable")
    if filled > HELD:
        time = lines.time[:filled]
        worth = lines.f60[:filled] * 2.0 ** ((time - time.max()) / HALF_LIFE_60_MS)
        stays = np.zeros(filled, np.bool_)
        stays[np.lexsort((lines.item[:filled], worth))[-HELD:]] = True
        order = order[stays[order]]
    return order


@compiled
def _gather(several: Purchases, begin: int, end: int, newest: I64, number: I32, lines: Lines) -> int:
    """Fills `lines` with what these users hold; returns how many items they are. `newest` is the running maximum of `time`,
    `number` is scratch."""
    filled = 0
    index.clear(lines.where)
    for u in range(begin, end):
        _number(several, begin, end, u, newest, number)
        for h in range(several.held[u]):
            at = slot(lines.where.keys, several.item[u, h])
            if lines.where.keys[at] == NONE:
                lines.where.keys[at], lines.where.place[at] = several.item[u, h], filled
                lines.item[filled], lines.k[filled], lines.basket[filled], lines.time[filled] = several.item[u, h], 0, 0, 0
                lines.fb[filled] = lines.f60[filled] = lines.f200[filled] = 0.0
                filled += 1
            _add(lines, lines.where.place[at], several, u, h, number[u, h])
    return filled


@compiled
def _add(lines: Lines, i: int, several: Purchases, u: int, h: int, basket: int) -> None:
    """Adds what a user holds of an item, bought last in this `basket`, to what the others do."""
    before, last = lines.basket[i], max(lines.basket[i], basket)
    was, time, now = lines.time[i], several.time[u, h], max(lines.time[i], several.time[u, h])
    lines.k[i] += several.k[u, h]
    lines.fb[i] = lines.fb[i] * BASKET_FADE ** (last - before) + several.fb[u, h] * BASKET_FADE ** (last - basket)
    lines.f60[i] = lines.f60[i] * fade(was, now, HALF_LIFE_60_MS) + several.f60[u, h] * fade(time, now, HALF_LIFE_60_MS)
    lines.f200[i] = lines.f200[i] * fade(was, now, HALF_LIFE_200_MS) + several.f200[u, h] * fade(time, now, HALF_LIFE_200_MS)
    lines.time[i], lines.basket[i] = now, last


@compiled
def _number(several: Purchases, begin: int, end: int, u: int, newest: I64, number: I32) -> None:
    """Numbers the baskets of a user's held items among those of all these users."""
    for h in range(several.held[u] - 1, -1, -1):
        if h + 1 < several.held[u] and several.basket[u, h] == several.basket[u, h + 1]:
            number[u, h] = number[u, h + 1]
            continue
        number[u, h] = several.basket[u, h]
        for other in range(begin, end):
            if other != u:
                number[u, h] += _made(several, other, newest[u, h], newest)


@compiled
def _made(several: Purchases, u: int, time: int, newest: I64) -> int:
    """How many baskets a user had made by a time."""
    low, high = 0, several.held[u]
    while low < high:
        middle = (low + high) // 2
        if newest[u, middle] <= time:
            low = middle + 1
        else:
            high = middle
    return several.baskets[u] if low == several.held[u] else several.basket[u, low] - 1  # type: ignore[no-any-return]
