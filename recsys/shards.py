"""The shards as a worker has them: what it read or wrote it remembers, and asks the store only for the rest.

What a shard holds changes with its mark, but for users that the store forgets when their time is over. So what was met under a
mark is right for as long as the shard has that mark, and a swap that expects it proves it. A swap that is refused proves the
contrary: what was remembered of the shard is forgotten, and while others write it too, it is read anew each time. Nothing is
remembered for longer than some minutes without having been met, which is as much longer as a user may be known.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from recsys.store import NO_COMMIT, NO_GUARDS, Commit, Group, Guards, Store, Swap

MOST_BYTES = 1 << 25
"""What is remembered between batches at most; what was not met for longest is forgotten first."""
LONGEST_S = 300.0
"""What was not met for so long, or at most twice as long, is forgotten."""
BYTES_A_VALUE = 200
"""What a value takes beside its own bytes: its key, and its place in a dictionary."""
CONTESTED_S = 60.0
"""For so long a shard is not remembered after another worker was first with it."""
PROVED_S = 2.0
"""So long after it was proved, a shard may be looked at without a proof."""


class Found(NamedTuple):
    """The marks and values of groups, each group at one moment."""

    groups: list[list[bytes | None]]
    unproved: set[str]
    """The marks of those that the store was not asked for: the moment may be past, until a swap says that it is not."""


class Remembered:
    """What is remembered of a shard: its values under its mark, those met lately and those met before them."""

    __slots__ = ("_earlier", "_lately", "lately_bytes", "mark", "proved_s")

    def __init__(self, mark: bytes, now_s: float) -> None:
        self.mark = mark
        self.proved_s = now_s
        """When the store last had that mark, for certain."""
        self.lately_bytes = 0
        self._lately: dict[str, bytes | None] = {}
        self._earlier: dict[str, bytes | None] = {}

    def group(self, keys: Sequence[str]) -> list[bytes | None] | None:
        """The mark and the values of keys; None where one is not remembered."""
        with suppress(KeyError):
            return [self.mark, *map(self._lately.__getitem__, keys)]
        earlier = {key for key in keys if key not in self._lately}
        if not self._earlier.keys() >= earlier:
            return None
        self.put({key: self._earlier.pop(key) for key in earlier})
        return [self.mark, *map(self._lately.__getitem__, keys)]

    def lacking(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that are not remembered."""
        lately, earlier = self._lately, self._earlier
        return [key for key in keys if key not in lately and key not in earlier]

    def put(self, values: Mapping[str, bytes | None]) -> None:
        """Remembers values by key."""
        lately, there = self._lately, len(self._lately)
        was = map(lately.get, values)
        self.lately_bytes += sum(map(len, filter(None, values.values()))) - sum(map(len, filter(None, was)))
        lately.update(values)
        self.lately_bytes += BYTES_A_VALUE * (len(lately) - there)

    def age(self, *, to_nothing: bool) -> None:
        """Forgets what was not met since this was called last, or everything."""
        self._earlier, self._lately = {} if to_nothing else self._lately, {}
        self.lately_bytes = 0


class Shards:
    """The shards in a store. A group that is read begins with the key of its mark.

    One task reads and swaps; others may look, and forget.

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
        self._aged_s = clock()
        self._marks: dict[str, bytes | None] = {}
        """The last that was seen of each shard."""
        self.others_s = -math.inf
        """When it was last seen that somebody else had changed a shard."""

    async def read(self, groups: Sequence[Group]) -> Found:
        """The mark and the values of each group."""
        self._age()
        found, asked = self._remembered(groups, -math.inf)
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
        """The mark and the values of each group as they are, or were less than `PROVED_S` ago."""
        found, asked = self._remembered(groups, self._clock() - PROVED_S)
        if asked:
            before = {place: self._marks.get(groups[place][0]) for place in asked}
            for place, reply in zip(asked, await self._store.read([groups[place] for place in asked]), strict=True):
                key = groups[place][0]
                if self._marks.get(key) == before[place]:  # not swapped meanwhile by this worker
                    if key in self._shards and self._shards[key].mark != reply[0]:
                        self.forget([key])
                    self._seen(key, reply[0])
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
                if shard is None:
                    shard = self._shards[swap.mark_key] = Remembered(swap.mark, now_s)
                shard.mark, shard.proved_s = swap.mark, now_s
                shard.put(swap.values)
                shard.put(swap.lasting)
        refused = [swap.mark_key for swap, ok in zip(swaps, done, strict=False) if not ok]
        if refused:
            self.others_s = now_s
            self._contested.update(dict.fromkeys(refused, now_s + CONTESTED_S))
        return done

    def forget(self, marks: Iterable[str]) -> None:
        """Forgets the shards with these marks."""
        for mark in marks:
            self._shards.pop(mark, None)

    def forget_all(self) -> None:
        """Forgets everything."""
        self._shards.clear()

    def _remembered(self, groups: Sequence[Group], since_s: float) -> tuple[list[list[bytes | None]], dict[int, Group]]:
        """The groups that are remembered whole and were proved since then; of each of the others, by its place, the mark's key
        and the keys that are not remembered."""
        found: list[list[bytes | None]] = [[] for _ in groups]
        asked: dict[int, Group] = {}
        for place, (key, *keys) in enumerate(groups):
            shard = self._shards.get(key)
            group = None if shard is None or shard.proved_s < since_s else shard.group(keys)
            if group is not None:
                found[place] = group
            else:
                asked[place] = [key, *(keys if shard is None else shard.lacking(keys))]
        return found, asked

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
        shard.put(dict(zip(part[1:], reply[1:], strict=True)))
        whole = shard.group(group[1:])
        assert whole is not None, "what was not read is remembered"
        return whole

    def _age(self) -> None:
        """Not while a group is put together: what it has was there when it was asked for."""
        since_s = self._clock() - self._aged_s
        lately = sum(shard.lately_bytes for shard in self._shards.values())
        if lately > MOST_BYTES / 2 or since_s > LONGEST_S:
            self._aged_s += since_s
            for shard in self._shards.values():
                shard.age(to_nothing=lately > MOST_BYTES or since_s > 2 * LONGEST_S)

    def _is_contested(self, mark: str) -> bool:
        until = self._contested.get(mark)
        if until is not None and until <= self._clock():
            del self._contested[mark]
            until = None
        return until is not None
