"""The shopfront: the cold lists as one worker makes them.

The lists of everybody, platforms and countries are made by one worker, which has the first partition: it looks at what all have
committed. Those of a category are made by whoever publishes the lists of its items. A list is drawn by a generator of its
context and version, which is how far all partitions are counted: the same state and newcomers (which are each worker's own
memory) give the same list, and an older list never replaces a newer one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from recsys import marks, popularity
from recsys.catalogue.catalogue import Catalogue
from recsys.categories import read_table
from recsys.cold import tables
from recsys.cold.contexts import CATEGORY, EVERYBODY, Directory
from recsys.cold.exploration import Candidates, take
from recsys.cold.lists import ColdList, cold_list, draw, filled_up, generator
from recsys.cold.newcomers import Newcomers
from recsys.cold.trials import Trials
from recsys.item_shards import ItemShards
from recsys.keys import Keys
from recsys.popularity import Popular
from recsys.rows import Rows
from recsys.rules import Rules
from recsys.shards import Shards
from recsys.store import Store

AT_ONCE = 32
"""Lists made in a round; others wait for the next ones."""
Named = Callable[[set[int]], Awaitable[dict[int, str]]]
"""Finds the ids of items (hashes)."""


class Seen(NamedTuple):
    """What was seen of a partition last."""

    mark: bytes | None
    stored: bytes | None
    directory: Directory


UNSEEN = Seen(None, None, Directory(None))


class Shopfront:
    """The cold lists that one worker makes."""

    def __init__(
        self, store: Store, shards: Shards, items: ItemShards, keys: Keys, rules: Rules, catalogue: Catalogue, named: Named,
    ) -> None:  # fmt: skip
        self._store = store
        self._shards = shards
        self._keys = keys
        self._rules = rules
        self._catalogue = catalogue
        self._named = named
        self._newcomers = Newcomers(store, items, keys, catalogue)
        self._due: dict[str, None] = {}
        self._arrivals = 0
        self._seen: dict[int, Seen] = {}

    async def look(self, partitions: Sequence[int]) -> None:
        """Notes what was counted on these partitions, and what came to the catalogue, since this was called last."""
        for partition, (mark, stored) in zip(partitions, await self._shards.look(self._heads(partitions)), strict=True):
            before = self._seen.get(partition, UNSEEN)
            if mark == before.mark:
                continue
            directory = Directory(stored) if stored != before.stored else before.directory
            self._seen[partition] = Seen(mark, stored, directory)
            self.note([EVERYBODY, *directory.met_since(before.directory)])
        self._note_arrivals()

    def note(self, contexts: Iterable[str]) -> None:
        """Something was counted in these contexts."""
        self._due |= dict.fromkeys(contexts)

    def note_rows(self, rows: Rows) -> None:
        """Takes in that these rows are what is stored now."""
        self._newcomers.note(rows)
        self.note(CATEGORY + path for item in rows.item.tolist() for path in self._catalogue.category(item))

    def due(self) -> list[str]:
        """The contexts that were changed since this was asked last, at most `AT_ONCE`: those whose lists are to be made now.

        Of categories, which may be thousands, and of the others as many, where there are; those first that waited longest.
        """
        others, categories = (
            [context for context in self._due if context.startswith(CATEGORY) == is_category] for is_category in (False, True)
        )
        half = AT_ONCE // 2
        return self._take([*others[:half], *categories[:half], *others[half:], *categories[half:]])

    def arrived(self) -> list[str]:
        """Of these, those in which items came to the catalogue since it was looked last: they need not wait for others."""
        before, self._due = self._due, {}
        self._note_arrivals()
        contexts = self._take([*self._due])
        self._due = before | self._due
        return contexts

    async def made(
        self, contexts: Sequence[str], everything: Popular, partitions: Sequence[int], newest_ms: float, now_ms: float
    ) -> list[tuple[str, ColdList]]:
        """The lists of some contexts.

        `everything` is what is popular in all contexts together, `partitions` are all that are counted, `newest_ms` is the time
        of the newest event. Empty lists are left out: nothing was counted, and nothing came.
        """
        version, popular = await self._popular(contexts, partitions)
        popular[EVERYBODY] = everything
        candidates = await self._newcomers.candidates(partitions, newest_ms)
        places = self._by_category(candidates)
        drawn = {}
        wide = popularity.without(everything, self._catalogue.hidden)
        for context in contexts:
            await asyncio.sleep(0)  # events have their turn between two lists
            theirs = popularity.without(popular[context], self._catalogue.hidden)
            new = candidates
            if context.startswith(CATEGORY):
                new = take(candidates, np.array(places.get(context, []), np.int64))
            trending = filled_up(theirs, wide, self._rules.top_n)
            drawn[context] = draw(trending, new, self._rules, generator(context, version))
            shown = [item for item, is_new in zip(drawn[context].item, drawn[context].is_new, strict=True) if is_new]
            self._newcomers.listed(shown)
            candidates.waiting[np.isin(candidates.item, shown)] = False
        items = {item for each in drawn.values() for item in each.item}
        names = await self._named(items | set(candidates.item.tolist()))
        columns = (column.tolist() for column in candidates[:3])
        tried = {item: Trials(shown, clicked) for item, shown, clicked in zip(*columns, strict=True)}
        lists = []
        for context in contexts:
            await asyncio.sleep(0)
            message = cold_list(context, drawn[context], tried, names, now_ms, version)
            if message.items:
                lists.append((context, message))
        return lists

    def _take(self, contexts: Sequence[str]) -> list[str]:
        """The first of these contexts, which are not due any more."""
        for context in contexts[:AT_ONCE]:
            del self._due[context]
        return [*contexts[:AT_ONCE]]

    def _note_arrivals(self) -> None:
        """New items change the lists of everybody and of their categories at once, others with their next event."""
        new = self._catalogue.arrivals - self._arrivals
        self._arrivals = self._catalogue.arrivals
        if new:
            came = [*self._catalogue.newest][-new:]
            self.note([EVERYBODY, *(CATEGORY + path for item in came for path in self._catalogue.category(item))])

    def _by_category(self, candidates: Candidates) -> dict[str, list[int]]:
        """By the context of each category, the places of the candidates in it."""
        found: dict[str, list[int]] = {}
        for place, item in enumerate(candidates.item.tolist()):
            for path in self._catalogue.category(item):
                found.setdefault(CATEGORY + path, []).append(place)
        return found

    def _heads(self, partitions: Sequence[int]) -> list[list[str]]:
        return [[self._keys.user_mark(p), self._keys.contexts(p)] for p in partitions]

    async def _popular(self, contexts: Sequence[str], partitions: Sequence[int]) -> tuple[int, dict[str, Popular]]:
        """How far all partitions are counted, and what is popular in each of the contexts but that of everybody."""
        heads = self._heads(partitions)
        directories = [Directory(stored).slots for _, stored in await self._shards.look(heads)]
        slots = [[slot for context in contexts if (slot := known.get(context)) is not None] for known in directories]
        groups = [
            [*head, *(self._keys.context(p, slot) for slot in of)] for head, p, of in zip(heads, partitions, slots, strict=True)
        ]
        categories = [context for context in contexts if context.startswith(CATEGORY)]
        paths = [[self._keys.category(context.removeprefix(CATEGORY))] for context in categories]
        read = await self._shards.look(groups) + await self._store.read(paths)
        version = 0
        packed: dict[str, list[bytes | None]] = {context: [] for context in contexts}
        for (mark, stored, *values), of in zip(read[: len(groups)], slots, strict=True):
            version += marks.user_mark(mark).offset + 1
            names = {slot: name for name, slot in Directory(stored).slots.items()}  # one may have another name by now
            for slot, value in zip(of, values, strict=True):
                if names.get(slot) in packed:
                    packed[names[slot]].append(value)
        popular = {context: tables.together(tables.unpack(values), self._rules) for context, values in packed.items()}
        for context, [value] in zip(categories, read[len(groups) :], strict=True):
            popular[context] = popularity.unpack(self._rules, read_table(value).tobytes())
        return version, popular
