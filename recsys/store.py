"""The store: shards are read whole and changed by compare-and-set. It keeps and guards; all arithmetic is elsewhere.

Three operations are all that the rest of Freshet asks of it, so that the same code runs over Redis and over a dictionary.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

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
    """A value that needs no guard, because the newest wins; with a lifetime of 0 it has none."""

    key: str
    value: bytes
    lifetime_s: int = 0


class Store(Protocol):
    """What keeps the shards."""

    async def read(self, groups: Sequence[Group]) -> list[list[bytes | None]]:
        """The values of each group, each group at one moment."""

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        """Changes shards, each by itself; False for each whose mark was not the expected one: it is unchanged."""

    async def put(self, entries: Sequence[Entry]) -> None:
        """Writes values without a guard."""


SWAP = """
local done, k, a = {}, 1, 1
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
"""Several swaps, one after the other: for each, the mark's key and those of the values; how many values, their lifetime, the
expected mark (empty: none), the new mark and the values."""

PUT = """
for i = 1, #KEYS do
  if ARGV[2 * i] == '0' then redis.call('SET', KEYS[i], ARGV[2 * i - 1])
  else redis.call('SET', KEYS[i], ARGV[2 * i - 1], 'EX', ARGV[2 * i]) end
end
"""

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

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        pipeline = self._client.pipeline(transaction=False)
        for part in sliced(swaps, [len(swap.values) + 1 for swap in swaps]):
            keys: list[str] = []
            arguments: list[bytes | int] = []
            for swap in part:
                keys += [swap.mark_key, *swap.values]
                arguments += [len(swap.values), swap.lifetime_s, swap.expected or b"", swap.mark, *swap.values.values()]
            pipeline.eval(SWAP, len(keys), *keys, *arguments)
        return [done == 1 for reply in await pipeline.execute() for done in reply]

    async def put(self, entries: Sequence[Entry]) -> None:
        try:
            await self._put(entries)
        except ConnectionError:  # the newest wins, so to write again is harmless
            await self._put(entries)

    async def _put(self, entries: Sequence[Entry]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for part in sliced(entries, [1] * len(entries)):
            keys = [entry.key for entry in part]
            pipeline.eval(PUT, len(keys), *keys, *(x for entry in part for x in (entry.value, entry.lifetime_s)))
        await pipeline.execute()


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

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        return [self._swap(swap) for swap in swaps]

    def _swap(self, swap: Swap) -> bool:
        if self.values.get(swap.mark_key) != swap.expected:
            return False
        self.values |= swap.values
        self.values[swap.mark_key] = swap.mark
        return True

    async def put(self, entries: Sequence[Entry]) -> None:
        self.values |= {entry.key: entry.value for entry in entries}


def connect(url: str) -> "Redis":
    """A client for `url` as the store needs it: bytes out, no retries, so that nothing is ever applied twice by the client."""
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=20, socket_connect_timeout=5, decode_responses=False)
