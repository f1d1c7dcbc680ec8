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

from recsys.compiled import F32, F64, I32, I64, U32, U64, Bools, compiled, compiled_maker
from recsys.fold import Deltas
from recsys.hashing import NONE
from recsys.rules import Rules

VERSION = 2
HEADER = struct.Struct("<HHIQddqqq")
"""Version, bytes of the id, neighbours, interactions, popularity, trend, landmark, first, updated."""
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

    Raises `ValueError` for bytes of another version.
    """
    version, _, length, *_ = HEADER.unpack_from(value)
    if version != VERSION:
        raise ValueError(f"a row is stored in form {version}, this version reads {VERSION}")
    return int(length)


def packed_id(value: bytes) -> str:
    """The item id in a packed row, or in its first bytes."""
    return value[HEADER.size : HEADER.size + HEADER.unpack_from(value)[1]].decode()


def unpack(rows: Rows, r: int, value: bytes | None) -> None:
    """Puts a stored row (None: an item that was never met) into place `r`."""
    if value is None:
        rows.interactions[r] = rows.landmark[r] = rows.first[r] = rows.updated[r] = rows.length[r] = 0
        rows.popularity[r] = rows.trend[r] = 0.0
        return
    _, id_bytes, k, rows.interactions[r], rows.popularity[r], rows.trend[r], *times = HEADER.unpack_from(value)
    rows.landmark[r], rows.first[r], rows.updated[r] = times
    at = HEADER.size + id_bytes
    rows.ids[r] = value[HEADER.size : at].decode()
    rows.length[r] = k
    rows.other[r, :k] = np.frombuffer(value, np.uint64, k, at)
    rows.weight[r, :k] = np.frombuffer(value, np.float32, k, at + 8 * k)
    rows.counts[r, :k] = np.frombuffer(value, np.uint32, k, at + 12 * k)


def pack(rows: Rows, r: int) -> bytes:
    """The bytes to store for the row in place `r`."""
    name = (rows.ids[r] or "").encode()
    k = int(rows.length[r])
    numbers = (rows.interactions, rows.popularity, rows.trend, rows.landmark, rows.first, rows.updated)
    header = HEADER.pack(VERSION, len(name), k, *(column[r] for column in numbers))
    return b"".join((header, name, rows.other[r, :k].tobytes(), rows.weight[r, :k].tobytes(), rows.counts[r, :k].tobytes()))


def load(items: U64, packed: Sequence[bytes | None], additions: int, rules: Rules) -> Rows:
    """Rows from their stored bytes, with room for `additions` more neighbours in each, as far as a row may grow."""
    longest = max((packed_length(value) for value in packed if value), default=0)
    # A row may be longer than the limit if it was written under a higher one: its next new neighbour cuts it.
    rows = empty(items, min(longest + additions, max(longest + 1, rules.row_limit)))
    for r, value in enumerate(packed):
        unpack(rows, r, value)
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


def worth(landmark: float, now: float, half_life_ms: float) -> float:
    """What a weight of 1 at `landmark` is worth at `now` (both in ms): at most 1, and 1 without decay.

    >>> worth(0, 10, 5)
    0.25
    """
    return float(2.0 ** (-max(0.0, now - landmark) / half_life_ms)) if half_life_ms else 1.0
