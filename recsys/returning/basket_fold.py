"""The basket fold: purchases and a batch → new purchases, and what they tell of items. Where batches are cut does not matter.

A basket is an event of several lines, or the events of one line that follow each other in one session. When a user opens one,
each held item c is exposed: with p what the table says of c's k and g, E_c += p, and the cell's exposures += 1. The first
time that a line of the basket buys a held item, O_c += 1, and the purchases of the cell of its k and g += 1; an item twice in
one basket counts once. All p of a basket are those of the table before it, so the order of the held items does not matter.

A refund takes one basket off the item's k, and the item out where none is left. What was told of the item (n, m, O, E) stays,
and so do the sums that fade, which forget by themselves.
"""

from typing import NamedTuple

import numpy as np

from recsys.batch import Batch
from recsys.compiled import F64, I32, I64, U8, U64, Bools, compiled
from recsys.fold import FORGET, PURCHASE, REFUND, in_one_session
from recsys.returning.purchases import HELD, Purchases, count_line, forget, place_of, remove
from recsys.returning.repurchase import Repurchase, probability, step
from recsys.returning.sales import BOUGHT_AGAIN, BOUGHT_FIRST, EXPOSED

NOTHING_NEW = 255


class Lines(NamedTuple):
    """The columns of a batch that matter here, and for each line whether it counts: a repeated event's lines do not."""

    user: I32
    item: U64
    session: U64
    time: I64
    kind: U8
    partition: I32
    offset: I64
    opens: Bools
    """Whether the line is the first of its event."""
    counts: Bools


class Deltas(NamedTuple):
    """What a batch tells of items, in the order of the topic."""

    partition: I32
    offset: I64
    time: I64
    item: U64
    what: U8
    """`EXPOSED`, `BOUGHT_FIRST` or `BOUGHT_AGAIN`."""
    weight: F64
    """Of `EXPOSED`, how likely the item was to be bought; 1 of the others."""


def lines(batch: Batch, counts: Bools) -> Lines:
    """The lines of a batch; `counts` is what `recsys.fold.fold` says it changed."""
    return Lines(
        batch.user, batch.item, batch.session, batch.time, batch.kind, batch.partition, batch.offset, batch.opens, counts
    )


def no_deltas(room: int) -> Deltas:
    """Room for so many deltas."""
    return Deltas(
        np.empty(room, np.int32),
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.empty(room, np.uint64),
        np.empty(room, np.uint8),
        np.empty(room, np.float64),
    )


def count(purchases: Purchases, tables: Repurchase, table: I32, bought: Lines, gap_ms: float) -> Deltas:
    """Counts a batch: changes `purchases` and `tables` in place; `table` says for each user the place of the table."""
    deltas = no_deltas(room_for(bought))
    used = _count(purchases, tables, table, bought, deltas, gap_ms)
    return Deltas._make(column[:used] for column in deltas)


def room_for(bought: Lines) -> int:
    """As many deltas as these lines can lead to."""
    purchase = (bought.kind == PURCHASE) & bought.counts
    return int(purchase.sum() + HELD * (purchase & bought.opens).sum())


@compiled
def _count(purchases: Purchases, tables: Repurchase, table: I32, bought: Lines, deltas: Deltas, gap_ms: float) -> int:
    used = 0
    begin = 0
    while begin < len(bought.item):
        end = event_end(bought, begin)
        used = count_event(purchases, tables, table[bought.user[begin]], bought, begin, end, deltas, used, gap_ms)
        begin = end
    return used


@compiled
def event_end(bought: Lines, begin: int) -> int:
    """One after the last line of the event that begins with line `begin`."""
    end = begin + 1
    while end < len(bought.item) and not bought.opens[end]:
        end += 1
    return end


@compiled
def is_purchase(bought: Lines, begin: int) -> bool:
    """Whether the event that begins with this line is a purchase that counts."""
    return bought.kind[begin] == PURCHASE and bought.counts[begin]  # type: ignore[no-any-return]


@compiled
def opens_basket(purchases: Purchases, bought: Lines, begin: int, end: int, gap_ms: float) -> bool:
    """Whether an event of purchases opens a basket, or belongs to the one before it."""
    u = bought.user[begin]
    if end - begin > 1 or not purchases.single[u] or purchases.baskets[u] == 0:
        return True
    return not in_one_session(purchases.session[u], purchases.newest[u], bought.session[begin], bought.time[begin], gap_ms)


@compiled
def count_event(
    purchases: Purchases, tables: Repurchase, t: int, bought: Lines, begin: int, end: int,
    deltas: Deltas, used: int, gap_ms: float,
) -> int:  # fmt: skip
    """Counts one event, lines `begin` to `end`; returns how many deltas there are."""
    if bought.kind[begin] == REFUND:
        for i in range(begin, end):
            if bought.counts[i]:
                _take_back(purchases, bought.user[i], bought.item[i])
        return used
    if bought.kind[begin] == FORGET:
        forget(purchases, bought.user[begin])
    if not is_purchase(bought, begin):
        return used
    u = bought.user[begin]
    if opens_basket(purchases, bought, begin, end, gap_ms):
        used = _open(purchases, tables, t, bought, begin, deltas, used)
    purchases.session[u], purchases.newest[u], purchases.single[u] = bought.session[begin], bought.time[begin], end - begin == 1
    for i in range(begin, end):
        what = _buy(purchases, tables, t, u, bought.item[i], bought.time[i])
        if what != NOTHING_NEW:
            used = _tell(deltas, used, bought, i, bought.item[i], what, 1.0)
    return used


@compiled
def _open(purchases: Purchases, tables: Repurchase, t: int, bought: Lines, line: int, deltas: Deltas, used: int) -> int:
    u = bought.user[line]
    purchases.baskets[u] += 1
    number = purchases.baskets[u]
    for h in range(purchases.held[u]):
        p = probability(tables, t, purchases.k[u, h], number - purchases.basket[u, h])
        used = _tell(deltas, used, bought, line, purchases.item[u, h], EXPOSED, p)
    for h in range(purchases.held[u]):
        tables.exposures[t, step(purchases.k[u, h]), step(number - purchases.basket[u, h])] += 1.0
    return used


@compiled
def _buy(purchases: Purchases, tables: Repurchase, t: int, u: int, item: int, time: int) -> int:
    h = place_of(purchases, u, item)
    if h < 0:
        count_line(purchases, u, h, item, time)
        return BOUGHT_FIRST
    g = purchases.baskets[u] - purchases.basket[u, h]
    if g == 0:
        return NOTHING_NEW
    tables.purchases[t, step(purchases.k[u, h]), step(g)] += 1.0
    count_line(purchases, u, h, item, time)
    return BOUGHT_AGAIN


@compiled
def _take_back(purchases: Purchases, u: int, item: int) -> None:
    h = place_of(purchases, u, item)
    if h < 0:
        return
    purchases.k[u, h] -= 1
    if purchases.k[u, h] == 0:
        remove(purchases, u, h)


@compiled
def _tell(deltas: Deltas, used: int, bought: Lines, line: int, item: int, what: int, weight: float) -> int:
    deltas.partition[used], deltas.offset[used], deltas.time[used] = (
        bought.partition[line],
        bought.offset[line],
        bought.time[line],
    )
    deltas.item[used], deltas.what[used], deltas.weight[used] = item, what, weight
    return used + 1
