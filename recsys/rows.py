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
from recsys.index import among
from recsys.packing import get16, get32, get64, put16, put32, put64
from recsys.rules import Rules

VERSION = 2
HEADER = struct.Struct("<HHIQddqqq")
"""Version, bytes of the id, neighbours, interactions, popularity, trend, landmark, first, updated."""
HEADER_BYTES = HEADER.size  # a number of its own: compiled code cannot ask the struct
BYTES_PER_NEIGHBOUR = 16
BAD = -1
TREND_HALF_LIFE_MS = 3 * 86_400_000.0
"""Of the fast-decayed interactions: beside the others they say whether an item gains or loses."""


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


def without_neighbours(rows: Rows, gone: U64) -> Rows:
    """The rows without these items (sorted hashes) among the neighbours: where one was, the row's own item is, which is no
    neighbour of itself."""
    if not len(gone):
        return rows
    return rows._replace(other=np.where(among(rows.other, gone), rows.item[:, None], rows.other))


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


def packed_interactions(value: bytes) -> int:
    """The interactions in a packed row; raises as `packed_length`."""
    packed_length(value)
    return int.from_bytes(value[8:16], "little", signed=True)


def packed_id(value: bytes) -> str:
    """The item id in a packed row, or in its first bytes."""
    return value[HEADER.size : HEADER.size + HEADER.unpack_from(value)[1]].decode()


def unpack(rows: Rows, packed: Sequence[bytes | None]) -> None:
    """Puts stored rows (None: an item that was never met) into the places of `rows`, one each.

    They must be wide enough and empty; `packed_length` must have been asked of each stored row, which checks it.
    """
    _put(rows, packed, *packing.joined([value or b"" for value in packed]))


def _put(rows: Rows, packed: Sequence[bytes | None], data: U8, start: I64) -> None:
    id_bytes = np.zeros(len(packed), np.int64)
    _unpack(data, start, id_bytes, *_words(rows))
    ends = (HEADER.size + id_bytes).tolist()
    rows.ids[:] = [value[HEADER_BYTES:end].decode() if value else None for value, end in zip(packed, ends, strict=True)]


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
    data: U8, start: I64, id_bytes: I64,
    interactions: I64, popularity: U64, trend: U64, landmark: I64, first: I64, updated: I64,
    length: I32, other: U64, weight: U32, counts: U32,
) -> None:  # fmt: skip
    for r in range(len(start) - 1):
        at = start[r]
        if start[r + 1] == at:
            continue
        k = np.int64(get32(data, at + 4))
        interactions[r], popularity[r], trend[r] = get64(data, at + 8), get64(data, at + 16), get64(data, at + 24)
        landmark[r], first[r], updated[r] = get64(data, at + 32), get64(data, at + 40), get64(data, at + 48)
        length[r], id_bytes[r] = k, get16(data, at + 2)
        at += HEADER_BYTES + id_bytes[r]
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
    data, start = packing.joined([value or b"" for value in packed])
    lengths = _lengths(data, start)
    for r in np.flatnonzero(lengths == BAD).tolist():
        packed_length(packed[r] or b"")  # raises
    longest = int(lengths.max(initial=0))
    # A row may be longer than the limit if it was written under a higher one: its next new neighbour cuts it.
    rows = empty(items, min(longest + additions, max(longest + 1, rules.row_limit)))
    _put(rows, packed, data, start)
    return rows


@compiled_maker
def _lengths(data: U8, start: I64) -> I64:
    """As `packed_length`, of each value, 0 of an empty one and `BAD` where that raises."""
    lengths = np.zeros(len(start) - 1, np.int64)
    for r in range(len(lengths)):
        at, size = start[r], start[r + 1] - start[r]
        if size == 0:
            continue
        lengths[r] = BAD
        if size >= HEADER_BYTES and get16(data, at) == VERSION:
            length = np.int64(get32(data, at + 4))
            if size == HEADER_BYTES + get16(data, at + 2) + BYTES_PER_NEIGHBOUR * length:
                lengths[r] = length
    return lengths


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


def worth(landmark: I64, now: I64, half_life_ms: float) -> F64:
    """What weights of 1 at the landmarks are worth at `now` (all in ms): at most 1, and 1 without decay.

    >>> worth(np.array([0, 10]), np.array([10, 0]), 5)
    array([0.25, 1.  ])
    """
    age = np.maximum(now - landmark, 0)
    return np.exp2(-age / half_life_ms) if half_life_ms else np.ones(len(age))
