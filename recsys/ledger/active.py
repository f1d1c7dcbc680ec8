"""Active customers: how many different ones had an event on a day, and in the week and the four weeks up to it, told from the
days that accounts know.

Whoever comes on several days counts once, so days do not add up. A sketch (HyperLogLog) could be united over days, with an
error of 0.8 % and a write for each event; accounts have the days already, and are exact.
"""

from array import array

import numpy as np

from recsys.calendar import day_name
from recsys.customers.days import Days
from recsys.ledger.tables import Table, Value, share

LAST_DAYS = 28
"""Up to the newest with an event, that are told."""
WEEK, MONTH = 7, 28
"""Days that a customer counts in."""
KEPT = LAST_DAYS + MONTH - 1
"""Days up to a customer's last one that matter: they fit into 64 bits."""


class Activity:
    """The last days of many customers."""

    def __init__(self) -> None:
        self._newest, self._bits = array("q"), array("Q")

    def add(self, days: Days) -> None:
        """Takes in a customer's."""
        if not days.bits:
            return
        bits = int.from_bytes(days.bits, "little")
        bits >>= max(0, bits.bit_length() - KEPT)
        self._newest.append(days.last)
        self._bits.append(int(f"{bits:b}"[::-1], 2))

    def told(self) -> list[tuple[int, int, int, int]]:
        """The last days, in order: the day since 1970, and how many customers were there on it, in the week and in the four
        weeks that end with it.

        >>> activity = Activity()
        >>> activity.add(Days(20_000, bytes([0b11])))
        >>> activity.add(Days(20_000, bytes([0b1])))
        >>> activity.told()[-2:]
        [(20000, 2, 2, 2), (20001, 1, 2, 2)]
        """
        if not self._bits:
            return []
        newest, bits = np.array(self._newest, np.int64), np.array(self._bits, np.uint64)
        last = int(newest.max())
        near = last - newest < KEPT
        # Bit n is now n days before the newest day of all.
        bits = bits[near] << (last - newest[near]).astype(np.uint64)
        found = []
        for back in range(LAST_DAYS - 1, -1, -1):
            here = bits >> np.uint64(back)
            counts = [int(np.count_nonzero(here & np.uint64((1 << days) - 1))) for days in (1, WEEK, MONTH)]
            if counts[0]:
                found.append((last - back, counts[0], counts[1], counts[2]))
        return found


def table(activity: Activity) -> Table:
    """A row for each of the last days with a customer; `share` is that of the four weeks' customers who were there."""
    rows: list[list[Value]] = [
        [day_name(day), today, week, month, share(today, month)] for day, today, week, month in activity.told()
    ]
    return Table("active customers", "Active customers", ["day", "customers", "in 7 days", "in 28 days", "share"], rows)
