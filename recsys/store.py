"""The store: shards are read whole and changed by compare-and-set. It keeps and guards; all arithmetic is elsewhere.

Three operations are all that the rest of Freshet asks of it, so that the same code runs over Redis and over a dictionary.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from redis.asyncio import Redis

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

    async def put(self, entries: Iterable[Entry]) -> None:
        """Writes values without a guard."""


SWAP = """
local mark = redis.call('GET', KEYS[1])
if mark ~= (ARGV[1] ~= '' and ARGV[1] or false) then return 0 end
for i = 2, #KEYS do
  if ARGV[3] == '0' then redis.call('SET', KEYS[i], ARGV[i + 2])
  else redis.call('SET', KEYS[i], ARGV[i + 2], 'EX', ARGV[3]) end
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


class RedisStore:
    """The store in Redis, over a client that does not retry: a write whose reply was lost is settled by the mark."""

    def __init__(self, client: "Redis") -> None:
        self._client = client

    async def read(self, groups: Sequence[Group]) -> list[list[bytes | None]]:
        pipeline = self._client.pipeline(transaction=False)
        for group in groups:
            pipeline.mget(group)
        return await pipeline.execute()

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        pipeline = self._client.pipeline(transaction=False)
        for swap in swaps:
            keys = [swap.mark_key, *swap.values]
            pipeline.eval(SWAP, len(keys), *keys, swap.expected or b"", swap.mark, swap.lifetime_s, *swap.values.values())
        return [reply == 1 for reply in await pipeline.execute()]

    async def put(self, entries: Iterable[Entry]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for entry in entries:
            pipeline.set(entry.key, entry.value, ex=entry.lifetime_s or None)
        await pipeline.execute()


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

    async def put(self, entries: Iterable[Entry]) -> None:
        self.values |= {entry.key: entry.value for entry in entries}


def connect(url: str) -> "Redis":
    """A client for `url` as the store needs it: bytes out, no retries, so that nothing is ever applied twice by the client."""
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=20, socket_connect_timeout=5, decode_responses=False)
