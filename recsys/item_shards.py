"""The item shards: what a batch gives to items is merged, shard by shard, by compare-and-set; several workers write them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from recsys import marks, popularity, rows
from recsys.compiled import I64, U64, Bools
from recsys.damage import DamagedState
from recsys.given import Given, merged_rows, merged_sales, merged_visitors, reached_by_shard
from recsys.index import distinct
from recsys.item_names import ItemNames
from recsys.keys import SALES, VIEWED, VISITORS, Keys
from recsys.popularity import Popular
from recsys.returning import sales
from recsys.returning.sales import Sales, Sold
from recsys.rows import Rows
from recsys.rules import Rules
from recsys.sharding import ITEM_SHARDS, places_by_shard
from recsys.shards import Shards
from recsys.stages import Stages
from recsys.store import NO_COMMIT, NO_GUARDS, Commit, Guards, Store, Swap

Packed = Sequence[bytes | None]

NO_PLACES = np.empty(0, np.int64)
OTHERS_S = 5.0
"""So long after others were seen to write, what is read may be from before."""


class StateMoved(RuntimeError):
    """A user shard changed while its deltas were merged: another worker has it, or Redis went back to an earlier state."""


class Pending(NamedTuple):
    """Items (sorted hashes) whose rows, by table, and items whose sales and visitors are not merged yet."""

    rows: dict[str, U64]
    sales: U64
    visitors: U64

    @property
    def is_empty(self) -> bool:
        return not any(map(len, (*self.rows.values(), self.sales, self.visitors)))


class Wanted(NamedTuple):
    """Items (sorted hashes) of which something is to be read."""

    table: str
    items: U64
    places: dict[int, I64]
    """Of the items of each shard."""

    def at(self, shard: int) -> I64:
        return self.places.get(shard, NO_PLACES)


class Merged(NamedTuple):
    """Viewed rows and sales as they are stored now, and the sales as they were before."""

    rows: Rows
    sold: Sold
    before: Sold
    committed: list[bool]
    """For each change of the commit whether it was made, too; one that was not may still be made alone."""


class Stored(NamedTuple):
    """For each of the pending whether it is merged now; in its shard another worker may have been first."""

    rows: dict[str, Bools]
    sales: Bools
    visitors: Bools


class ItemShards:
    """The rows and the most popular items in the store; remembers the ids of the items it met."""

    def __init__(self, store: Store, shards: Shards, keys: Keys, rules: Rules, stages: Stages) -> None:
        self._store = store
        self._shards = shards
        self._keys = keys
        self._rules = rules
        self._stages = stages
        self._names = ItemNames(store, keys)

    def old_since(self, now_s: float, fresh_s: float) -> float:
        """What was read before then, in seconds of `time.monotonic`, is to be read again: it is older than `fresh_s`, and from
        before others were last seen to write, or from so soon after that it may be."""
        return min(now_s - fresh_s, self._shards.others_s + OTHERS_S)

    async def merge(self, given: Given, wanted: U64, guards: Guards = NO_GUARDS, commit: Commit = NO_COMMIT) -> Merged:
        """Adds what is given to rows, sales and visitors, and then makes the commit; returns rows, the wanted ones too, and
        sales as they then are.

        `guards` are the marks of the user shards that the deltas come from: nothing is merged once one of them has changed.
        Raises `StateMoved` then, and `DamagedState` where a shard, a wanted row or sales lack what the unchanged marks say
        they have.
        """
        touched = {table: distinct(deltas.item) for table, deltas in given.deltas.items()}
        touched[VIEWED] = np.union1d(touched[VIEWED], wanted)
        pending = Pending(touched, distinct(given.told.item), distinct(given.visits.item))
        done: list[Rows] = []
        resold: list[Sold] = []
        before: list[Sold] = []
        doubted = False
        while True:
            try:
                loaded, was, sold, stored, committed = await self._try(given, pending, guards, commit)
            except DamagedState:
                if not doubted:  # perhaps only what was remembered lacks something
                    doubted = True
                    self._shards.forget_all()
                    continue
                await self._check(guards)
                raise
            done.append(rows.take(loaded, stored.rows[VIEWED]))
            resold.append(sales.take(Sold(pending.sales, sold), stored.sales))
            before.append(sales.take(Sold(pending.sales, was), stored.sales))
            left = {table: items[~stored.rows[table]] for table, items in pending.rows.items()}
            pending = Pending(left, pending.sales[~stored.sales], pending.visitors[~stored.visitors])
            if pending.is_empty:
                for part in done:
                    self._names.remember(part)
                return Merged(rows.join(done), sales.join(resold), sales.join(before), committed)
            await self._check(guards)

    async def _check(self, guards: Guards) -> None:
        """Raises `StateMoved` where a guard no longer holds."""
        found = await self._store.read([[key] for key in guards])
        if [value for [value] in found] != list(guards.values()):
            raise StateMoved("a user shard changed while its deltas were merged")

    async def load(self, items: U64, table: str = VIEWED) -> tuple[Rows, I64]:
        """The rows of those of the items (sorted hashes) that have one, by `Shards.look`; for each its version."""
        packed, version = await self._look(items, table)
        there = np.array([value is not None for value in packed], np.bool_)
        return rows.load(items[there], [value for value in packed if value is not None], 0, self._rules), version[there]

    async def load_interactions(self, items: U64, table: str) -> I64:
        """The interactions of items (hashes) alone, 0 of those without a row."""
        packed, _ = await self._look(items, table)
        return np.array([rows.packed_interactions(value) if value else 0 for value in packed], np.int64)

    async def _look(self, items: U64, table: str) -> tuple[list[bytes | None], I64]:
        """The packed rows of items (hashes), and the versions of their shards."""
        places = places_by_shard(items)
        groups = [[self._keys.item_mark(shard), *self._keys_of(shard, table, items[at])] for shard, at in places.items()]
        packed: list[bytes | None] = [None] * len(items)
        version = np.zeros(len(items), np.int64)
        for at, (mark, *values) in zip(places.values(), await self._shards.look(groups), strict=True):
            version[at] = marks.item_mark(mark).progress
            for r, value in zip(at.tolist(), values, strict=True):
                packed[r] = value
        return packed, version

    async def load_sales(self, items: U64) -> Sold:
        """The sales of items (hashes), as they stand in the store."""
        places = places_by_shard(items)
        groups = [self._keys_of(shard, SALES, items[at]) for shard, at in places.items()]
        packed: list[bytes | None] = [None] * len(items)
        for at, values in zip(places.values(), await self._store.read(groups), strict=True):
            for r, value in zip(at.tolist(), values, strict=True):
                packed[r] = value
        return Sold(items, sales.unpack(packed))

    async def popular(self) -> tuple[Popular, int]:
        """The most popular items of all shards, by falling popularity, and the version of all shards together."""
        groups = [[self._keys.item_mark(shard), self._keys.top(shard)] for shard in range(ITEM_SHARDS)]
        replies = await self._shards.look(groups)
        version = sum(marks.item_mark(mark).progress for mark, _ in replies)
        return popularity.unpack(self._rules, *(top for _, top in replies)), version

    async def named(self, items: Iterable[int]) -> Mapping[int, str]:
        """The ids of items by their hash; there may be more in it.

        Shards are written one after the other, so a neighbour may have been stored before its own row is: it is left out, for
        it is not counted yet.
        """
        return await self._names.of(items)

    async def partitions(self) -> set[int]:
        """The partitions whose deltas are in any shard."""
        replies = await self._store.read([[self._keys.item_mark(shard)] for shard in range(ITEM_SHARDS)])
        return {partition for [value] in replies for partition in marks.item_mark(value).offsets}

    async def _try(
        self, given: Given, pending: Pending, guards: Guards, commit: Commit
    ) -> tuple[Rows, Sales, Sales, Stored, list[bool]]:
        """The viewed rows that were pending, the sales before and after, and what of all is stored and committed."""
        of_rows = {table: Wanted(table, items, places_by_shard(items)) for table, items in pending.rows.items()}
        of_sales = Wanted(SALES, pending.sales, places_by_shard(pending.sales))
        of_visitors = Wanted(VISITORS, pending.visitors, places_by_shard(pending.visitors))
        shards, replies, unproved, found = await self._read([*of_rows.values(), of_sales, of_visitors])
        *packed, packed_sales, packed_visitors = found
        item_marks = {shard: marks.item_mark(reply[0]) for shard, reply in replies.items()}
        reached = reached_by_shard(item_marks, given.givings)
        loaded: dict[str, Rows] = {}
        with self._stages.timed("merge"):
            written: dict[int, dict[str, bytes]] = {shard: {} for shard in shards}
            for (table, wanted), values in zip(of_rows.items(), packed, strict=True):
                loaded[table], changed = merged_rows(given, table, wanted.items, values, reached, self._rules)
                places = {shard: at[changed[at]] for shard, at in wanted.places.items()}
                self._pack_rows(written, table, loaded[table], places)
                if table == VIEWED:
                    self._pack_tops(written, loaded[table], places, replies)
            sold, resold = merged_sales(given, pending.sales, packed_sales, reached)
            for shard, at in of_sales.places.items():
                for r in at[resold[at]].tolist():
                    written[shard][self._keys.sales(shard, int(pending.sales[r]))] = sales.pack(sold, r)
            came = merged_visitors(given, pending.visitors, packed_visitors, reached, self._rules)
            for shard, at in of_visitors.places.items():
                for r, item in zip(at.tolist(), pending.visitors[at].tolist(), strict=True):
                    if (value := came[r]) is not None:
                        written[shard][self._keys.visitors(shard, item)] = value
        swaps = {}
        for shard, new in written.items():
            if not new:
                key, stored_mark = self._keys.item_mark(shard), replies[shard][0]
                if key in unproved and stored_mark is not None:  # a shard without a mark is not remembered
                    swaps[shard] = Swap(key, stored_mark, stored_mark, {})  # changes nothing, and proves it
                continue
            mark = item_marks[shard]
            mark.version += 1
            mark.offsets.update({p: end for p, end, _ in given.givings if end > mark.offsets.get(p, marks.START)})
            swaps[shard] = Swap(self._keys.item_mark(shard), replies[shard][0], marks.encode(mark), new)
        with self._stages.timed("write"):
            done = await self._shards.swap(list(swaps.values()), guards, commit)
        swapped = dict(zip(swaps, done, strict=False))
        self._stages.conflicts += sum(not ok for ok in swapped.values())
        stored = Stored(
            {table: np.ones(len(items), np.bool_) for table, items in pending.rows.items()},
            np.ones(len(pending.sales), np.bool_),
            np.ones(len(pending.visitors), np.bool_),
        )
        for shard, ok in swapped.items():
            for table, wanted in of_rows.items():
                stored.rows[table][wanted.at(shard)] = ok
            stored.sales[of_sales.at(shard)] = ok
            stored.visitors[of_visitors.at(shard)] = ok
        return loaded[VIEWED], sales.unpack(packed_sales), sold, stored, done[len(swaps) :]

    async def _read(
        self, wanted: Sequence[Wanted]
    ) -> tuple[list[int], dict[int, list[bytes | None]], set[str], list[list[bytes | None]]]:
        """The shards of all that is wanted; what each replied, the mark and what is most popular first; the marks that are
        unproved; and what was found of each of the wanted."""
        shards = sorted({shard for each in wanted for shard in each.places})
        groups = [
            [
                self._keys.item_mark(shard),
                self._keys.top(shard),
                *(key for each in wanted for key in self._keys_of(shard, each.table, each.items[each.at(shard)])),
            ]
            for shard in shards
        ]
        with self._stages.timed("read"):
            found, unproved = await self._shards.read(groups)
        packed: list[list[bytes | None]] = [[None] * len(each.items) for each in wanted]
        for shard, (_, _, *values) in zip(shards, found, strict=True):
            left = iter(values)
            for each, of_each in zip(wanted, packed, strict=True):
                for r in each.at(shard).tolist():
                    of_each[r] = next(left)
        return shards, dict(zip(shards, found, strict=True)), unproved, packed

    def _keys_of(self, shard: int, table: str, items: U64) -> list[str]:
        """The keys of items (hashes) of a shard."""
        start = self._keys.of_items(shard, table)
        return [f"{start}{item:016x}" for item in items.tolist()]

    def _pack_rows(self, written: Mapping[int, dict[str, bytes]], table: str, loaded: Rows, places: Mapping[int, I64]) -> None:
        """By shard, adds the keys and values of the rows of a table in these places."""
        if not any(map(len, places.values())):
            return
        packed = iter(rows.pack(loaded, np.concatenate([*places.values()])))
        for shard, at in places.items():
            for key in self._keys_of(shard, table, loaded.item[at]):
                written[shard][key] = next(packed)

    def _pack_tops(
        self, written: Mapping[int, dict[str, bytes]], loaded: Rows, places: Mapping[int, I64], replies: Mapping[int, Packed]
    ) -> None:
        """By shard, adds what is most popular with the viewed rows in these places."""
        places = {shard: at for shard, at in places.items() if len(at)}
        if not places:
            return
        tops = popularity.update([replies[shard][1] for shard in places], loaded, [*places.values()], self._rules)
        for shard, top in zip(places, tops, strict=True):
            written[shard][self._keys.top(shard)] = top
