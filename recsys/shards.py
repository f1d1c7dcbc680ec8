"""The shards as a worker has them: what it read or wrote it remembers, and asks the store only for the rest.

What a shard holds changes with its mark, or not at all. So what was met under a mark is right for as long as the shard has that
mark, and a swap that expects it proves it. A swap that is refused proves the contrary: what was remembered of the shard is
forgotten, and while others write it too, it is read anew each time.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from recsys.store import NO_COMMIT, NO_GUARDS, Commit, Group, Guards, Store, Swap

MOST_BYTES = 1 << 25
"""About what is remembered at most; what was not met for longest is forgotten first."""
BYTES_A_VALUE = 200
"""What a value takes beside its own bytes: its key, and its place in a dictionary."""
CONTESTED_S = 60.0
"""For so long a shard is not remembered after another worker was first with it."""
FRESH_S = 2.0
"""So long after it was proved, a shard may be looked at without a proof."""


class Found(NamedTuple):
    """The marks and values of groups, each group at one moment."""

    groups: list[list[bytes | None]]
    unproved: set[str]
    """The marks of those that the store was not asked for: the moment may be past, until a swap says that it is not."""


class Remembered:
    """What is remembered of a shard: its values under its mark, those met lately and those met before them."""

    __slots__ = ("_earlier", "_lately", "mark", "proved_s")

    def __init__(self, mark: bytes, now_s: float) -> None:
        self.mark = mark
        self.proved_s = now_s
        """When the store last had that mark, for certain."""
        self._lately: dict[str, bytes | None] = {}
        self._earlier: dict[str, bytes | None] = {}

    def lacking(self, keys: Iterable[str]) -> list[str]:
        lately, earlier = self._lately, self._earlier
        return [key for key in keys if key not in lately and key not in earlier]

    def group(self, keys: Iterable[str]) -> list[bytes | None]:
        """The mark and the values of keys, none of which is lacking."""
        lately, earlier = self._lately, self._earlier
        for key in keys:
            if key not in lately:
                lately[key] = earlier[key]
        return [self.mark, *(lately[key] for key in keys)]

    def put(self, values: Iterable[tuple[str, bytes | None]]) -> None:
        self._lately.update(values)

    def age(self) -> None:
        """What was not met since this was called last is forgotten."""
        self._earlier, self._lately = self._lately, {}


class Shards:
    """The shards in a store. A group that is read begins with the key of its mark.

    One task reads and swaps; others may look.

    >>> import asyncio
    >>> from recsys.store import MemoryStore
    >>> store = MemoryStore()
    >>> shards = Shards(store)
    >>> asyncio.run(shards.swap([Swap("mark", None, b"1", {"a": b"x"})]))
    [True]
    >>> asyncio.run(shards.read([["mark", "a"]]))
    Found(groups=[[b'1', b'x']], unproved={'mark'})
    >>> asyncio.run(store.swap([Swap("mark", b"1", b"2", {"a": b"y"})]))  # somebody else
    [True]
    >>> asyncio.run(shards.swap([Swap("mark", b"1", b"2", {"a": b"xx"})]))
    [False]
    >>> asyncio.run(shards.read([["mark", "a"]]))
    Found(groups=[[b'2', b'y']], unproved=set())
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._shards: dict[str, Remembered] = {}
        self._contested: dict[str, float] = {}
        """By mark, until when the shard is read anew each time."""
        self._bytes = 0
        """Of what was met since all shards aged."""
        self._marks: dict[str, bytes | None] = {}
        """The last that was seen of each shard."""
        self.others_s = -math.inf
        """When it was last seen that somebody else had changed a shard."""

    async def read(self, groups: Sequence[Group]) -> Found:
        """The mark and the values of each group."""
        self._age()
        found: list[list[bytes | None]] = [[] for _ in groups]
        asked: dict[int, Group] = {}
        for place, (key, *keys) in enumerate(groups):
            shard = self._shards.get(key)
            lacking = keys if shard is None else shard.lacking(keys)
            if shard is None or lacking:
                asked[place] = [key, *lacking]
            else:
                found[place] = shard.group(keys)
        unproved = {group[0] for place, group in enumerate(groups) if place not in asked}
        while asked:
            replies = await self._store.read(list(asked.values()))
            moved: dict[int, Group] = {}
            for (place, part), reply in zip(asked.items(), replies, strict=True):
                group = groups[place]
                self._seen(group[0], reply[0])
                shard = self._shards.get(group[0])
                if shard is not None and shard.mark != reply[0]:
                    self.forget([group[0]])
                    shard = None
                if shard is None and len(part) < len(group):
                    moved[place] = group
                else:
                    found[place] = self._met(group, part, reply)
            asked = moved
        return Found(found, unproved)

    async def look(self, groups: Sequence[Group]) -> list[list[bytes | None]]:
        """The mark and the values of each group as they are, or were less than `FRESH_S` ago."""
        since = self._clock() - FRESH_S
        found: list[list[bytes | None]] = [[] for _ in groups]
        asked: dict[int, Group] = {}
        for place, (key, *keys) in enumerate(groups):
            shard = self._shards.get(key)
            if shard is None or shard.proved_s < since or shard.lacking(keys):
                asked[place] = groups[place]
            else:
                found[place] = shard.group(keys)
        if asked:
            for place, reply in zip(asked, await self._store.read(list(asked.values())), strict=True):
                self._seen(groups[place][0], reply[0])
                found[place] = reply
        return found

    async def swap(self, swaps: Sequence[Swap], guards: Guards = NO_GUARDS, commit: Commit = NO_COMMIT) -> list[bool]:
        """As `Store.swap`."""
        done = await self._store.swap(swaps, guards, commit)
        now_s = self._clock()
        for swap, ok in zip((*swaps, *commit.swaps), done, strict=True):
            shard = self._shards.get(swap.mark_key)
            if ok:
                self._marks[swap.mark_key] = swap.mark
            if not ok or (shard is not None and shard.mark != swap.expected):
                self.forget([swap.mark_key])
            elif not self._is_contested(swap.mark_key):
                shard = self._shards.setdefault(swap.mark_key, Remembered(swap.mark, now_s))
                shard.mark, shard.proved_s = swap.mark, now_s
                self._put(shard, swap.values.items())
        refused = [swap.mark_key for swap, ok in zip(swaps, done, strict=False) if not ok]
        if refused:
            self.others_s = now_s
            self._contested.update(dict.fromkeys(refused, now_s + CONTESTED_S))
        return done

    def forget(self, marks: Iterable[str]) -> None:
        """Forgets the shards with these marks."""
        for mark in marks:
            self._shards.pop(mark, None)

    def forget_all(self) -> bool:
        """Forgets everything; whether there was anything."""
        was = bool(self._shards)
        self._shards.clear()
        return was

    def _seen(self, key: str, mark: bytes | None) -> None:
        if self._marks.setdefault(key, mark) != mark:
            self._marks[key] = mark
            self.others_s = self._clock()

    def _met(self, group: Group, part: Group, reply: list[bytes | None]) -> list[bytes | None]:
        """The whole of a group of which a part was read, and remembers it."""
        mark, now_s = reply[0], self._clock()
        if mark is None or self._is_contested(group[0]):
            return reply
        shard = self._shards.setdefault(group[0], Remembered(mark, now_s))
        shard.proved_s = now_s
        self._put(shard, zip(part[1:], reply[1:], strict=True))
        return shard.group(group[1:])

    def _put(self, shard: Remembered, values: Iterable[tuple[str, bytes | None]]) -> None:
        values = list(values)
        self._bytes += sum(BYTES_A_VALUE + len(value or b"") for _, value in values)
        shard.put(values)

    def _age(self) -> None:
        """Not while a group is put together: what it has was there when it was asked for."""
        if self._bytes > MOST_BYTES / 2:
            self._bytes = 0
            for shard in self._shards.values():
                shard.age()

    def _is_contested(self, mark: str) -> bool:
        until = self._contested.get(mark)
        if until is not None and until <= self._clock():
            del self._contested[mark]
            until = None
        return until is not None
