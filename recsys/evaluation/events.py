"""The events of a file, all of them, as what an evaluation goes through: a batch, and what is asked on the way."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from recsys.batch import Arrival, Batch, columns
from recsys.compiled import I32, I64, U8, U64, Bools, compiled
from recsys.evaluation.trace import Trace
from recsys.events import Event, Kind
from recsys.fold import REFUND, in_one_session
from recsys.hashing import hash_item
from recsys.readers import Prefix
from recsys.rules import Rules

AT_ONCE = 50_000
"""Events that are put into columns together."""


class Events(NamedTuple):
    """The lines of all events in order; those of a question are `asked`, those that are not `counted` only lead up to one."""

    batch: Batch
    session: I32
    """A number for each session."""
    asked: Bools
    counted: Bools
    items: U64
    """The hashes of all items, sorted: an item's number is its place."""
    users: int

    @property
    def names(self) -> list[str]:
        """The id of each item, by its number."""
        return [self.batch.ids[item] for item in self.items.tolist()]

    @property
    def number(self) -> I32:
        """The item of each line, by its number."""
        return np.searchsorted(self.items, self.batch.item).astype(np.int32)

    @property
    def trace(self) -> Trace:
        """The same for the baselines: interactions alone."""
        lines = self.batch.kind < REFUND
        batch = self.batch
        return Trace(
            batch.user[lines],
            self.session[lines],
            self.number[lines],
            batch.time[lines],
            self.asked[lines],
            self.counted[lines],
        )


def gathered(events: Iterable[Event]) -> tuple[Batch, int]:
    """The events as one batch, and of how many users they are."""
    users: dict[str, int] = {}
    parts: list[Batch] = []
    some: list[tuple[int, Arrival]] = []
    ids: dict[int, str] = {}

    def put() -> None:
        here = list(dict.fromkeys(arrival.event.user_id for _, arrival in some))
        part = columns(some, here)
        number = np.array([users.setdefault(user, len(users)) for user in here], np.int32)
        ids.update(part.ids)
        parts.append(part._replace(user=number[part.user] if len(part.user) else part.user))
        some.clear()

    for offset, event in enumerate(events):
        some.append((0, Arrival(offset, event)))
        if len(some) == AT_ONCE:
            put()
    put()
    return joined(parts)._replace(ids=ids), len(users)


def joined(parts: Sequence[Batch]) -> Batch:
    """Batches one after the other."""
    ids = {item: name for part in parts for item, name in part.ids.items()}
    return Batch(ids, *(np.concatenate([part[c] for part in parts]) for c in range(1, len(Batch._fields))))


def prequential(events: Iterable[Event], rules: Rules) -> Events:
    """Before each interaction that goes on with a session of its user it is asked what comes; then it is counted."""
    batch, users = gathered(events)
    session, goes_on = sessions(batch, users, rules)
    return Events(batch, session, goes_on, np.ones(len(batch.item), np.bool_), np.unique(batch.item), users)


def frozen(events: Iterable[Event], test: Sequence[Prefix] | Iterable[Event], rules: Rules) -> Events:
    """All events are counted and nothing asked; then every prefix of every session of the test is asked, and nothing counted.

    Of prefixes each is a session of its own; the users of a test are none of those who were learned from.
    """
    learned, users = gathered(events)
    is_prefixes = isinstance(test, Sequence)
    batch, more = prefixes(test, learned) if isinstance(test, Sequence) else gathered(test)
    everything = joined([learned, batch._replace(user=batch.user + np.int32(users))])
    session, goes_on = sessions(everything, users + more, rules)
    counted = np.arange(len(everything.item)) < len(learned.item)
    last = np.append(everything.user[1:] != everything.user[:-1], True) if is_prefixes else True
    return Events(everything, session, goes_on & ~counted & last, counted, np.unique(everything.item), users + more)


def prefixes(test: Sequence[Prefix], learned: Batch) -> tuple[Batch, int]:
    """The lines of prefixes, each with its target at the end, and how many users they are of, as many as there are prefixes."""
    names = [name for prefix in test for name in (*prefix.items, prefix.target)]
    hashes = [hash_item(name) for name in names]
    lengths = np.array([len(prefix.items) + 1 for prefix in test], np.int64)
    user = np.repeat(np.arange(len(test), dtype=np.int32), lengths)
    n = len(names)
    place = np.arange(n) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return Batch(
        dict(zip(hashes, names, strict=True)),
        user,
        np.array(hashes, np.uint64),
        np.zeros(n, np.uint64),
        user.astype(np.uint64) + np.uint64(1),
        learned.time.max(initial=1) + place,  # a millisecond after the other: each is an event of its own
        np.full(n, Kind.CLICK, np.uint8),
        np.zeros(n, np.int32),
        np.arange(n),
        np.ones(n, np.bool_),
    ), len(test)


def sessions(batch: Batch, users: int, rules: Rules) -> tuple[I32, Bools]:
    """The number of each line's session, and whether the line is an interaction that goes on with it, in another event."""
    session = np.zeros(len(batch.item), np.int32)
    goes_on = np.zeros(len(batch.item), np.bool_)
    columns = (batch.user, batch.session, batch.time, batch.kind, batch.opens)
    _sessions(*columns, users, float(rules.session_gap_ms), session, goes_on)
    return session, goes_on


@compiled
def _sessions(
    user: I32, session: U64, time: I64, kind: U8, opens: Bools, users: int, gap_ms: float, number: I32, goes_on: Bools
) -> None:
    last = np.full(users, -1)
    found = 0
    for k in range(len(user)):
        if kind[k] >= REFUND:
            continue
        before = last[user[k]]
        if before >= 0 and in_one_session(session[before], time[before], session[k], time[k], gap_ms):
            number[k] = number[before]
            goes_on[k] = opens[k]
        else:
            number[k] = found
            found += 1
        last[user[k]] = k
