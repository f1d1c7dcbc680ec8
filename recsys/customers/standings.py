"""Standings: where each customer stands among all, those of other workers too, and the messages that say so."""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

from recsys.batch import Arrival
from recsys.customers import message, rfm
from recsys.customers.account import Account
from recsys.customers.joins import stands_alone
from recsys.customers.message import Customer
from recsys.customers.rfm import Fifths
from recsys.item_shards import ItemShards
from recsys.keys import Keys
from recsys.rules import Rules
from recsys.store import Store

AT_ONCE = 200
"""Messages made without letting anything else run."""
FRESH_S = 1.0
"""For so long it is taken to be true what was read of how all customers stand."""


class Known(NamedTuple):
    """A customer as the account now is, with the visitors who joined, and the newest event."""

    user: str
    partition: int
    arrival: Arrival
    account: Account


class Standings:
    """Knows what parts the fifths of all customers, what segment the newest message of a customer named, and what the shop told
    of a customer: that stands under keys of the live system, `described`, also while another state is built.
    """

    def __init__(self, store: Store, items: ItemShards, keys: Keys, rules: Rules, described: Keys) -> None:
        self._store = store
        self._items = items
        self._keys = keys
        self._described = described
        self._rates = dict(rules.rates)
        self._fifths: Fifths | None = None
        self._read_s = 0.0

    async def messages(self, customers: Sequence[Known]) -> list[tuple[Known, Customer]]:
        """A message for each of the customers."""
        found: list[tuple[Known, Customer]] = []
        ordered = [known.user for known in customers if known.account.orders]
        keys = [self._keys.customer(user) for user in ordered]
        keys += [self._described.described(known.user) for known in customers]
        replies = [value for [value] in await self._store.read([[key] for key in keys])]
        newest = zip(ordered, replies[: len(ordered)], strict=True)
        before = {user: message.segment_of(value) for user, value in newest if value is not None}
        for n, (known, by_shop) in enumerate(zip(customers, replies[len(ordered) :], strict=True)):
            if n % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            standing = rfm.standing(known.account, self._rates) if stands_alone(known.account) else None
            scores = None if standing is None else rfm.rfm(standing, await self._all())
            segment = None if scores is None else rfm.segment(scores)
            told = message.customer(known.user, known.account, known.arrival.event.time_ms, scores, segment)
            if before.get(known.user, segment) != segment:
                told.previous_segment = before[known.user]
            if by_shop is not None:
                message.describe(told, by_shop)
            found.append((known, told))
        return found

    async def _all(self) -> Fifths:
        now_s = time.monotonic()
        if self._fifths is None or now_s - self._read_s > FRESH_S:
            partitions = sorted(await self._items.partitions())
            replies = await self._store.read([[self._keys.spreads(partition)] for partition in partitions])
            self._fifths = rfm.fifths(rfm.together([rfm.unpack(value) for [value] in replies]))
            self._read_s = now_s
        return self._fifths
