"""Accounts: those of the customers in a batch, as they are once it is counted. Pure; batches may begin and end anywhere."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from recsys.batch import Arrival
from recsys.customers import account, firsts, joins, rfm, trade
from recsys.customers.account import Account
from recsys.customers.joins import Deeds, Forgotten, Identification, Letter, Parted
from recsys.customers.rfm import Standing
from recsys.events import Kind
from recsys.ledger.ledger import Ledger, Written
from recsys.ledger.steps import SEEN
from recsys.store import NO_VALUE

NEW = Account()
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
    letters: list[Letter]
    """To be sent before this is committed."""
    refused: int
    """Identifications of visitors who had joined another customer."""


def settle(
    stored: Stored,
    partition: int,
    fresh: Sequence[Arrival],
    session_gap_ms: int,
    rates: Mapping[str, float],
    as_of: Mapping[tuple[int, int], Deeds],
    refuse: Set[str] = frozenset(),
) -> Settled:
    """Counts a partition's events that are not counted yet and no repeats, but for those of users who refuse an account: they
    are in no figure either.

    `as_of` is what visitors had done where they are identified (`recsys.identified.as_of`).
    """
    accounts = {user: account.unpack(value) for user, value in stored.accounts.items() if user not in refuse}
    before: dict[str, Standing | None] = {}
    ledger = Ledger(stored.ledger)
    letters: list[Letter] = []
    refused = 0
    leaves = False
    for offset, event, _, message in fresh:
        theirs = accounts.get(event.user_id)
        if theirs is None or (isinstance(message, Identification) and message.user_id in refuse):
            continue
        if event.user_id not in before:
            before[event.user_id] = _standing(theirs, rates)
        if event.kind is Kind.FORGET:
            letters += [Letter(partition, offset, said) for said in joins.farewell(theirs, event.user_id, event.time_ms)]
            leaves = leaves or _standing(theirs, rates) is not None
            accounts[event.user_id] = Account()
            continue
        if message is not None:
            if isinstance(message, Forgotten):
                letters += [Letter(partition, offset, said) for said in joins.release(theirs, event.user_id, message)]
            elif isinstance(message, Parted):
                leaves = leaves or _standing(theirs, rates) is not None
                joins.part_from(theirs, message)
            elif not isinstance(message, Identification):
                if theirs.joins is not None:  # else the customer was forgotten since asking
                    joins.take_in(theirs, message)
            elif joins.refuses(theirs, message):
                refused += 1
            elif joined := joins.answer(theirs, message, as_of[partition, offset]):
                letters.append(Letter(partition, offset, joined))
                leaves = leaves or theirs.orders > 0
            continue
        first = firsts.note(theirs, event, session_gap_ms)
        ledger.count(event, theirs, first)
        if event.kind in TRADING:
            trade.note(theirs.trade, event, theirs.order_days, rates)
        account.count(theirs, event, first.session_id, begins_session=bool(first.session & SEEN))
        if event.visitor is not None and (asked := joins.ask(theirs, event)):
            letters.append(Letter(partition, offset, asked))
    after = {user: _standing(accounts[user], rates) for user in before}
    # A visitor who ordered in this batch and leaves in it stood among all in between: what is written says so in any batch.
    spreads = _spreads(stored.spreads, before, after) if leaves or before != after else None
    changed = {user: NO_VALUE if (now := accounts[user]) == NEW else account.pack(now) for user in before}
    changed = {user: value for user, value in changed.items() if value or stored.accounts[user]}
    return Settled(accounts, changed, spreads, ledger.written(), letters, refused)


def erase(accounts: Iterable[bytes], spreads: bytes | None, rates: Mapping[str, float]) -> bytes:
    """How all stand without the customers of these accounts, packed."""
    left = rfm.unpack(spreads)
    for value in accounts:
        rfm.stand(left, _standing(account.unpack(value), rates), None)
    return rfm.pack(left)


def _standing(theirs: Account, rates: Mapping[str, float]) -> Standing | None:
    """Where a customer stands, with the visitors who joined; these stand there no more."""
    if theirs.joins is None:
        return rfm.standing(theirs, rates)
    return rfm.standing(joins.whole(theirs), rates) if joins.stands_alone(theirs) else None


def _spreads(stored: bytes | None, before: Mapping[str, Standing | None], after: Mapping[str, Standing | None]) -> bytes:
    """How all stand after some of them moved, packed."""
    spreads = rfm.unpack(stored)
    for user, standing in after.items():
        rfm.stand(spreads, before[user], standing)
    return rfm.pack(spreads)
