"""The calendar: the hours, days, weeks and months (UTC) of event times, and their names."""

from calendar import monthrange
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

EPOCH = date(1970, 1, 1)
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
MONDAY = 3
"""The weekday of the first of January 1970, if Monday is 0."""


class Month(NamedTuple):
    """A month, as numbers of days since 1970."""

    name: str
    first: int
    last: int


@lru_cache(maxsize=4096)
def day_name(day: int) -> str:
    """
    >>> day_name(14_979)
    '2011-01-05'
    """
    return (EPOCH + timedelta(days=day)).isoformat()


@lru_cache(maxsize=4096)
def hour_name(hour: int) -> str:
    """The name of an hour since 1970.

    >>> hour_name(14_979 * 24 + 13)
    '2011-01-05T13'
    """
    day, rest = divmod(hour, 24)
    return f"{day_name(day)}T{rest:02}"


@lru_cache(maxsize=4096)
def month_of(day: int) -> Month:
    """
    >>> month_of(14_979), month_of(2_932_896).name
    (Month(name='2011-01', first=14975, last=15005), '9999-12')
    """
    there = EPOCH + timedelta(days=day)
    first = day - there.day + 1
    return Month(there.isoformat()[:7], first, first + monthrange(there.year, there.month)[1] - 1)


def week_of(day: int) -> int:
    """The week of a day, numbered from that of the first of January 1970; weeks begin on Mondays.

    >>> week_of(3), week_of(4), monday(1)
    (0, 1, 4)
    """
    return (day + MONDAY) // 7


def monday(week: int) -> int:
    """The day on which a week begins."""
    return week * 7 - MONDAY
