"""The store over a Redis Cluster: what belongs to one slot in one command, what belongs to one node in one round trip."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import AskError, ConnectionError, MovedError, RedisClusterException, TryAgainError

from recsys.redis_store import SCANNED, Command, finding, putting, replacing, sliced, swapping
from recsys.store import ANY_LIFE, NO_COMMIT, NO_GUARDS, Commit, Entry, Group, Guards, Replacement, Swap

ELSEWHERE = (MovedError, AskError, TryAgainError)
"""Replies of a node that did nothing, because the slot is on another one or on its way there."""
MOVING_S = 10.0
"""How long a slot may be on its way; then the worker ends and tries again from its start."""
LOOK_AGAIN_S = 0.1


class Request(NamedTuple):
    """A command for the node that has the slot."""

    slot: int
    command: Command


class ClusterStore:
    """The store in a Redis Cluster, over a client that does not retry: a write whose reply was lost is settled by the mark.

    A group, and a swap, lies in one slot; entries lie anywhere. Guards lie in other slots than what they guard, where no one
    step spans both, so here they are not checked, nor is a node's life: what they are for, a node that fell back to an earlier
    state, must not happen to a single node of a cluster (docs/cluster.md).
    """

    def __init__(self, client: "RedisCluster") -> None:
        self._client = client

    async def read(self, groups: Sequence[Group]) -> list[list[bytes | None]]:
        try:
            return await self._read(groups)
        except ConnectionError:  # one that broke while it was idle; to read again is harmless
            return await self._read(groups)

    async def _read(self, groups: Sequence[Group]) -> list[list[bytes | None]]:
        requests, places = [], []
        for slot, at in self._by_slot(group[0] for group in groups):
            for part in sliced(at, [len(groups[i]) for i in at]):
                requests.append(Request(slot, ("MGET", *(key for i in part for key in groups[i]))))
                places.append(part)
        found: list[list[bytes | None]] = [[] for _ in groups]
        for part, values in zip(places, await self._send(requests), strict=True):
            remaining = iter(values)
            for i in part:
                found[i] = list(islice(remaining, len(groups[i])))
        return found

    async def life(self) -> bytes:
        return ANY_LIFE

    async def swap(
        self,
        swaps: Sequence[Swap],
        guards: Guards = NO_GUARDS,  # noqa: ARG002 (see the class)
        commit: Commit = NO_COMMIT,
    ) -> list[bool]:
        done = await self._swap(swaps)
        return done + (await self._swap(commit.swaps) if all(done) else [False] * len(commit.swaps))

    async def _swap(self, swaps: Sequence[Swap]) -> list[bool]:
        requests, places = [], []
        for slot, at in self._by_slot(swap.mark_key for swap in swaps):
            for part in sliced(at, [swaps[i].size for i in at]):
                requests.append(Request(slot, swapping([swaps[i] for i in part])))
                places.append(part)
        done = [False] * len(swaps)
        for part, reply in zip(places, await self._send(requests), strict=True):
            for i, held in zip(part, reply, strict=True):
                done[i] = bool(held)
        return done

    async def put(self, entries: Sequence[Entry], guards: Guards = NO_GUARDS) -> bool:  # noqa: ARG002 (see the class)
        requests = [
            Request(slot, putting([entries[i]]) if entries[i].version else setting(entries[i]))
            for slot, at in self._by_slot(entry.key for entry in entries)
            for i in at
        ]
        try:
            await self._send(requests)
        except ConnectionError:  # the newest wins, so to write again is harmless
            await self._send(requests)
        return True

    async def replace(self, replacements: Sequence[Replacement]) -> list[bool]:
        requests = [Request(self._client.keyslot(each.key), replacing([each])) for each in replacements]
        return [bool(done) for [done] in await self._send(requests)]

    async def find(self, keys: Sequence[str], texts: Sequence[bytes]) -> list[str]:
        requests, places = [], []
        for slot, at in self._by_slot(keys):
            for part in sliced(at, [1] * len(at)):
                requests.append(Request(slot, finding([keys[i] for i in part], texts)))
                places.append(part)
        found = [part[k - 1] for part, reply in zip(places, await self._send(requests), strict=True) for k in reply]
        return [keys[i] for i in sorted(found)]

    async def scan(self, pattern: str) -> AsyncIterator[str]:
        async for key in self._client.scan_iter(match=pattern, count=SCANNED):
            yield key.decode()

    def _by_slot(self, keys: Iterable[str]) -> Iterable[tuple[int, list[int]]]:
        """The places of the keys by slot, in their order."""
        places = defaultdict(list)
        for i, key in enumerate(keys):
            places[self._client.keyslot(key)].append(i)
        return places.items()

    async def _send(self, requests: Sequence[Request]) -> list[Any]:
        """The replies. A request that came to the wrong node did nothing there and is sent again, after the others.

        Raises the first error once every node has answered: nothing that was sent is on its way then. Not left to redis-py: in
        looking for a slot that moved it closes connections that others wait on, and its ASKING may go by another connection
        than its command.
        """
        replies: list[Any] = [None] * len(requests)
        left = list(range(len(requests)))
        until = time.monotonic() + MOVING_S
        while left:
            for i, reply in zip(left, await self._once([requests[i] for i in left]), strict=True):
                replies[i] = reply
            for reply in replies:
                if isinstance(reply, BaseException) and not isinstance(reply, ELSEWHERE):
                    raise reply
            left = [i for i in left if isinstance(replies[i], ELSEWHERE)]
            if left:
                if time.monotonic() > until:
                    raise ConnectionError(f"slot {requests[left[0]].slot} is still moving to another node")
                await asyncio.sleep(LOOK_AGAIN_S)
                with named_errors():
                    await self._client.nodes_manager.initialize()
        return replies

    async def _once(self, requests: Sequence[Request]) -> list[Any]:
        """A reply or an exception for each request; the nodes work at the same time."""
        manager = self._client.nodes_manager
        places = defaultdict(list)
        for i, request in enumerate(requests):
            places[manager.get_node_from_slot(request.slot)].append(i)
        pipelines = []
        for node, at in places.items():
            pipeline = self._client.pipeline()
            for i in at:
                pipeline.execute_command(*requests[i].command, target_nodes=node)
            pipelines.append(pipeline.execute(raise_on_error=False, allow_redirections=False))
        replies: list[Any] = [None] * len(requests)
        for at, outcome in zip(places.values(), await asyncio.gather(*pipelines, return_exceptions=True), strict=True):
            for n, i in enumerate(at):
                replies[i] = outcome if isinstance(outcome, BaseException) else outcome[n]
        return replies


@contextmanager
def named_errors() -> Iterator[None]:
    """A cluster that cannot be reached is a connection that failed; redis-py has an error for it that is no `RedisError`."""
    try:
        yield
    except RedisClusterException as error:
        raise ConnectionError(str(error.__cause__ or error)) from error


def setting(entry: Entry) -> Command:
    """The command that writes an entry whatever is there.

    >>> setting(Entry("k", b"v", 60))
    ('SET', 'k', b'v', 'EX', 60)
    """
    return ("SET", entry.key, entry.value, *(("EX", entry.lifetime_s) if entry.lifetime_s else ()))
