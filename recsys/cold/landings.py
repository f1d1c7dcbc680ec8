"""Landings: what a visitor is shown of whom nothing is known that leads to an item, by the contexts of her first event."""

import time
from collections.abc import Collection, Mapping

import numpy as np

from recsys.catalogue.catalogue import Catalogue
from recsys.cold.contexts import of_landing
from recsys.cold.lists import ColdList, decode, filled
from recsys.compiled import U64
from recsys.events import Event
from recsys.hashing import hash_item
from recsys.index import among
from recsys.keys import Keys
from recsys.recommendation import RecommendedItem
from recsys.rules import Rules
from recsys.store import Store

FRESH_S = 0.25
"""How old a list may be that a recommendation is made of."""
REMEMBERED = 1000
"""Lists remembered for that; then it starts anew."""


class Landings:
    """The published lists as one worker reads them."""

    def __init__(self, store: Store, keys: Keys, rules: Rules, catalogue: Catalogue) -> None:
        self._store = store
        self._keys = keys
        self._rules = rules
        self._catalogue = catalogue
        self._recent: dict[str, tuple[float, ColdList | None]] = {}

    async def shown(self, events: Mapping[int, Event], left_out: U64) -> dict[int, list[RecommendedItem]]:
        """By the visitor's place, the items of the lists of her event's contexts, without her line of `left_out` (visitors ×
        items); none where no such list is published yet."""
        if not events:
            return {}
        contexts = {n: self._contexts(event) for n, event in events.items()}
        lists = await self._published({context for each in contexts.values() for context in each})
        ids = {hash_item(item.item_id): item.item_id for each in lists.values() for item in each.items}
        numbers = np.array(list(ids), np.uint64)
        gone = {ids[item] for item in numbers[among(numbers, self._catalogue.hidden)].tolist()}
        return {
            n: filled(
                [lists[context] for context in contexts[n] if context in lists],
                gone | {ids[item] for item in left_out[n].tolist() if item in ids},
                self._rules.top_n,
            )
            for n in events
        }

    def forget(self) -> None:
        """Reads all lists anew."""
        self._recent.clear()

    def _contexts(self, event: Event) -> tuple[str, ...]:
        """The contexts of somebody who lands with this event, the most telling first."""
        landing = self._catalogue.category(hash_item(event.lines[0].item_id)) if event.lines else ()
        return of_landing(landing, event.source, event.country)

    async def _published(self, contexts: Collection[str]) -> dict[str, ColdList]:
        """The lists of these contexts, of those that have one; not older than `FRESH_S`."""
        now_s = time.monotonic()
        if len(self._recent) > REMEMBERED:
            self.forget()
        asked = [each for each in contexts if now_s - self._recent.get(each, (-np.inf, None))[0] > FRESH_S]
        if asked:
            stored = await self._store.read([[self._keys.cold(context)] for context in asked])
            for context, [value] in zip(asked, stored, strict=True):
                self._recent[context] = now_s, decode(value) if value else None
        found = ((context, self._recent[context][1]) for context in contexts)
        return {context: message for context, message in found if message is not None}
