"""The ranker: what a worker remembers of items and has learned, and with it the ranking of the users of a batch."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np

from recsys import popularity
from recsys.alike import Alike
from recsys.buying import Buying, Customers
from recsys.compiled import F64, I32, I64, U64
from recsys.hashing import NONE
from recsys.histories import Histories
from recsys.index import among
from recsys.item_shards import ItemShards, Merged
from recsys.known import Memory
from recsys.learners import Learned, Learners
from recsys.popularity import Popular
from recsys.ranking import blend
from recsys.ranking.candidates import desk
from recsys.ranking.counts import count
from recsys.ranking.features import added
from recsys.ranking.hiding import hidden
from recsys.ranking.lessons import learn_from
from recsys.ranking.past import Past, past
from recsys.ranking.rank import Missing, Ranked, level_of, rank, recent_items, room_for
from recsys.returning import purchases
from recsys.returning.candidates import EVERYTHING
from recsys.returning.purchases import Purchases
from recsys.rules import Hideable, Rules
from recsys.user_shards import Before, Users

R = TypeVar("R")

FRESH_S = 5.0
"""Rows of neighbours' neighbours that others may have changed are read again after this long."""
NO_ITEMS = np.empty(0, np.uint64)
MANY = 50
"""Users from whom on a ranking takes much longer than to hand it to a thread, which is a tenth of a millisecond."""
LOOKS = 3
"""A ranking that finds something missing is made again with it: first rows may be missing, then items that these have met."""


def nothing() -> None:
    """Does nothing."""


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
    customers: Customers
    """These."""


def asked(
    users: Users, before: Before, places: Sequence[int], current: Sequence[Sequence[int]], new: I32, partitions: Sequence[int]
) -> Asked:
    """The users in these places."""
    at = np.array(places, np.int64)
    returning = np.flatnonzero(users.purchases.baskets[at] > 0)
    here = at[returning]
    earlier = purchases.empty(len(here))
    known = np.isin(here, before.places)
    columns: Iterable[tuple[Any, Any]] = zip(earlier, before.purchases, strict=True)
    for column, was in columns:
        column[known] = was[np.searchsorted(before.places, here[known])]
    customers = Customers(
        Histories._make(column[here] for column in users.histories),
        new[here],
        earlier,
        Purchases._make(column[here] for column in users.purchases),
    )
    theirs = Histories._make(column[at] for column in users.histories)
    return Asked(theirs, current, new[at], np.array(partitions, np.int32), returning, customers)


class Part(NamedTuple):
    """Some of the users for whom to rank, ranked alike."""

    ranked: Ranked
    """Where their best items go."""
    which: I64
    """The places of those who are to be ranked for."""
    users: Past
    out: U64
    """Users × items that are not shown to them."""
    popular: Popular
    """With what is filled up."""
    of: I32
    """Whose weights are a user's."""


class Overview(NamedTuple):
    """All that can be ranked for some users, whether it is shown to them or not."""

    everything: Ranked
    allowed: Ranked
    """The same without what is left out; its first `top_n` are what is shown."""
    left_out: Mapping[Hideable, U64]
    """By rule, users × items that it leaves out, `NONE` where there are fewer."""


class Ranker:
    """Ranks, and learns from what is new in the histories it ranks."""

    def __init__(self, items: ItemShards, rules: Rules) -> None:
        self._items = items
        self._rules = rules
        self._memory = Memory(rules)
        self._buying = Buying(items, self._memory, rules)
        self._desk = desk(rules)
        self._nothing = popularity.unpack(rules)
        self.learners = Learners()

    async def rank(self, asked: Asked, merged: Merged, popular: Popular, share: float, gone: U64, alike: Alike) -> Ranked:
        """The best items of each user; `merged` is what the batch changed.

        `share` is how much of what the shop sells is bought again; `gone` are sorted hashes of items that are shown to nobody;
        `alike` tells what is like the users' recent items.
        """
        if gone is not self._desk.gone:
            self._desk = self._desk._replace(gone=gone)
        now_s = time.monotonic()
        self._memory.trim()
        self._memory.tell_alike(alike)
        self._buying.trim()
        partitions, learned, of = self._learned(asked)
        users = past(asked.histories, self._rules)
        likely = np.zeros(len(asked.returning))
        if len(asked.returning):
            self._buying.remember(merged.before, now_s)
            await self._buying.know(asked.customers, now_s)
            if self._rules.learner:
                likely = await beside(len(of), self._buying.learn, asked.customers, learned, of[asked.returning])
        self._memory.put(merged.rows, now_s)
        self._buying.remember(merged.sold, now_s)
        out = self._left_out(asked, users, share, self._rules)
        learn = partial(self._learn, asked, users, likely, learned, of) if self._rules.learner else nothing
        ranked = await self._best(asked, users, out, popular, learned, of, self._rules.top_n, now_s, learn)
        if self._rules.learner:
            self.learners.changed(partitions)
        return ranked

    def _learn(self, asked: Asked, users: Past, likely: F64, learned: Sequence[Learned], of: I32) -> None:
        """Learns from what is new in the histories; see `learn_shares` for `likely`."""
        if len(asked.returning):
            theirs = past(asked.customers.histories, self._rules)
            clicks, sums = [each.clicks.weight for each in learned], [each.sums for each in learned]
            blend.learn_shares(
                theirs, asked.customers.new, asked.customers.before.baskets, likely, self._memory.known, clicks, sums,
                of[asked.returning], self._desk,
            )  # fmt: skip
        learn_from(users, asked.new, self._memory.known, [each.clicks for each in learned], of, self._desk)

    def hidden_from(self, asked: Asked, share: float) -> U64:
        """Users × items that are not shown to these users, who have been ranked for just now."""
        return self._left_out(asked, past(asked.histories, self._rules), share, self._rules)

    async def look(self, asked: Asked, popular: Popular, share: float) -> Overview:
        """Ranks as `rank` does and learns nothing, for one who counts nothing: of items it knows what it reads here."""
        now_s = time.monotonic()
        _, learned, of = self._learned(asked)
        users = past(asked.histories, self._rules)
        await self._know(asked, popular, now_s)
        left_out = {
            rule: self._left_out(asked, users, share, msgspec.structs.replace(self._rules, hide=frozenset((rule,))))
            for rule in sorted(self._rules.hide)
        }
        nothing = np.zeros((len(users.length), 0), np.uint64)
        most = len(self._desk.entry) + EVERYTHING.room + len(popular.item)
        all_out = np.hstack((nothing, *left_out.values()))
        return Overview(
            await self._best(asked, users, nothing, popular, learned, of, most, now_s),
            await self._best(asked, users, all_out, popular, learned, of, most, now_s),
            left_out,
        )

    def added(self, asked: Asked, item: int) -> dict[str, float]:
        """What the learner made of an item (hash) for the one user for whom was looked last (`recsys.ranking.features.added`);
        nothing where it learns nothing, or nothing led to the item."""
        desk = self._desk
        [places] = np.nonzero((desk.evidence.item[desk.entry] == item) & desk.features.any(axis=1))
        if not self._rules.learner or not len(places):
            return {}
        _, learned, of = self._learned(asked)
        return added(desk.features[places[0]], learned[of[0]].clicks.weight)

    async def left_out(self, asked: Asked, popular: Popular, share: float) -> U64:
        """Users × items that are left out for them; it reads what the ranking of these users starts from."""
        await self._know(asked, popular, time.monotonic())
        return self._left_out(asked, past(asked.histories, self._rules), share, self._rules)

    async def rank_by(self, part: Asked, out: U64, popular: Popular, gone: U64, alike: Alike) -> Ranked:
        """Ranks by a part of what is known of the users, without the items in `out`, and learns nothing; see `rank`."""
        self._desk = self._desk._replace(gone=gone)
        self._memory.tell_alike(alike)
        _, learned, of = self._learned(part)
        users = past(part.histories, self._rules)
        return await self._best(part, users, out, popular, learned, of, self._rules.top_n, time.monotonic())

    async def _know(self, asked: Asked, popular: Popular, now_s: float) -> None:
        """Reads what the ranking of these users starts from, of which nothing is remembered."""
        recent = recent_items(asked.histories)
        self._memory.put((await self._items.load(np.unique(recent[recent != NONE])))[0], now_s)
        if len(asked.returning):
            # What sells most is sought among what is known: here among what is popular.
            self._buying.remember(await self._items.load_sales(np.unique(popular.item)), now_s)
            await self._buying.know(asked.customers, now_s)

    def _learned(self, asked: Asked) -> tuple[list[int], list[Learned], I32]:
        """The partitions of the users, what was learned on each, and of which of them a user is."""
        partitions = np.unique(asked.partition).tolist()
        of = np.searchsorted(partitions, asked.partition).astype(np.int32)
        return partitions, self.learners.of(partitions), of

    def _left_out(self, asked: Asked, users: Past, share: float, rules: Rules) -> U64:
        """Users × items that these rules leave out."""
        out = hidden(asked.histories, users, asked.current, rules)
        if "once" in rules.hide and len(asked.returning):
            out = with_more(out, asked.returning, self._buying.once(asked.customers, share))
        return out

    async def _best(
        self, asked: Asked, users: Past, out: U64, popular: Popular, learned: Sequence[Learned], of: I32, top_n: int,
        now_s: float, afterwards: Callable[[], None] = nothing,
    ) -> Ranked:  # fmt: skip
        """The `top_n` best of each user, and the counts behind their scores; `of` says whose `learned` is a user's.

        `afterwards` is done then.
        """
        weights: F64 = np.stack([each.clicks.weight for each in learned])
        ranked, at = room_for(len(asked.new), top_n), asked.returning
        clicks = room_for(len(at), len(self._desk.entry))
        theirs = past(asked.customers.histories, self._rules)
        await self._rank(
            [
                Part(ranked, np.setdiff1d(np.arange(len(asked.new)), at), users, out, popular, of),
                Part(clicks, np.arange(len(at)), theirs, out[at], self._nothing, of[at]),
            ],
            weights, now_s,
        )  # fmt: skip

        def finish() -> None:
            if len(at):
                self._blend(asked, clicks, out, popular, learned, of, ranked)
            count(ranked, users, at, asked.customers.purchases, self._memory.known, popular)
            afterwards()

        await beside(len(of), finish)
        return ranked

    async def _rank(self, parts: Sequence[Part], weights: F64, now_s: float) -> None:
        """Ranks by clicks for the users of some parts, until nothing is missing."""
        since_s = self._items.old_since(now_s, FRESH_S)
        for look in range(LOOKS):
            parts = [part for part in parts if len(part.which)]
            missing = await beside(sum(len(part.which) for part in parts), self._rank_parts, parts, weights, since_s)
            items = np.unique(np.concatenate([NO_ITEMS, *(each.items for each in missing)]))
            if not len(items) or look == LOOKS - 1:
                return
            found, _ = await self._items.load(items)
            self._memory.put(found, now_s)
            self._memory.put_absent(np.setdiff1d(items, found.item))
            parts = [part._replace(which=each.users) for part, each in zip(parts, missing, strict=True)]

    def _rank_parts(self, parts: Sequence[Part], weights: F64, since_s: float) -> list[Missing]:
        known = self._memory.known
        return [
            rank(
                part.ranked, part.which, part.users, part.out, known, part.popular, weights, part.of, self._desk, self._rules,
                since_s,
            )
            for part in parts
        ]  # fmt: skip

    def _blend(
        self, asked: Asked, clicks: Ranked, out: U64, popular: Popular, learned: Sequence[Learned], of: I32, ranked: Ranked
    ) -> None:
        """Ranks the customers among the users by clicks and purchases together."""
        at, customers = asked.returning, asked.customers
        if not self._rules.learner:
            blend.as_probabilities(clicks)
        last = customers.histories.kind[np.arange(len(at)), customers.histories.length - 1]
        mix = np.array(
            [blend.share(learned[w].sums, blend.situation(k)) for w, k in zip(of[at].tolist(), last.tolist(), strict=True)]
        )
        bought = self._buying.expected(customers, list(learned), of[at])
        if len(self._desk.gone):
            out = with_more(out, at, np.where(among(bought.item, self._desk.gone), bought.item, np.uint64(NONE)))
        blend.blend(clicks, bought, mix, at, out, popular.item, level_of(popular), ranked)


async def beside(users: int, compute: Callable[..., R], *arguments: Any) -> R:
    """Computes something for so many users: for many in a thread, so that the event loop goes on meanwhile."""
    return await asyncio.to_thread(compute, *arguments) if users >= MANY else compute(*arguments)


def with_more(out: U64, at: I64, more: U64) -> U64:
    """Users × items to be left out, with more of them for the users in the places `at`."""
    of_all = np.zeros((len(out), more.shape[1]), np.uint64)
    of_all[at] = more
    return np.hstack((out, of_all))
