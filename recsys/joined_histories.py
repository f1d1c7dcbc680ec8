"""Joined histories: what visitors did before they were known, with what the customer did, for ranking."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from recsys import histories
from recsys.compiled import I32
from recsys.customers.account import Account
from recsys.histories import Histories


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
