"""Segments: how many customers are in each now, and what they brought, and who moved when, told from all accounts."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from recsys.customers import account, rfm
from recsys.customers.account import Account
from recsys.customers.feedback import NO_FEEDBACK, Feedback, merged
from recsys.customers.joins import stands_alone, whole
from recsys.customers.message import said
from recsys.customers.rfm import Fifths
from recsys.keys import Keys
from recsys.ledger.active import Activity
from recsys.ledger.figures import Amounts, add_all
from recsys.ledger.moves import NONE_YET, Trades
from recsys.ledger.tables import Table, Value, money, money_columns, share
from recsys.store import Store

AT_ONCE = 2_000
"""Accounts that are read together."""
SAID = ("ratings", "mean rating", "comments", "mean sentiment")


class Segment(Struct):
    """The customers of one."""

    customers: int = 0
    orders: int = 0
    spent: Amounts = {}
    refunded: Amounts = {}
    feedback: Feedback = NO_FEEDBACK


class Census(NamedTuple):
    """What all accounts say."""

    segments: dict[str, Segment]
    """Customers as they stand now; who never bought stands under `NONE_YET`."""
    trades: Trades
    activity: Activity


async def census(store: Store, keys: Keys, partitions: int, rates: Mapping[str, float]) -> Census:
    """Of all customers who are not forgotten.

    All accounts are read, one after the other: while workers count, the whole is not the state of one moment.
    """
    spreads = await store.read([[keys.spreads(partition)] for partition in range(partitions)])
    fifths = rfm.fifths(rfm.together([rfm.unpack(value) for [value] in spreads]))
    found, trades, activity = dict[str, Segment](), Trades(), Activity()
    seen: set[str] = set()  # a scan may find a key twice
    batch: list[str] = []

    async def take(some: Sequence[str]) -> None:
        for [value] in await store.read([[key] for key in some]):
            if value and stands_alone(each := whole(account.unpack(value))):
                _count(found, each, fifths, rates)
                trades.add(each.trade)
                activity.add(each.days)

    async for key in store.scan(keys.accounts):
        if key not in seen:
            seen.add(key)
            batch.append(key)
        if len(batch) == AT_ONCE:
            await take(batch)
            batch = []
    await take(batch)
    return Census(found, trades, activity)


def _count(found: dict[str, Segment], each: Account, fifths: Fifths, rates: Mapping[str, float]) -> None:
    standing = rfm.standing(each, rates)
    name = NONE_YET if standing is None else rfm.segment(rfm.rfm(standing, fifths))
    segment = found.setdefault(name, Segment())
    segment.customers += 1
    segment.orders += each.orders
    add_all(segment.spent, each.spent)
    add_all(segment.refunded, each.refunded)
    segment.feedback = merged(segment.feedback, each.feedback or NO_FEEDBACK)


def table(found: Mapping[str, Segment]) -> Table:
    """A segment a row, the largest first; what customers said where anybody rated anything."""
    known = sorted({currency for each in found.values() for currency in (*each.spent, *each.refunded)})
    everybody = sum(each.customers for each in found.values())
    order = sorted(found.items(), key=lambda pair: (-pair[1].customers, pair[0]))
    rated = any(each.feedback.ratings for each in found.values())
    rows = [
        [
            name,
            each.customers,
            share(each.customers, everybody),
            each.orders,
            *money(each.spent, each.refunded, known),
            *(_said(each.feedback) if rated else ()),
        ]
        for name, each in order
    ]
    columns = ["segment", "customers", "share", "orders", *money_columns(known), *(SAID if rated else ())]
    return Table("segments", "Segments", columns, rows)


def _said(feedback: Feedback) -> list[Value]:
    if not feedback.ratings:
        return [0, None, 0, None]
    told = said(feedback)
    return [told.ratings, told.mean_rating, told.comments, told.mean_sentiment]
