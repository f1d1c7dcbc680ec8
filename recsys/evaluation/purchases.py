"""The purchases of a file as baskets, and which of them an evaluation asks for."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from recsys.evaluation.trace import Baskets, earlier
from recsys.events import Event, Kind

EARLIER = 2
"""Baskets that an asked user has had at least."""


class Bought(NamedTuple):
    """The baskets of a file, and what their numbers mean."""

    baskets: Baskets
    items: list[str]
    """The id of each item, by its number."""
    asked: list[tuple[str | None, str]]
    """Event id and user id of each asked basket."""
    events: int
    """How many events the file has, of whatever kind."""


def bought(events: Iterable[Event], begin: float) -> Bought:
    """Each purchase event is a basket, in the order of time, events of one time in the order of the file; one that comes twice
    is one.

    Asked are the baskets of users with at least two earlier ones, after the part `begin` (0 to 1) of the time from the
    first purchase to the last.

    >>> from recsys.events import Line
    >>> def buy(time_ms: int) -> Event:
    ...     return Event(kind=Kind.PURCHASE, user_id="u", lines=(Line("a"), Line("b"), Line("a")), time_ms=time_ms)
    >>> found = bought([buy(1000), buy(2000), buy(3000)], 0.8)
    >>> found.baskets.asked.tolist(), found.baskets.item.tolist()
    ([False, False, True], [0, 1, 0, 1, 0, 1])
    """
    count = 0
    purchases = []
    seen: set[tuple[str, str]] = set()
    for event in events:
        count += 1
        if event.kind is Kind.PURCHASE and (event.user_id, event.event_id) not in seen:
            if event.event_id:
                seen.add((event.user_id, event.event_id))
            purchases.append(event)
    purchases.sort(key=lambda event: event.time_ms)
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    user = np.array([users.setdefault(event.user_id, len(users)) for event in purchases], np.int32)
    baskets = [dict.fromkeys(line.item_id for line in event.lines) for event in purchases]
    item = np.array([items.setdefault(name, len(items)) for basket in baskets for name in basket], np.int32)
    time = np.array([event.time_ms for event in purchases], np.int64)
    start = np.cumsum([0, *map(len, baskets)], dtype=np.int64)
    asked = earlier(user) >= EARLIER
    if len(time):
        asked &= time >= time[0] + begin * (time[-1] - time[0])
    return Bought(
        Baskets(user, time, asked, start, item),
        list(items),
        [(purchases[b].event_id, purchases[b].user_id) for b in np.flatnonzero(asked)],
        count,
    )
