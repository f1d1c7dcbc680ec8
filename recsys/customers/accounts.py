"""Accounts: those of the customers in a batch, as they are once it is counted. Pure; batches may begin and end anywhere."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from recsys.batch import Arrival
from recsys.customers import account, rfm
from recsys.customers.account import Account
from recsys.customers.rfm import Spreads


class Stored(NamedTuple):
    """What is stored of the customers of a partition, each by user."""

    accounts: Mapping[str, bytes | None]
    spreads: bytes | None
    """How all of them stand."""


class Settled(NamedTuple):
    """The same after a batch."""

    accounts: dict[str, Account]
    """Of those who have an event in the chunk, as they now are."""
    changed: dict[str, bytes]
    """Of these the ones that have something new, packed."""
    spreads: bytes | None
    """Packed; None where nobody stands elsewhere than before."""


def settle(stored: Stored, fresh: Sequence[Arrival], session_gap_ms: int, rates: Mapping[str, float]) -> Settled:
    """Counts a partition's events that are not counted yet and no repeats."""
    accounts = {user: account.unpack(value) for user, value in stored.accounts.items()}
    by_user: dict[str, list[Arrival]] = {}
    for arrival in fresh:
        by_user.setdefault(arrival.event.user_id, []).append(arrival)
    spreads: Spreads | None = None
    for user, arrivals in by_user.items():
        theirs = accounts[user]
        before = rfm.standing(theirs, rates)
        account.count_all(theirs, arrivals, session_gap_ms)
        after = rfm.standing(theirs, rates)
        if before != after:
            if spreads is None:
                spreads = rfm.unpack(stored.spreads)
            rfm.stand(spreads, before, after)
    changed = {user: account.pack(accounts[user]) for user in by_user}
    return Settled(accounts, changed, None if spreads is None else rfm.pack(spreads))
