"""Firsts: what an event is the first of for its customer, so that distinct customers can be counted without a sketch."""

import struct
from typing import NamedTuple

from recsys.calendar import HOUR_MS, MINUTE_MS, monday, month_of, week_of
from recsys.customers.account import Account, other_session
from recsys.customers.days import ELSEWHERE, THAT_DAY, Days, any_between, contains, day_of, fits, nearness, with_day
from recsys.events import Event
from recsys.hashing import NONE, hash_item, hash_session
from recsys.ledger.steps import BOUGHT, CARTED, SEEN, TAKEN, VIEWED, after, recently

MOST_ITEMS = 4096
"""Of those that a customer bought, the last that are remembered; one that was forgotten is bought for the first time again."""
MOST_PLACES = 40
"""Sources and countries that a customer is remembered to have been in; in further ones the customer does not count."""


class Firsts(NamedTuple):
    """Steps (`recsys.ledger.steps`) that the customer takes for the first time with an event, in each of these."""

    ever: int
    month: int
    day: int
    session: int
    hour: bool
    """Whether the event is the first in it at all; where it comes more than `LONGEST` hours, or minutes, after a newer one it
    is none."""
    minute: bool
    week: bool
    """Whether it is the first order in its week."""
    session_id: int
    """Its hash."""


def note(account: Account, event: Event, session_gap_ms: int) -> Firsts:
    """What an event is the first of, for a customer whose account does not count it yet; notes it there."""
    time_ms, taken = event.time_ms, TAKEN[event.kind]
    day = day_of(time_ms)
    newest_ms = account.last_ms if account.kinds else time_ms
    account.hours_there, hour = recently(account.hours_there, newest_ms // HOUR_MS, time_ms // HOUR_MS)
    account.minutes_there, minute = recently(account.minutes_there, newest_ms // MINUTE_MS, time_ms // MINUTE_MS)
    before = account.steps
    account.steps = after(before, taken)
    session_id = hash_session(event.session_id) if event.session_id else NONE
    session = _of_session(account, event, session_id, session_gap_ms) if event.kind.is_interaction else 0
    month = on_day = 0
    week = False
    if not taken & VIEWED:
        month, on_day = _of_days(account, taken, day)
    elif not contains(account.view_days, day):  # else, as nearly always, it is one more look on a day with one: no first at all
        month, on_day = _of_days(account, taken, day)
        account.view_days = with_day(account.view_days, day)
    if taken & CARTED:
        account.cart_days = with_day(account.cart_days, day)
    elif taken & BOUGHT:
        begins, ends = monday(week_of(day)), monday(week_of(day) + 1) - 1
        week = fits(account.order_days, day) and not any_between(account.order_days, begins, ends)
        account.cohort = account.cohort or week_of(day)
    return Firsts(account.steps & ~before, month, on_day, session, hour, minute, week, session_id)


def _of_days(account: Account, taken: int, day: int) -> tuple[int, int]:
    """What is first in the month, and on the day. On a day too far from the others to be remembered nothing is."""
    if taken & (CARTED | BOUGHT):
        steps: tuple[tuple[int, Days], ...] = ((SEEN, account.days), (CARTED, account.cart_days), (BOUGHT, account.order_days))
    elif taken & VIEWED:
        steps = ((SEEN, account.days), (VIEWED, account.view_days))
    else:
        steps = ((SEEN, account.days),)
    month = month_of(day)
    on_day = in_month = 0
    for step, days in steps:
        there = nearness(days, day, month.first, month.last)
        on_day |= step * (there == THAT_DAY)
        in_month |= step * (there != ELSEWHERE)
    return _new(in_month, taken), _new(on_day, taken)


def _new(before: int, taken: int) -> int:
    """Of the steps that an event takes, those that were not taken before."""
    before = after(before, 0)
    return after(before, taken) & ~before


def _of_session(account: Account, event: Event, session: int, session_gap_ms: int) -> int:
    before = 0 if other_session(account, session, event.time_ms, session_gap_ms) else account.session_steps
    account.session_steps = after(before, TAKEN[event.kind])
    return account.session_steps & ~before


def in_place(account: Account, place: str, taken: int) -> int:
    """The steps that the customer takes for the first time in a source or a country; notes them."""
    before = account.places.get(place, 0)
    if not before and len(account.places) >= MOST_PLACES:
        return 0
    account.places[place] = after(before, taken)
    return account.places[place] & ~before


def bought(account: Account, items: set[str]) -> set[str]:
    """Those of the items that the customer buys for the first time; notes them.

    >>> account = Account()
    >>> bought(account, {"a"}), bought(account, {"a", "b"})
    ({'a'}, {'b'})
    """
    known = set(struct.unpack(f"<{len(account.bought) // 8}Q", account.bought))
    new = sorted((hash_item(item), item) for item in items if hash_item(item) not in known)
    if new:
        account.bought = (account.bought + struct.pack(f"<{len(new)}Q", *(each for each, _ in new)))[-8 * MOST_ITEMS :]
    return {item for _, item in new}
