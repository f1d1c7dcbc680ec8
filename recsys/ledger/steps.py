"""Steps: how far a customer came on the way to a purchase, as bits of a number, within a session, a day or anything else."""

from typing import NamedTuple

from recsys.events import Kind

SEEN, VIEWED, CARTED, BOUGHT, BOTH = 1, 2, 4, 8, 16
"""Any event; a view or click; something put into the cart; a purchase; both of the last two, in either order."""
TAKEN = [SEEN] * (max(Kind) + 1)
"""The steps that an event takes, by the number of its kind: in a list, for an enum's hash is slow."""
TAKEN[Kind.BROWSE] = TAKEN[Kind.CLICK] = SEEN | VIEWED
TAKEN[Kind.ADD_TO_CART] = SEEN | CARTED
TAKEN[Kind.PURCHASE] = SEEN | BOUGHT
LONGEST = 64
"""Hours, and minutes, before the newest that a customer is remembered to have been there in: the bits of a number."""
_ALL = (1 << LONGEST) - 1


def after(before: int, taken: int) -> int:
    """The steps taken after an event that takes some.

    >>> after(CARTED, TAKEN[Kind.PURCHASE]) == SEEN | CARTED | BOUGHT | BOTH
    True
    """
    whole = before | taken
    return whole | BOTH if whole & CARTED and whole & BOUGHT else whole


class Recently(NamedTuple):
    """Whether a customer was there in the newest hours (or minutes): bit n is the one n before the newest."""

    there: int
    is_first: bool
    """Whether the last event was the first in its hour, as far as that is remembered."""


def recently(there: int, newest: int, now: int) -> Recently:
    """After an event in the hour `now`, of a customer whose newest was `newest`; what is older than `LONGEST` is no first.

    >>> recently(0b1, 7, 9), recently(0b101, 9, 8), recently(0b101, 9, 7)
    (Recently(there=5, is_first=True), Recently(there=7, is_first=True), Recently(there=5, is_first=False))
    """
    ahead = now - newest
    if ahead > 0:
        return Recently((there << ahead | 1) & _ALL if ahead < LONGEST else 1, is_first=True)
    if ahead <= -LONGEST:
        return Recently(there, is_first=False)
    bit = 1 << -ahead
    return Recently(there | bit, is_first=not there & bit)
