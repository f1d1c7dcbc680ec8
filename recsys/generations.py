"""Generations: states that were built one after the other beside each other, of which one is live and the others are kept.

A worker counts into the generation that was live when it started, and every write of it is guarded by the key that names it:
from the moment of a switch on nothing of the old generation can be written any more, neither counts nor public keys.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

from recsys.keys import LIVE, Keys
from recsys.store import NO_COMMIT, NO_GUARDS, Commit, Entry, Group, Guards, Replacement, Store, Swap

FIRST = "g1"
"""The name of the first generation, which is live where none is named."""
LOOK_S = 1.0
"""How often a worker without events looks whether its generation is live still."""


class StateReplaced(RuntimeError):
    """The generation that was counted into is not live any more."""


def named(prefix: str, generation: str) -> Keys:
    """The keys of a generation as they are while it is live.

    >>> named("freshet:", "g1"), named("freshet:", "g2")
    (Keys(prefix='freshet:', generation=''), Keys(prefix='freshet:', generation='g2:'))
    """
    return Keys(prefix, "" if generation == FIRST else f"{generation}:")


def aside(prefix: str, generation: str) -> str:
    """What the public keys of a generation begin with while it is not live. One that is being built has no other prefix.

    >>> aside("freshet:", "g2")
    'freshet:g2:'
    """
    return f"{prefix}{generation}:"


def number(generation: str) -> int:
    """
    >>> number("g12")
    12
    """
    return int(generation.removeprefix("g"))


def live_name(stored: bytes | None) -> str:
    """The name of the live generation, by the value of the key that names it."""
    return stored.decode() if stored else FIRST


class LiveStore:
    """A store whose writes are made only while the generation that was live when it was opened still is.

    Raises `StateReplaced` instead of writing when it is not.
    """

    def __init__(self, store: Store, prefix: str, live: bytes | None) -> None:
        self._store = store
        self._key = f"{prefix}{LIVE}"
        self._live = live
        self.keys = named(prefix, live_name(live))
        """The keys of that generation."""

    async def read(self, groups: Sequence[Group]) -> list[list[bytes | None]]:
        return await self._store.read(groups)

    async def life(self) -> bytes:
        return await self._store.life()

    async def swap(self, swaps: Sequence[Swap], guards: Guards = NO_GUARDS, commit: Commit = NO_COMMIT) -> list[bool]:
        done = await self._store.swap(swaps, {self._key: self._live, **guards}, commit)
        if not all(done):
            await self.check()
        return done

    async def put(self, entries: Sequence[Entry], guards: Guards = NO_GUARDS) -> bool:
        done = await self._store.put(entries, {self._key: self._live, **guards})
        if not done:
            await self.check()
        return done

    async def replace(self, replacements: Sequence[Replacement]) -> list[bool]:
        """Guarded by the values that are replaced alone: what is taken out of one generation is not wanted in another."""
        return await self._store.replace(replacements)

    async def find(self, keys: Sequence[str], texts: Sequence[bytes]) -> list[str]:
        return await self._store.find(keys, texts)

    def scan(self, pattern: str) -> AsyncIterator[str]:
        return self._store.scan(pattern)

    async def check(self) -> None:
        """Raises `StateReplaced` if another generation is live now."""
        [[live]] = await self._store.read([[self._key]])
        if live is None and self._live is not None:
            raise StateReplaced(
                "Redis has lost the state, or came back as it was before a rebuild: start again, to go on with it"
            )
        if live != self._live:
            raise StateReplaced(
                f"the state was rebuilt: start again, to go on with {live_name(live)} in place of {live_name(self._live)}"
            )

    async def watch(self) -> None:
        """Checks for ever: a worker that has nothing to write learns of a switch, too."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.check()


async def open_live(store: Store, prefix: str) -> LiveStore:
    """The live generation of the state under a prefix, in `store`."""
    [[live]] = await store.read([[f"{prefix}{LIVE}"]])
    return LiveStore(store, prefix, live)
