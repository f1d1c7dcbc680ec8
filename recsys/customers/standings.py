"""Standings: where each customer stands among all, those of other workers too, and the messages that say so."""

import asyncio
import math
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recsys.batch import Arrival
from recsys.catalogue.traits import Shelves
from recsys.customers import message, outlook, rfm
from recsys.customers.account import Account
from recsys.customers.days import day_of, how_many
from recsys.customers.favourites import Favourites, favourites
from recsys.customers.joins import stands_alone
from recsys.customers.message import Customer
from recsys.customers.outlook import Fitted, Outlook, Rhythm
from recsys.customers.rfm import Fifths
from recsys.fold import by_kind
from recsys.histories import Histories
from recsys.item_shards import ItemShards
from recsys.keys import Keys
from recsys.returning.purchases import Purchases
from recsys.rules import Rules
from recsys.store import Store

AT_ONCE = 200
"""Messages made without letting anything else run."""
FRESH_S = 1.0
"""For so long it is taken to be true what was read of all customers together, and how prices were parted."""


class Known(NamedTuple):
    """A customer as the account now is, with the visitors who joined, and the newest event."""

    user: str
    partition: int
    arrival: Arrival
    account: Account
    place: int
    """Of the history, and of what was bought."""


class Everybody(NamedTuple):
    """What is known of all customers together."""

    fifths: Fifths
    fitted: Fitted | None
    """How long they stay; None where nobody has asked."""


class Standings:
    """Knows what parts the fifths of all customers, how long they stay, which segment a customer was told to be in, and
    what the shop told of a customer. What comes from outside stands under keys of the live system, `described`, also while
    another state is built. What items are say `shelves`.
    """

    def __init__(self, store: Store, items: ItemShards, keys: Keys, rules: Rules, described: Keys, shelves: Shelves) -> None:
        self._store = store
        self._items = items
        self._keys = keys
        self._described = described
        self._shelves = shelves
        self._action = by_kind(rules.action_weights)
        self._rates = dict(rules.rates)
        self._known: Everybody | None = None
        self._read_s = 0.0
        self._parted_s = -math.inf

    async def messages(
        self, customers: Sequence[Known], histories: Histories, purchases: Purchases
    ) -> list[tuple[Known, Customer]]:
        """A message for each of the customers; what each did and bought last stands in the customer's place."""
        found: list[tuple[Known, Customer]] = []
        ordered = [known.user for known in customers if known.account.orders]
        keys = [self._keys.customer(user) for user in ordered]
        keys += [self._described.described(known.user) for known in customers]
        replies = [value for [value] in await self._store.read([[key] for key in keys])]
        newest = zip(ordered, replies[: len(ordered)], strict=True)
        before = {user: message.segment_of(value) for user, value in newest if value is not None}
        everybody = await self._everybody() if ordered else None
        expected = _outlooks(customers, everybody)
        likes = self._favourites(customers, histories, purchases)
        for n, (known, by_shop, liked) in enumerate(zip(customers, replies[len(ordered) :], likes, strict=True)):
            if n % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            standing = rfm.standing(known.account, self._rates) if stands_alone(known.account) else None
            scores = None if standing is None or everybody is None else rfm.rfm(standing, everybody.fifths)
            segment = None if scores is None else rfm.segment(scores)
            told = message.customer(known.user, known.account, known.arrival.event.time_ms, scores, segment)
            if before.get(known.user, segment) != segment:
                told.previous_segment = before[known.user]
            told.favourites = liked
            told.outlook = expected.get(known.user)
            if by_shop is not None:
                message.describe(told, by_shop)
            found.append((known, told))
        return found

    def _favourites(
        self, customers: Sequence[Known], histories: Histories, purchases: Purchases
    ) -> Sequence[Favourites | None]:
        now_s = time.monotonic()
        if now_s - self._parted_s > FRESH_S:
            self._shelves.part_prices()
            self._parted_s = now_s
        places = np.array([known.place for known in customers], np.int64)
        newest_ms = np.array([known.account.last_ms for known in customers], np.int64)
        return favourites(histories, purchases, places, newest_ms, self._shelves, self._action)

    async def _everybody(self) -> Everybody:
        now_s = time.monotonic()
        if self._known is None or now_s - self._read_s > FRESH_S:
            partitions = sorted(await self._items.partitions())
            keys = [*(self._keys.spreads(partition) for partition in partitions), self._described.lifetimes]
            *spreads, fitted = [value for [value] in await self._store.read([[key] for key in keys])]
            fifths = rfm.fifths(rfm.together([rfm.unpack(value) for value in spreads]))
            self._known = Everybody(fifths, None if fitted is None else outlook.unpack(fitted))
            self._read_s = now_s
        return self._known


def _outlooks(customers: Sequence[Known], everybody: Everybody | None) -> dict[str, Outlook]:
    """By user, what is to be expected of those who have ordered."""
    if everybody is None or everybody.fitted is None:
        return {}
    buyers = [known for known in customers if known.account.orders]
    rhythms = [
        Rhythm(how_many(account.order_days), account.order_days.first, account.order_days.last, day_of(account.last_ms))
        for _, _, _, account, _ in buyers
    ]
    return dict(zip((known.user for known in buyers), outlook.outlooks(everybody.fitted, rhythms), strict=True))
