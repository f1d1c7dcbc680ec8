"""Segments: how many customers are in each now, and what they brought, told from all accounts."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from recsys.customers import account, rfm
from recsys.customers.account import Account
from recsys.customers.joins import stands_alone, whole
from recsys.customers.rfm import Fifths
from recsys.keys import Keys
from recsys.ledger.figures import Amounts, add_all
from recsys.ledger.tables import Table, money, money_columns, share
from recsys.store import Store

AT_ONCE = 2_000
"""Accounts that are read together."""
NONE_YET = "no order"


class Segment(Struct):
    """The customers of one."""

    customers: int = 0
    orders: int = 0
    spent: Amounts = {}
    refunded: Amounts = {}


async def segments(store: Store, keys: Keys, partitions: int, rates: Mapping[str, float]) -> dict[str, Segment]:
    """By segment, its customers as they stand now; who never bought stands under `NONE_YET`.

    All accounts are read, one after the other: while workers count, the whole is not the state of one moment.
    """
    spreads = await store.read([[keys.spreads(partition)] for partition in range(partitions)])
    fifths = rfm.fifths(rfm.together([rfm.unpack(value) for [value] in spreads]))
    found: dict[str, Segment] = {}
    seen: set[str] = set()  # a scan may find a key twice
    batch: list[str] = []

    async def take(some: Sequence[str]) -> None:
        for [value] in await store.read([[key] for key in some]):
            if value is not None and stands_alone(kept := whole(account.unpack(value))):
                _count(found, kept, fifths, rates)

    async for key in store.scan(keys.accounts):
        if key not in seen:
            seen.add(key)
            batch.append(key)
        if len(batch) == AT_ONCE:
            await take(batch)
            batch = []
    await take(batch)
    return found


def _count(found: dict[str, Segment], each: Account, fifths: Fifths, rates: Mapping[str, float]) -> None:
    standing = rfm.standing(each, rates)
    name = NONE_YET if standing is None else rfm.segment(rfm.rfm(standing, fifths))
    segment = found.setdefault(name, Segment())
    segment.customers += 1
    segment.orders += each.orders
    add_all(segment.spent, each.spent)
    add_all(segment.refunded, each.refunded)


def table(found: Mapping[str, Segment]) -> Table:
    """A segment a row, the largest first."""
    known = sorted({currency for each in found.values() for currency in (*each.spent, *each.refunded)})
    everybody = sum(each.customers for each in found.values())
    order = sorted(found.items(), key=lambda pair: (-pair[1].customers, pair[0]))
    rows = [
        [name, each.customers, share(each.customers, everybody), each.orders, *money(each.spent, each.refunded, known)]
        for name, each in order
    ]
    return Table("segments", "Segments", ["segment", "customers", "share", "orders", *money_columns(known)], rows)
