"""The item shards: deltas are merged into their rows, shard by shard, each by compare-and-set; several workers write them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from recsys import marks, popularity, rows
from recsys.compiled import I64, U64, Bools
from recsys.fold import Deltas
from recsys.keys import Keys
from recsys.popularity import Popular
from recsys.rows import Rows
from recsys.rules import Rules
from recsys.store import NO_GUARDS, Guards, Store, Swap

ITEM_SHARDS = 32
"""How many shards the items are spread over; part of the state, so a change needs a rebuild."""
NAMES_REMEMBERED = 500_000
"""Item names (they never change) that a worker keeps; beyond that it starts anew."""


class DamagedState(RuntimeError):
    """Something that must be in Redis is not there: keys were evicted or lost."""


def damaged(what: str) -> DamagedState:
    """The error for what is missing, with the way out."""
    return DamagedState(
        f"{what}: did Redis evict or lose keys? Set maxmemory-policy noeviction, and build the state anew from the topic: "
        "freshet rebuild (on a cluster: another FRESHET_KEY_PREFIX)"
    )


def fallen_back(shard: int, giving: "Giving", has: int) -> DamagedState:
    return damaged(
        f"item shard {shard} has the events of partition {giving.partition} up to offset {has} only, but was given them up to "
        f"{giving.given[shard]}"
    )


def missing_row(item: int) -> DamagedState:
    return damaged(f"the row of item {item:016x} is missing")


class StateMoved(RuntimeError):
    """A user shard changed while its deltas were merged: another worker has it, or Redis went back to an earlier state."""


class Giving(NamedTuple):
    """Whose deltas are merged: a partition's user shard as it was read."""

    partition: int
    end: int
    """The deltas are complete up to this offset."""
    given: list[int]
    """By item shard, the last offset whose deltas must be in it already."""


def row_key(keys: Keys, item: int) -> str:
    """Where the row of an item (its hash) is kept: in the shard that its hash names.

    >>> row_key(Keys("freshet:"), 33)
    'freshet:{i1}:row:0000000000000021'
    """
    return keys.row(item % ITEM_SHARDS, item)


class ItemShards:
    """The rows and the most popular items in the store; remembers the ids of the items it met."""

    def __init__(self, store: Store, keys: Keys, rules: Rules) -> None:
        self._store = store
        self._keys = keys
        self._rules = rules
        self._names: dict[int, str] = {}

    async def merge(
        self, deltas: Deltas, givings: Sequence[Giving], ids: Mapping[int, str], wanted: U64, guards: Guards = NO_GUARDS
    ) -> Rows:
        """Adds deltas to their rows; returns these rows and the wanted ones as they then are.

        `ids` are the ids of items that may be new, `guards` the marks of the user shards that the deltas come from: nothing is
        merged once one of them has changed. Raises `StateMoved` then, and `DamagedState` where a shard or a wanted row lacks
        what the unchanged marks say it has.
        """
        pending = np.unique(np.concatenate((deltas.item, wanted)))
        done: list[Rows] = []
        while True:
            try:
                loaded, stored = await self._try(deltas, givings, ids, pending, guards)
            except DamagedState:
                await self._check(guards)
                raise
            done.append(rows.take(loaded, stored))
            pending = pending[~stored]
            if not len(pending):
                self._remember(done)
                return rows.join(done)
            await self._check(guards)

    async def _check(self, guards: Guards) -> None:
        """Raises `StateMoved` where a guard no longer holds."""
        found = await self._store.read([[key] for key in guards])
        if [value for [value] in found] != list(guards.values()):
            raise StateMoved("a user shard changed while its deltas were merged")

    async def load(self, items: U64) -> tuple[Rows, I64]:
        """The rows of those of the items (sorted hashes) that have one, as they stand in the store; for each its version."""
        places = places_by_shard(items)
        groups = [
            [self._keys.item_mark(shard), *(self._keys.row(shard, i) for i in items[at].tolist())]
            for shard, at in places.items()
        ]
        packed: list[bytes | None] = [None] * len(items)
        version = np.zeros(len(items), np.int64)
        for at, (mark, *values) in zip(places.values(), await self._store.read(groups), strict=True):
            version[at] = marks.item_mark(mark).progress
            for r, value in zip(at.tolist(), values, strict=True):
                packed[r] = value
        there = np.array([value is not None for value in packed], np.bool_)
        return rows.load(items[there], [value for value in packed if value is not None], 0, self._rules), version[there]

    async def popular(self) -> tuple[Popular, int]:
        """The most popular items of all shards, by falling popularity, and the version of all shards together."""
        groups = [[self._keys.item_mark(shard), self._keys.top(shard)] for shard in range(ITEM_SHARDS)]
        replies = await self._store.read(groups)
        version = sum(marks.item_mark(mark).progress for mark, _ in replies)
        return popularity.unpack(self._rules, *(top for _, top in replies)), version

    async def named(self, items: Iterable[int]) -> dict[int, str]:
        """The ids of items by their hash.

        Shards are written one after the other, so a neighbour may have been stored before its own row is: it is left out, for
        it is not counted yet.
        """
        wanted = set(items)
        found = {item: self._names[item] for item in wanted & self._names.keys()}
        unknown = list(wanted - found.keys())
        if unknown:
            replies = await self._store.read([[row_key(self._keys, item)] for item in unknown])
            found |= {item: rows.packed_id(value) for item, [value] in zip(unknown, replies, strict=True) if value}
            self._names |= found
        return found

    async def have(self, partition: int) -> bool:
        """Whether deltas of a partition are in any shard."""
        replies = await self._store.read([[self._keys.item_mark(shard)] for shard in range(ITEM_SHARDS)])
        return any(partition in marks.item_mark(value).offsets for [value] in replies)

    async def _try(
        self, deltas: Deltas, givings: Sequence[Giving], ids: Mapping[int, str], items: U64, guards: Guards
    ) -> tuple[Rows, Bools]:
        """The rows of `items`, and for each whether it is stored so; in its shard another worker may have been first."""
        places = places_by_shard(items)
        groups = [
            [self._keys.item_mark(shard), self._keys.top(shard), *(self._keys.row(shard, i) for i in items[at].tolist())]
            for shard, at in places.items()
        ]
        replies = dict(zip(places, await self._store.read(groups), strict=True))
        item_marks = {shard: marks.item_mark(reply[0]) for shard, reply in replies.items()}
        packed: list[bytes | None] = [None] * len(items)
        for shard, at in places.items():
            for r, value in zip(at.tolist(), replies[shard][2:], strict=True):
                packed[r] = value

        givings = sorted(givings)
        partitions = [giving.partition for giving in givings]
        counted = np.full((ITEM_SHARDS, len(partitions)), marks.START)
        for shard, mark in item_marks.items():
            counted[shard] = [mark.offsets.get(partition, marks.START) for partition in partitions]
            for n, giving in enumerate(givings):
                if giving.given and counted[shard, n] < giving.given[shard]:
                    raise fallen_back(shard, giving, int(counted[shard, n]))
        of_shard = (deltas.item % np.uint64(ITEM_SHARDS)).astype(np.int64)
        of_partition = np.searchsorted(partitions, deltas.partition)
        fresh = np.isin(deltas.item, items) & (deltas.offset > counted[of_shard, of_partition])
        deltas = Deltas._make(column[fresh] for column in deltas)
        at_row = np.searchsorted(items, deltas.item)
        loaded = rows.load(items, packed, int(np.bincount(at_row).max(initial=0)), self._rules)
        name(loaded, ids)
        rows.merge(loaded, deltas, at_row, self._rules)

        changed = np.zeros(len(items), np.bool_)
        changed[at_row] = True
        swaps = {}
        for shard, at in places.items():
            touched = at[changed[at]]
            if not len(touched):
                continue
            mark = item_marks[shard]
            mark.version += 1
            mark.offsets.update({p: end for p, end, _ in givings if end > mark.offsets.get(p, marks.START)})
            top = popularity.update(popularity.unpack(self._rules, replies[shard][1]), loaded, touched, self._rules)
            values = {self._keys.row(shard, int(items[r])): rows.pack(loaded, r) for r in touched.tolist()}
            values[self._keys.top(shard)] = popularity.pack(top)
            swaps[shard] = Swap(self._keys.item_mark(shard), replies[shard][0], marks.encode(mark), values)
        swapped = dict(zip(swaps, await self._store.swap(list(swaps.values()), guards), strict=True)) if swaps else {}
        stored = np.ones(len(items), np.bool_)
        for shard, at in places.items():
            stored[at] = swapped.get(shard, True)
        return loaded, stored

    def _remember(self, loaded: Iterable[Rows]) -> None:
        if len(self._names) > NAMES_REMEMBERED:
            self._names.clear()
        for part in loaded:
            self._names.update((item, text) for item, text in zip(part.item.tolist(), part.ids, strict=True) if text)


def given_after(deltas: Deltas, giving: Giving) -> list[int]:
    """By item shard, the last offset whose deltas are in it once those of a partition are merged."""
    after = np.array(giving.given or [marks.START] * ITEM_SHARDS)
    ours = deltas.partition == giving.partition
    np.maximum.at(after, (deltas.item[ours] % np.uint64(ITEM_SHARDS)).astype(np.int64), deltas.offset[ours])
    given: list[int] = after.tolist()
    return given


def places_by_shard(items: U64) -> dict[int, I64]:
    """For each shard that holds some of the items, their places.

    >>> places_by_shard(np.array([1, 2, 33], np.uint64))
    {1: array([0, 2]), 2: array([1])}
    """
    shard_of = (items % np.uint64(ITEM_SHARDS)).astype(np.int64)
    return {shard: np.flatnonzero(shard_of == shard) for shard in np.unique(shard_of).tolist()}


def name(loaded: Rows, ids: Mapping[int, str]) -> None:
    """Gives rows of new items their ids. A row that is neither stored nor new is lost."""
    for r, item in enumerate(loaded.item.tolist()):
        if loaded.ids[r] is None:
            if item not in ids:
                raise missing_row(item)
            loaded.ids[r] = ids[item]
