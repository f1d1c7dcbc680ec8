"""Histories: the last interactions of each user, as matrices to compute with and as packed bytes to store.

Packed, a history is one version byte and 28 bytes for each interaction, oldest first: columns of item hashes, event-id hashes
(8 bytes each), the low halves of time and session (4 each), and one word with time's high 16 bits, the session's high 8 and
the kind.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recsys.compiled import I32, I64, U8, U64
from recsys.events import Kind

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

    Raises `ValueError` for bytes of another version.

    >>> unpack([None, pack(empty(1, 3), 0)], 50).length
    array([0, 0], dtype=int32)
    """
    histories = empty(len(packed), history)
    for user, value in enumerate(packed):
        if not value:
            continue
        if value[0] != VERSION or (len(value) - 1) % BYTES_PER_INTERACTION:
            raise ValueError(f"a history is stored in form {value[0]}, this version reads {VERSION}")
        stored = (len(value) - 1) // BYTES_PER_INTERACTION
        k = min(stored, history)
        histories.length[user] = k
        words = np.frombuffer(value, np.uint64, 2 * stored, 1)
        halves = np.frombuffer(value, np.uint32, 3 * stored, 1 + 16 * stored)
        skip = stored - k
        high = halves[2 * stored + skip :].astype(np.uint64)
        histories.item[user, :k] = words[skip:stored]
        histories.event[user, :k] = words[stored + skip :]
        histories.time[user, :k] = (halves[skip:stored] | (high >> 16 << 32)).astype(np.int64)
        histories.session[user, :k] = halves[stored + skip : 2 * stored] | ((high >> 8 & 0xFF) << 32)
        histories.kind[user, :k] = high & 0xFF
    return histories


def pack(histories: Histories, user: int) -> bytes:
    """The bytes to store for one user."""
    k = int(histories.length[user])
    time = histories.time[user, :k].astype(np.uint64)
    session = histories.session[user, :k]
    high = (time >> 32 << 16) | (session >> 32 << 8) | histories.kind[user, :k]
    return b"".join(
        (
            bytes((VERSION,)),
            histories.item[user, :k].tobytes(),
            histories.event[user, :k].tobytes(),
            time.astype(np.uint32).tobytes(),
            session.astype(np.uint32).tobytes(),
            high.astype(np.uint32).tobytes(),
        )
    )


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
