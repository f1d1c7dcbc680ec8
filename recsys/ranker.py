"""The ranker: what a worker remembers of items and has learned, and with it the ranking of the users of a batch."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I32, I64, U64
from recsys.histories import Histories
from recsys.item_shards import ItemShards, Merged
from recsys.known import Memory
from recsys.learners import Learners
from recsys.popularity import Popular
from recsys.ranking.candidates import desk
from recsys.ranking.hiding import hidden
from recsys.ranking.lessons import learn_from
from recsys.ranking.rank import Ranked, past, rank
from recsys.returning.memory import SalesMemory
from recsys.returning.once import bought_once
from recsys.returning.purchases import Purchases
from recsys.rules import Rules
from recsys.user_shards import Users

FRESH_S = 5.0
"""Rows of neighbours' neighbours are read again after this long: other workers may have changed them."""
SALES_FRESH_S = 60.0
"""The same of sales, which change slowly."""
LOOKS = 3
"""A ranking that finds something missing is made again with it: first rows may be missing, then items that these have met."""


class Asked(NamedTuple):
    """The users for whom to rank."""

    histories: Histories
    current: Sequence[Sequence[int]]
    """The items of each user's newest event."""
    new: I32
    """How many interactions are new in each history."""
    partition: I32
    """Of each user."""
    returning: I64
    """The places of those who have bought."""
    purchases: Purchases
    """Of those who have bought."""


def asked(users: Users, places: Sequence[int], current: Sequence[Sequence[int]], new: I32, partitions: Sequence[int]) -> Asked:
    """The users in these places."""
    at = np.array(places, np.int64)
    returning = np.flatnonzero(users.purchases.baskets[at] > 0)
    return Asked(
        Histories._make(column[at] for column in users.histories),
        current,
        new[at],
        np.array(partitions, np.int32),
        returning,
        Purchases._make(column[at[returning]] for column in users.purchases),
    )


class Ranker:
    """Ranks, and learns from what is new in the histories it ranks."""

    def __init__(self, items: ItemShards, rules: Rules) -> None:
        self._items = items
        self._rules = rules
        self._memory = Memory(rules)
        self._sold = SalesMemory()
        self._desk = desk(rules)
        self.learners = Learners()

    def remember(self, merged: Merged) -> None:
        """What was read or written just now."""
        now_s = time.monotonic()
        self._memory.put(merged.rows, now_s)
        self._sold.put(merged.sold, now_s)

    async def rank(self, asked: Asked, popular: Popular, share: float) -> Ranked:
        """The best items of each user. `share` is how much of what the shop sells is bought again."""
        now_s = time.monotonic()
        partitions = np.unique(asked.partition).tolist()
        learners = [learned.clicks for learned in self.learners.of(partitions)]
        of = np.searchsorted(partitions, asked.partition).astype(np.int32)
        users = past(asked.histories, self._rules)
        out = hidden(asked.histories, users, asked.current, self._rules)
        if "once" in self._rules.hide:
            out = np.hstack((out, await self._bought_once(asked, share, now_s)))
        weights: F64 = np.stack([weights.weight for weights in learners])
        for look in range(LOOKS):
            known = self._memory.known
            ranked = rank(users, out, known, popular, weights, of, self._desk, self._rules, now_s - FRESH_S)
            missing = ranked.missing
            if not len(missing) or look == LOOKS - 1:
                break
            self._memory.put((await self._items.load(missing))[0], now_s)
        if self._rules.learner:
            learn_from(users, asked.new, self._memory.known, learners, of, self._desk)
            self.learners.changed(partitions)
        return ranked

    async def _bought_once(self, asked: Asked, share: float, now_s: float) -> U64:
        """Users × items that are to be left out because they are hardly ever bought again."""
        bought = asked.purchases
        await self._know_sales(np.unique(bought.item[np.arange(bought.item.shape[1]) < bought.held[:, None]]), now_s)
        last = asked.histories.length[asked.returning] - 1
        now = asked.histories.time[asked.returning, last]
        once = bought_once(bought, now, self._sold.sales, self._sold.where, share)
        out = np.zeros((len(asked.partition), once.shape[1]), np.uint64)
        out[asked.returning] = once
        return out

    async def _know_sales(self, items: U64, now_s: float) -> None:
        """Reads the sales of those items of which none are remembered, or old ones."""
        lacking = self._sold.lacking(items, now_s - SALES_FRESH_S)
        if len(lacking):
            self._sold.put(await self._items.load_sales(lacking), now_s)
