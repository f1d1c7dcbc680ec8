"""Histories: the last interactions of each user, as matrices to compute with and as packed bytes to store.

Packed, a history is one version byte and 28 bytes for each interaction, oldest first: columns of item hashes, event-id hashes
(8 bytes each), the low halves of time and session (4 each), and one word with time's high 16 bits, the session's high 8 and
the kind.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recsys import packing
from recsys.compiled import I32, I64, U8, U64, compiled
from recsys.events import Kind
from recsys.packing import get32, get64, put32, put64

VERSION = 1
BYTES_PER_INTERACTION = 28
REFUNDED = 0x40
"""Added to the kind of a purchase that was taken back."""
REFUNDED_PURCHASE = int(Kind.PURCHASE) | REFUNDED


class Histories(NamedTuple):
    """The histories of some users: a row for each user, oldest interaction first, `length` of them filled."""

    item: U64
    event: U64
    session: U64
    time: I64
    kind: U8
    length: I32


def empty(users: int, history: int) -> Histories:
    """Histories of `users` users without interactions, with room for `history` each."""
    shape = (users, history)
    return Histories(
        np.zeros(shape, np.uint64),
        np.zeros(shape, np.uint64),
        np.zeros(shape, np.uint64),
        np.zeros(shape, np.int64),
        np.zeros(shape, np.uint8),
        np.zeros(users, np.int32),
    )


def unpack(packed: Sequence[bytes | None], history: int) -> Histories:
    """Histories from their stored bytes (None: a new user); of a longer one the newest `history` are taken.

    Raises `ValueError` for bytes of another version, or for a part of a history.

    >>> unpack([None, *pack(empty(1, 3), np.array([0]))], 50).length
    array([0, 0], dtype=int32)
    """
    histories = empty(len(packed), history)
    data, start = packing.joined([value or b"" for value in packed])
    wrong = _unpack(histories, data, start)
    if wrong >= 0:
        value = packed[wrong] or b""
        raise ValueError(f"a history is stored in form {value[0]} ({len(value)} bytes), this version reads {VERSION}")
    return histories


def pack(histories: Histories, users: I64) -> list[bytes]:
    """The bytes to store for the users in these places."""
    start = packing.starts(1 + BYTES_PER_INTERACTION * histories.length[users].astype(np.int64))
    data = np.empty(start[-1], np.uint8)
    _pack(histories, users, data, start)
    return packing.cut(data, start)


@compiled
def _unpack(histories: Histories, data: U8, start: I64) -> int:
    """Returns the place of a value that cannot be read, -1 if there is none."""
    room = histories.item.shape[1]
    for u in range(len(start) - 1):
        at, size = start[u], start[u + 1] - start[u]
        if size == 0:
            continue
        if data[at] != VERSION or (size - 1) % BYTES_PER_INTERACTION != 0:
            return u
        stored = (size - 1) // BYTES_PER_INTERACTION
        k = min(stored, room)
        histories.length[u] = k
        at += 1
        for i in range(k):
            n = stored - k + i
            high = get32(data, at + 24 * stored + 4 * n)
            histories.item[u, i] = get64(data, at + 8 * n)
            histories.event[u, i] = get64(data, at + 8 * (stored + n))
            histories.time[u, i] = get32(data, at + 16 * stored + 4 * n) | high >> np.uint64(16) << np.uint64(32)
            session_high = high >> np.uint64(8) & np.uint64(0xFF)
            histories.session[u, i] = get32(data, at + 20 * stored + 4 * n) | session_high << np.uint64(32)
            histories.kind[u, i] = high & np.uint64(0xFF)
    return -1


@compiled
def _pack(histories: Histories, users: I64, data: U8, start: I64) -> None:
    for n in range(len(users)):
        u, at = users[n], start[n] + 1
        k = histories.length[u]
        data[start[n]] = VERSION
        for i in range(k):
            time, session = np.uint64(histories.time[u, i]), histories.session[u, i]
            high = time >> np.uint64(32) << np.uint64(16) | session >> np.uint64(32) << np.uint64(8)
            put64(data, at + 8 * i, histories.item[u, i])
            put64(data, at + 8 * (k + i), histories.event[u, i])
            put32(data, at + 16 * k + 4 * i, time)
            put32(data, at + 20 * k + 4 * i, session)
            put32(data, at + 24 * k + 4 * i, high | np.uint64(histories.kind[u, i]))


def newest_items(histories: Histories, user: int) -> list[int]:
    """The items of a user's newest interaction event: those at the end that share its event id, session, time and kind."""
    columns = (histories.event, histories.session, histories.time, histories.kind)
    last = int(histories.length[user]) - 1
    items = []
    for i in range(last, -1, -1):
        if any(column[user, i] != column[user, last] for column in columns):
            break
        items.append(int(histories.item[user, i]))
    return items
