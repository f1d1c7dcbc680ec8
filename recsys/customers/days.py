"""Days: a set of calendar days (UTC), as a first day and a bit for each day from it on."""

from datetime import date
from itertools import pairwise
from typing import NamedTuple

DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1)
LONGEST = 20 * 366
"""Days from the first to the last of a set: clocks that are wrong by thousands of years must not make it large."""

ELSEWHERE, SAME_TIME, THAT_DAY = 0, 1, 2


class Days(NamedTuple):
    """Days since 1970 that are in the set, 20 years at most from the first to the last; a year takes 46 bytes at most.

    >>> days = with_day(with_day(with_day(NO_DAYS, 20_000), 20_003), 19_999)
    >>> how_many(days), days.first, days.last, with_day(days, 20_003) == days
    (3, 19999, 20003, True)
    """

    first: int
    """Of the bits, not for certain in the set before one is."""
    bits: bytes
    """Little-endian: bit n is the day n after the first. The last byte is not 0."""

    @property
    def last(self) -> int:
        return self.first + 8 * len(self.bits) - 9 + self.bits[-1].bit_length() if self.bits else self.first - 1


NO_DAYS = Days(0, b"")


def day_of(time_ms: int) -> int:
    """The day of an event time.

    >>> day_of(DAY_MS - 1), day_of(DAY_MS)
    (0, 1)
    """
    return time_ms // DAY_MS


def day_on(date_text: str) -> int:
    """The day that messages write so (`recsys.calendar.day_name`).

    >>> day_on("2024-10-04")
    20000
    """
    return (date.fromisoformat(date_text) - EPOCH).days


def how_many(days: Days) -> int:
    """The days in the set."""
    return int.from_bytes(days.bits, "little").bit_count()


def with_day(days: Days, day: int) -> Days:
    """The set with a day more; one that is too far from the others is left out.

    >>> with_day(Days(9_000, b"\x01"), 9_000 + LONGEST) == with_day(Days(9_000, b"\x01"), 9_000 - LONGEST)
    True
    """
    place = day - days.first
    if 0 <= place < 8 * len(days.bits) and days.bits[place >> 3] >> (place & 7) & 1:  # as nearly always
        return days
    if not days.bits:
        return Days(day, b"\x01")
    if day >= days.first + LONGEST or day <= days.last - LONGEST:
        return days
    if day < days.first:
        return Days(day, _packed(int.from_bytes(days.bits, "little") << (days.first - day) | 1))
    place, bit = divmod(place, 8)
    if place < len(days.bits):
        return Days(days.first, days.bits[:place] + bytes((days.bits[place] | 1 << bit,)) + days.bits[place + 1 :])
    return Days(days.first, days.bits + bytes(place - len(days.bits)) + bytes((1 << bit,)))


def union(a: Days, b: Days) -> Days:
    """The days that are in either set. Of more than 20 years the newest are kept, so that it does not matter in which order
    several sets are joined.

    >>> week = with_day(with_day(NO_DAYS, 20), 26)
    >>> each_day(union(week, with_day(NO_DAYS, 23))), union(week, with_day(NO_DAYS, 26 + LONGEST)).first - LONGEST
    ([20, 23, 26], 26)
    """
    if not a.bits or not b.bits:
        return a if a.bits else b
    first = max(min(a.first, b.first), max(a.last, b.last) - LONGEST + 1)
    bits = 0
    for days in (a, b):
        theirs = int.from_bytes(days.bits, "little")
        bits |= theirs << (days.first - first) if days.first >= first else theirs >> (first - days.first)
    empty = (bits & -bits).bit_length() - 1
    return Days(first + empty, _packed(bits >> empty))


def fits(days: Days, day: int) -> bool:
    """Whether a day is near enough to the others to be put into the set."""
    return not days.bits or days.last - LONGEST < day < days.first + LONGEST


def contains(days: Days, day: int) -> bool:
    """Whether a day is in the set.

    >>> contains(Days(7, b"\\x05"), 9), contains(Days(7, b"\\x05"), 8), contains(Days(7, b"\\x05"), 6)
    (True, False, False)
    """
    place = day - days.first
    return 0 <= place < 8 * len(days.bits) and bool(days.bits[place >> 3] >> (place & 7) & 1)


def any_between(days: Days, first: int, last: int) -> bool:
    """Whether one of these days, both included, is in the set.

    >>> days = with_day(with_day(NO_DAYS, 20), 40)
    >>> any_between(days, 21, 40), any_between(days, 21, 39), any_between(days, 0, 19), any_between(days, 20, 20)
    (True, False, False, True)
    """
    newest = days.last
    if newest < first or days.first > last or not days.bits:
        return False
    if newest <= last:
        return True
    bits = int.from_bytes(days.bits, "little")
    bits = bits >> (first - days.first) if first > days.first else bits << (days.first - first)
    return bits & ((1 << (last - first + 1)) - 1) != 0


def each_day(days: Days, until: int | None = None) -> list[int]:
    """The days of the set, or those up to one of them, in order.

    >>> each_day(with_day(with_day(NO_DAYS, 9), 7)), each_day(with_day(with_day(NO_DAYS, 9), 7), until=8)
    ([7, 9], [7])
    """
    left, found = int.from_bytes(days.bits, "little"), []
    while left:
        day = days.first + (left & -left).bit_length() - 1
        if until is not None and day > until:
            break
        found.append(day)
        left &= left - 1
    return found


def nearness(days: Days, day: int, first: int, last: int) -> int:
    """Whether a day, or one from `first` to `last` around it, is in the set: `THAT_DAY`, `SAME_TIME` or `ELSEWHERE`.

    A day that does not fit is taken to be there.

    >>> days = with_day(with_day(NO_DAYS, 20), 40)
    >>> nearness(days, 40, 31, 50), nearness(days, 41, 31, 50), nearness(days, 52, 51, 60), nearness(days, 52, 51, 10**6)
    (2, 1, 0, 0)
    """
    newest = days.last
    if newest < first:  # as it is nearly always, or the next
        return ELSEWHERE if day - days.first < LONGEST or not days.bits else THAT_DAY
    if contains(days, day) or not fits(days, day):
        return THAT_DAY
    return SAME_TIME if newest <= last or any_between(days, first, last) else ELSEWHERE


def gaps(days: Days) -> list[int]:
    """Days from each day of the set to the next.

    >>> gaps(with_day(with_day(with_day(NO_DAYS, 7), 9), 14))
    [2, 5]
    """
    found = each_day(days)
    return [after - before for before, after in pairwise(found)]


def _packed(bits: int) -> bytes:
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")
