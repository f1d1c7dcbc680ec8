"""Days: a set of calendar days (UTC), as a first day and a bit for each day from it on."""

from datetime import date, timedelta
from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I64

DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1)


class Days(NamedTuple):
    """Days since 1970 that are in the set; a year of them takes 46 bytes at most.

    >>> days = with_day(with_day(with_day(NO_DAYS, 20_000), 20_003), 19_999)
    >>> how_many(days), days.first, days.last, with_day(days, 20_003) == days
    (3, 19999, 20003, True)
    """

    first: int
    """Of the bits, not for certain in the set before one is."""
    bits: bytes
    """Little-endian: bit n is the day n after the first."""

    @property
    def last(self) -> int:
        return self.first + int.from_bytes(self.bits, "little").bit_length() - 1


NO_DAYS = Days(0, b"")


def day_of(time_ms: int) -> int:
    """The day of an event time.

    >>> day_of(DAY_MS - 1), day_of(DAY_MS)
    (0, 1)
    """
    return time_ms // DAY_MS


def date_of(day: int) -> str:
    """How messages write a day.

    >>> date_of(20_000)
    '2024-10-04'
    """
    return (EPOCH + timedelta(days=day)).isoformat()


def day_on(date_text: str) -> int:
    """The day that messages write so.

    >>> day_on("2024-10-04")
    20000
    """
    return (date.fromisoformat(date_text) - EPOCH).days


def how_many(days: Days) -> int:
    """The days in the set."""
    return int.from_bytes(days.bits, "little").bit_count()


def with_day(days: Days, day: int) -> Days:
    """The set with a day more."""
    if not days.bits:
        return Days(day, b"\x01")
    if day < days.first:
        return Days(day, _packed(int.from_bytes(days.bits, "little") << (days.first - day) | 1))
    place, bit = divmod(day - days.first, 8)
    if place < len(days.bits):
        if days.bits[place] >> bit & 1:
            return days
        return Days(days.first, days.bits[:place] + bytes((days.bits[place] | 1 << bit,)) + days.bits[place + 1 :])
    return Days(days.first, days.bits + bytes(place - len(days.bits)) + bytes((1 << bit,)))


def contains(days: Days, day: int) -> bool:
    """Whether a day is in the set.

    >>> contains(Days(7, b"\\x05"), 9), contains(Days(7, b"\\x05"), 8), contains(Days(7, b"\\x05"), 6)
    (True, False, False)
    """
    place, bit = divmod(day - days.first, 8)
    return 0 <= place < len(days.bits) and bool(days.bits[place] >> bit & 1)


def days_in(days: Days, until: int) -> I64:
    """The days of the set up to one of them, in order.

    >>> days_in(with_day(with_day(NO_DAYS, 7), 9), 8), days_in(with_day(with_day(NO_DAYS, 7), 9), 9)
    (array([7]), array([7, 9]))
    """
    bits = np.unpackbits(np.frombuffer(days.bits, np.uint8), bitorder="little")
    found: I64 = np.flatnonzero(bits[: max(until - days.first + 1, 0)]) + days.first
    return found


def gaps(days: Days) -> F64:
    """Days from each day of the set to the next.

    >>> gaps(with_day(with_day(with_day(NO_DAYS, 7), 9), 14))
    array([2., 5.])
    """
    found: F64 = np.diff(days_in(days, days.last)).astype(np.float64)
    return found


def _packed(bits: int) -> bytes:
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")
