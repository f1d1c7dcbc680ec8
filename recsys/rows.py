"""Rows: of each item, how often it was met, with which others, and what those meetings weigh.

All weights of a row are worth what they were at the row's `landmark`, an event time: forward decay (Cormode, Shkapenyuk,
Srivastava, Xu, 2009, "Forward decay: a practical time decay model for streaming systems"). A later event weighs more instead
of the earlier ones less, so nothing is rewritten to age it; the landmark moves only when the factor becomes large.

Packed, a row is its header, the item's id, and columns of its neighbours' hashes (8 bytes each), weights (4) and counts (4).
"""

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from recsys import packing
from recsys.compiled import F32, F64, I32, I64, U8, U32, U64, Bools, compiled, compiled_maker
from recsys.deltas import Deltas
from recsys.hashing import NONE
from recsys.packing import get16, get32, get64, put16, put32, put64
from recsys.rules import Rules

VERSION = 2
HEADER = struct.Struct("<HHIQddqqq")
"""Version, bytes of the id, neighbours, interactions, popularity, trend, landmark, first, updated."""
HEADER_BYTES = HEADER.size  # a number of its own: compiled code cannot ask the struct
BYTES_PER_NEIGHBOUR = 16
TREND_HALF_LIFE_MS = 3 * 86_400_000.0
"""Of the fast-decayed interactions: beside the others they say whether an item gains or loses."""
MAX_HALF_LIVES = 32.0
"""A new event this many half-lives after the landmark moves it: 2^32 is far from the largest float32, 2^127."""
MAX_TREND_HALF_LIVES = 512.0
"""The same for the trend, a float64: its largest is 2^1023."""


class Rows(NamedTuple):
    """The rows of some items, sorted by hash. Matrices are items × neighbours, `length` of each row filled."""

    item: U64
    ids: list[str | None]
    interactions: I64
    popularity: F64
    """Decayed interactions, worth what they were at the landmark."""
    trend: F64
    """The same, decayed with `TREND_HALF_LIFE_MS`."""
    landmark: I64
    """Event time in milliseconds at which the row's weights are worth 1; 0 for an item that was never met."""
    first: I64
    """The oldest event time in the row, in milliseconds."""
    updated: I64
    """The newest event time in the row, in milliseconds."""
    length: I32
    other: U64
    weight: F32
    counts: U32


def empty(items: U64, width: int) -> Rows:
    """Rows of items that were never met, with room for `width` neighbours."""
    n = len(items)
    return Rows(
        items,
        [None] * n,
        np.zeros(n, np.int64),
        np.zeros(n, np.float64),
        np.zeros(n, np.float64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int32),
        np.zeros((n, width), np.uint64),
        np.zeros((n, width), np.float32),
        np.zeros((n, width), np.uint32),
    )


def packed_length(value: bytes) -> int:
    """How many neighbours a packed row has.

    Raises `ValueError` for bytes of another version, or fewer or more than there must be.
    """
    version, id_bytes, length, *_ = HEADER.unpack_from(value)
    if version != VERSION:
        raise ValueError(f"a row is stored in form {version}, this version reads {VERSION}")
    whole = HEADER.size + id_bytes + BYTES_PER_NEIGHBOUR * length
    if len(value) != whole:
        raise ValueError(f"a row of {length} neighbours has {whole} bytes, here are {len(value)}")
    return int(length)


def packed_id(value: bytes) -> str:
    """The item id in a packed row, or in its first bytes."""
    return value[HEADER.size : HEADER.size + HEADER.unpack_from(value)[1]].decode()


def unpack(rows: Rows, packed: Sequence[bytes | None]) -> None:
    """Puts stored rows (None: an item that was never met) into the places of `rows`, one each.

    They must be wide enough and empty; `packed_length` must have been asked of each stored row, which checks it.
    """
    data, start = packing.joined([value or b"" for value in packed])
    _unpack(data, start, *_words(rows))
    rows.ids[:] = [packed_id(value) if value else None for value in packed]


def pack(rows: Rows, places: I64) -> list[bytes]:
    """The bytes to store for the rows in these places."""
    names, name_start = packing.joined([(rows.ids[r] or "").encode() for r in places.tolist()])
    start = packing.starts(HEADER.size + np.diff(name_start) + BYTES_PER_NEIGHBOUR * rows.length[places].astype(np.int64))
    data = np.empty(start[-1], np.uint8)
    _pack(data, start, places, names, name_start, *_words(rows))
    return packing.cut(data, start)


def _words(rows: Rows) -> tuple[Any, ...]:
    """The columns of rows as they are stored: floating-point numbers by their bits."""
    floats = rows.popularity.view(np.uint64), rows.trend.view(np.uint64)
    neighbours = rows.length, rows.other, rows.weight.view(np.uint32), rows.counts
    return (rows.interactions, *floats, rows.landmark, rows.first, rows.updated, *neighbours)


@compiled
def _unpack(
    data: U8, start: I64, interactions: I64, popularity: U64, trend: U64, landmark: I64, first: I64, updated: I64,
    length: I32, other: U64, weight: U32, counts: U32,
) -> None:  # fmt: skip
    for r in range(len(start) - 1):
        at = start[r]
        if start[r + 1] == at:
            continue
        k = np.int64(get32(data, at + 4))
        interactions[r], popularity[r], trend[r] = get64(data, at + 8), get64(data, at + 16), get64(data, at + 24)
        landmark[r], first[r], updated[r] = get64(data, at + 32), get64(data, at + 40), get64(data, at + 48)
        length[r] = k
        at += HEADER_BYTES + get16(data, at + 2)
        for i in range(k):
            other[r, i] = get64(data, at + 8 * i)
            weight[r, i] = get32(data, at + 8 * k + 4 * i)
            counts[r, i] = get32(data, at + 12 * k + 4 * i)


@compiled
def _pack(
    data: U8, start: I64, places: I64, names: U8, name_start: I64,
    interactions: I64, popularity: U64, trend: U64, landmark: I64, first: I64, updated: I64,
    length: I32, other: U64, weight: U32, counts: U32,
) -> None:  # fmt: skip
    for n in range(len(places)):
        r, at, name = places[n], start[n], name_start[n]
        k, size = np.int64(length[r]), name_start[n + 1] - name
        put16(data, at, VERSION)
        put16(data, at + 2, size)
        put32(data, at + 4, k)
        put64(data, at + 8, interactions[r])
        put64(data, at + 16, popularity[r])
        put64(data, at + 24, trend[r])
        put64(data, at + 32, landmark[r])
        put64(data, at + 40, first[r])
        put64(data, at + 48, updated[r])
        at += HEADER_BYTES
        for i in range(size):
            data[at + i] = names[name + i]
        at += size
        for i in range(k):
            put64(data, at + 8 * i, other[r, i])
            put32(data, at + 8 * k + 4 * i, weight[r, i])
            put32(data, at + 12 * k + 4 * i, counts[r, i])


def load(items: U64, packed: Sequence[bytes | None], additions: int, rules: Rules) -> Rows:
    """Rows from their stored bytes, with room for `additions` more neighbours in each, as far as a row may grow."""
    longest = max((packed_length(value) for value in packed if value), default=0)
    # A row may be longer than the limit if it was written under a higher one: its next new neighbour cuts it.
    rows = empty(items, min(longest + additions, max(longest + 1, rules.row_limit)))
    unpack(rows, packed)
    return rows


def take(rows: Rows, which: Bools) -> Rows:
    """The rows at which `which` is true."""
    if which.all():
        return rows
    ids = [rows.ids[r] for r in np.flatnonzero(which)]
    return Rows._make((rows.item[which], ids, *(column[which] for column in rows[2:])))


def join(parts: Sequence[Rows]) -> Rows:
    """Rows of several parts as one, sorted by hash; no item may stand in two of them."""
    if len(parts) == 1:
        return parts[0]
    order = np.argsort(np.concatenate([part.item for part in parts]))
    width = max(part.other.shape[1] for part in parts)
    names = [name for part in parts for name in part.ids]
    columns = (np.concatenate([_widened(part[c], width) for part in parts])[order] for c in (0, *range(2, len(Rows._fields))))
    item, *rest = columns
    return Rows._make((item, [names[r] for r in order], *rest))


def _widened(column: Any, width: int) -> Any:
    """A matrix with `width` columns; a vector as it is."""
    return np.pad(column, ((0, 0), (0, width - column.shape[1]))) if column.ndim == 2 else column


def merge(rows: Rows, deltas: Deltas, at: I64, rules: Rules) -> None:
    """Adds deltas to rows, in their order; `at` says for each delta the place of its row."""
    merge_lines(*deltas[2:], at, *rows[2:], rules.neighbours, rules.row_limit, rules.half_life_ms)


@compiled
def merge_lines(
    time: I64,
    item: U64,
    other: U64,
    weight: F32,
    count: U32,
    at: I64,
    interactions: I64,
    popularity: F64,
    trend: F64,
    landmark: I64,
    first: I64,
    updated: I64,
    length: I32,
    row_other: U64,
    row_weight: F32,
    row_count: U32,
    keep: int,
    limit: int,
    half_life: float,
) -> None:
    for k in range(len(item)):
        r = at[k]
        if landmark[r] == 0:
            landmark[r] = first[r] = time[k]
        age = float(time[k] - landmark[r])
        half_lives = 0.0
        if half_life > 0.0:
            half_lives = age / half_life
        if half_lives > MAX_HALF_LIVES or age > MAX_TREND_HALF_LIVES * TREND_HALF_LIFE_MS:
            factor = 2.0**-half_lives
            popularity[r] *= factor
            trend[r] *= 2.0 ** (-age / TREND_HALF_LIFE_MS)
            for i in range(length[r]):
                row_weight[r, i] *= factor
            landmark[r] = time[k]
            age = half_lives = 0.0
        growth = 2.0**half_lives
        first[r] = min(first[r], time[k])
        updated[r] = max(updated[r], time[k])
        if other[k] == NONE:
            interactions[r] += 1
            popularity[r] += growth
            trend[r] += 2.0 ** (age / TREND_HALF_LIFE_MS)
            continue
        place = 0
        while place < length[r] and row_other[r, place] != other[k]:
            place += 1
        if place == length[r]:
            row_other[r, place] = other[k]
            row_weight[r, place] = 0.0
            row_count[r, place] = 0
            length[r] += 1
        row_weight[r, place] += np.float32(weight[k] * growth)
        row_count[r, place] += count[k]
        if length[r] >= limit:
            n = length[r]
            _strongest_first(row_other[r, :n], row_weight[r, :n], row_count[r, :n])
            length[r] = keep


@compiled_maker
def _strongest_first(other: U64, weight: F32, count: U32) -> None:
    """Sorts the neighbours of a row by falling weight, ties by hash: by hash first, then stably by weight."""
    by_hash = np.argsort(other, kind="mergesort")
    order = by_hash[np.argsort(-weight[by_hash], kind="mergesort")]
    other[:], weight[:], count[:] = other[order], weight[order], count[order]


def worth(landmark: I64, now: I64, half_life_ms: float) -> F64:
    """What weights of 1 at the landmarks are worth at `now` (all in ms): at most 1, and 1 without decay.

    >>> worth(np.array([0, 10]), np.array([10, 0]), 5)
    array([0.25, 1.  ])
    """
    age = np.maximum(now - landmark, 0)
    return np.exp2(-age / half_life_ms) if half_life_ms else np.ones(len(age))
