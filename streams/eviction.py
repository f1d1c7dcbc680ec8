"""Evictions: a Redis that may forget keys is warned of before it does, and one that has is told as soon as it is seen."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, NoReturn

from redis import RedisError
from redis.cluster import RedisCluster

from recsys.connection import Client, open_client

EVERY_S = 30.0

log = logging.getLogger("freshet.worker")


async def warn_of_evictions(url: str) -> NoReturn:
    """Logs a warning whenever what is to be said of evictions has changed."""
    before = ""
    while True:
        said = await asyncio.to_thread(evictions_at, url)
        if said and said != before:
            log.warning(said)
        before = said
        await asyncio.sleep(EVERY_S)


def evictions_at(url: str) -> str:
    """What is to be said of the servers at an address; nothing while they do not answer: then others say so."""
    try:
        with open_client(url) as client:
            return "; ".join(said for info in infos(client) if (said := evictions(info)))
    except RedisError:
        return ""


def infos(client: Client) -> list[Mapping[str, Any]]:
    """What each server says of itself; of a cluster, each primary."""
    if isinstance(client, RedisCluster):
        return [client.get_redis_connection(node).info() for node in client.get_primaries()]  # type: ignore[no-untyped-call]
    info: Any = client.info()
    return [info]


def evictions(info: Mapping[str, Any]) -> str:
    """What is to be said of a server that has evicted keys or may do so; empty where it cannot.

    >>> evictions({"maxmemory": 100, "maxmemory_policy": "noeviction", "evicted_keys": 0})
    ''
    >>> evictions({"maxmemory": 100, "maxmemory_policy": "allkeys-lru", "evicted_keys": 0})
    'Redis may evict keys (maxmemory-policy allkeys-lru), and an evicted key is a lost count: set maxmemory-policy noeviction'
    """
    policy = info.get("maxmemory_policy", "noeviction")
    evicted = int(info.get("evicted_keys", 0))
    if evicted:
        return (
            f"Redis has evicted {evicted:,} keys (maxmemory-policy {policy}): if they were Freshet's, counts are lost. Set "
            "maxmemory-policy noeviction, and count the topic anew (freshet rebuild)"
        )
    if policy != "noeviction" and info.get("maxmemory"):
        return (
            f"Redis may evict keys (maxmemory-policy {policy}), and an evicted key is a lost count: "
            "set maxmemory-policy noeviction"
        )
    return ""
