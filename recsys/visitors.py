"""Visitors: of each item the users who met it last, each with the time of the newest meeting; what a batch adds to them.

Of a user only the newest time counts, and of all users those who stand first by falling time, ties by id (as UTF-8). The first
so many of a union are the first so many of the parts' own first: merging commutes, and merging twice is merging once, so that
neither the order nor the repetition of events changes a list (docs/decisions/0019-recent-users-of-an-item.md).

Packed, a list is one version byte and for each visitor 10 bytes and the id: 6 of the event time in milliseconds, 2 of the home
partition, 2 of the length of the id, little-endian.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from recsys import packing
from recsys.batch import Batch
from recsys.compiled import I32, I64, U8, U64, Bools, compiled
from recsys.events import FIRST_OTHER
from recsys.fold import FORGET
from recsys.packing import get16, get32, put16, put32

VERSION = 1
BYTES_PER_VISITOR = 10
"""Beside the id."""


class Visitor(NamedTuple):
    """Somebody who met an item."""

    user: str
    partition: int
    """The user's home."""
    time_ms: int
    """Event time of the newest interaction with it."""


class Visits(NamedTuple):
    """The interactions of a batch, a column each; `user` is the place of the user."""

    partition: I32
    offset: I64
    time: I64
    """`GONE_MS`: the user is forgotten, and so out of the item's list."""
    item: U64
    user: I32


class Line(NamedTuple):
    """Scratch: the visitors of one item in their order, `most` at most; the ids stand in an array of bytes."""

    time: I64
    partition: I64
    id: I64
    """Where the id begins."""
    length: I64
    """Of the id, in bytes."""


GONE_MS = -1
NOBODY: Mapping[int, list[int]] = MappingProxyType({})
NO_VISITS = Visits(
    np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint64), np.empty(0, np.int32)
)


def visits(batch: Batch, changed: Bools, most: int, forgotten: Mapping[int, list[int]] = NOBODY, history: int = 0) -> Visits:
    """The visits of a batch: its interactions that changed a history; none where no visitors are kept.

    Who is `forgotten` in the batch leaves the lists of what the history then has: by the place of the user, the items that it
    has before the batch, of at most `history`.
    """
    if not most:
        return NO_VISITS
    met = changed & (batch.kind < FIRST_OTHER)
    found = Visits(batch.partition[met], batch.offset[met], batch.time[met], batch.item[met], batch.user[met])
    left = _left(batch, changed, forgotten, history) if forgotten else []
    if not left:
        return found
    lines, items = np.array([line for line, _ in left]), np.array([item for _, item in left], np.uint64)
    gone = batch.partition[lines], batch.offset[lines], np.full(len(lines), GONE_MS), items, batch.user[lines]
    at = np.searchsorted(np.flatnonzero(met), lines)  # in the order of the topic: who comes back is in the list again
    columns: Iterable[tuple[Any, Any]] = zip(found, gone, strict=True)
    return Visits(*(np.insert(column, at, more) for column, more in columns))


def _left(batch: Batch, changed: Bools, forgotten: Mapping[int, list[int]], history: int) -> list[tuple[int, int]]:
    """The lines that forget a user, each with every item that the user's history then has."""
    past = {user: list(items) for user, items in forgotten.items()}
    found = []
    for line in np.flatnonzero(changed & np.isin(batch.user, list(past))).tolist():
        items = past[int(batch.user[line])]
        if batch.kind[line] == FORGET:
            found += [(line, item) for item in dict.fromkeys(items)]
            items.clear()
        elif batch.kind[line] < FIRST_OTHER:
            items.append(int(batch.item[line]))
            del items[:-history]
    return found


def merge(packed: Sequence[bytes | None], found: Visits, at: I64, users: Sequence[str], most: int) -> list[bytes | None]:
    """The lists of some items with these visits, each to the item in the place `at`; None for a list that stays as it is.

    `packed` are the lists as they are stored (None: none yet), `users` the ids of all users, `most` visitors are kept.
    Raises `ValueError` for bytes of another version.

    >>> visits = Visits(*np.array([[0, 0], [4, 5], [20, 30], [1, 1], [0, 1]]))
    >>> [first] = merge([None], visits, np.array([0, 0]), ["u1", "u2"], 2)
    >>> unpack(first)
    [Visitor(user='u2', partition=0, time_ms=30), Visitor(user='u1', partition=0, time_ms=20)]
    >>> merge([first], visits, np.array([0, 0]), ["u1", "u2"], 2)
    [None]
    """
    if not len(at):
        return [None] * len(packed)
    met, number = np.unique(found.user, return_inverse=True)
    ids = [users[user].encode() for user in met.tolist()]
    data, start = packing.joined([value or b"" for value in packed] + ids)
    id_start = start[len(packed) :]
    order = np.argsort(at, kind="stable")
    begin = np.searchsorted(at[order], np.arange(len(packed) + 1))
    more = np.bincount(at, BYTES_PER_VISITOR + np.diff(id_start)[number], len(packed)).astype(np.int64)
    out_start = packing.starts(1 + np.diff(start[: len(packed) + 1]) + more)
    out, size = np.empty(out_start[-1], np.uint8), np.zeros(len(packed), np.int64)
    line = Line(*(np.zeros(most, np.int64) for _ in Line._fields))
    times, homes, numbers = found.time[order], found.partition[order], number[order]
    wrong = _merge(data, start, begin, times, homes, numbers, id_start, line, out, out_start, size)
    if wrong >= 0:
        raise wrong_version(data[start[wrong]])
    parts = zip(out_start.tolist(), size.tolist(), strict=False)
    return [out[first : first + length].tobytes() if length else None for first, length in parts]


def unpack(packed: bytes | None) -> list[Visitor]:
    """The visitors in a stored list, the newest first. Raises `ValueError` for bytes of another version."""
    if not packed:
        return []
    if packed[0] != VERSION:
        raise wrong_version(packed[0])
    found, at = [], 1
    while at < len(packed):
        time_ms, partition, length = (
            int.from_bytes(packed[at + low : at + high], "little") for low, high in ((0, 6), (6, 8), (8, 10))
        )
        at += BYTES_PER_VISITOR + length
        found.append(Visitor(packed[at - length : at].decode(), partition, time_ms))
    return found


def wrong_version(version: int) -> ValueError:
    return ValueError(f"the visitors of an item are stored in form {version}, this version reads {VERSION}")


@compiled
def _merge(
    data: U8, start: I64, begin: I64, time: I64, partition: I32, user: I64, id_start: I64, line: Line, out: U8, out_start: I64,
    size: I64,
) -> int:  # fmt: skip
    """Writes the lists that change, and how long they are; returns the place of one of another version, −1 if there is none.

    The visits stand by item, those of item r from `begin[r]` on.
    """
    for r in range(len(size)):
        if start[r] < start[r + 1] and data[start[r]] != VERSION:
            return r
        n = _read(data, start[r], start[r + 1], line)
        changed = False
        for k in range(begin[r], begin[r + 1]):
            at = id_start[user[k]]
            then = _visit(data, line, n, time[k], partition[k], at, id_start[user[k] + 1] - at)
            if then >= 0:
                changed = True
                n = then
        if changed:
            size[r] = _write(data, line, n, out, out_start[r])
    return -1


@compiled
def _read(data: U8, at: int, end: int, line: Line) -> int:
    """Reads a list, as much of it as there is room for; returns how many visitors it has."""
    n = 0
    at += 1
    while at < end and n < len(line.time):
        line.time[n] = np.int64(get32(data, at)) | np.int64(get16(data, at + 4)) << 32
        line.partition[n], line.length[n], line.id[n] = get16(data, at + 6), get16(data, at + 8), at + BYTES_PER_VISITOR
        at += BYTES_PER_VISITOR + line.length[n]
        n += 1
    return n


@compiled
def _visit(data: U8, line: Line, n: int, time: int, partition: int, id_at: int, length: int) -> int:
    """Notes a visit in a list of `n`, or takes out who is gone; returns how many are in it then, −1 if it stays as it is."""
    place = 0
    while place < n and not _same(data, line, place, id_at, length):
        place += 1
    if time == GONE_MS:
        return _leave(line, n, place) if place < n else -1
    if place < n:
        if time <= line.time[place]:
            return -1
    elif n < len(line.time):
        n += 1
    else:
        place = n - 1
        if not _before(data, time, id_at, length, line, place):
            return -1
    while place > 0 and _before(data, time, id_at, length, line, place - 1):
        line.time[place], line.partition[place] = line.time[place - 1], line.partition[place - 1]
        line.id[place], line.length[place] = line.id[place - 1], line.length[place - 1]
        place -= 1
    line.time[place], line.partition[place], line.id[place], line.length[place] = time, partition, id_at, length
    return n


@compiled
def _leave(line: Line, n: int, place: int) -> int:
    for later in range(place + 1, n):
        line.time[later - 1], line.partition[later - 1] = line.time[later], line.partition[later]
        line.id[later - 1], line.length[later - 1] = line.id[later], line.length[later]
    return n - 1


@compiled
def _same(data: U8, line: Line, place: int, id_at: int, length: int) -> bool:
    if line.length[place] != length:
        return False
    for i in range(length - 1, -1, -1):  # noqa: SIM110 (compiled); from the end, since ids often begin alike
        if data[line.id[place] + i] != data[id_at + i]:
            return False
    return True


@compiled
def _before(data: U8, time: int, id_at: int, length: int, line: Line, place: int) -> bool:
    """Whether a visit comes before the one in a place: by falling time, ties by id."""
    if time != line.time[place]:
        return time > line.time[place]  # type: ignore[no-any-return]
    for i in range(min(length, line.length[place])):
        if data[id_at + i] != data[line.id[place] + i]:
            return data[id_at + i] < data[line.id[place] + i]  # type: ignore[no-any-return]
    return length < line.length[place]  # type: ignore[no-any-return]


@compiled
def _write(data: U8, line: Line, n: int, out: U8, first: int) -> int:
    """Returns how many bytes were written."""
    out[first] = VERSION
    at = first + 1
    for k in range(n):
        put32(out, at, line.time[k])
        put16(out, at + 4, line.time[k] >> 32)
        put16(out, at + 6, line.partition[k])
        put16(out, at + 8, line.length[k])
        at += BYTES_PER_VISITOR
        for i in range(line.length[k]):
            out[at + i] = data[line.id[k] + i]
        at += line.length[k]
    return at - first
