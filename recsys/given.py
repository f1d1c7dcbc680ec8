"""Given: what a batch gives to items, and what of it their rows, sales and visitors still lack. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from recsys import growth, marks, rows, visitors
from recsys.compiled import I32, I64, U64, Bools, compiled_maker
from recsys.damage import DamagedState, damaged, missing_row
from recsys.deltas import Deltas
from recsys.index import NOWHERE, index, places
from recsys.keys import VIEWED
from recsys.marks import ItemMark
from recsys.returning import basket_fold, sales
from recsys.returning.sales import BOUGHT_FIRST, Sales
from recsys.rows import Rows
from recsys.rules import Rules
from recsys.sharding import ITEM_SHARDS, shards_of
from recsys.visitors import Visits


class Giving(NamedTuple):
    """Whose deltas are merged: a partition's user shard as it was read."""

    partition: int
    end: int
    """The deltas are complete up to this offset."""
    given: list[int]
    """By item shard, the last offset whose deltas must be in it already."""


class Given(NamedTuple):
    """What a batch gives to the item shards."""

    deltas: Mapping[str, Deltas]
    """For rows, by table; for the viewed ones always."""
    told: basket_fold.Deltas
    """For sales."""
    visits: Visits
    """For the visitors of items; their users stand in `users`."""
    users: Sequence[str]
    givings: Sequence[Giving]
    """Of each partition that it comes from."""
    ids: Mapping[int, str]
    """Of items that may be new."""


class Reached(NamedTuple):
    """The last offsets that item shards have of some partitions."""

    partitions: list[int]
    """Sorted."""
    offsets: I64
    """Shards × partitions."""


def given_after(deltas: Sequence[Deltas | basket_fold.Deltas], giving: Giving) -> list[int]:
    """By item shard, the last offset whose deltas are in it once those of a partition are merged."""
    after = np.array(giving.given or [marks.START] * ITEM_SHARDS)
    for of_a_kind in deltas:
        ours = of_a_kind.partition == giving.partition
        np.maximum.at(after, shards_of(of_a_kind.item[ours]), of_a_kind.offset[ours])
    given: list[int] = after.tolist()
    return given


def fallen_back(shard: int, giving: Giving, has: int) -> DamagedState:
    return damaged(
        f"item shard {shard} has the events of partition {giving.partition} up to offset {has} only, but was given them up to "
        f"{giving.given[shard]}"
    )


def reached_by_shard(item_marks: Mapping[int, ItemMark], givings: Sequence[Giving]) -> Reached:
    """What the shards with these marks have. Raises `DamagedState` where one lacks what it was given before."""
    partitions = sorted(giving.partition for giving in givings)
    offsets = np.full((ITEM_SHARDS, len(partitions)), marks.START)
    for shard, mark in item_marks.items():
        offsets[shard] = [mark.offsets.get(partition, marks.START) for partition in partitions]
        for giving in givings:
            has = mark.offsets.get(giving.partition, marks.START)
            if giving.given and has < giving.given[shard]:
                raise fallen_back(shard, giving, has)
    return Reached(partitions, offsets)


def lacking(deltas: Deltas | basket_fold.Deltas | Visits, items: U64, reached: Reached) -> tuple[I64, Bools]:
    """For each delta the place of its item among `items` (sorted hashes), and whether it is there and its shard lacks it."""
    at = places(index(items), deltas.item)
    has = reached.offsets[shards_of(items)]
    return at, _fresh(at, deltas.partition, deltas.offset, np.array(reached.partitions), has)


@compiled_maker
def _fresh(at: I64, partition: I32, offset: I64, partitions: I64, has: I64) -> Bools:
    """For each delta whether it is for an item in a place and newer than what that has of its partition."""
    fresh = np.zeros(len(at), np.bool_)
    p = 0
    for k in range(len(at)):
        if partition[k] != partitions[p]:
            p = np.searchsorted(partitions, partition[k])
        fresh[k] = at[k] != NOWHERE and offset[k] > has[at[k], p]
    return fresh


def merged_rows(
    given: Given, table: str, items: U64, packed: Sequence[bytes | None], reached: Reached, rules: Rules
) -> tuple[Rows, Bools]:
    """The rows of `items` in a table with what they lack, and for each whether it lacked anything.

    Only viewed rows are told from those that were lost: every item has one, and it names the item for the other tables.
    """
    deltas = given.deltas[table]
    at, fresh = lacking(deltas, items, reached)
    if not fresh.all():
        deltas, at = Deltas._make(column[fresh] for column in deltas), at[fresh]
    loaded = rows.load(items, packed, int(np.bincount(at).max(initial=0)), rules)
    if table == VIEWED:
        name(loaded, given.ids)
    growth.merge(loaded, deltas, at, rules)
    changed = np.zeros(len(items), np.bool_)
    changed[at] = True
    return loaded, changed


def merged_sales(given: Given, items: U64, packed: Sequence[bytes | None], reached: Reached) -> tuple[Sales, Bools]:
    """The sales of `items` with what they lack, and for each whether they lacked anything.

    Raises `DamagedState` for sales that are not stored although the item was bought before.
    """
    told = given.told
    at, fresh = lacking(told, items, reached)
    if not fresh.all():
        told, at = basket_fold.Deltas._make(column[fresh] for column in told), at[fresh]
    sold = sales.unpack(packed)
    changed = np.zeros(len(items), np.bool_)
    first, places = np.unique(at, return_index=True)
    for r, place in zip(first.tolist(), places.tolist(), strict=True):
        changed[r] = True
        if packed[r] is None and told.what[place] != BOUGHT_FIRST:
            raise damaged(f"the sales of item {int(items[r]):016x} are missing")
    sales.merge(sold, told.time, told.what, told.weight, at)
    return sold, changed


def merged_visitors(
    given: Given, items: U64, packed: Sequence[bytes | None], reached: Reached, rules: Rules
) -> list[bytes | None]:
    """The visitors of `items` with those that they lack, as they are stored; None where they lacked none."""
    at, fresh = lacking(given.visits, items, reached)
    found = Visits._make(column[fresh] for column in given.visits)
    return visitors.merge(packed, found, at[fresh], given.users, rules.visitors)


def name(loaded: Rows, ids: Mapping[int, str]) -> None:
    """Gives rows of new items their ids. A row that is neither stored nor new is lost."""
    for r, item in enumerate(loaded.item.tolist()):
        if loaded.ids[r] is None:
            if item not in ids:
                raise missing_row(item)
            loaded.ids[r] = ids[item]
