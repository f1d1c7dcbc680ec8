"""Accounts: those of the customers in a batch, as they are once it is counted. Pure; batches may begin and end anywhere."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from recsys.batch import Arrival
from recsys.customers import account, firsts, rfm, trade
from recsys.customers.account import Account
from recsys.customers.rfm import Standing
from recsys.events import Kind
from recsys.ledger.ledger import Ledger, Written
from recsys.ledger.steps import SEEN

TRADING = (Kind.PURCHASE, Kind.REFUND)


class Stored(NamedTuple):
    """What is stored of the customers of a partition, each by user."""

    accounts: Mapping[str, bytes | None]
    spreads: bytes | None
    """How all of them stand."""
    ledger: Mapping[str, bytes | None]
    """Figures of all of them, by scope."""


class Settled(NamedTuple):
    """The same after a batch."""

    accounts: dict[str, Account]
    """Of those who have an event in the chunk and allow an account, as they now are."""
    changed: dict[str, bytes]
    """Of these the ones that have something new, packed."""
    spreads: bytes | None
    """Packed; None where nobody stands elsewhere than before."""
    ledger: Written
    """The figures that are other ones."""


def settle(
    stored: Stored, fresh: Sequence[Arrival], session_gap_ms: int, rates: Mapping[str, float], refused: Set[str] = frozenset()
) -> Settled:
    """Counts a partition's events that are not counted yet and no repeats, but for those of users who refuse an account: they
    are in no figure either."""
    accounts = {user: account.unpack(value) for user, value in stored.accounts.items() if user not in refused}
    before: dict[str, Standing | None] = {}
    ledger = Ledger(stored.ledger)
    for _, event, _ in fresh:
        theirs = accounts.get(event.user_id)
        if theirs is None:
            continue
        if event.user_id not in before:
            before[event.user_id] = rfm.standing(theirs, rates)
        first = firsts.note(theirs, event, session_gap_ms)
        ledger.count(event, theirs, first)
        if event.kind in TRADING:
            trade.note(theirs.trade, event, theirs.order_days, rates)
        account.count(theirs, event, first.session_id, begins_session=bool(first.session & SEEN))
    spreads = _spreads(stored.spreads, before, {user: rfm.standing(accounts[user], rates) for user in before})
    return Settled(accounts, {user: account.pack(accounts[user]) for user in before}, spreads, ledger.written())


def erase(accounts: Iterable[bytes], spreads: bytes | None, rates: Mapping[str, float]) -> bytes:
    """How all stand without the customers of these accounts, packed."""
    left = rfm.unpack(spreads)
    for value in accounts:
        rfm.stand(left, rfm.standing(account.unpack(value), rates), None)
    return rfm.pack(left)


def _spreads(stored: bytes | None, before: Mapping[str, Standing | None], after: Mapping[str, Standing | None]) -> bytes | None:
    """How all stand after some of them moved, packed; None where nobody did."""
    if before == after:
        return None
    spreads = rfm.unpack(stored)
    for user, standing in after.items():
        rfm.stand(spreads, before[user], standing)
    return rfm.pack(spreads)
