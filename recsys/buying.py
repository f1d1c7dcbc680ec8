"""Buying: what a worker remembers of sales, and with it what its returning customers will buy next and never again."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from recsys.compiled import F64, I32, I64, U64, Bools
from recsys.histories import Histories
from recsys.item_shards import ItemShards
from recsys.known import Memory, neighbours_of
from recsys.learners import Learned
from recsys.ranking.past import past
from recsys.returning.candidates import EVERYTHING, Shop
from recsys.returning.evidence import LINES, Neighbourhood
from recsys.returning.expectation import Desk, Expected, desk, expect
from recsys.returning.features import PARTS
from recsys.returning.lessons import learn_from
from recsys.returning.memory import SalesMemory
from recsys.returning.once import bought_once
from recsys.returning.purchases import HELD, Purchases
from recsys.returning.sales import Sold, best_selling
from recsys.rules import Rules

FRESH_S = 60.0
"""Sales, and what sells most, are read again after this long: they change slowly."""
EVER = -np.inf


class Customers(NamedTuple):
    """Users who have bought."""

    histories: Histories
    new: I32
    """How many interactions are new in each history."""
    before: Purchases
    """What they had bought before these."""
    purchases: Purchases

    @property
    def now(self) -> I64:
        """The event time of each one's newest interaction."""
        at: I64 = self.histories.time[np.arange(len(self.new)), self.histories.length - 1]
        return at


class Buying:
    """Ranks for customers, and learns from their baskets."""

    def __init__(self, items: ItemShards, memory: Memory, rules: Rules) -> None:
        self._items = items
        self._memory = memory
        self._rules = rules
        self._sold = SalesMemory()
        self._best = np.zeros(EVERYTHING.popular, np.uint64)
        self._best_s = EVER
        self._desk: Desk | None = None

    def remember(self, sold: Sold, now_s: float) -> None:
        """Sales that were read or written at `now_s`."""
        self._sold.put(sold, now_s)

    def trim(self) -> None:
        """Forgets where too much is remembered; between batches only."""
        self._sold.trim()

    async def know(self, customers: Customers, now_s: float) -> None:
        """Reads what is not remembered of the items that they hold and of those that are met beside them."""
        held = customers.purchases.held[:, None]
        places = np.arange(HELD)
        lines = items_at(customers.purchases, (places < held) & (places >= held - LINES))
        missing = self._memory.lacking(lines, EVER)
        if len(missing):
            self._memory.put((await self._items.load(missing))[0], now_s)
        since_s = self._items.old_since(now_s, FRESH_S)
        await self._know_sales(items_at(customers.purchases, places < held), since_s, now_s)
        await self._know_sales(neighbours_of(self._memory.known, lines), EVER, now_s)
        if now_s - self._best_s > FRESH_S or not self._best[0]:
            self._best_s = now_s
            best_selling(self._sold.sales, self._sold.item, int(customers.now.max()), self._best)

    def learn(self, customers: Customers, learned: list[Learned], of: I32) -> F64:
        """Learns from new baskets; returns how likely each one's first new item was to be bought, 0 where none is new.

        `of` says whose `learned` is a customer's.
        """
        likely = np.zeros(len(of))
        seen = past(customers.histories, self._rules)
        shop, table = self._shop(), self._table()
        for w, weights in enumerate(learned):
            new = np.where(of == w, customers.new, 0).astype(np.int32)
            learn_from(
                seen, customers.histories.event, new, customers.before, customers.purchases, shop, weights.purchases,
                EVERYTHING, table, likely,
            )  # fmt: skip
        return likely

    def expected(self, customers: Customers, learned: list[Learned], of: I32) -> Expected:
        """All that each may buy next, the likeliest first."""
        room = EVERYTHING.room
        shape = (len(of), room)
        found = Expected(np.zeros(shape, np.uint64), np.zeros(shape), np.zeros((*shape, PARTS)), np.zeros(shape, np.uint64))
        shop, table = self._shop(), self._table()
        for w, weights in enumerate(learned):
            at = np.flatnonzero(of == w)
            theirs = Purchases._make(column[at] for column in customers.purchases)
            answers = expect(theirs, customers.now[at], shop, weights.purchases, EVERYTHING, room, table)
            columns: Iterable[tuple[Any, Any]] = zip(found, answers, strict=True)
            for column, answer in columns:
                column[at] = answer
        return found

    def once(self, customers: Customers, share: float) -> U64:
        """Customers × items that they hold and that are hardly ever bought again, see `recsys.returning.once`."""
        return bought_once(customers.purchases, customers.now, self._sold.sales, self._sold.where, share)

    async def _know_sales(self, items: U64, since_s: float, now_s: float) -> None:
        lacking = self._sold.lacking(items, since_s)
        if len(lacking):
            self._sold.put(await self._items.load_sales(lacking), now_s)

    def _shop(self) -> Shop:
        # An item's place in the memory is that of its neighbours' line, too.
        known = self._memory.known
        rows = Neighbourhood(
            known.where, known.length, known.other, known.weight, known.popularity, known.landmark,
            float(self._rules.half_life_ms),
        )  # fmt: skip
        return Shop(self._sold.sales, self._sold.where, rows, self._best)

    def _table(self) -> Desk:
        if self._desk is None:
            self._desk = desk(self._shop(), EVERYTHING)
        return self._desk


def items_at(purchases: Purchases, which: Bools) -> U64:
    """The held items in these places, sorted."""
    items: U64 = np.unique(purchases.item[which])
    return items
