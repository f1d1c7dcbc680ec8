"""Newcomers: the items that came lately, to the catalogue or with their first events, and are hardly known yet.

Which they are each worker remembers for itself, of its time; how often they were met, shown and clicked is read from the state.
"""

from collections.abc import Iterable, Sequence
from itertools import zip_longest

import numpy as np

from recsys.catalogue.catalogue import Catalogue
from recsys.cold import trials
from recsys.cold.exploration import Candidates, take
from recsys.cold.trials import NO_TRIALS, Trials
from recsys.compiled import I64, Bools
from recsys.hashing import NONE
from recsys.index import among
from recsys.item_shards import ItemShards
from recsys.keys import Keys
from recsys.rows import Rows
from recsys.store import Store

FEW_INTERACTIONS = 20
"""With so many an item is not new any more: it is popular by itself, or has shown that it is not."""
ENOUGH_SHOWN = 1000
"""Shown so often, it is known how often it is clicked."""
LATELY_MS = 30 * 86_400_000
"""An item is new no longer than this after its first interaction, and after its record in the catalogue."""
REMEMBERED = 1000
"""Items that came with their first events, the last ones; the catalogue remembers as many."""
POOL = 100
"""Newcomers among whom it is drawn, the last ones."""


class Newcomers:
    """The newcomers that one worker has met."""

    def __init__(self, store: Store, items: ItemShards, keys: Keys, catalogue: Catalogue) -> None:
        self._store = store
        self._items = items
        self._keys = keys
        self._catalogue = catalogue
        self._met: dict[int, None] = {}
        self._known: set[int] = set()
        """Those among the remembered that are not new any more."""
        self._listed: set[int] = set()
        """Those that were in a list."""

    def note(self, rows: Rows) -> None:
        """Takes in that these rows are what is stored now, because they were met."""
        new = are_new(rows, rows.updated)
        for item in rows.item[new].tolist():
            if item not in self._met and item not in self._catalogue.newest:
                self._met[item] = None
        while len(self._met) > REMEMBERED:
            del self._met[next(iter(self._met))]
        self._known.update(item for item in rows.item[~new].tolist() if item in self._met or item in self._catalogue.newest)

    def listed(self, items: Iterable[int]) -> None:
        """These were in a list."""
        self._listed.update(items)

    async def candidates(self, partitions: Sequence[int], now_ms: float) -> Candidates:
        """The newcomers that may be shown: in turn one that came with an event and one that came to the catalogue."""
        remembered = self._met.keys() | self._catalogue.newest.keys()
        self._known.intersection_update(remembered)
        self._listed.intersection_update(remembered)
        described = [item for item, came_ms in self._catalogue.newest.items() if came_ms >= now_ms - LATELY_MS]
        asked = in_turn(*([item for item in items if item not in self._known] for items in (self._met, described)))
        tried = await self.tried(asked, partitions)
        rows, _ = await self._items.load(np.unique(np.array(asked, np.uint64)))
        self._known.update(rows.item[~are_new(rows, now_ms)].tolist())
        self._known.update(item for item, (shown, _) in tried.items() if shown >= ENOUGH_SHOWN)
        found = candidates_of([item for item in asked if item not in self._known], tried, self._listed)
        return take(found, ~among(found.item, self._catalogue.hidden))

    async def tried(self, items: Iterable[int], partitions: Sequence[int]) -> dict[int, Trials]:
        """How often each of the items (hashes) was shown and clicked, on all partitions together."""
        asked = [item for item in items if item != NONE]
        places = sorted(set(map(trials.place, asked)))
        stored = await self._store.read(
            [[self._keys.trials(p, place) for place in places] for p in partitions] if asked else []
        )
        found = dict.fromkeys(asked, NO_TRIALS)
        for bucket in (trials.unpack(value) for values in stored for value in values):
            for item in bucket.keys() & found.keys():
                found[item] = Trials(found[item].shown + bucket[item].shown, found[item].clicked + bucket[item].clicked)
        return found


def are_new(rows: Rows, now_ms: float | I64) -> Bools:
    """Whether items were met for the first time lately, and seldom since."""
    return (rows.interactions < FEW_INTERACTIONS) & (rows.first >= now_ms - LATELY_MS)


def in_turn(met: Sequence[int], described: Sequence[int]) -> list[int]:
    """The last items of both, `POOL` together where there are so many, one of each in turn.

    >>> in_turn([1, 2], [3, 4, 5])
    [1, 3, 2, 4, 5]
    """
    half = POOL // 2
    met = met[-max(half, POOL - len(described)) :]
    described = described[-(POOL - len(met)) :]
    turns = zip_longest(met, described)
    return [item for turn in turns for item in turn if item is not None]


def candidates_of(items: Sequence[int], tried: dict[int, Trials], listed: set[int]) -> Candidates:
    """The candidates that these items are."""
    known = [tried.get(item, NO_TRIALS) for item in items]
    return Candidates(
        np.array(items, np.uint64),
        np.array([each.shown for each in known], np.int64),
        np.array([each.clicked for each in known], np.int64),
        np.array([each == NO_TRIALS and item not in listed for item, each in zip(items, known, strict=True)], np.bool_),
    )
