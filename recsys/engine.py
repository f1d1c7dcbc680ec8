"""The engine: a batch of chunks, one of each partition, from events to committed counts and to fresh recommendations.

    read the user shards → fold → read the item shards, merge, swap (again, where another worker was first)
    → swap the user shards: the commit, sent with the swaps before it → rank → messages

Item shards come first and the user shard last: after a crash anywhere in between the same events give the same deltas, because
the histories have not changed, and each item shard takes only the deltas that are newer than its mark for their partition.
"""

from collections.abc import Iterable, Sequence
from itertools import compress

import msgspec
import numpy as np

from recsys import histories, marks, popularity
from recsys.alike import alike_of
from recsys.basket_lists import BasketLists
from recsys.batch import columns
from recsys.catalogue.catalogue import Catalogue
from recsys.categories import Categories
from recsys.cold.counting import ColdCounting
from recsys.cold.landings import Landings
from recsys.cold.lists import ColdList, stripped
from recsys.cold.shopfront import Shopfront
from recsys.compiled import U64
from recsys.counted import Counted, Gone, Newest, known_customers, newest_events, nothing_counted, who_is_gone, without_past
from recsys.customers.consent import Refusals
from recsys.customers.joins import Post
from recsys.customers.message import Customer
from recsys.customers.standings import Known, Standings
from recsys.damage import damaged
from recsys.erasure import Erasure
from recsys.events import Event, Kind
from recsys.given import Given
from recsys.hashing import NONE, hash_item
from recsys.histories import Histories
from recsys.index import among, distinct
from recsys.item_shards import ItemShards, StateMoved
from recsys.keys import AFTER, TOGETHER, VIEWED, Keys
from recsys.listing import hashes_to_name, listed
from recsys.marks import UserMark
from recsys.neighbour_lists import neighbours, strongest, trending
from recsys.ranker import Ranker, asked, beside
from recsys.ranking.rank import recent_items
from recsys.recommendation import Neighbours, Reason, Recommendation, RecommendedItem, Written, instant
from recsys.rows import without_neighbours
from recsys.rules import Rules
from recsys.shards import Shards
from recsys.stages import Stages
from recsys.store import ANY_LIFE, Commit, Entry, Store, Swap
from recsys.user_shards import Chunk, UserShard, UserShards, fold_batch, met_before, new_interactions, uncounted

__all__ = ["Chunk", "Counted", "Engine", "Gone", "LostPartition", "Newest"]


NOBODY = np.empty((0, 0), np.uint64)
NO_ITEMS = np.empty((1, 0), np.uint64)
"""Left out for one."""


class LostPartition(RuntimeError):
    """Another worker has changed a partition's user shard: it owns the partition now, and nothing was written to it."""


class Engine:
    """Counts chunks into a store and ranks from it. Several engines share a store; each partition belongs to one at a time."""

    def __init__(
        self, store: Store, keys: Keys, rules: Rules, retention_s: int = 90 * 86_400, catalogue: Catalogue | None = None,
        partitions: int = 0, described: Keys | None = None, refusals: Refusals | None = None,
    ) -> None:  # fmt: skip
        """`partitions` is how many there are on all workers together, for what is summed up over all of them; without it, it
        is over those that were counted here. `described` are the keys under which users are described, if not `keys`;
        `refusals` says who refuses what, and others change it."""
        self._store = store
        self._keys = keys
        self._rules = rules
        self._retention_s = retention_s
        self._catalogue = Catalogue() if catalogue is None else catalogue
        self._shards = Shards(store)
        self.refusals = Refusals() if refusals is None else refusals
        self._users = UserShards(self._shards, keys, rules, retention_s, self.refusals)
        self.erasure = Erasure(store, self._shards, keys, dict(rules.rates), retention_s)
        self.stages = Stages()
        self._items = ItemShards(store, self._shards, keys, rules, self.stages)
        self.baskets = BasketLists(store, self._items, keys, rules, self._catalogue)
        self._categories = Categories(store, self._items, keys, rules, self._catalogue)
        self._partitions = partitions
        self.shopfront = Shopfront(store, self._shards, self._items, keys, rules, self._catalogue, self._named)
        self.landings = Landings(store, keys, rules, self._catalogue)
        self._cold_counting = ColdCounting(self._shards, keys, rules)
        self._popular = popularity.unpack(rules)
        self._ranker = Ranker(self._items, rules)
        self._standings = Standings(store, self._items, keys, rules, described or keys, self._catalogue.shelves)
        self._lines: dict[int, tuple[int, int]] = {}
        """By partition, how many lines were bought, and how many of them again."""
        self._newest_ms = 0
        self._life = ANY_LIFE
        self._begun: set[int] = set()

    async def count(self, *chunks: Chunk, post: Post | None = None) -> Counted:
        """Counts chunks of different partitions, exactly once however often they are given; returns what ranking needs.

        What is to be told to the homes of other users goes through `post` before anything is committed; without it nobody is
        told, so no visitor joins a customer.

        Nothing is counted where the mark is gone or a chunk begins after it: Redis went back to an earlier state. Raises
        `DamagedState` if Redis lacks what the marks say it has.
        """
        life = self._life
        with self.stages.timed("read"):
            shards, users = await self._users.open(chunks)
        if any(self._is_missing(shard) or shard.chunk.start > shard.mark.offset + 1 for shard in shards):
            self._shards.forget(self._keys.user_mark(shard.chunk.partition) for shard in shards)
            return nothing_counted(shards, users)
        everybody = [user for shard in shards for user in shard.users]
        with self.stages.timed("decode"):
            fresh = [(shard.chunk.partition, arrival) for shard in shards for arrival in uncounted(shard.chunk, shard.mark)]
            batch = columns(fresh, everybody)
        with self.stages.timed("read"):
            opened = await self._cold_counting.open(shards, fresh)
        with self.stages.timed("fold"):
            as_of = self._users.as_of(shards, users, fresh)
            folded = fold_batch(shards, users, batch, self._rules)
        wanted = self._wanted(shards, users.histories)
        guards = {self._keys.user_mark(shard.chunk.partition): shard.stored for shard in shards}
        givings = [shard.giving for shard in shards]
        given = Given(folded.deltas, folded.told, folded.visits, everybody, givings, batch.ids)
        with self.stages.timed("fold"):
            settled = [self._users.settle(shard, fresh, folded, as_of) for shard in shards]
        letters = [letter for of_shard in settled if of_shard is not None for letter in of_shard.letters]
        if letters and post is not None:
            await post(letters)
        with self.stages.timed("write"):
            cold = self._cold_counting.count(opened, folded)
            changes = self._users.changes(shards, users, folded, settled, cold)
        # Not in another life of Redis: the user shards may be as they were read, but item shards lack what was merged since.
        commit = Commit(list(changes.values()), life)
        try:
            merged = await self._items.merge(given, wanted, guards, commit)
        except StateMoved:
            self._shards.forget(guards)
            return nothing_counted(shards, users)
        refused = dict(compress(changes.items(), [not ok for ok in merged.committed]))
        if refused:
            with self.stages.timed("write"):
                done = await self._shards.swap([], commit=Commit(list(refused.values()), life))
            refused = dict(compress(refused.items(), [not ok for ok in done]))
        lost = list(refused)
        self.stages.batches += 1
        self.stages.events += sum(len(shard.chunk.arrivals) for shard in shards)

        newest: dict[str, Newest] = {}
        customers: list[Known] = []
        for shard, of_shard in zip(shards, settled, strict=True):
            if shard.chunk.partition not in lost:
                newest |= newest_events(shard, batch, folded.changed)
                customers += known_customers(shard, of_shard)
            self._lines[shard.chunk.partition] = shard.mark.bought, shard.mark.bought_again
        again = [] if all(shard.is_new for shard in shards) else [wanted, met_before(shards)]
        self._newest_ms = max(self._newest_ms, int(batch.time.max(initial=0)))
        touched = {
            table: distinct(np.concatenate([folded.deltas[table].item, *again] if table in folded.deltas else again))
            for table in ([VIEWED, TOGETHER, AFTER] if self._rules.baskets else [VIEWED])
            if again or table in folded.deltas
        }
        ends = {shard.chunk.partition: shard.chunk.end for shard in shards if shard.chunk.partition not in lost}
        new = new_interactions(folded, users.histories.length)
        ranked, before = self._users.with_visitors(shards, settled, users, folded.before, new)
        gone = [
            each
            for shard in shards
            if shard.chunk.partition not in lost
            for each in who_is_gone(shard, ranked.histories, customers)
        ]
        for each in gone:
            if each.unrecommended:
                newest.pop(each.user, None)
        return Counted(ends, lost, newest, ranked, before, new, customers, merged, touched, gone)

    async def recommend(self, counted: Counted, now_ms: int) -> list[tuple[Newest, Recommendation]]:
        """What `answers` makes, as objects."""
        return [(newest, message.read()) for newest, message in await self.answers(counted, now_ms)]

    async def answers(self, counted: Counted, now_ms: int) -> list[tuple[Newest, Written]]:
        """A recommendation for each user whose history was changed, with the event that it answers.

        Who refuses a personal one gets what somebody would of whom only that event is known.
        """
        if not counted.newest:
            return []
        newest = list(counted.newest.values())
        refusing = self.refusals.personalise
        opted_out = {user for user in counted.newest if user in refusing} if refusing else set()
        if opted_out:
            counted = without_past(counted, [counted.newest[user].place for user in opted_out])
        current = [
            [hash_item(line.item_id) for line in each.arrival.event.lines]
            if each.arrival.event.kind.is_interaction
            else histories.newest_items(counted.users.histories, each.place)
            for each in newest
        ]
        places, partitions = [each.place for each in newest], [each.partition for each in newest]
        for_whom = asked(counted.users, counted.before, places, current, counted.new, partitions)
        with self.stages.timed("rank"):
            gone = self._catalogue.hidden
            popular = popularity.without(self._popular, gone)
            described = alike_of(recent_items(for_whom.histories), self._catalogue)
            ranked = await self._ranker.rank(for_whom, counted.merged, popular, self._bought_again, gone, described)
            names = await self._named(hashes_to_name(ranked))
            strangers = {n: newest[n].arrival.event for n in np.flatnonzero(~ranked.personal).tolist()}
            left_out = self._ranker.hidden_from(for_whom, self._bought_again) if strangers else NOBODY
            cold = await self.landings.shown(strangers, left_out)
        answers, generated_at = [], instant(now_ms)
        with self.stages.timed("encode"):
            lists = await beside(len(newest), listed, ranked, names)
            for n, shown in cold.items():
                lists[n] = msgspec.json.encode(shown) if shown else lists[n]
            for (user, each), personal, items in zip(counted.newest.items(), ranked.personal.tolist(), lists, strict=True):
                event = each.arrival.event
                message = Written(
                    user_id=user,
                    recommendation_id=f"{each.partition:x}-{each.arrival.offset:x}-{now_ms:x}",
                    generated_at=generated_at,
                    event_id=event.event_id,
                    event_time=instant(event.time_ms),
                    strategy="opted_out" if user in opted_out else "personal" if personal else "cold_start",
                    items=msgspec.Raw(items),
                )
                answers.append((each, message))
        self.take_out((message for _, message in answers), gone)
        return answers

    @property
    def hidden(self) -> U64:
        """The items (hashes, rising) that the catalogue shows to nobody: another array as soon as they are others."""
        return self._catalogue.hidden

    def take_out(self, messages: Iterable[Written | Neighbours], before: U64) -> None:
        """Takes out of messages what was hidden since `hidden` was `before`: while they were made."""
        late = self._catalogue.hidden_since(before)
        for message in messages if late else ():
            message.keep(lambda item: hash_item(item.item_id) not in late)

    async def customers(self, counted: Counted) -> list[tuple[Known, Customer]]:
        """A message for each customer of whom there is an event."""
        if not counted.customers:
            return []
        with self.stages.timed("encode"):
            return await self._standings.messages(counted.customers, counted.users.histories, counted.users.purchases)

    async def for_anybody(self) -> list[RecommendedItem]:
        """What is recommended to somebody of whom nothing is known, not even an event."""
        shown = await self.landings.shown({0: Event(kind=Kind.SEARCH, user_id="", lines=(), time_ms=0)}, NO_ITEMS)
        if shown.get(0):
            return shown[0]
        popular = await self.trending()
        items = [] if popular is None else popular.items
        return [RecommendedItem(each.item_id, each.score, [Reason("trending", 1.0, count=each.count)]) for each in items]

    async def similar(self, items: Sequence[int]) -> list[Neighbours]:
        """The neighbour lists of those items (hashes) that have a row, without what the catalogue has no more."""
        wanted, gone = np.unique(np.array(items, np.uint64)), self._catalogue.hidden
        loaded, version = await self._items.load(wanted[~among(wanted, gone)])
        loaded = without_neighbours(loaded, gone)
        self._categories.note(loaded)
        self.shopfront.note_rows(loaded)
        shown = strongest(loaded, self._rules.top_n)
        names = await self._items.named(distinct(shown.other[shown.other != NONE]).tolist())
        return list(neighbours(loaded, shown, names, self._rules, version))

    async def around(self, items: Sequence[int]) -> dict[str, list[int]]:
        """By table of rows, the items (hashes) whose lists have one of these, most of them, and their own: those that were met
        or bought with it."""
        wanted, tables = np.unique(np.array(items, np.uint64)), [VIEWED, TOGETHER, AFTER] if self._rules.baskets else [VIEWED]
        rows = [(await self._items.load(wanted, table))[0] for table in tables]
        found = distinct(np.concatenate([column for each in rows for column in (each.item, each.other[each.other != NONE])]))
        return dict.fromkeys(tables, found.tolist())

    async def trending(self) -> Neighbours | None:
        """Reads the most popular items anew, for cold starts and as a message; None while this engine has counted nothing.

        What the catalogue has no more is left out.
        """
        everything, version = await self._items.popular()
        everything = popularity.without(everything, self._catalogue.hidden)
        self._popular = popularity.foremost(everything, self._rules)
        names = await self._items.named(self._popular.item[: self._rules.top_n].tolist())
        return trending(self._popular, names, self._newest_ms, self._rules, version) if self._newest_ms else None

    async def trending_by_category(self) -> list[tuple[str, Neighbours]]:
        """What is popular in each category with an item whose list was made since this was asked last."""
        return await self._categories.trending(self._newest_ms)

    async def cold_lists(self, now_ms: float, *, for_all: bool = True) -> list[tuple[str, ColdList]]:
        """What to show first in each context that was changed since this was asked last (`recsys.cold`).

        Without `for_all`, only in the categories whose items' lists this engine made: another worker makes the others.
        """
        if for_all:
            await self.shopfront.look(self._all_partitions)
        contexts = self.shopfront.due()
        if contexts and for_all:  # others may have counted it
            await self.trending()
        return await self._cold_lists_of(contexts, now_ms)

    async def cold_lists_of_arrivals(self, now_ms: float) -> list[tuple[str, ColdList]]:
        """The same, only in those contexts in which items came to the catalogue since lists were made `for_all`."""
        return await self._cold_lists_of(self.shopfront.arrived(), now_ms)

    async def _cold_lists_of(self, contexts: Sequence[str], now_ms: float) -> list[tuple[str, ColdList]]:
        if not contexts:
            return []
        # Where a clock of a producer is ahead, everything else is not old; before the first event there is no other time.
        newest_ms = min(self._newest_ms or now_ms, now_ms)
        made = await self.shopfront.made(contexts, self._popular, self._all_partitions, newest_ms, now_ms)
        # What was hidden while they were made; what is written from here on, the second sweep goes through.
        return [(context, stripped(message, self._catalogue.hidden)) for context, message in made]

    async def position(self, partition: int) -> tuple[int, int]:
        """The last offset that was counted, and the last whose recommendations are out."""
        [[mark, published]] = await self._store.read([[self._keys.user_mark(partition), self._keys.published(partition)]])
        return marks.user_mark(mark).offset, int(published or marks.START)

    async def begin(self, partition: int, born: str) -> None:
        """To be called before a partition is counted on: from now on nothing is committed once Redis has started anew.

        Makes the marks of a partition that has none, known by `born`, so that from then on a missing one means that Redis lost
        it. Raises `DamagedState` where item shards have events of a partition whose mark is missing.
        """
        self._life = await self._store.life()
        self._begun.add(partition)
        self._shards.forget_all()  # another worker may have had the partition
        key, published = self._keys.user_mark(partition), self._keys.published(partition)
        await self._store.swap([Swap(published, None, str(marks.START).encode(), {})])
        [[stored, learned]] = await self._store.read([[key, self._keys.learner(partition)]])
        self._ranker.learners.begin(partition, learned)
        if stored is not None:
            return
        if partition in await self._items.partitions() and (await self._store.read([[key]]))[0][0] is None:
            raise damaged(f"the mark of partition {partition} is missing, but its events are counted")
        await self._store.swap([Swap(key, None, marks.encode(UserMark(version=1, born=born)), {})])

    def learned(self, partitions: Iterable[int]) -> list[Entry]:
        """What was learned on these partitions since this was asked last, to be written."""
        taken = self._ranker.learners.take(partitions)
        return [Entry(self._keys.learner(partition), value, self._retention_s) for partition, value in taken.items()]

    async def publish_again(self, partition: int, offset: int) -> int:
        """Moves the published mark back to `offset`, if it is beyond; where it then is."""
        key = self._keys.published(partition)
        while True:
            [[stored]] = await self._store.read([[key]])
            published = int(stored or marks.START)
            if published <= offset or (await self._store.swap([Swap(key, stored, str(offset).encode(), {})]))[0]:
                return min(published, offset)

    async def skip(self, partition: int, offset: int, lost: int) -> None:
        """Moves a partition's mark to `offset` past records that are gone, `lost` of them without having been counted."""
        key = self._keys.user_mark(partition)
        [[stored]] = await self._store.read([[key]])
        mark = marks.user_mark(stored)
        mark.version += 1
        mark.offset = offset
        mark.lost += lost
        done = await self._store.swap([Swap(key, stored, marks.encode(mark), {})])
        self._shards.forget([key])
        if not done[0]:
            raise LostPartition(f"partition {partition}: another worker changed it while lost records were passed over")

    @property
    def _all_partitions(self) -> Sequence[int]:
        return range(self._partitions) if self._partitions else sorted(self._lines)

    @property
    def _bought_again(self) -> float:
        """How much of what was bought, on the partitions that were counted here, was bought again."""
        bought = sum(lines for lines, _ in self._lines.values())
        return sum(again for _, again in self._lines.values()) / bought if bought else 0.0

    async def _named(self, items: set[int]) -> dict[int, str]:
        """The ids of items (hashes), also of those that nobody met yet."""
        described = self._catalogue.names
        names = await self._items.named(items.difference(described))
        found = zip(items, map(names.get, items, map(described.get, items)), strict=True)
        return {item: name for item, name in found if name is not None}

    def _is_missing(self, shard: UserShard) -> bool:
        """Whether Redis lost the shard's mark since counting began."""
        return shard.stored is None and shard.chunk.partition in self._begun

    def _wanted(self, shards: Sequence[UserShard], found: Histories) -> U64:
        """Items whose rows are needed: those that ranking starts from.

        Of a chunk that was counted before, but perhaps not published, all that its users touched: their neighbour lists are
        published again, too.
        """
        parts = [recent_items(found).ravel()]
        parts += [found.item[s.first : s.first + len(s.users)].ravel() for s in shards if not s.is_new]
        everything = np.concatenate(parts)
        items: U64 = np.unique(everything[everything != NONE])
        return items
