"""The store: shards are read whole and changed by compare-and-set. It keeps and guards; all arithmetic is elsewhere.

Three operations are all that the rest of Freshet asks of it, so that the same code runs over Redis and over a dictionary.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar

from redis.asyncio import Redis
from redis.exceptions import ConnectionError

T = TypeVar("T")
Group = Sequence[str]
"""Keys of one shard."""


class Swap(NamedTuple):
    """A change of one shard: holds only if the mark still is `expected`, and then entirely."""

    mark_key: str
    expected: bytes | None
    mark: bytes
    values: Mapping[str, bytes]
    lifetime_s: int = 0
    """Lifetime of the values in seconds; 0 is none. The mark has none."""


class Entry(NamedTuple):
    """A value that is written whatever was there, because the newest wins; with a lifetime of 0 it has none."""

    key: str
    value: bytes
    lifetime_s: int = 0
    version: int = 0
    """Of a value that ends with `"version":<version>}`: one with a higher version stays. 0: always written."""


Guards = Mapping[str, bytes | None]
"""Keys that must still have these values (None: be missing) when something is written."""
NO_GUARDS: Guards = MappingProxyType({})
ANY_LIFE = b""


class Store(Protocol):
    """What keeps the shards."""

    async def read(self, groups: Sequence[Group]) -> list[list[bytes | None]]:
        """The values of each group, each group at one moment."""

    async def life(self) -> bytes:
        """What a start of the store is known by: it is another one after it may have gone back to an earlier state."""

    async def swap(self, swaps: Sequence[Swap], guards: Guards = NO_GUARDS, life: bytes = ANY_LIFE) -> list[bool]:
        """Changes shards, each by itself; False for each whose mark was not the expected one, and for all where a guard does
        not hold or the store has begun another life: it is unchanged."""

    async def put(self, entries: Sequence[Entry], guards: Guards = NO_GUARDS) -> bool:
        """Writes values; False, and nothing more is written, where a guard does not hold."""


GUARDED = """
local guards = tonumber(ARGV[1])
for i = 1, guards do
  if (redis.call('GET', KEYS[i]) or '') ~= ARGV[i + 1] then return false end
end
"""
"""How both scripts begin: the guards' keys, how many there are, and the value that each must have (empty: none)."""

SWAP = f"""{GUARDED}
local life = ARGV[guards + 2]
if life ~= '' and not string.find(redis.call('INFO', 'server'), 'run_id:' .. life, 1, true) then return false end
local done, k, a = {{}}, guards + 1, guards + 3
while k <= #KEYS do
  local values, lifetime, expected = tonumber(ARGV[a]), ARGV[a + 1], ARGV[a + 2]
  if (redis.call('GET', KEYS[k]) or '') == expected then
    redis.call('SET', KEYS[k], ARGV[a + 3])
    for i = 1, values do
      if lifetime == '0' then redis.call('SET', KEYS[k + i], ARGV[a + 3 + i])
      else redis.call('SET', KEYS[k + i], ARGV[a + 3 + i], 'EX', lifetime) end
    end
    done[#done + 1] = 1
  else
    done[#done + 1] = 0
  end
  k, a = k + values + 1, a + values + 4
end
return done
"""
"""Then the life in which it holds, and several swaps, one after the other: for each, the mark's key and those of the values;
how many values, their lifetime, the expected mark (empty: none), the new mark and the values."""

PUT = f"""{GUARDED}
local a = guards + 2
for k = guards + 1, #KEYS do
  local value, lifetime, version = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2])
  local there = version > 0 and redis.call('GET', KEYS[k])
  local newer = there and tonumber(string.match(there, '"version":(%d+)}}$') or 0) > version
  if not newer then
    if lifetime == '0' then redis.call('SET', KEYS[k], value)
    else redis.call('SET', KEYS[k], value, 'EX', lifetime) end
  end
  a = a + 3
end
return 1
"""
"""Then the values: for each its key; the value, its lifetime and its version."""

VERSION = re.compile(rb'"version":(\d+)}\Z')

KEYS_A_COMMAND = 200
"""A command costs the client more than a key in it; but while one with so many keys runs, a millisecond, no other does."""


class RedisStore:
    """The store in Redis, over a client that does not retry: a write whose reply was lost is settled by the mark.

    Few commands with many keys each: redis-py spends more on a command than Redis on its keys.
    """

    def __init__(self, client: "Redis") -> None:
        self._client = client

    async def read(self, groups: Sequence[Group]) -> list[list[bytes | None]]:
        try:
            return await self._read(groups)
        except ConnectionError:  # one that broke while it was idle; to read again is harmless
            return await self._read(groups)

    async def _read(self, groups: Sequence[Group]) -> list[list[bytes | None]]:
        pipeline = self._client.pipeline(transaction=False)
        slices = sliced(groups, [len(group) for group in groups])
        for part in slices:
            pipeline.mget([key for group in part for key in group])
        found = []
        for part, values in zip(slices, await pipeline.execute(), strict=True):
            remaining = iter(values)
            found += [list(islice(remaining, len(group))) for group in part]
        return found

    async def life(self) -> bytes:
        found: bytes = (await self._client.info("server"))["run_id"].encode()
        return found

    async def swap(self, swaps: Sequence[Swap], guards: Guards = NO_GUARDS, life: bytes = ANY_LIFE) -> list[bool]:
        pipeline = self._client.pipeline(transaction=False)
        parts = sliced(swaps, [len(swap.values) + 1 for swap in swaps])
        for part in parts:
            keys = [key for swap in part for key in (swap.mark_key, *swap.values)]
            _eval(pipeline, SWAP, guards, keys, [life, *_arguments_of_swaps(part)])
        replies = await pipeline.execute()
        return [bool(reply and reply[n]) for part, reply in zip(parts, replies, strict=True) for n in range(len(part))]

    async def put(self, entries: Sequence[Entry], guards: Guards = NO_GUARDS) -> bool:
        try:
            return await self._put(entries, guards)
        except ConnectionError:  # the newest wins, so to write again is harmless
            return await self._put(entries, guards)

    async def _put(self, entries: Sequence[Entry], guards: Guards) -> bool:
        pipeline = self._client.pipeline(transaction=False)
        for part in sliced(entries, [1] * len(entries)):
            arguments = [x for entry in part for x in (entry.value, entry.lifetime_s, entry.version)]
            _eval(pipeline, PUT, guards, [entry.key for entry in part], arguments)
        return all(await pipeline.execute())


def _eval(pipeline: Any, script: str, guards: Guards, keys: Sequence[str], arguments: Iterable[bytes | int]) -> None:
    """Adds a script to a pipeline, its guards before its keys and arguments."""
    expected = (value or b"" for value in guards.values())
    pipeline.eval(script, len(guards) + len(keys), *guards, *keys, len(guards), *expected, *arguments)


def _arguments_of_swaps(swaps: Iterable[Swap]) -> Iterator[bytes | int]:
    for swap in swaps:
        yield from (len(swap.values), swap.lifetime_s)
        yield from (swap.expected or b"", swap.mark, *swap.values.values())


def sliced(things: Sequence[T], sizes: Sequence[int]) -> list[Sequence[T]]:
    """The things in order, in slices of at most `KEYS_A_COMMAND` together, if not one alone is larger.

    >>> sliced("abc", [150, 50, 1])
    ['ab', 'c']
    """
    slices = []
    start = total = 0
    for i, size in enumerate(sizes):
        if total and total + size > KEYS_A_COMMAND:
            slices.append(things[start:i])
            start, total = i, 0
        total += size
    return [*slices, things[start:]] if start < len(things) else slices


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

    async def swap(self, swaps: Sequence[Swap], guards: Guards = NO_GUARDS, life: bytes = ANY_LIFE) -> list[bool]:
        held = self._hold(guards) and life in (ANY_LIFE, await self.life())
        return [held and self._swap(swap) for swap in swaps]

    def _hold(self, guards: Guards) -> bool:
        return all(self.values.get(key) == value for key, value in guards.items())

    def _swap(self, swap: Swap) -> bool:
        if self.values.get(swap.mark_key) != swap.expected:
            return False
        self.values |= swap.values
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


def connect(url: str) -> "Redis":
    """A client for `url` as the store needs it: bytes out, no retries, so that nothing is ever applied twice by the client."""
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=20, socket_connect_timeout=5, decode_responses=False)
