"""The engine: one batch of one partition, from events to committed counts and to fresh recommendations.

    read the user shard → fold → read the item shards, merge, swap (again, where another worker was first)
    → swap the user shard: the commit → rank → messages

Item shards come first and the user shard last: after a crash anywhere in between the same events give the same deltas, because
the histories have not changed, and each item shard takes only the deltas that are newer than its mark for this partition.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from recsys import fold as folding
from recsys import histories, marks, popularity, rank, rows
from recsys.batch import Arrival, columns, matters
from recsys.compiled import U64, Bools
from recsys.fold import Deltas
from recsys.hashing import NONE, hash_id
from recsys.histories import Histories
from recsys.keys import Keys
from recsys.marks import UserMark
from recsys.popularity import Popular
from recsys.recommendation import (
    Neighbours,
    Recommendation,
    hashes_to_name,
    instant,
    neighbours,
    recommended,
    strongest,
    trending,
)
from recsys.rows import Rows
from recsys.rules import Rules
from recsys.store import Store, Swap

ITEM_SHARDS = 32
"""How many shards the items are spread over; part of the state, so a change needs a rebuild."""

NAMES_REMEMBERED = 500_000
"""Item names (they never change) that a worker keeps; beyond that it starts anew."""

POPULAR_TO_SPARE = 200
"""Popular items kept beyond `top_n`, to fill the places of those that a user must not be shown."""


class LostPartition(RuntimeError):
    """Another worker has changed this partition's user shard: it owns the partition now, and nothing was written."""


class MissingRecords(RuntimeError):
    """The records do not begin where the mark ends: counting them would pass over those in between."""


class DamagedState(RuntimeError):
    """Something that must be in Redis is not there, or not in the form that this version writes."""


class Chunk(NamedTuple):
    """What came from one partition, after decoding: everything from offset `start` to `end`, both included."""

    partition: int
    start: int
    end: int
    arrivals: Sequence[Arrival]
    rejected: Sequence[int] = ()
    """Offsets of records that were set aside."""
    forwarded: Sequence[int] = ()
    """Offsets of records that were sent on to their home partitions."""


class Counted(NamedTuple):
    """What a committed chunk leaves for ranking: the users it touched, as they now are."""

    partition: int
    users: list[str]
    newest: dict[str, Arrival]
    """By user, the newest event of the chunk that changed the history."""
    histories: Histories
    rows: Rows
    changed: U64
    """The items whose rows the chunk changed."""
    mark: UserMark


class Engine:
    """Counts chunks into a store and ranks from it. Several engines share a store; each partition belongs to one at a time."""

    def __init__(self, store: Store, keys: Keys, rules: Rules, retention_s: int = 90 * 86_400) -> None:
        self._store = store
        self._keys = keys
        self._rules = rules
        self._retention_s = retention_s
        self._names: dict[int, str] = {}
        self._popular = popularity.unpack()
        self._newest_ms = 0

    async def count(self, chunk: Chunk) -> Counted:
        """Counts a chunk, exactly once however often it is given, and returns what ranking needs.

        Raises `LostPartition` if another worker has the partition, `MissingRecords` if the chunk begins after the mark's
        end, `DamagedState` if Redis lacks what the marks say it has.
        """
        keys, rules = self._keys, self._rules
        users = list(dict.fromkeys(a.event.user_id for a in chunk.arrivals if matters(a.event.kind)))
        mark_key = keys.user_mark(chunk.partition)
        user_keys = [keys.user(chunk.partition, user) for user in users]
        [[stored_mark, *packed]] = await self._store.read([[mark_key, *user_keys]])
        mark = marks.user_mark(stored_mark)
        before = mark.offset
        if chunk.start > before + 1:
            raise MissingRecords(
                f"partition {chunk.partition}: the records begin at offset {chunk.start}, but counted is only up to {before}"
            )
        found = histories.unpack(packed, rules.history)
        arrivals = _uncounted(chunk, mark)
        batch = columns(arrivals, users)
        deltas, changed = folding.fold(found, batch, rules)
        wanted = rank.recent_items(found)
        if chunk.start <= before:  # counted before, but perhaps not published: everything these users touched is published
            wanted = found.item
        loaded = await self._merge(chunk, deltas, batch.ids, np.unique(wanted[wanted != NONE]))

        if chunk.end > before:
            mark.version += 1
            mark.offset = chunk.end
            mark.interactions += int((deltas.other == NONE).sum())
            mark.repeats += int((batch.opens & ~changed & (batch.kind < folding.REFUND)).sum())
            mark.rejected += sum(offset > before for offset in chunk.rejected)
            mark.forwarded += sum(offset > before for offset in chunk.forwarded)
            values = {user_keys[u]: histories.pack(found, u) for u in np.unique(batch.user[changed]).tolist()}
            swap = Swap(mark_key, stored_mark, marks.encode(mark), values, self._retention_s)
            if not (await self._store.swap([swap]))[0]:
                raise LostPartition(
                    f"partition {chunk.partition}: another worker changed it while "
                    f"offsets {chunk.start} to {chunk.end} were counted"
                )
        offsets = set(batch.offset[changed].tolist())
        newest = {
            a.event.user_id: a for a in chunk.arrivals if matters(a.event.kind) and (a.offset <= before or a.offset in offsets)
        }
        self._newest_ms = max(self._newest_ms, int(deltas.time.max(initial=0)))
        touched = np.unique(deltas.item) if chunk.start > before else loaded.item
        return Counted(chunk.partition, users, newest, found, loaded, touched, mark)

    async def recommend(self, counted: Counted, now_ms: int) -> list[tuple[Arrival, Recommendation]]:
        """A recommendation for each user whose history the chunk changed, with the event that it answers."""
        if not counted.newest:
            return []
        place = {user: u for u, user in enumerate(counted.users)}
        chosen = np.array([place[user] for user in counted.newest])
        found = Histories._make(column[chosen] for column in counted.histories)
        current = [
            [hash_id(line.item_id) for line in arrival.event.lines]
            if arrival.event.kind.is_interaction
            else histories.newest_items(found, u)
            for u, arrival in enumerate(counted.newest.values())
        ]
        ranked = rank.rank(rank.context(found, current, self._rules), counted.rows, self._popular, self._rules)
        await self._learn_names(hashes_to_name(ranked))
        return [
            (
                arrival,
                Recommendation(
                    user_id=user,
                    recommendation_id=f"{counted.partition:x}-{arrival.offset:x}-{now_ms:x}",
                    generated_at=instant(now_ms),
                    event_id=arrival.event.event_id,
                    event_time=instant(arrival.event.time_ms),
                    strategy="personal" if ranked.personal[u] else "cold_start",
                    items=items,
                ),
            )
            for u, ((user, arrival), items) in enumerate(
                zip(counted.newest.items(), recommended(ranked, self._names), strict=True)
            )
        ]

    async def similar(self, counted: Counted) -> list[Neighbours]:
        """The neighbour lists of the items whose rows the chunk changed."""
        loaded = counted.rows
        places = np.flatnonzero(np.isin(loaded.item, counted.changed)).tolist()
        shown = {r: strongest(loaded, r, self._rules.top_n) for r in places}
        await self._learn_names({item for r, order in shown.items() for item in loaded.other[r][order].tolist()})
        return [neighbours(loaded, r, order, self._names, self._rules) for r, order in shown.items()]

    async def trending(self) -> Neighbours | None:
        """Reads the most popular items anew, for cold starts and as a message; None while this engine has counted nothing."""
        groups = [[self._keys.top(shard)] for shard in range(ITEM_SHARDS)]
        everything = popularity.unpack(*(value for [value] in await self._store.read(groups)))
        self._popular = Popular._make(column[: self._rules.top_n + POPULAR_TO_SPARE] for column in everything)
        await self._learn_names(self._popular.item.tolist())
        return trending(self._popular, self._names, self._newest_ms, self._rules) if self._newest_ms else None

    async def position(self, partition: int) -> tuple[int, int]:
        """The last offset that was counted, and the last whose recommendations are out."""
        [[mark, published]] = await self._store.read([[self._keys.user_mark(partition), self._keys.published(partition)]])
        return marks.user_mark(mark).offset, int(published or marks.START)

    async def skip(self, partition: int, offset: int, lost: int) -> None:
        """Moves a partition's mark to `offset` past records that are gone, `lost` of them without having been counted."""
        key = self._keys.user_mark(partition)
        [[stored]] = await self._store.read([[key]])
        mark = marks.user_mark(stored)
        mark.version += 1
        mark.offset = offset
        mark.lost += lost
        if not (await self._store.swap([Swap(key, stored, marks.encode(mark), {})]))[0]:
            raise LostPartition(f"partition {partition}: another worker changed it while lost records were passed over")

    async def _merge(self, chunk: Chunk, deltas: Deltas, ids: Mapping[int, str], wanted: U64) -> Rows:
        """Adds the deltas to their rows, shard by shard, and returns these rows and the wanted ones as they then are."""
        pending = np.unique(np.concatenate((deltas.item, wanted)))
        done: list[Rows] = []
        while True:
            loaded, swapped = await self._merge_once(chunk, deltas, ids, pending)
            done.append(rows.take(loaded, swapped))
            pending = pending[~swapped]
            if not len(pending):
                self._remember(done)
                return rows.join(done)

    async def _merge_once(self, chunk: Chunk, deltas: Deltas, ids: Mapping[int, str], items: U64) -> tuple[Rows, Bools]:
        """One try: the rows, and for each whether it is stored so; another worker may have been first in its shard."""
        shard_of = (items % np.uint64(ITEM_SHARDS)).astype(np.int64)
        places = {shard: np.flatnonzero(shard_of == shard) for shard in np.unique(shard_of).tolist()}
        replies = await self._store.read(
            [
                [
                    self._keys.item_mark(shard),
                    self._keys.top(shard),
                    *(self._keys.row(shard, i) for i in items[at].tolist()),
                ]
                for shard, at in places.items()
            ]
        )
        item_marks = {shard: marks.item_mark(reply[0]) for shard, reply in zip(places, replies, strict=True)}
        packed: list[bytes | None] = [None] * len(items)
        for at, reply in zip(places.values(), replies, strict=True):
            for r, value in zip(at.tolist(), reply[2:], strict=True):
                packed[r] = value

        counted_up_to = np.full(ITEM_SHARDS, marks.START)
        for shard, mark in item_marks.items():
            counted_up_to[shard] = mark.offsets.get(chunk.partition, marks.START)
        fresh = np.isin(deltas.item, items) & (
            deltas.offset > counted_up_to[(deltas.item % np.uint64(ITEM_SHARDS)).astype(np.int64)]
        )
        deltas = Deltas._make(column[fresh] for column in deltas)
        at_row = np.searchsorted(items, deltas.item)
        loaded = rows.load(items, packed, int(np.bincount(at_row).max(initial=0)), self._rules)
        _name(loaded, ids)
        rows.merge(loaded, deltas, at_row, self._rules)

        changed = np.zeros(len(items), np.bool_)
        changed[at_row] = True
        swaps = {}
        for (shard, at), reply in zip(places.items(), replies, strict=True):
            touched = at[changed[at]]
            if not len(touched):
                continue
            mark = item_marks[shard]
            mark.version += 1
            mark.offsets[chunk.partition] = chunk.end
            top = popularity.update(popularity.unpack(reply[1]), loaded, touched, self._rules)
            values = {self._keys.row(shard, int(items[r])): rows.pack(loaded, r) for r in touched.tolist()}
            values[self._keys.top(shard)] = popularity.pack(top)
            swaps[shard] = Swap(self._keys.item_mark(shard), reply[0], marks.encode(mark), values)
        outcome = dict(zip(swaps, await self._store.swap(list(swaps.values())), strict=True)) if swaps else {}
        return loaded, np.array([outcome.get(shard, True) for shard in shard_of.tolist()], np.bool_)

    def _remember(self, loaded: Iterable[Rows]) -> None:
        if len(self._names) > NAMES_REMEMBERED:
            self._names.clear()
        for part in loaded:
            self._names.update((item, name) for item, name in zip(part.item.tolist(), part.ids, strict=True) if name)

    async def _learn_names(self, items: Iterable[int]) -> None:
        """Makes sure that the names of these items are known."""
        wanted = list(items)
        # A loop, because what was known may be forgotten while this waits for Redis.
        while unknown := [item for item in wanted if item not in self._names]:
            replies = await self._store.read([[self._keys.row(item % ITEM_SHARDS, item)] for item in unknown])
            for item, [value] in zip(unknown, replies, strict=True):
                if value is None:
                    raise DamagedState(f"the row of item {item:016x} is missing: did Redis evict or lose keys?")
                self._names[item] = rows.packed_id(value)


def _uncounted(chunk: Chunk, mark: UserMark) -> list[Arrival]:
    """The arrivals that are not counted yet; a forwarded record counts the first time it comes, which `mark` then remembers."""
    fresh = []
    for arrival in chunk.arrivals:
        if arrival.offset <= mark.offset:
            continue
        if arrival.origin:
            source, offset = arrival.origin
            if offset <= mark.forwarded_from.get(source, marks.START):
                mark.repeats += 1
                continue
            mark.forwarded_from[source] = offset
        fresh.append(arrival)
    return fresh


def _name(loaded: Rows, ids: Mapping[int, str]) -> None:
    """Gives rows of new items their ids. A row that is neither stored nor new is lost."""
    for r, item in enumerate(loaded.item.tolist()):
        if loaded.ids[r] is None:
            if item not in ids:
                raise DamagedState(f"the row of item {item:016x} is missing: did Redis evict or lose keys?")
            loaded.ids[r] = ids[item]
