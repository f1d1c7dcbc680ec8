"""Moves: how many customers went from which segment to which on each day, told from what each ordered and paid by day.

Segments change as others buy and as time goes by, so a move belongs to no event: nothing is counted in the commit. Where all
stood at the end of a day is computed when it is asked for, from accounts, which are exact; so the moves are, too, and a late
event moves its customer on its own day.
"""

from array import array
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from recsys.calendar import day_name
from recsys.compiled import F64, I64
from recsys.customers import rfm
from recsys.customers.money import MICROS
from recsys.customers.rfm import SEGMENTS, Fifths, Spreads, Standing
from recsys.customers.spread import bucket_of_amount, bucket_of_number
from recsys.customers.trade import Trade
from recsys.ledger.tables import Table, Value

NONE_YET = "no order"
LAST_DAYS = 28
"""With trade, of which moves are told."""
NAMES = (NONE_YET, *dict.fromkeys(name for row in SEGMENTS for name in row))
_GRID: I64 = np.array([[NAMES.index(name) for name in row] for row in SEGMENTS], np.int64)
"""By the mean of F and M and by R, a segment's place in `NAMES`."""

Moves = dict[int, Counter[tuple[str, str]]]
"""By day since 1970: from which segment, to which, how many customers."""


class Trades:
    """The trade of many customers, as columns: a row for each customer and day."""

    def __init__(self) -> None:
        self._columns = array("q"), array("q"), array("q"), array("q")
        self.customers = 0

    def add(self, trade: Trade) -> None:
        """Takes in a customer's."""
        if not trade:
            return
        who, days, orders, net = self._columns
        for day, traded in trade.items():
            who.append(self.customers)
            days.append(day)
            orders.append(traded[0])
            net.append(traded[1])
        self.customers += 1

    def by_day(self) -> tuple[I64, I64, I64, I64]:
        """Customer, day, orders and net, by day."""
        who, days, orders, net = (np.array(column, np.int64) for column in self._columns)
        order = np.argsort(days, kind="stable")
        return who[order], days[order], orders[order], net[order]


class Stand(NamedTuple):
    """Where customers stand at the end of a day: arrays by customer, buckets as in `rfm.Standing`."""

    recency: I64
    frequency: I64
    monetary: I64
    has_ordered: np.ndarray[tuple[int], np.dtype[np.bool_]]


def moves(trades: Trades, last: int = LAST_DAYS) -> Moves:
    """The moves of the last days with trade, in order; before them, everybody stood somewhere, too.

    A customer's first order is a move from `NONE_YET`.

    >>> trades = Trades()
    >>> trades.add({20_000: (1, 5_000_000)})
    >>> moves(trades)
    {20000: Counter({('no order', 'new'): 1})}
    """
    who, days, orders, net = trades.by_day()
    n = trades.customers
    total, paid = np.zeros(n, np.int64), np.zeros(n, np.float64)
    stand = Stand(np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.bool_))
    spreads = Spreads()
    there = np.unique(days)
    begins = np.searchsorted(days, there)
    ends = np.append(begins[1:], len(days))
    found: Moves = {}
    before = np.zeros(n, np.int64)
    for place, day in enumerate(there.tolist()):
        rows = slice(begins[place], ends[place])
        for customer, more, amount in zip(who[rows].tolist(), orders[rows].tolist(), net[rows].tolist(), strict=True):
            total[customer] += more
            paid[customer] += amount
            _stand(stand, spreads, customer, int(total[customer]), float(paid[customer]), day if more else None)
        if place < len(there) - last - 1:
            continue
        now = segments_of(stand, rfm.fifths(spreads))
        if place >= len(there) - last:
            found[day] = _moved(before, now)
        before = now
    return found


def _stand(stand: Stand, spreads: Spreads, customer: int, orders: int, net: float, ordered_on: int | None) -> None:
    """A customer has so many orders now, and paid so much, in millionths."""
    if not orders:
        return
    was = None
    if stand.has_ordered[customer]:
        was = Standing(int(stand.recency[customer]), int(stand.frequency[customer]), int(stand.monetary[customer]))
    recency = ordered_on if ordered_on is not None else int(stand.recency[customer])
    now = Standing(recency, bucket_of_number(orders), bucket_of_amount(net / MICROS))
    rfm.stand(spreads, was, now)
    stand.has_ordered[customer] = True
    stand.recency[customer], stand.frequency[customer], stand.monetary[customer] = now


def segments_of(stand: Stand, fifths: Fifths) -> I64:
    """The segment of each customer, as its place in `NAMES`: what `rfm.rfm` and `rfm.segment` say, of all at once."""
    recency = 5 - _above(-stand.recency, [-edge for edge in fifths.recency])
    frequency = 1 + _above(stand.frequency, fifths.frequency)
    monetary = 1 + _above(stand.monetary, fifths.monetary)
    found: I64 = np.where(stand.has_ordered, _GRID[(frequency + monetary + 1) // 2 - 1, recency - 1], 0)
    return found


def _above(values: I64, edges: list[float]) -> I64:
    """Of each value, how many edges it is above."""
    bounds: F64 = np.array(edges)
    above: I64 = (values[:, None] > bounds).sum(axis=1)
    return above


def _moved(before: I64, now: I64) -> Counter[tuple[str, str]]:
    pairs, counts = np.unique(before * len(NAMES) + now, return_counts=True)
    return Counter(
        {
            (NAMES[pair // len(NAMES)], NAMES[pair % len(NAMES)]): count
            for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)
            if pair // len(NAMES) != pair % len(NAMES)
        }
    )


def table(found: Mapping[int, Mapping[tuple[str, str], int]]) -> Table:
    """A row for each day, segment and segment, the largest moves of a day first."""
    rows: list[list[Value]] = [
        [day_name(day), source, target, count]
        for day, moved in found.items()
        for (source, target), count in sorted(moved.items(), key=lambda move: (-move[1], move[0]))
    ]
    return Table("moves", "Moves between segments", ["day", "from", "to", "customers"], rows)


def together(moves: Table) -> Table:
    """The same of all days.

    >>> together(table({1: {("new", "promising"): 2}, 2: {("new", "promising"): 1}})).rows
    [['new → promising', 3]]
    """
    counts: Counter[str] = Counter()
    for _, source, target, count in moves.rows:
        counts[f"{source} → {target}"] += int(str(count))
    rows: list[list[Value]] = [[move, counts[move]] for move in sorted(counts, key=lambda move: (-counts[move], move))]
    return Table("moves of all days", moves.title, ["move", "customers"], rows)
