"""The onlooker: what a worker would rank for one user, from what is stored alone. It writes nothing."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np

from recsys import histories, joined_histories, joined_purchases, marks, popularity, users_alike
from recsys.alike import NOTHING_ALIKE, alike_of
from recsys.catalogue.catalogue import Catalogue
from recsys.catalogue.shelf import EMPTY, Shelf, deleted, on_shelf, unavailable
from recsys.compiled import U64
from recsys.customers import account
from recsys.customers.consent import refuses_personal
from recsys.explanation import BoughtOnce, Explanation, Met, Seen, explained
from recsys.hashing import NONE, hash_item
from recsys.histories import Histories
from recsys.item_shards import ItemShards
from recsys.keys import Keys
from recsys.listing import hashes_to_name, recommended
from recsys.popularity import Popular
from recsys.ranker import Asked, Ranker, asked
from recsys.ranking.past import past, session_start
from recsys.ranking.rank import recent_items
from recsys.recommendation import Recommendation, RecommendedItem, instant
from recsys.returning import once, purchases
from recsys.returning.purchases import fade
from recsys.returning.sales import HALF_LIFE_MS
from recsys.rules import Rules
from recsys.shards import Shards
from recsys.stages import Stages
from recsys.store import MemoryStore, Store
from recsys.strategies import Alone, named
from recsys.user_shards import Before, Users

NO_INTERACTION = "(searches and impressions are none). Check the id"
"""Behind what was not counted."""
PERSONAL = ("personal", "hybrid", "collaborative")
"""Strategies that say so when nothing is known of the user that leads to an item."""
MOST = 500
"""Items of a recommendation."""


class Unknown(LookupError):
    """A user or an item of which nothing is counted, or nothing that is asked for."""


class Found(NamedTuple):
    """What is stored of the one user, and of all who buy."""

    asked: Asked
    learned: bytes | None
    share: float
    """How much of what is bought is bought again."""
    published: Recommendation | None
    newest_ms: int
    """The time of the user's newest interaction."""
    refuses: bool
    """A personal recommendation: then nothing is known of what the user did."""


class Sight(NamedTuple):
    """What a strategy ranks from for the one user."""

    rules: Rules
    asked: Asked
    items: ItemShards
    ranker: Ranker
    everything: Popular
    """What is popular, with what the catalogue hides."""
    out: U64
    """One line: the items that the rules leave out."""

    def popular(self, gone: U64) -> Popular:
        """What fills up, without these items (sorted hashes)."""
        return popularity.foremost(popularity.without(self.everything, gone), self.rules)


Look: TypeAlias = Callable[[U64], Awaitable[tuple[list[RecommendedItem], bool]]]
"""Ranks without some items (sorted hashes): the best, and whether the user's own history put any there."""


class Onlooker:
    """Reads the shards of a state that was counted by these rules on so many partitions. Each look is at what is there then.

    `catalogue` says whether workers read the topic `items`: what it hides is told then.
    """

    def __init__(self, store: Store, keys: Keys, rules: Rules, partitions: int, *, catalogue: bool = True) -> None:
        self._store = store
        self._keys = keys
        self._rules = rules
        self._partitions = partitions
        self._catalogue = catalogue

    async def recommend(
        self, user: str, partition: int, strategy: str, *, now_ms: int, n: int | None = None, catalogue: Catalogue | None = None
    ) -> Recommendation:
        """The `n` best items for a user, whose home is `partition`, by a strategy of `recsys.strategies` alone, computed at
        `now_ms`; `FRESHET_TOP_N` of them without `n`.

        `personal` and `hybrid` are what the worker would rank now, `collaborative` is the same without descriptions. Where the
        strategy finds fewer, popular items fill up, as their reasons say; what the rules hide is left out, and so is what the
        catalogue hides. The message has the form of the published ones, `strategy` names what it is by (`cold_start` in place
        of these three where nothing is known of the user that leads to an item, `opted_out` in place of any where the user
        refuses a personal recommendation: then it is what is popular).

        What is described alike the `catalogue` tells; without it, nothing is. Raises `Unknown` where the user has no history,
        or `user-based` is turned off or finds no visitors kept of what the user met; `ValueError` for another strategy, an `n`
        outside 1 to 500, or `content-based` without a catalogue.

        >>> import asyncio
        >>> from recsys.batch import Arrival
        >>> from recsys.engine import Chunk, Engine
        >>> from recsys.events import Event, Kind, Line
        >>> from recsys.store import MemoryStore
        >>> store, keys, rules = MemoryStore(), Keys("freshet:"), Rules()
        >>> visits = [("u1", "cup"), ("u1", "pot"), ("u2", "cup"), ("u2", "pot"), ("u3", "hat"), ("u4", "cup")]
        >>> events = [Event(kind=Kind.CLICK, user_id=u, lines=(Line(i),), time_ms=10**12) for u, i in visits]
        >>> arrivals = [Arrival(offset, event) for offset, event in enumerate(events)]
        >>> _ = asyncio.run(Engine(store, keys, rules).count(Chunk(0, 0, 5, arrivals)))
        >>> look = Onlooker(store, keys, rules, partitions=1)
        >>> message = asyncio.run(look.recommend("u4", 0, "item-based", now_ms=10**12, n=2))
        >>> [(item.item_id, item.reasons[0].kind) for item in message.items]
        [('pot', 'also_viewed'), ('hat', 'trending')]
        """
        name, alone = named(strategy)
        if n is not None and not 1 <= n <= MOST:
            raise ValueError(f"n is {n}: it must be from 1 to {MOST}")
        if catalogue is None and alone.by == {"descriptions"}:
            raise ValueError(f"strategy {name!r} goes by descriptions: it needs the catalogue")
        rules = alone.rules(self._rules if n is None else msgspec.structs.replace(self._rules, top_n=n))
        found = await self._found(user, partition)
        sight = await self._sight(rules, partition, found)
        by_users = "users" in alone.by and not found.refuses
        look = await self._by_users(user, sight) if by_users else self._by_items(alone, sight, partition, catalogue)
        gone = await deleted(self._store, self._keys) if catalogue is None else catalogue.hidden
        while True:
            items, is_personal = await look(gone)
            more = await unavailable(self._store, self._keys, [item.item_id for item in items])
            if not len(more):
                break
            gone = np.union1d(gone, more)
        by = name if is_personal or name not in PERSONAL else "cold_start"
        return Recommendation(
            user_id=user,
            recommendation_id=f"{name}-{partition:x}-{now_ms:x}",
            generated_at=instant(now_ms),
            event_time=instant(found.newest_ms),
            strategy="opted_out" if found.refuses else by,
            items=items,
        )

    async def explain(self, user: str, partition: int, item: str) -> Explanation:
        """Why an item is or is not recommended to a user, whose home is `partition`, after the user's newest event.

        It is what the worker would rank now: what it learned from that event itself, and what others did since, is in it. Of
        a basket that is longer than a history only what the history still holds is taken to be looked at.

        What descriptions add only workers know: of that it tells what was published.

        Raises `Unknown` where the user has no history or refuses a personal recommendation, or the item has neither a row nor
        a description.
        """
        found = await self._found(user, partition)
        if found.refuses:
            raise Unknown(f"user {user!r} refuses a personal recommendation (topic `users`): there is nothing to explain")
        items = item_shards(self._store, self._keys, self._rules)
        ranker = ranker_over(items, self._rules, partition, found.learned)
        number = hash_item(item)
        row, _ = await items.load(np.array([number], np.uint64))
        if not len(row.item) and not (await self._shelf([item])).described:
            raise Unknown(
                f"item {item!r} is unknown under {self._keys.prefix!r}: no interaction with it was counted {NO_INTERACTION}"
            )
        everything, _ = await items.popular()
        overview = await ranker.look(found.asked, popularity.foremost(everything, self._rules), found.share)
        recent = met(found.asked.histories, self._rules)
        hashes = hashes_to_name(overview.everything) | hashes_to_name(overview.allowed) | recent.keys()
        known = await items.named(hashes)
        names = {each: known[each] for each in hashes if each in known}
        seen = Seen(
            overview,
            names,
            int(row.interactions.sum()),
            [Met(names[each], *times) for each, times in recent.items() if each in names],
            await self._bought_once(items, found.asked, number, found.share),
            found.published,
            await self._shelf([item, *names.values()]),
            ranker.added(found.asked, number),
        )
        return explained(user, item, seen, self._rules.top_n)

    async def _shelf(self, items: Sequence[str]) -> Shelf:
        return await on_shelf(self._store, self._keys, items) if self._catalogue else EMPTY

    async def _found(self, user: str, partition: int) -> Found:
        """What is stored of a user. Raises `Unknown` where that is nothing."""
        mine = [key(partition, user) for key in (self._keys.user, self._keys.bought, self._keys.account)]
        mine.append(self._keys.learner(partition))
        counted = [[self._keys.user_mark(p)] for p in range(self._partitions)]
        [[history, bought, kept, learned], [stored], [by_shop], *found] = await self._store.read(
            [mine, [self._keys.recs(user)], [self._keys.described(user)], *counted]
        )
        own = histories.unpack([history], self._rules.history)
        accounts = {0: account.unpack(kept)}
        with_visitors = joined_histories.with_visitors(own, accounts, np.zeros(1, np.int32))
        if not with_visitors.length[0]:
            raise Unknown(
                f"user {user!r} is unknown under {self._keys.prefix!r}: no interaction of this user was counted lately "
                f"{NO_INTERACTION}"
            )
        refuses = refuses_personal(by_shop)
        newest_ms = newest_time(with_visitors)
        if refuses:
            with_visitors, bought, accounts = histories.unpack([None], self._rules.history), None, {}
        of_user = Users(with_visitors, purchases.unpack([bought]))
        joined_purchases.join(of_user.purchases, joined_purchases.of_visitors(accounts))
        before = Before(np.empty(0, np.int64), purchases.empty(0))
        published = msgspec.json.decode(stored, type=Recommendation) if stored else None
        current = [newest_event(of_user.histories, published)]
        for_whom = asked(of_user, before, [0], current, np.zeros(1, np.int32), [partition])
        return Found(for_whom, learned, bought_again([mark for [mark] in found]), published, newest_ms, refuses=refuses)

    async def _sight(self, rules: Rules, partition: int, found: Found) -> Sight:
        """What a strategy with these rules ranks from."""
        items = item_shards(self._store, self._keys, rules)
        ranker = ranker_over(items, rules, partition, found.learned)
        everything, _ = await items.popular()
        out = await ranker.left_out(found.asked, popularity.foremost(everything, rules), found.share)
        return Sight(rules, found.asked, items, ranker, everything, out)

    def _by_items(self, alone: Alone, sight: Sight, partition: int, catalogue: Catalogue | None) -> Look:
        """Ranks by what rows or descriptions lead to."""
        ranker, told = sight.ranker, NOTHING_ALIKE
        if "rows" not in alone.by:
            ranker = ranker_over(item_shards(MemoryStore(), self._keys, sight.rules), sight.rules, partition, None)
        if catalogue is not None and "descriptions" in alone.by:
            told = alike_of(recent_items(sight.asked.histories), catalogue)
        part, described = alone.part(sight.asked), {} if catalogue is None else catalogue.names

        async def look(gone: U64) -> tuple[list[RecommendedItem], bool]:
            ranked = await ranker.rank_by(part, sight.out, sight.popular(gone), gone, told)
            hashes = hashes_to_name(ranked)
            names = {item: described[item] for item in hashes & described.keys()}
            names |= await sight.items.named(hashes - described.keys())
            return recommended(ranked, names)[0], bool(ranked.personal[0])

        return look

    async def _by_users(self, user: str, sight: Sight) -> Look:
        """Ranks by what users alike met."""
        if not self._rules.visitors:
            raise Unknown("user-based is turned off: FRESHET_VISITORS is 0, so no visitors of items are kept")
        mine, most = sight.asked.histories, sight.rules.history
        met = await users_alike.met_by_users_alike(self._store, self._keys, sight.items, user, mine, most)
        if met is None:
            raise Unknown(
                f"no visitors are kept of what user {user!r} met, under {self._keys.prefix!r}: workers note who comes "
                "while FRESHET_VISITORS is above 0; freshet rebuild brings the others"
            )

        async def look(gone: U64) -> tuple[list[RecommendedItem], bool]:
            popular = sight.popular(gone)
            names = await sight.items.named(popular.item.tolist())
            out = np.union1d(sight.out[0], gone)
            return await users_alike.best_of(met, sight.items, popular, names, out, sight.rules.top_n), len(met.item) > 0

        return look

    async def _bought_once(self, items: ItemShards, for_whom: Asked, item: int, share: float) -> BoughtOnce | None:
        """How often an item is bought again, as things are for a user who has bought."""
        if not len(for_whom.returning):
            return None
        sales = (await items.load_sales(np.array([item], np.uint64))).sales
        worth = fade(sales.landmark[0], for_whom.customers.now[0], HALF_LIFE_MS)
        n, m = float(sales.n[0]) * worth, float(sales.m[0]) * worth
        return BoughtOnce(n, m, once.share_again(n, m, share), once.HARDLY)


def item_shards(store: Store, keys: Keys, rules: Rules) -> ItemShards:
    """The items as they are now."""
    return ItemShards(store, Shards(store), keys, rules, Stages())


def ranker_over(items: ItemShards, rules: Rules, partition: int, learned: bytes | None) -> Ranker:
    """Who ranks them by what was learned on a partition."""
    ranker = Ranker(items, rules)
    ranker.learners.begin(partition, learned)
    return ranker


def newest_event(found: Histories, published: Recommendation | None) -> list[int]:
    """The items of the one user's newest event.

    A history cannot tell one event from two of the same moment; but what was recommended after it was not in it.
    """
    items = histories.newest_items(found, 0)
    newest = instant(int(found.time[0, found.length[0] - 1])) if items else ""
    if published is None or published.event_time != newest:
        return items
    shown = {hash_item(item.item_id) for item in published.items}
    return [item for item in items if item not in shown]


def newest_time(found: Histories) -> int:
    """The event time, in milliseconds, of the one user's newest interaction."""
    return int(found.time[0, found.length[0] - 1])


def bought_again(stored: list[bytes | None]) -> float:
    """How much of what was bought on all partitions was bought again, by their marks."""
    found = [marks.user_mark(mark) for mark in stored]
    bought = sum(mark.bought for mark in found)
    return sum(mark.bought_again for mark in found) / bought if bought else 0.0


def met(found: Histories, rules: Rules) -> dict[int, tuple[int, int]]:
    """The recent items of the one user, the newest first: how often they were met in the session, and in the history."""
    length = int(found.length[0])
    start = session_start(past(found, rules), 0, length) if length else 0
    items = found.item[0, :length]
    recent = [item for item in recent_items(found)[0].tolist() if item != NONE]
    return {item: (int((items[start:] == item).sum()), int((items == item).sum())) for item in recent}
