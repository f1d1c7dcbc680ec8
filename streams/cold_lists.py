"""Cold lists on the stream: made about once a second, and at once when an item came to the catalogue."""

import asyncio
import time
from collections.abc import Sequence, Set
from contextlib import suppress
from typing import NoReturn

from recsys.cold import lists
from recsys.cold.lists import ColdList
from recsys.engine import Engine
from recsys.keys import Keys
from recsys.store import Entry, Store
from streams.lease import now
from streams.settings import Settings

EVERY_S = 1.0
"""How often they are made, where something was counted."""
HASTE_S = 0.2
"""How often they are made of the contexts in which items come, meanwhile."""
SHARE = 0.2
"""Of the time that this may take."""
MAKER = 0
"""Whoever has this partition makes those that are of no category."""


class ColdLists:
    """Publishes what to show first (`recsys.cold`). `owned` are the partitions of `events` that the worker has."""

    def __init__(self, settings: Settings, keys: Keys, engine: Engine, store: Store, owned: Set[int]) -> None:
        self._keys = keys
        self._engine = engine
        self._store = store
        self._owned = owned
        self._retention_s = settings.retention_s
        self._one = asyncio.Lock()
        self._came = asyncio.Event()

    def hasten(self) -> None:
        """An item came that is in no list yet; that is for the maker to mend."""
        if MAKER in self._owned:
            self._came.set()

    async def run(self) -> NoReturn:
        """Makes them for ever."""
        while True:
            made = now()
            await self.make()
            pause = HASTE_S
            while await self._has_come(pause, made + EVERY_S):
                begun = now()
                await self._make_arrivals()
                pause = max(HASTE_S, (now() - begun) / SHARE)

    async def make(self) -> None:
        """Makes and writes those whose contexts were changed, a number of them."""
        async with self._one:
            self._came.clear()
            with self._engine.stages.timed("lists"):
                await self._write(await self._engine.cold_lists(int(time.time() * 1000), for_all=MAKER in self._owned))

    async def _make_arrivals(self) -> None:
        async with self._one:
            self._came.clear()
            with self._engine.stages.timed("lists"):
                await self._write(await self._engine.cold_lists_of_arrivals(int(time.time() * 1000)))

    async def _has_come(self, pause_s: float, until: float) -> bool:
        """Waits for an item, at least for `pause_s`; False where none came until then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - now())):
                await asyncio.sleep(pause_s)
                await self._came.wait()
        return now() < until

    async def _write(self, made: Sequence[tuple[str, ColdList]]) -> None:
        """Nothing may wait between their making and this."""
        entries = [
            Entry(self._keys.cold(context), lists.encode(message), self._retention_s, message.version)
            for context, message in made
        ]
        await self._store.put(entries)
