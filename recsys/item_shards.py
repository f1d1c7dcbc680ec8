"""The item shards: deltas are merged into their rows, shard by shard, each by compare-and-set; several workers write them."""

from collections.abc import Iterable, Mapping

import numpy as np

from recsys import marks, popularity, rows
from recsys.compiled import I64, U64, Bools
from recsys.fold import Deltas
from recsys.keys import Keys
from recsys.popularity import Popular
from recsys.rows import Rows
from recsys.rules import Rules
from recsys.store import Store, Swap

ITEM_SHARDS = 32
"""How many shards the items are spread over; part of the state, so a change needs a rebuild."""
NAMES_REMEMBERED = 500_000
"""Item names (they never change) that a worker keeps; beyond that it starts anew."""


class DamagedState(RuntimeError):
    """Something that must be in Redis is not there: keys were evicted or lost."""


def missing_row(item: int) -> DamagedState:
    return DamagedState(
        f"the row of item {item:016x} is missing: did Redis evict or lose keys? Set maxmemory-policy noeviction, and build "
        "the state anew from the topic: freshet rebuild"
    )


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

    async def merge(self, deltas: Deltas, ends: Mapping[int, int], ids: Mapping[int, str], wanted: U64) -> Rows:
        """Adds deltas to their rows; returns these rows and the wanted ones as they then are.

        `ends` gives for each partition the offset up to which the deltas are complete, `ids` the ids of items that may be new.
        Raises `DamagedState` for a wanted row that is missing.
        """
        pending = np.unique(np.concatenate((deltas.item, wanted)))
        done: list[Rows] = []
        while True:
            loaded, stored = await self._try(deltas, ends, ids, pending)
            done.append(rows.take(loaded, stored))
            pending = pending[~stored]
            if not len(pending):
                self._remember(done)
                return rows.join(done)

    async def load(self, items: U64) -> Rows:
        """The rows of those of the items (sorted hashes) that have one, as they stand in the store."""
        replies = await self._store.read([[row_key(self._keys, item)] for item in items.tolist()])
        there = np.array([value is not None for [value] in replies], np.bool_)
        return rows.load(items[there], [value for [value] in replies if value is not None], 0, self._rules)

    async def popular(self) -> Popular:
        """The most popular items of all shards, by falling popularity."""
        groups = [[self._keys.top(shard)] for shard in range(ITEM_SHARDS)]
        return popularity.unpack(self._rules, *(value for [value] in await self._store.read(groups)))

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

    async def _try(self, deltas: Deltas, ends: Mapping[int, int], ids: Mapping[int, str], items: U64) -> tuple[Rows, Bools]:
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

        partitions = sorted(ends)
        counted = np.full((ITEM_SHARDS, len(partitions)), marks.START)
        for shard, mark in item_marks.items():
            counted[shard] = [mark.offsets.get(partition, marks.START) for partition in partitions]
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
            mark.offsets.update({p: end for p, end in ends.items() if end > mark.offsets.get(p, marks.START)})
            top = popularity.update(popularity.unpack(self._rules, replies[shard][1]), loaded, touched, self._rules)
            values = {self._keys.row(shard, int(items[r])): rows.pack(loaded, r) for r in touched.tolist()}
            values[self._keys.top(shard)] = popularity.pack(top)
            swaps[shard] = Swap(self._keys.item_mark(shard), replies[shard][0], marks.encode(mark), values)
        swapped = dict(zip(swaps, await self._store.swap(list(swaps.values())), strict=True)) if swaps else {}
        stored = np.ones(len(items), np.bool_)
        for shard, at in places.items():
            stored[at] = swapped.get(shard, True)
        return loaded, stored

    def _remember(self, loaded: Iterable[Rows]) -> None:
        if len(self._names) > NAMES_REMEMBERED:
            self._names.clear()
        for part in loaded:
            self._names.update((item, text) for item, text in zip(part.item.tolist(), part.ids, strict=True) if text)


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
