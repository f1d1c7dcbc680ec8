"""The store: shards are read whole and changed by compare-and-set. It keeps and guards; all arithmetic is elsewhere.

Seven operations are all that the rest of Freshet asks of it, so that the same code runs over Redis (`recsys.redis_store`), over
a cluster of them (`recsys.cluster_store`) and over a dictionary.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import NamedTuple, Protocol

Group = Sequence[str]
"""Keys of one shard."""


NO_VALUE = b""
"""Stands where a value was, until its key is taken away: a swap takes none away."""


class Swap(NamedTuple):
    """A change of one shard: holds only if the mark still is `expected`, and then entirely."""

    mark_key: str
    expected: bytes | None
    mark: bytes
    values: Mapping[str, bytes]
    lifetime_s: int = 0
    """Lifetime of the values in seconds; 0 is none. The mark has none."""
    lasting: Mapping[str, bytes] = MappingProxyType({})
    """Further values, without a lifetime."""

    @property
    def size(self) -> int:
        """The keys that are written."""
        return 1 + len(self.values) + len(self.lasting)


class Entry(NamedTuple):
    """A value that is written whatever was there, because the newest wins; with a lifetime of 0 it has none."""

    key: str
    value: bytes
    lifetime_s: int = 0
    version: int = 0
    """Of a value that ends with `"version":<version>}`: one with a higher version stays. 0: always written."""


class Replacement(NamedTuple):
    """Another value, None for none, for a key that still has the `expected` one; its lifetime stays as it is."""

    key: str
    expected: bytes
    value: bytes | None


Guards = Mapping[str, bytes | None]
"""Keys that must still have these values (None: be missing) when something is written."""
NO_GUARDS: Guards = MappingProxyType({})
ANY_LIFE = b""
"""Of a store that is not asked which."""


class Commit(NamedTuple):
    """Changes that come after others: made only where all of those were, and in this life of the store."""

    swaps: Sequence[Swap] = ()
    life: bytes = ANY_LIFE


NO_COMMIT = Commit()


class Store(Protocol):
    """What keeps the shards."""

    async def read(self, groups: Sequence[Group]) -> list[list[bytes | None]]:
        """The values of each group, each group at one moment."""

    async def life(self) -> bytes:
        """What a start of the store is known by: it is another one after it may have gone back to an earlier state."""

    async def swap(self, swaps: Sequence[Swap], guards: Guards = NO_GUARDS, commit: Commit = NO_COMMIT) -> list[bool]:
        """Changes shards, each by itself, and then those of the commit. False for each whose mark was not the expected one, and
        for all where a guard does not hold: it is unchanged.

        A commit may also be refused because somebody else came between it and the swaps before it: by itself it may hold. It
        may be made after a swap that was refused, if somebody else brought that shard to the very mark.
        """

    async def put(self, entries: Sequence[Entry], guards: Guards = NO_GUARDS) -> bool:
        """Writes values; False, and nothing more is written, where a guard does not hold."""

    async def replace(self, replacements: Sequence[Replacement]) -> list[bool]:
        """Replaces values, each by itself; False for each that was another one."""

    async def find(self, keys: Sequence[str], texts: Sequence[bytes]) -> list[str]:
        """Those of the keys, in their order, whose value has one of these texts in it. The values stay where they are."""

    def scan(self, pattern: str) -> AsyncIterator[str]:
        """The keys that match a pattern of Redis and are there all the while, in any order, some perhaps twice."""


VERSION = re.compile(rb'"version":(\d+)}\Z')


class MemoryStore:
    """The same in a dictionary: for evaluation and for tests of the laws.

    >>> import asyncio
    >>> store = MemoryStore()
    >>> asyncio.run(store.swap([Swap("m", None, b"1", {"k": b"v"}), Swap("m", b"0", b"2", {"k": b"w"})]))
    [True, False]
    >>> store.values
    {'k': b'v', 'm': b'1'}
    """

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    async def read(self, groups: Sequence[Group]) -> list[list[bytes | None]]:
        return [[self.values.get(key) for key in group] for group in groups]

    async def life(self) -> bytes:
        return b"dictionary"

    async def swap(self, swaps: Sequence[Swap], guards: Guards = NO_GUARDS, commit: Commit = NO_COMMIT) -> list[bool]:
        held = self._hold(guards)
        done = [held and self._swap(swap) for swap in swaps]
        follows = held and all(done) and commit.life in (ANY_LIFE, await self.life())
        return done + [follows and self._swap(swap) for swap in commit.swaps]

    def _hold(self, guards: Guards) -> bool:
        return all(self.values.get(key) == value for key, value in guards.items())

    def _swap(self, swap: Swap) -> bool:
        if self.values.get(swap.mark_key) != swap.expected:
            return False
        self.values |= {**swap.values, **swap.lasting}
        self.values[swap.mark_key] = swap.mark
        return True

    async def put(self, entries: Sequence[Entry], guards: Guards = NO_GUARDS) -> bool:
        if not self._hold(guards):
            return False
        for entry in entries:
            there = VERSION.search(self.values.get(entry.key, b"")) if entry.version else None
            if there is None or int(there[1]) <= entry.version:
                self.values[entry.key] = entry.value
        return True

    async def replace(self, replacements: Sequence[Replacement]) -> list[bool]:
        return [self._replace(each) for each in replacements]

    def _replace(self, replacement: Replacement) -> bool:
        if self.values.get(replacement.key) != replacement.expected:
            return False
        if replacement.value is None:
            del self.values[replacement.key]
        else:
            self.values[replacement.key] = replacement.value
        return True

    async def find(self, keys: Sequence[str], texts: Sequence[bytes]) -> list[str]:
        return [key for key in keys if any(text in self.values.get(key, b"") for text in texts)]

    async def scan(self, pattern: str) -> AsyncIterator[str]:
        for key in [key for key in self.values if fnmatchcase(key, pattern)]:
            yield key
