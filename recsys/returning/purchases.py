"""Purchases: what users bought and hold, as matrices to compute with and as packed bytes to store.

Of each item that a user holds: in how many of the user's baskets it was, k, and three sums over these baskets that fade,

    fb = Σ 0.9^(baskets since)     f60 = Σ 2^(−days since / 60)     f200 = Σ 2^(−days since / 200)

each kept worth what it was at the item's last purchase, so that nothing is rewritten to age it. Items stand in the order of
their last purchase, so the newest lines of a user are the last of them.

Packed, it is a header and 32 bytes for each held item: columns of item hashes, of times with k in the low 16 bits (8 bytes
each), of basket numbers and the three sums (4 each).
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recsys.compiled import F32, I32, I64, U64, Bools, compiled
from recsys.hashing import NONE

HELD = 200
"""Items remembered of a user; 400 bring nothing, 100 cost 0.2 of recall at 10."""
MOST = 0xFFFF
"""The largest k that is stored."""
BASKET_FADE = 0.9
HALF_LIFE_60_MS, HALF_LIFE_200_MS = 60 * 86_400_000.0, 200 * 86_400_000.0

VERSION = 1
HEADER = struct.Struct("<B?IQq")
"""Version, single, baskets, session, newest."""
BYTES_PER_ITEM = 32


class Purchases(NamedTuple):
    """What some users bought: matrices are users × `HELD`, the item bought last is the last of the `held` filled places."""

    item: U64
    k: I32
    """The user's baskets that have the item."""
    fb: F32
    f60: F32
    f200: F32
    time: I64
    """Event time of the newest purchase of the item, in milliseconds."""
    basket: I32
    """The number of the basket in which the item was bought last; a user's first basket is 1."""
    held: I32
    baskets: I32
    """The user's baskets, the one that may still grow among them."""
    session: U64
    """The session of the user's last purchase event, `NONE` where it has none."""
    newest: I64
    """The event time of the same, in milliseconds."""
    single: Bools
    """Whether it had a single line."""


def empty(users: int) -> Purchases:
    """The purchases of `users` users who bought nothing."""
    shape = (users, HELD)
    return Purchases(
        np.zeros(shape, np.uint64),
        np.zeros(shape, np.int32),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.int64),
        np.zeros(shape, np.int32),
        np.zeros(users, np.int32),
        np.zeros(users, np.int32),
        np.zeros(users, np.uint64),
        np.zeros(users, np.int64),
        np.zeros(users, np.bool_),
    )


def unpack(packed: Sequence[bytes | None]) -> Purchases:
    """Purchases from their stored bytes (None or b"": nothing bought).

    Raises `ValueError` for bytes of another version.

    >>> unpack([None, pack(empty(1), 0)]).baskets
    array([0, 0], dtype=int32)
    """
    purchases = empty(len(packed))
    for user, value in enumerate(packed):
        if value:
            _unpack(purchases, user, value)
    return purchases


def _unpack(purchases: Purchases, user: int, value: bytes) -> None:
    k, rest = divmod(len(value) - HEADER.size, BYTES_PER_ITEM)
    if value[0] != VERSION or rest or not 0 <= k <= HELD:
        raise ValueError(f"purchases are stored in form {value[0]}, this version reads {VERSION}")
    _, single, baskets, session, newest = HEADER.unpack_from(value)
    words = np.frombuffer(value, np.uint64, 2 * k, HEADER.size)
    after = HEADER.size + 16 * k
    purchases.item[user, :k] = words[:k]
    purchases.time[user, :k] = words[k:] >> 16
    purchases.k[user, :k] = words[k:] & MOST
    purchases.basket[user, :k] = np.frombuffer(value, np.int32, k, after)
    sums = np.frombuffer(value, np.float32, 3 * k, after + 4 * k)
    purchases.fb[user, :k], purchases.f60[user, :k], purchases.f200[user, :k] = sums[:k], sums[k : 2 * k], sums[2 * k :]
    purchases.held[user], purchases.baskets[user] = k, baskets
    purchases.session[user], purchases.newest[user], purchases.single[user] = session, newest, single


def pack(purchases: Purchases, user: int) -> bytes:
    """The bytes to store for one user: none where nothing was bought.

    >>> pack(empty(1), 0)
    b''
    """
    if not purchases.baskets[user]:
        return b""
    k = int(purchases.held[user])
    of_user = (purchases.baskets[user], purchases.session[user], purchases.newest[user])
    return b"".join(
        (
            HEADER.pack(VERSION, bool(purchases.single[user]), *map(int, of_user)),
            purchases.item[user, :k].tobytes(),
            (purchases.time[user, :k].astype(np.uint64) << 16 | purchases.k[user, :k].astype(np.uint64)).tobytes(),
            purchases.basket[user, :k].tobytes(),
            purchases.fb[user, :k].tobytes(),
            purchases.f60[user, :k].tobytes(),
            purchases.f200[user, :k].tobytes(),
        )
    )


@compiled
def fade(time: int, now: int, half_life_ms: float) -> float:
    """What a 1 of event time `time` is worth at `now`, both in milliseconds: at most 1.

    >>> fade(0, 10, 5.0), fade(10, 0, 5.0)
    (0.25, 1.0)
    """
    if now <= time:
        return 1.0
    return 2.0 ** (-float(now - time) / half_life_ms)  # type: ignore[no-any-return]


@compiled
def place_of(purchases: Purchases, user: int, item: int) -> int:
    """Where among the held items an item stands; -1 where it is not held."""
    for h in range(purchases.held[user] - 1, -1, -1):
        if purchases.item[user, h] == item:
            return h
    return -1


@compiled
def count_line(purchases: Purchases, user: int, h: int, item: int, time: int) -> None:
    """Counts an item in the user's newest basket: the one in place `h`, or if that is -1 an item not held until now."""
    k, fb, f60, f200, newest = 0, 0.0, 0.0, 0.0, time
    if h >= 0:
        # The older of the two, the item's last purchase and this one, is worth less; late events make it this one.
        last = purchases.time[user, h]
        newest = max(last, time)
        k = purchases.k[user, h]
        fb = purchases.fb[user, h] * BASKET_FADE ** (purchases.baskets[user] - purchases.basket[user, h])
        f60 = purchases.f60[user, h] * fade(last, newest, HALF_LIFE_60_MS)
        f200 = purchases.f200[user, h] * fade(last, newest, HALF_LIFE_200_MS)
        remove(purchases, user, h)
    elif purchases.held[user] == HELD:
        remove(purchases, user, _weakest(purchases, user, time))
    end = purchases.held[user]
    purchases.item[user, end] = item
    purchases.k[user, end] = min(k + 1, MOST)
    purchases.fb[user, end] = fb + 1.0
    purchases.f60[user, end] = f60 + fade(time, newest, HALF_LIFE_60_MS)
    purchases.f200[user, end] = f200 + fade(time, newest, HALF_LIFE_200_MS)
    purchases.time[user, end] = newest
    purchases.basket[user, end] = purchases.baskets[user]
    purchases.held[user] = end + 1


@compiled
def remove(purchases: Purchases, user: int, h: int) -> None:
    """Takes a held item out; the others keep their order."""
    end = purchases.held[user] - 1
    for i in range(h, end):
        purchases.item[user, i] = purchases.item[user, i + 1]
        purchases.k[user, i] = purchases.k[user, i + 1]
        purchases.fb[user, i] = purchases.fb[user, i + 1]
        purchases.f60[user, i] = purchases.f60[user, i + 1]
        purchases.f200[user, i] = purchases.f200[user, i + 1]
        purchases.time[user, i] = purchases.time[user, i + 1]
        purchases.basket[user, i] = purchases.basket[user, i + 1]
    purchases.held[user] = end


@compiled
def forget(purchases: Purchases, user: int) -> None:
    """Empties what a user bought."""
    for h in range(purchases.held[user]):
        purchases.item[user, h], purchases.k[user, h], purchases.basket[user, h], purchases.time[user, h] = NONE, 0, 0, 0
        purchases.fb[user, h], purchases.f60[user, h], purchases.f200[user, h] = 0.0, 0.0, 0.0
    purchases.held[user], purchases.baskets[user] = 0, 0
    purchases.session[user], purchases.newest[user], purchases.single[user] = NONE, 0, False


@compiled
def _weakest(purchases: Purchases, user: int, now: int) -> int:
    """The place of the held item with the smallest f60, decayed to `now`, ties by hash."""
    weakest, smallest = 0, np.inf
    for h in range(purchases.held[user]):
        worth = purchases.f60[user, h] * fade(purchases.time[user, h], now, HALF_LIFE_60_MS)
        if worth < smallest or (worth == smallest and purchases.item[user, h] < purchases.item[user, weakest]):
            weakest, smallest = h, worth
    return weakest
