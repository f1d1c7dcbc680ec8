"""A batch: the events to be counted as columns, a line for each item of each event."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recsys.compiled import I32, I64, U8, U64, Bools
from recsys.customers.joins import Message
from recsys.events import Event, Kind
from recsys.hashing import NONE, hash_id, hash_item, hash_session


class Arrival(NamedTuple):
    """An event where it is counted: in its user's home partition, at this offset."""

    offset: int
    event: Event
    origin: tuple[int, int] | None = None
    """The partition and offset it was forwarded from, where it first came to another partition; or of a message, that of the
    record on whose account it was sent."""
    message: Message | None = None
    """Of another home, on a visitor who joins a customer; then `event` only says to whom, and is counted for nobody."""


class Batch(NamedTuple):
    """Columns of one length, those of each partition in the order of the topic; `user` is the place of its history."""

    ids: dict[int, str]
    """The item ids that stand in the batch, by their hash."""
    user: I32
    item: U64
    event: U64
    session: U64
    time: I64
    kind: U8
    partition: I32
    offset: I64
    opens: Bools
    """Whether the line is the first of its event."""


def matters(kind: Kind) -> bool:
    """Whether an event of this kind changes a history: interactions do, and a refund takes a purchase back.

    >>> matters(Kind.REFUND), matters(Kind.SEARCH)
    (True, False)
    """
    return kind.is_interaction or kind is Kind.REFUND


def columns(arrivals: Sequence[tuple[int, Arrival]], users: Sequence[str]) -> Batch:
    """The batch of these arrivals, each with its partition, all of `users`.

    An event that changes no history has one line, without an item: it may be a repeat, too.

    >>> from recsys.events import decode
    >>> event = decode(b'{"event_type": "click", "user_id": "u", "items": [{"item_id": "a"}, {"item_id": "b"}]}', 10**12)
    >>> columns([(0, Arrival(7, event))], ["u"]).opens
    array([ True, False])
    """
    index = {user: place for place, user in enumerate(users)}
    ids: dict[int, str] = {}
    rows = []
    for partition, (offset, event, *_) in arrivals:
        user = index[event.user_id]
        event_hash = hash_id(event.event_id) if event.event_id else NONE
        session = hash_session(event.session_id) if event.session_id else NONE
        if not matters(event.kind):
            rows.append((user, NONE, event_hash, session, event.time_ms, event.kind, partition, offset, True))
            continue
        opens = True
        for line in event.lines:
            item = hash_item(line.item_id)
            ids[item] = line.item_id
            rows.append((user, item, event_hash, session, event.time_ms, event.kind, partition, offset, opens))
            opens = False
    table = np.array(rows, dtype=LINE)
    # Copies: a compiled function is made for contiguous columns only.
    return Batch(ids, *(np.ascontiguousarray(table[name]) for name in LINE.names or ()))


LINE = np.dtype(
    [
        ("user", np.int32),
        ("item", np.uint64),
        ("event", np.uint64),
        ("session", np.uint64),
        ("time", np.int64),
        ("kind", np.uint8),
        ("partition", np.int32),
        ("offset", np.int64),
        ("opens", np.bool_),
    ]
)
