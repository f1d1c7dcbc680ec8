"""Steps: how far a customer came on the way to a purchase, as bits of a number, within a session, a day or anything else."""

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


def recently(there: int, newest: int, now: int) -> tuple[int, bool]:
    """In which hours (or minutes) a customer was there, bit n is the one n before the newest, after an event in the hour `now`;
    and whether that event is the first in it. `newest` is the one before; in hours older than `LONGEST` nothing is a first.

    >>> recently(0b1, 7, 9), recently(0b101, 9, 8), recently(0b101, 9, 7)
    ((5, True), (7, True), (5, False))
    """
    ahead = now - newest
    if ahead > 0:
        return (there << ahead | 1) & _ALL if ahead < LONGEST else 1, True
    if ahead <= -LONGEST:
        return there, False
    bit = 1 << -ahead
    return there | bit, not there & bit
