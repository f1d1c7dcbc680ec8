"""Joined histories: what visitors did before they were known, on its way to the customer, and in the customer's ranking."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recsys import histories
from recsys.batch import Arrival, columns
from recsys.compiled import I32
from recsys.customers.account import Account
from recsys.customers.joins import Identification
from recsys.fold import fold
from recsys.histories import Histories
from recsys.rules import Rules

Fresh = Sequence[tuple[int, Arrival]]
"""Arrivals that are not counted yet, each with its partition, in the order of the topic."""


def as_of(fresh: Fresh, before: Histories, place: Mapping[str, int], rules: Rules) -> dict[tuple[int, int], bytes]:
    """By partition and offset of an identification, the visitor's history as it stands there, packed; empty for none.

    `before` are the histories before the batch, by `place` of the user.
    """
    asked = {arrival.event.user_id for _, arrival in fresh if isinstance(arrival.message, Identification)}
    own = {user: one_of(before, place[user]) for user in asked}
    uncounted: dict[str, list[tuple[int, Arrival]]] = {user: [] for user in asked}
    found = {}
    for partition, arrival in fresh:
        user = arrival.event.user_id
        if user not in asked:
            continue
        if not isinstance(arrival.message, Identification):
            uncounted[user].append((partition, arrival))
            continue
        if uncounted[user]:
            fold(own[user], columns(uncounted[user], [user]), rules)
            uncounted[user] = []
        packed = histories.pack(own[user], np.zeros(1, np.int64))
        found[partition, arrival.offset] = packed[0] if own[user].length[0] else b""
    return found


def one_of(found: Histories, at: int) -> Histories:
    """A copy of the history in a place."""
    return Histories._make(column[at : at + 1].copy() for column in found)


def with_visitors(found: Histories, accounts: Mapping[int, Account], new: I32) -> Histories:
    """The histories with those of the visitors who joined, by event time, for ranking; `accounts` are by place.

    What is `new` stays at the end, as ranking learns from it, and of what is too much the oldest is left out.
    """
    joined = {
        at: [part.history for part in account.joins.parts.values() if part.history]
        for at, account in accounts.items()
        if account.joins is not None
    }
    joined = {at: parts for at, parts in joined.items() if parts}
    if not joined:
        return found
    found = Histories._make(column.copy() for column in found)
    for at, parts in joined.items():
        _join(found, at, histories.unpack(parts, found.item.shape[1]), int(new[at]))
    return found


def _join(found: Histories, at: int, parts: Histories, new: int) -> None:
    room, own = found.item.shape[1], int(found.length[at])
    new = min(new, own)
    theirs = np.arange(room) < parts.length[:, None]
    old = slice(0, own - new)
    order = np.argsort(np.concatenate((parts.time[theirs], found.time[at, old])), kind="stable")
    length = min(len(order) + new, room)
    columns_of_both: Iterable[tuple[Any, Any]] = zip(found[:-1], parts[:-1], strict=True)
    for column, of_parts in columns_of_both:
        earlier = np.concatenate((of_parts[theirs], column[at, old]))[order]
        column[at, :length] = np.concatenate((earlier, column[at, own - new : own]))[-length:]
    found.length[at] = length
