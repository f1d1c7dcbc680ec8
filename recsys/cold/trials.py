"""Trials: how often an item was shown in a recommendation, and clicked there, as one partition counts it, in bounded room.

Items are dealt to `BUCKETS` buckets by their hash. A bucket remembers the `ROOM` items that were tried last, in that order: of
those it counts exactly, one that was forgotten and is tried again starts anew. So a batch writes so many small values at most,
however many items it shows, and where one ends does not matter.
"""

import struct
from typing import NamedTuple

from recsys.events import Event, Kind

BUCKETS = 512
ROOM = 16
_ENTRY = struct.Struct("<QII")
_MOST = 2**32 - 1


class Trials(NamedTuple):
    shown: int = 0
    """Impressions that answer a recommendation."""
    clicked: int = 0
    """Clicks that do; more than were shown where a shop tells of clicks alone."""


NO_TRIALS = Trials()
_BY_KIND = {Kind.IMPRESSION: Trials(shown=1), Kind.CLICK: Trials(clicked=1)}
Bucket = dict[int, Trials]
"""By item (hash), the one that was tried last at the end."""


def answers(event: Event) -> Trials:
    """What an event is for each of its items: a recommendation that was shown, or was clicked, or neither.

    >>> from recsys.events import Line
    >>> event = Event(kind=Kind.CLICK, user_id="u", lines=(Line("a"),), time_ms=0, recommendation_id="r")
    >>> answers(event)
    Trials(shown=0, clicked=1)
    """
    return _BY_KIND.get(event.kind, NO_TRIALS) if event.recommendation_id is not None else NO_TRIALS


def place(item: int) -> int:
    """The bucket of an item (hash)."""
    return item % BUCKETS


def add(bucket: Bucket, item: int, trial: Trials) -> None:
    """Counts a trial of an item.

    >>> bucket = {item: Trials(1, 0) for item in range(ROOM)}
    >>> add(bucket, 0, Trials(1, 0)), add(bucket, 99, Trials(1, 0))
    (None, None)
    >>> bucket[0], 1 in bucket, len(bucket) == ROOM
    (Trials(shown=2, clicked=0), False, True)
    """
    shown, clicked = bucket.pop(item, NO_TRIALS)
    bucket[item] = Trials(min(shown + trial.shown, _MOST), min(clicked + trial.clicked, _MOST))
    if len(bucket) > ROOM:
        del bucket[next(iter(bucket))]


def pack(bucket: Bucket) -> bytes:
    """The bytes to store."""
    return b"".join(_ENTRY.pack(item, *trials) for item, trials in bucket.items())


def unpack(stored: bytes | None) -> Bucket:
    """
    >>> unpack(pack({7: Trials(5, 2)})), unpack(None)
    ({7: Trials(shown=5, clicked=2)}, {})
    """
    return {item: Trials(shown, clicked) for item, shown, clicked in _ENTRY.iter_unpack(stored or b"")}
