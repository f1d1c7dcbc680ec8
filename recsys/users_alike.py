"""Users alike, from what is stored: the visitors of a user's last items, and what these met. For one user who asks.

It is `recsys.strategies.user_based` over the visitors in item shards (`recsys.visitors`) and the histories in user shards. Of
at most ten items the visitors are read, of at most a hundred of these the histories, and of what they met the rows of those
items alone that may be among the best.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from recsys import histories
from recsys.compiled import F64, I32, U64
from recsys.digits import rounded
from recsys.hashing import NONE
from recsys.histories import Histories
from recsys.item_shards import ItemShards
from recsys.keys import Keys
from recsys.popularity import Popular
from recsys.ranking.rank import FILL, level_of
from recsys.recommendation import Reason, RecommendedItem
from recsys.sharding import ITEM_SHARDS
from recsys.store import Store
from recsys.strategies.user_based import LINES, POPULARITY_NORM, Near, VisitorTable, desk, neighbours, no_neighbours, score
from recsys.visitors import Visitor, unpack

ROWS = 200
"""Read at once, of items that may be among the best."""


class Met(NamedTuple):
    """What the users alike met, in any order."""

    item: U64
    total: F64
    """The score but for n_c^−0.1."""
    people: I32
    """How many of the users alike met the item."""


NOTHING_MET = Met(np.zeros(0, np.uint64), np.zeros(0), np.zeros(0, np.int32))


async def met_by_users_alike(store: Store, keys: Keys, items: ItemShards, user: str, mine: Histories, most: int) -> Met | None:
    """What users met who are like this one, of whom the last `most` interactions are known. Itself the user is not.

    A neighbour who was forgotten since is passed over. None where no visitors are kept of what the user met.
    """
    ago = last_items(mine)
    lists = await _visitors(store, keys, list(ago))
    if ago and not any(lists):
        return None
    at_home = {visitor.user: visitor.partition for visits in lists for visitor in visits}
    people = sorted(at_home)  # of equals the first by id is nearer
    near, n = _nearest(ago, await _interactions(items, ago), lists, people, user)
    known, near = await _histories(store, keys, [(at_home[people[v]], people[v]) for v in near.user[:n].tolist()], near, most)
    return _scored(ago, known, near) if len(near.user) else NOTHING_MET


async def best_of(
    met: Met, items: ItemShards, popular: Popular, names: Mapping[int, str], out: U64, n: int
) -> list[RecommendedItem]:
    """The `n` best of what users alike met, by falling score, ties by id, without the items in `out`.

    Where these are fewer, popular items follow as in `recsys.ranking.rank`; `names` has their ids.
    """
    found = await _best(met, items, out, n)
    hidden = {*out.tolist(), *met.item.tolist()}
    below = FILL * found[-1].score if found else 1.0
    columns = zip(popular.item.tolist(), level_of(popular).tolist(), popular.interactions.tolist(), strict=True)
    for item, level, interactions in columns:
        if len(found) < n and item not in hidden and item in names:
            found.append(RecommendedItem(names[item], below * level, [Reason("trending", 1.0, count=interactions)]))
    for each, digits in zip(found, rounded(np.array([each.score for each in found])).tolist(), strict=True):
        each.score = digits
    return sorted(found, key=_place)


def last_items(mine: Histories) -> dict[int, int]:
    """The items of the one user's last `LINES` interactions, the newest first, and how many interactions ago each was met."""
    ago: dict[int, int] = {}
    for distance, item in enumerate(reversed(mine.item[0, : mine.length[0]].tolist()[-LINES:]), 1):
        ago.setdefault(item, distance)
    return ago


async def _visitors(store: Store, keys: Keys, items: Sequence[int]) -> list[list[Visitor]]:
    groups = [[keys.visitors(item % ITEM_SHARDS, item)] for item in items]
    return [unpack(value) for [value] in await store.read(groups)] if groups else []


async def _interactions(items: ItemShards, of: Mapping[int, int]) -> F64:
    """How many interactions there were with each item."""
    rows, _ = await items.load(np.array(sorted(of), np.uint64))
    counts = dict(zip(rows.item.tolist(), rows.interactions.tolist(), strict=True))
    return np.array([counts.get(item, 0) for item in of], np.float64)


def _nearest(
    ago: Mapping[int, int], interactions: F64, lists: Sequence[Sequence[Visitor]], people: Sequence[str], user: str
) -> tuple[Near, int]:
    """The users nearest to one, by their places among `people`, and how many they are."""
    place = {each: n for n, each in enumerate(people)}
    length = np.array([len(visits) for visits in lists], np.int32)
    begin = np.concatenate((np.zeros(1, np.int64), np.cumsum(length, dtype=np.int64)))
    flat = [visitor for visits in lists for visitor in visits]
    who = np.array([place[visitor.user] for visitor in flat], np.int32)
    of = VisitorTable(begin, length, who, np.array([visitor.time_ms for visitor in flat], np.int64))
    near = no_neighbours()
    own, distances = np.arange(len(ago), dtype=np.int32), np.array(list(ago.values()), np.int32)
    return near, neighbours(own, distances, interactions, of, place.get(user, -1), desk(len(people), 0), near)


async def _histories(
    store: Store, keys: Keys, users: Sequence[tuple[int, str]], near: Near, most: int
) -> tuple[Histories, Near]:
    """The histories of the first of the neighbours, and those of them who have one."""
    replies = await store.read([[keys.user(*each)] for each in users]) if users else []
    known = histories.unpack([value for [value] in replies], most)
    there = np.flatnonzero(known.length)
    return Histories._make(column[there] for column in known), Near._make(column[there] for column in near)


def _scored(ago: Mapping[int, int], known: Histories, near: Near) -> Met:
    """What the neighbours met, none of whom has an empty history."""
    mine = np.array(list(ago), np.uint64)
    number = np.union1d(mine, known.item[known.item != NONE])
    table = desk(0, len(number))
    own, distances = np.searchsorted(number, mine).astype(np.int32), np.array(list(ago.values()), np.int32)
    past = np.searchsorted(number, known.item).astype(np.int32)
    found = table.items[: score(own, distances, past, known.length, near, len(near.user), np.ones(len(number)), table)]
    return Met(number[found], table.value[found], table.counts[found])


async def _best(met: Met, items: ItemShards, out: U64, n: int) -> list[RecommendedItem]:
    # An item has at least as many interactions as neighbours who met it, so its score is at most:
    most = met.total * met.people**POPULARITY_NORM
    order = np.lexsort((met.item, -most))
    order = order[~np.isin(met.item[order], out)]
    found: list[RecommendedItem] = []
    for first in range(0, len(order), ROWS):
        at = order[first : first + ROWS]
        if len(found) == n and most[at[0]] < found[-1].score:
            break
        at = at[np.argsort(met.item[at])]
        rows, _ = await items.load(met.item[at])
        at = at[np.isin(met.item[at], rows.item)]
        scores = met.total[at] * rows.interactions.astype(np.float64) ** POPULARITY_NORM
        for name, value, people in zip(rows.ids, scores.tolist(), met.people[at].tolist(), strict=True):
            found.append(RecommendedItem(name or "", value, [Reason("similar_users", 1.0, count=people)]))
        found = sorted(found, key=_place)[:n]
    return found


def _place(item: RecommendedItem) -> tuple[float, str]:
    return -item.score, item.item_id
