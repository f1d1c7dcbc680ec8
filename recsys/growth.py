"""Growth: deltas are added to rows; a row that became too long is cut back to its strongest neighbours."""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F32, F64, I32, I64, U32, U64, compiled, compiled_maker
from recsys.deltas import Deltas
from recsys.hashing import NONE
from recsys.index import NOWHERE, Index, clear, enter, find, with_room
from recsys.rows import TREND_HALF_LIFE_MS, Rows
from recsys.rules import Rules

MAX_HALF_LIVES = 32.0
"""A new event this many half-lives after the landmark moves it: 2^32 is far from the largest float32, 2^127."""
MAX_TREND_HALF_LIVES = 512.0
"""The same for the trend, a float64: its largest is 2^1023."""
MANY = 8
"""Deltas of one row for which its neighbours are noted in a table; for fewer they are looked through one by one."""


class Columns(NamedTuple):
    """The columns of rows that grow; see `recsys.rows.Rows`."""

    interactions: I64
    popularity: F64
    trend: F64
    landmark: I64
    first: I64
    updated: I64
    length: I32
    other: U64
    weight: F32
    counts: U32


def merge(rows: Rows, deltas: Deltas, at: I64, rules: Rules) -> None:
    """Adds deltas to rows, in their order; `at` says for each delta the place of its row.

    What one row gets does not touch another one, so row after row gets all of its deltas.
    """
    order, start = _by_row(at, len(rows.item))
    noted = with_room(max(rules.row_limit, rows.other.shape[1]))
    grown = Columns(*rows[2:])
    _merge(deltas, order, start, grown, noted, rules.neighbours, rules.row_limit, rules.half_life_ms)


@compiled_maker
def _by_row(at: I64, rows: int) -> tuple[I64, I64]:
    """The deltas row by row, each row's in their order, and where each row's begin, with the end of the last."""
    start = np.zeros(rows + 1, np.int64)
    for k in range(len(at)):
        start[at[k] + 1] += 1
    for r in range(rows):
        start[r + 1] += start[r]
    order, used = np.empty(len(at), np.int64), start.copy()
    for k in range(len(at)):
        order[used[at[k]]] = k
        used[at[k]] += 1
    return order, start


@compiled
def _merge(d: Deltas, order: I64, start: I64, rows: Columns, noted: Index, keep: int, limit: int, half_life: float) -> None:
    for r in range(len(start) - 1):
        begin, end = start[r], start[r + 1]
        is_noted = end - begin >= MANY
        if is_noted:
            _note(noted, rows, r)
        growth, then = 1.0, np.int64(0)
        for n in range(begin, end):
            k = order[n]
            if n == begin or d.time[k] != then:  # those of one event are worth the same
                then = d.time[k]
                growth = _grow(rows, r, then, half_life)
            if d.other[k] == NONE:
                _count(rows, r, then, growth)
                continue
            place = find(noted, d.other[k]) if is_noted else _place(rows, r, d.other[k])
            if place == NOWHERE:
                place = _append(rows, r, d.other[k])
                if is_noted:
                    enter(noted, d.other[k], place)
            rows.weight[r, place] += np.float32(d.weight[k] * growth)
            rows.counts[r, place] += d.counts[k]
            if rows.length[r] >= limit:
                _cut(rows, r, keep)
                if is_noted:
                    _note(noted, rows, r)


@compiled
def merge_lines(
    time: I64, item: U64, other: U64, weight: F32, count: U32, at: I64,
    interactions: I64, popularity: F64, trend: F64, landmark: I64, first: I64, updated: I64,
    length: I32, row_other: U64, row_weight: F32, row_count: U32,
    keep: int, limit: int, half_life: float,
) -> None:  # fmt: skip
    """The same for a few deltas and any number of rows, whose columns these are."""
    rows = Columns(interactions, popularity, trend, landmark, first, updated, length, row_other, row_weight, row_count)
    for k in range(len(item)):
        r = at[k]
        growth = _grow(rows, r, time[k], half_life)
        if other[k] == NONE:
            _count(rows, r, time[k], growth)
            continue
        place = _place(rows, r, other[k])
        if place == NOWHERE:
            place = _append(rows, r, other[k])
        rows.weight[r, place] += np.float32(weight[k] * growth)
        rows.counts[r, place] += count[k]
        if rows.length[r] >= limit:
            _cut(rows, r, keep)


@compiled
def _grow(rows: Columns, r: int, time: int, half_life: float) -> float:
    """What an event of that time is worth in a row, whose landmark it may move."""
    if rows.landmark[r] == 0:
        rows.landmark[r] = rows.first[r] = time
    age = float(time - rows.landmark[r])
    half_lives = 0.0
    if half_life > 0.0:
        half_lives = age / half_life
    if half_lives > MAX_HALF_LIVES or age > MAX_TREND_HALF_LIVES * TREND_HALF_LIFE_MS:
        factor = 2.0**-half_lives
        rows.popularity[r] *= factor
        rows.trend[r] *= 2.0 ** (-age / TREND_HALF_LIFE_MS)
        for i in range(rows.length[r]):
            rows.weight[r, i] *= factor
        rows.landmark[r] = time
        half_lives = 0.0
    rows.first[r] = min(rows.first[r], time)
    rows.updated[r] = max(rows.updated[r], time)
    return 2.0**half_lives  # type: ignore[no-any-return]


@compiled
def _count(rows: Columns, r: int, time: int, growth: float) -> None:
    """One more interaction with the row's item."""
    rows.interactions[r] += 1
    rows.popularity[r] += growth
    rows.trend[r] += 2.0 ** (float(time - rows.landmark[r]) / TREND_HALF_LIFE_MS)


@compiled
def _place(rows: Columns, r: int, other: int) -> int:
    for place in range(rows.length[r]):
        if rows.other[r, place] == other:
            return place
    return NOWHERE


@compiled
def _append(rows: Columns, r: int, other: int) -> int:
    """A new neighbour at the end of a row; returns its place."""
    place = rows.length[r]
    rows.other[r, place], rows.weight[r, place], rows.counts[r, place] = other, 0.0, 0
    rows.length[r] = place + 1
    return place  # type: ignore[no-any-return]


@compiled
def _note(noted: Index, rows: Columns, r: int) -> None:
    """Notes the neighbours of one row, and of no other."""
    clear(noted)
    for place in range(rows.length[r]):
        enter(noted, rows.other[r, place], place)


@compiled
def _cut(rows: Columns, r: int, keep: int) -> None:
    n = rows.length[r]
    _strongest_first(rows.other[r, :n], rows.weight[r, :n], rows.counts[r, :n])
    rows.length[r] = keep


@compiled_maker
def _strongest_first(other: U64, weight: F32, count: U32) -> None:
    """Sorts the neighbours of a row by falling weight, ties by hash.

    Most stand right since the row was cut last. Those that do not, after those before them, are taken out, sorted among
    themselves, and entered again from the end.
    """
    n = len(other)
    out, out_weight, out_count = np.empty(n, np.uint64), np.empty(n, np.float32), np.empty(n, np.uint32)
    kept = taken = 0
    for i in range(n):
        if kept and _before(weight[i], other[i], weight[kept - 1], other[kept - 1]):
            out[taken], out_weight[taken], out_count[taken] = other[i], weight[i], count[i]
            taken += 1
        else:
            other[kept], weight[kept], count[kept] = other[i], weight[i], count[i]
            kept += 1
    _sort(out[:taken], out_weight[:taken], out_count[:taken])
    for at in range(n - 1, -1, -1):
        if taken == 0:
            break
        if kept and _before(out_weight[taken - 1], out[taken - 1], weight[kept - 1], other[kept - 1]):
            kept -= 1
            other[at], weight[at], count[at] = other[kept], weight[kept], count[kept]
        else:
            taken -= 1
            other[at], weight[at], count[at] = out[taken], out_weight[taken], out_count[taken]


@compiled
def _before(weight: float, other: int, than_weight: float, than: int) -> bool:
    """Whether a neighbour is stronger than another one."""
    return weight > than_weight or (weight == than_weight and other < than)


@compiled
def _sort(other: U64, weight: F32, count: U32) -> None:
    """Sorts neighbours in place, the strongest first.

    Shell, 1959, "A high-speed sorting procedure"; gaps as of Gonnet, Baeza-Yates, 1991, "Handbook of algorithms and data
    structures".
    """
    gap = len(other)
    while gap > 1:
        gap = max(1, gap * 5 // 11)
        for i in range(gap, len(other)):
            o, w, c = other[i], weight[i], count[i]
            at = i
            while at >= gap and _before(w, o, weight[at - gap], other[at - gap]):
                other[at], weight[at], count[at] = other[at - gap], weight[at - gap], count[at - gap]
                at -= gap
            other[at], weight[at], count[at] = o, w, c
