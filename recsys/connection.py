"""Connections: what an address of Redis leads to, one Redis or a cluster, for the worker and for those who only look."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from redis import Redis
from redis.asyncio.cluster import ClusterNode as AsyncClusterNode
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry

from recsys.cluster_store import ClusterStore, named_errors
from recsys.redis_store import RedisStore, connect
from recsys.store import Store

PORT = 6379
CONNECT_S = 5.0
ANSWER_S = 20.0
READ_AGAIN = 3
CLUSTER = "+cluster"
"""What the scheme of a cluster's address ends with."""
Client = Redis | RedisCluster
"""A client for programs that are no event loops: they read."""


def is_cluster(url: str) -> bool:
    """
    >>> is_cluster("redis+cluster://a,b"), is_cluster("redis://a/0")
    (True, False)
    """
    return url.partition("://")[0].endswith(CLUSTER)


def cluster_address(url: str) -> tuple[str, list[tuple[str, int]]]:
    """A cluster's address as redis-py takes it: that of the first node, and the others, which are asked if it is away.

    >>> cluster_address("rediss+cluster://me:secret@a:1,b,[::1]:3?ssl_ca_certs=/ca.pem")
    ('rediss://me:secret@a:1?ssl_ca_certs=/ca.pem', [('b', 6379), ('::1', 3)])
    """
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    first, *others = hosts.split(",")
    nodes = [urlsplit(f"//{host}") for host in others]
    address = urlunsplit((parts.scheme.removesuffix(CLUSTER), f"{user}{at}{first}", "", parts.query, ""))
    return address, [(node.hostname or "", node.port or PORT) for node in nodes]


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[Store]:
    """The store at an address, once it answers. Bytes out and no retries, so that nothing is ever applied twice by the client.

    Raises `redis.exceptions.RedisError`.
    """
    if is_cluster(url):
        address, others = cluster_address(url)
        cluster = AsyncRedisCluster.from_url(
            address,
            startup_nodes=[AsyncClusterNode(host, port) for host, port in others],
            retry=AsyncRetry(NoBackoff(), 0),
            socket_timeout=ANSWER_S,
            socket_connect_timeout=CONNECT_S,
        )
        try:
            with named_errors():
                await cluster.initialize()
            yield ClusterStore(cluster)
        finally:
            await cluster.aclose()
    else:
        async with connect(url) as client:
            await client.ping()
            yield RedisStore(client)


@contextmanager
def open_client(url: str) -> Iterator[Client]:
    """A client that reads. Raises `redis.exceptions.RedisError`, also for what redis-py has errors of another kind for."""
    if is_cluster(url):
        address, others = cluster_address(url)
        with (
            named_errors(),
            RedisCluster.from_url(
                address,
                startup_nodes=[ClusterNode(host, port) for host, port in others],  # type: ignore[no-untyped-call]
                retry=Retry(NoBackoff(), READ_AGAIN),
                require_full_coverage=False,
                socket_connect_timeout=CONNECT_S,
            ) as cluster,
        ):
            yield cluster
    else:
        with Redis.from_url(url, socket_connect_timeout=CONNECT_S) as client:
            yield client


def read_values(client: Client, keys: Sequence[str]) -> list[bytes | None]:
    """The values of keys, wherever they lie; of a cluster not at one moment."""
    if not keys:
        return []
    found: Any = client.mget_nonatomic(keys) if isinstance(client, RedisCluster) else client.mget(keys)
    return list(found)
