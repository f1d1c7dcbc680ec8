"""The events of a file, all of them, as what an evaluation goes through: a batch, and what is asked on the way."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from recsys.alike import ALIKE, NOTHING_ALIKE, Alike, alike
from recsys.baskets import Baskets, none_kept
from recsys.batch import Arrival, Batch, columns, matters
from recsys.catalogue.catalogue import Catalogue
from recsys.compiled import F64, I32, I64, U8, U64, Bools, compiled_maker
from recsys.deltas import Deltas
from recsys.evaluation.trace import Trace
from recsys.events import FIRST_OTHER, Event, Kind
from recsys.fold import Lines, by_kind, count_lines, in_one_session, no_deltas
from recsys.hashing import hash_item
from recsys.histories import Histories, empty
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
    alike: Alike = NOTHING_ALIKE
    """Which items are like each other by their descriptions, where there are some."""

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
        lines = self.batch.kind < FIRST_OTHER
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
        if matters(event.kind):
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
    batch = without_repeats(batch, users, rules)
    session, goes_on = sessions(batch, users, rules)
    return Events(batch, session, goes_on, np.ones(len(batch.item), np.bool_), np.unique(batch.item), users)


def frozen(events: Iterable[Event], test: Sequence[Prefix] | Iterable[Event], rules: Rules) -> Events:
    """All events are counted and nothing asked; then every prefix of every session of the test is asked, and nothing counted.

    Of prefixes each is a session of its own; the users of a test are none of those who were learned from.
    """
    learned, users = gathered(events)
    learned = without_repeats(learned, users, rules)
    is_prefixes = isinstance(test, Sequence)
    batch, more = prefixes(test, learned) if isinstance(test, Sequence) else gathered(test)
    everything = joined([learned, batch._replace(user=batch.user + np.int32(users))])
    session, goes_on = sessions(everything, users + more, rules)
    counted = np.arange(len(everything.item)) < len(learned.item)
    last = np.append(everything.user[1:] != everything.user[:-1], True) if is_prefixes else True
    return Events(everything, session, goes_on & ~counted & last, counted, np.unique(everything.item), users + more)


def described(events: Events, catalogue: Catalogue) -> Events:
    """The same events in a shop whose catalogue is known from the beginning: what nobody met yet can be an answer, too."""
    items = np.unique(np.concatenate((events.items, np.array(list(catalogue.names), np.uint64))))
    names = events.batch._replace(ids=catalogue.names | events.batch.ids)
    return events._replace(batch=names, items=items, alike=alike(items, *catalogue.alike(items, ALIKE)))


def without_repeats(batch: Batch, users: int, rules: Rules) -> Batch:
    """A batch without the events whose id their user's history has already: they change nothing.

    >>> from recsys.events import Line
    >>> click = Event(kind=Kind.CLICK, user_id="u", lines=(Line("a"),), time_ms=10**12, event_id="e")
    >>> len(without_repeats(*gathered([click, click]), Rules()).item)
    1
    """
    if not batch.event.any():
        return batch
    place, begins, used = places(batch.user, users)
    stays = np.ones(len(batch.item), np.bool_)
    starts = np.flatnonzero(batch.opens)
    ends = np.append(starts[1:], len(stays))
    deltas = no_deltas(int((ends - starts).max(initial=0)), rules)
    lines = Lines(place, *batch[2:])
    _mark_repeats(
        lines,
        begins,
        starts,
        ends,
        empty(used, rules.history),
        deltas,
        none_kept(),
        rules.window,
        float(rules.session_gap_ms),
        by_kind(rules.action_weights),
        stays,
    )
    return Batch._make((batch.ids, *(column[stays] for column in batch[1:])))


@compiled_maker
def _mark_repeats(
    lines: Lines, begins: Bools, starts: I64, ends: I64, here: Histories, deltas: Deltas,
    no_baskets: Baskets, window: int, gap_ms: float, action: F64, stays: Bools,
) -> None:  # fmt: skip
    for n in range(len(starts)):
        k, end = starts[n], ends[n]
        if begins[k]:
            here.length[lines.user[k]] = 0
        changed, repeats = np.zeros((2, end - k), np.bool_)
        count_lines(here, lines, k, end, deltas, changed, repeats, no_baskets, window, gap_ms, action)
        if lines.kind[k] < FIRST_OTHER:
            stays[k:end] = changed


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


def places(user: I32, users: int) -> tuple[I32, Bools, int]:
    """A place for each line's user, whether the line is its first, and how many places there are.

    A place is free again after its user's last line: so the histories of a file of a million visitors take no more room than
    those of the visitors who are there at one time.
    """
    place, begins = np.zeros(len(user), np.int32), np.zeros(len(user), np.bool_)
    used = _places(user, np.full(users, -1), np.full(users, -1, np.int32), np.zeros(users, np.int32), place, begins)
    return place, begins, used


@compiled_maker
def _places(user: I32, last: I64, of: I32, free: I32, place: I32, begins: Bools) -> int:
    for k in range(len(user)):
        last[user[k]] = k
    used, waiting = 0, 0
    for k in range(len(user)):
        u = user[k]
        if of[u] < 0:
            begins[k] = True
            if waiting > 0:
                waiting -= 1
                of[u] = free[waiting]
            else:
                of[u] = used
                used += 1
        place[k] = of[u]
        if last[u] == k:
            free[waiting] = of[u]
            waiting += 1
    return used


def sessions(batch: Batch, users: int, rules: Rules) -> tuple[I32, Bools]:
    """The number of each line's session, and whether the line is an interaction that goes on with it, in another event."""
    session = np.zeros(len(batch.item), np.int32)
    goes_on = np.zeros(len(batch.item), np.bool_)
    columns = (batch.user, batch.session, batch.time, batch.kind, batch.opens)
    _sessions(*columns, users, float(rules.session_gap_ms), session, goes_on)
    return session, goes_on


@compiled_maker
def _sessions(
    user: I32, session: U64, time: I64, kind: U8, opens: Bools, users: int, gap_ms: float, number: I32, goes_on: Bools
) -> None:
    last = np.full(users, -1)
    found = 0
    for k in range(len(user)):
        if kind[k] >= FIRST_OTHER:
            continue
        before = last[user[k]]
        if before >= 0 and in_one_session(session[before], time[before], session[k], time[k], gap_ms):
            number[k] = number[before]
            goes_on[k] = opens[k]
        else:
            number[k] = found
            found += 1
        last[user[k]] = k
