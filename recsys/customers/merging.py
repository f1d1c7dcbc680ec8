"""Merging: two accounts as one, as if of one customer. Pure, and in any order: those of several visitors come to the same."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from msgspec.structs import replace

from recsys.customers import feedback, trade
from recsys.customers.account import Account
from recsys.customers.days import union
from recsys.customers.feedback import Feedback
from recsys.customers.money import MOST

Name = TypeVar("Name", int, str)


def merged(a: Account, b: Account) -> Account:
    """All that is told of a customer who was both. What only counting goes by (steps, the newest session) stays that of `a`.

    In what is told it is commutative and associative, and an account without an event changes nothing.

    >>> def of(orders):
    ...     return Account(kinds={5: orders}, first_ms=7, last_ms=9, orders=orders, spent={"EUR": orders})
    >>> both = merged(of(1), of(2))
    >>> both.orders, both.spent, merged(Account(), both) == merged(both, Account()) == both
    (3, {'EUR': 3}, True)
    """
    some = [account for account in (a, b) if account.kinds]
    return replace(
        a,
        first_ms=min((account.first_ms for account in some), default=0),
        last_ms=max((account.last_ms for account in some), default=0),
        days=union(a.days, b.days),
        sessions=a.sessions + b.sessions,
        kinds=_by_name(a.kinds, b.kinds),
        sources=_by_name(a.sources, b.sources),
        hours=_each(a.hours, b.hours),
        weekdays=_each(a.weekdays, b.weekdays),
        orders=a.orders + b.orders,
        order_days=union(a.order_days, b.order_days),
        units=min(a.units + b.units, MOST),
        spent=_by_name(a.spent, b.spent),
        refunded=_by_name(a.refunded, b.refunded),
        shown=a.shown + b.shown,
        clicked=a.clicked + b.clicked,
        taken=a.taken + b.taken,
        trade=trade.merged(a.trade, b.trade),
        feedback=_said(a.feedback, b.feedback),
    )


def told(account: Account) -> Account:
    """What of an account `merged` puts together, and nothing else.

    >>> told(Account(kinds={1: 2}, steps=3)) == Account(kinds={1: 2})
    True
    """
    return merged(Account(), account)


def _said(a: Feedback | None, b: Feedback | None) -> Feedback | None:
    return feedback.merged(a, b) if a and b else a or b


def _by_name(a: Mapping[Name, int], b: Mapping[Name, int]) -> dict[Name, int]:
    both = dict(a)
    for name, count in b.items():
        both[name] = min(both.get(name, 0) + count, MOST)
    return both


def _each(a: Sequence[int], b: Sequence[int]) -> list[int]:
    return [x + y for x, y in zip(a, b, strict=True)] if a and b else [*a, *b]
