"""The store over one Redis: scripts and a client that does not retry."""

from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import islice
from typing import TypeVar

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError
from redis.typing import EncodableT

from recsys.store import ANY_LIFE, NO_COMMIT, NO_GUARDS, Commit, Entry, Group, Guards, Replacement, Swap

T = TypeVar("T")
Command = tuple[str | bytes | int, ...]

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
  local values, mortal, lifetime, expected = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), ARGV[a + 2], ARGV[a + 3]
  if (redis.call('GET', KEYS[k]) or '') == expected then
    redis.call('SET', KEYS[k], ARGV[a + 4])
    for i = 1, values do
      if i > mortal then redis.call('SET', KEYS[k + i], ARGV[a + 4 + i])
      else redis.call('SET', KEYS[k + i], ARGV[a + 4 + i], 'EX', lifetime) end
    end
    done[#done + 1] = 1
  else
    done[#done + 1] = 0
  end
  k, a = k + values + 1, a + values + 5
end
return done
"""
"""Then the life in which it holds, and several swaps, one after the other: for each, the mark's key and those of the values;
how many values, how many of these have a lifetime, which, the expected mark (empty: none), the new mark and the values."""

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

REPLACE = """
local done = {}
for k = 1, #KEYS do
  if redis.call('GET', KEYS[k]) ~= ARGV[3 * k - 2] then done[k] = 0
  elseif ARGV[3 * k - 1] == '' then done[k] = redis.call('DEL', KEYS[k])
  else
    redis.call('SET', KEYS[k], ARGV[3 * k], 'KEEPTTL')
    done[k] = 1
  end
end
return done
"""
"""For each key the value that it must have, whether it then has another one (empty: none), and that one."""

FIND = """
local found = {}
for k, value in ipairs(redis.call('MGET', unpack(KEYS))) do
  if value then
    for t = 1, #ARGV do
      if string.find(value, ARGV[t], 1, true) then
        found[#found + 1] = k
        break
      end
    end
  end
end
return found
"""
"""Which of the keys, counted from 1, have one of the texts in their value. No value goes over the network."""

SCANNED = 1000
"""Keys that Redis looks at in one command of a scan: about a millisecond."""
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

    async def swap(self, swaps: Sequence[Swap], guards: Guards = NO_GUARDS, commit: Commit = NO_COMMIT) -> list[bool]:
        pipeline = self._client.pipeline(transaction=False)
        parts, last = slices_of(swaps), slices_of(commit.swaps)
        for part in parts:
            pipeline.execute_command(*swapping(part, guards))
        after = guards_after(swaps, guards, commit)
        for part in last:
            pipeline.execute_command(*swapping(part, after, commit.life))
        replies = await pipeline.execute()
        return [bool(reply and reply[n]) for part, reply in zip(parts + last, replies, strict=True) for n in range(len(part))]

    async def put(self, entries: Sequence[Entry], guards: Guards = NO_GUARDS) -> bool:
        try:
            return await self._put(entries, guards)
        except ConnectionError:  # the newest wins, so to write again is harmless
            return await self._put(entries, guards)

    async def _put(self, entries: Sequence[Entry], guards: Guards) -> bool:
        pipeline = self._client.pipeline(transaction=False)
        for part in sliced(entries, [1] * len(entries)):
            pipeline.execute_command(*putting(part, guards))
        return all(await pipeline.execute())

    async def replace(self, replacements: Sequence[Replacement]) -> list[bool]:
        pipeline = self._client.pipeline(transaction=False)
        for part in sliced(replacements, [1] * len(replacements)):
            pipeline.execute_command(*replacing(part))
        return [bool(done) for reply in await pipeline.execute() for done in reply]

    async def find(self, keys: Sequence[str], texts: Sequence[bytes]) -> list[str]:
        pipeline = self._client.pipeline(transaction=False)
        parts = sliced(keys, [1] * len(keys))
        for part in parts:
            pipeline.execute_command(*finding(part, texts))
        return [part[k - 1] for part, reply in zip(parts, await pipeline.execute(), strict=True) for k in reply]

    async def scan(self, pattern: str) -> AsyncIterator[str]:
        async for key in self._client.scan_iter(match=pattern, count=SCANNED):
            yield key.decode()


def slices_of(swaps: Sequence[Swap]) -> list[Sequence[Swap]]:
    """The swaps as they go into commands."""
    return sliced(swaps, [swap.size for swap in swaps])


def guards_after(swaps: Sequence[Swap], guards: Guards, commit: Commit) -> Guards:
    """What guards a commit that is sent together with what it follows: that all of it was done.

    A mark that somebody else brought to the very same value says the same: that it was done.

    >>> guards_after([Swap("i", b"1", b"2", {})], {"u": b"5", "live": b"g1"}, Commit([Swap("u", b"5", b"6", {})]))
    {'live': b'g1', 'i': b'2'}
    """
    own = {swap.mark_key for swap in commit.swaps}
    return {key: value for key, value in guards.items() if key not in own} | {swap.mark_key: swap.mark for swap in swaps}


def swapping(swaps: Sequence[Swap], guards: Guards = NO_GUARDS, life: bytes = ANY_LIFE) -> Command:
    """The command that makes swaps, one after the other."""
    arguments: list[bytes | int] = [life]
    for swap in swaps:
        values = (*swap.values.values(), *swap.lasting.values())
        mortal = len(swap.values) if swap.lifetime_s else 0
        arguments += (len(values), mortal, swap.lifetime_s, swap.expected or b"", swap.mark, *values)
    return _calling(SWAP, guards, [key for swap in swaps for key in (swap.mark_key, *swap.values, *swap.lasting)], arguments)


def putting(entries: Sequence[Entry], guards: Guards = NO_GUARDS) -> Command:
    """The command that writes entries."""
    arguments = [x for entry in entries for x in (entry.value, entry.lifetime_s, entry.version)]
    return _calling(PUT, guards, [entry.key for entry in entries], arguments)


def replacing(replacements: Sequence[Replacement]) -> Command:
    """The command that replaces values, one after the other."""
    arguments = [
        x for each in replacements for x in (each.expected, b"1" if each.value is not None else b"", each.value or b"")
    ]
    return ("EVAL", REPLACE, len(replacements), *(each.key for each in replacements), *arguments)


def finding(keys: Sequence[str], texts: Sequence[bytes]) -> Command:
    """The command that looks for texts in values."""
    return ("EVAL", FIND, len(keys), *keys, *texts)


def _calling(script: str, guards: Guards, keys: Sequence[str], arguments: Iterable[bytes | int]) -> Command:
    """A call of a script: its guards come before its keys and arguments."""
    expected = (value or b"" for value in guards.values())
    return ("EVAL", script, len(guards) + len(keys), *guards, *keys, len(guards), *expected, *arguments)


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


class PackedConnection(AbstractConnection):
    """A connection whose commands hiredis packs: redis-py's own loop over their parts takes five times as long."""

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        return [hiredis.pack_command(args)]  # type: ignore[arg-type]


def connect(url: str) -> "Redis":
    """A client for `url` as the store needs it: bytes out, no retries, so that nothing is ever applied twice by the client."""
    client = Redis.from_url(
        url, retry=Retry(NoBackoff(), 0), socket_timeout=20, socket_connect_timeout=5, decode_responses=False
    )
    pool = client.connection_pool
    pool.connection_class = type("Packed", (PackedConnection, pool.connection_class), {})
    return client
