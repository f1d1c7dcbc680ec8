"""The evaluation of the next basket: all baskets of a file in the order of time, everything in memory.

Before each basket its user's expectation is laid out; where the basket is asked, its best items are the answer; then the
basket is learned and counted. The rows are fed by the session rule of `recsys.fold`, the basket's lines being the session.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from recsys.compiled import F32, F64, I32, I64, U32, U64, Bools, compiled, compiled_maker
from recsys.evaluation.trace import NOTHING, Baskets
from recsys.fold import BACKWARD, PURCHASE
from recsys.growth import merge_lines as merge_rows
from recsys.index import index
from recsys.learner import Weights, begin
from recsys.returning import purchases, repurchase, sales
from recsys.returning.basket_fold import Deltas, Lines, count_event, no_deltas
from recsys.returning.candidates import Breadth, Shop
from recsys.returning.evidence import Neighbourhood, clear
from recsys.returning.expectation import Desk, best_of, desk, lay_out, teach
from recsys.returning.features import FIRST
from recsys.returning.once import once_of_user
from recsys.returning.purchases import HELD, Purchases
from recsys.returning.repurchase import Repurchase
from recsys.returning.sales import BOUGHT_AGAIN, DAY_MS, EXPOSED, add, best_selling
from recsys.rules import Rules

STRIDE = 2000
"""Baskets between two reports of progress."""


class Memory(NamedTuple):
    """Everything that is known. An item's place is its number in the file, and its hash one more."""

    purchases: Purchases
    tables: Repurchase
    shop: Shop
    item: U64
    interactions: I64
    trend: F64
    first: I64
    updated: I64
    counts: U32
    """Of the rows, with those in `shop`: what `recsys.rows` keeps beside."""
    day: I64
    """The day of which the popular items are; one number."""


class Hiding(NamedTuple):
    """What is needed to leave out of an answer what a user will hardly ever buy again."""

    on: bool
    bought: I64
    """How many lines were bought, and how many of them again."""
    item: U64
    """Room for the items."""


class Rowing(NamedTuple):
    """Deltas of rows: see `recsys.fold.Deltas`."""

    time: I64
    item: U64
    other: U64
    weight: F32
    counts: U32
    at: I64


def answers(baskets: Baskets, breadth: Breadth, at: int, rules: Rules, progress: Callable[[int], None] = lambda _: None) -> I32:
    """What was expected in each asked basket: asked baskets × `at` item numbers; `progress` is told how many baskets are done.

    Of `rules.hide` it heeds `once`; without anything that was bought it is with the breadth `NEW_ITEMS`.

    >>> times = np.array([1, 2, 3]) * 86_400_000
    >>> asked = np.array([False, False, True])
    >>> two = Baskets(np.zeros(3, np.int32), times, asked, np.array([0, 2, 3, 5]), np.array([4, 2, 2, 2, 0], np.int32))
    >>> from recsys.returning.candidates import EVERYTHING
    >>> answers(two, EVERYTHING, 3, Rules(hide=frozenset()))
    array([[ 2,  4, -1]], dtype=int32)
    """
    memory = _memory(baskets, breadth, rules)
    weights = begin(FIRST)
    longest = int(np.diff(baskets.start).max(initial=0))
    deltas, rowing = no_deltas(HELD + longest), _rowing(longest, rules.window)
    lines = _lines(baskets)
    table = desk(memory.shop, breadth)
    hiding = Hiding("once" in rules.hide, np.zeros(2, np.int64), np.zeros(HELD, np.uint64))
    found = np.full((int(baskets.asked.sum()), at), NOTHING, np.int32)
    asked = np.cumsum(baskets.asked) - 1
    for b in range(0, len(baskets.user), STRIDE):
        end = min(b + STRIDE, len(baskets.user))
        _advance(
            memory, weights, lines, baskets.start, baskets.asked, asked, b, end, breadth, table, deltas, rowing, hiding,
            rules.window, rules.history, rules.neighbours, rules.row_limit, found,
        )  # fmt: skip
        progress(end)
    return found


def _memory(baskets: Baskets, breadth: Breadth, rules: Rules) -> Memory:
    items = int(baskets.item.max(initial=-1)) + 1
    users = int(baskets.user.max(initial=-1)) + 1
    item = np.arange(1, items + 1).astype(np.uint64)
    where = index(item)
    shape = (items, rules.row_limit + 1)
    rows = Neighbourhood(
        where,
        np.zeros(items, np.int32),
        np.zeros(shape, np.uint64),
        np.zeros(shape, np.float32),
        np.zeros(items),
        np.zeros(items, np.int64),
        float(rules.half_life_ms),
    )
    return Memory(
        purchases.empty(users),
        repurchase.empty(1),
        Shop(sales.empty(items), where, rows, np.zeros(breadth.popular, np.uint64)),
        item,
        np.zeros(items, np.int64),
        np.zeros(items),
        np.zeros(items, np.int64),
        np.zeros(items, np.int64),
        np.zeros(shape, np.uint32),
        np.full(1, -1, np.int64),
    )


def _rowing(longest: int, window: int) -> Rowing:
    room = longest * (1 + 2 * window)
    return Rowing(
        np.zeros(room, np.int64),
        np.zeros(room, np.uint64),
        np.zeros(room, np.uint64),
        np.zeros(room, np.float32),
        np.zeros(room, np.uint32),
        np.zeros(room, np.int64),
    )


def _lines(baskets: Baskets) -> Lines:
    """The baskets as a batch: each an event, and a session of its own."""
    lengths = np.diff(baskets.start)
    number = np.repeat(np.arange(len(baskets.user)), lengths)
    opens = np.zeros(len(baskets.item), np.bool_)
    opens[baskets.start[:-1][lengths > 0]] = True
    everywhere = np.ones(len(baskets.item), np.bool_)
    return Lines(
        baskets.user[number],
        baskets.item.astype(np.uint64) + np.uint64(1),
        number.astype(np.uint64) + np.uint64(1),
        baskets.time[number],
        np.full(len(baskets.item), PURCHASE, np.uint8),
        np.zeros(len(baskets.item), np.int32),
        number,
        opens,
        everywhere,
    )


@compiled_maker
def _advance(
    memory: Memory, weights: Weights, lines: Lines, start: I64, asked: Bools, question: I64, first: int, last: int,
    breadth: Breadth, table: Desk, deltas: Deltas, rowing: Rowing, hiding: Hiding,
    window: int, history: int, keep: int, limit: int, found: I32,
) -> None:  # fmt: skip
    """Baskets `first` to `last`: rank, learn, count."""
    best = np.zeros(found.shape[1] + HELD * hiding.on, np.int32)
    shop, rows = memory.shop, memory.shop.rows
    for b in range(first, last):
        begins, ends = start[b], start[b + 1]
        if begins == ends:
            continue
        u, now = lines.user[begins], lines.time[begins]
        today = now // int(DAY_MS)
        if today != memory.day[0]:
            memory.day[0] = today
            best_selling(shop.sales, memory.item, now, shop.popular)
        if asked[b] or memory.purchases.baskets[u] > 0:
            n = lay_out(table, memory.purchases, u, shop, now, weights.weight, breadth)
            if asked[b]:
                left_out = 0
                if hiding.on:
                    share = hiding.bought[1] / max(hiding.bought[0], 1)
                    left_out = once_of_user(memory.purchases, u, now, shop.sales, shop.sold, share, hiding.item)
                _answer(found[question[b]], table.candidates.item[best[: best_of(table, n, best)]], hiding.item[:left_out])
            if memory.purchases.baskets[u] > 0:
                teach(table, n, lines.item[begins:ends], weights)
            clear(table.evidence)
        used = count_event(memory.purchases, memory.tables, 0, lines, begins, ends, deltas, 0, 0.0)
        for d in range(used):
            add(shop.sales, np.int64(deltas.item[d]) - 1, deltas.time[d], deltas.what[d], deltas.weight[d])
            hiding.bought[0] += deltas.what[d] != EXPOSED
            hiding.bought[1] += deltas.what[d] == BOUGHT_AGAIN
        used = _row_deltas(rowing, lines.item[begins:ends], now, window, history)
        merge_rows(
            rowing.time[:used], rowing.item[:used], rowing.other[:used], rowing.weight[:used], rowing.counts[:used],
            rowing.at[:used], memory.interactions, rows.popularity, memory.trend, rows.landmark, memory.first,
            memory.updated, rows.length,
            rows.other, rows.weight, memory.counts, keep, limit, rows.half_life_ms,
        )  # fmt: skip


@compiled
def _answer(answer: I32, ranked: U64, left_out: U64) -> None:
    """Fills an answer with the first of the ranked items that are not left out."""
    filled = 0
    for item in ranked:
        if filled == len(answer):
            break
        shown = True
        for other in left_out:
            if other == item:
                shown = False
        if shown:
            answer[filled] = np.int32(item) - 1
            filled += 1


@compiled
def _row_deltas(rowing: Rowing, item: U64, now: int, window: int, history: int) -> int:
    """The deltas of a session of distinct items, as `recsys.fold` makes them; returns how many."""
    used = 0
    for j in range(len(item)):
        used = _row_delta(rowing, used, now, item[j], 0, 1.0)
        length_norm = (min(j, history) + 1.0) ** -0.25
        for distance in range(1, min(j, window) + 1):
            weight = length_norm * distance**-1.5
            used = _row_delta(rowing, used, now, item[j - distance], item[j], weight)
            used = _row_delta(rowing, used, now, item[j], item[j - distance], BACKWARD * weight)
    return used


@compiled
def _row_delta(rowing: Rowing, used: int, now: int, item: int, other: int, weight: float) -> int:
    rowing.time[used], rowing.item[used], rowing.other[used] = now, item, other
    rowing.weight[used], rowing.counts[used], rowing.at[used] = weight, 1, np.int64(item) - 1
    return used + 1
