"""The health of Redis: of a single one, or of every node of a cluster, where each must keep what it acknowledged."""

from collections.abc import Iterator
from typing import Any

from redis import RedisError
from redis.cluster import ClusterNode, RedisCluster
from redis.utils import str_if_bytes

from recsys.connection import Client
from streams.eviction import evictions
from streams.failure import one_line
from streams.finding import Finding

OLDEST_REDIS = (6, 2)
MEMORY_WARNING = 0.8
SLOTS = 16_384
SEE = "see docs/cluster.md"


def examine_redis(client: Client) -> Iterator[Finding]:
    """Raises `RedisError` where a single Redis does not answer; of a cluster each node that does not is a finding."""
    if isinstance(client, RedisCluster):
        yield from _cluster(client)
        return
    info: dict[str, Any] = client.info()
    if info.get("cluster_enabled"):
        yield Finding(
            "redis", "kind", "failure", "a node of a cluster",
            "set FRESHET_REDIS to redis+cluster://host:port,host2:port2, with some of its nodes",
        )  # fmt: skip
    yield from _server(info, "")
    if info.get("aof_enabled"):
        yield Finding("redis", "persistence", "ok", "append-only file on")
    else:
        yield Finding(
            "redis", "persistence", "warning", "append-only file off",
            "set appendonly yes: without it a restart of Redis counts the topic anew from the last snapshot, or from nothing",
        )  # fmt: skip


def _server(info: dict[str, Any], of: str) -> Iterator[Finding]:
    """What matters of any server."""
    number = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    well = number >= OLDEST_REDIS
    yield Finding(
        "redis",
        "version" + of,
        "ok" if well else "failure",
        str(info["redis_version"]),
        "" if well else "6.2 or later is needed",
    )
    policy = str(info.get("maxmemory_policy", "unknown"))
    found, _, todo = evictions(info).partition(": ")
    yield Finding("redis", "eviction" + of, "failure" if found else "ok", found or policy, todo)
    used, most = int(info["used_memory"]), int(info.get("maxmemory", 0))
    full = most > 0 and used > MEMORY_WARNING * most
    yield Finding(
        "redis", "memory" + of, "warning" if full else "ok",
        f"{used / 1e6:.0f} MB used" + (f" of {most / 1e6:.0f}" if most else ", no limit"),
        "give Redis more memory: a full one refuses writes, and the workers stop" if full else "",
    )  # fmt: skip


def _cluster(client: Any) -> Iterator[Finding]:  # redis-py gives half of its cluster client no types
    covered = len(client.nodes_manager.slots_cache)
    if covered == SLOTS:
        yield Finding("redis", "slots", "ok", f"all on {len(client.get_primaries())} nodes")
    else:
        yield Finding(
            "redis", "slots", "failure", f"{SLOTS - covered:,} of {SLOTS:,} belong to no node",
            f"give them to one (redis-cli --cluster fix): what is in them can be neither read nor counted; {SEE}",
        )  # fmt: skip
    for node in sorted(client.get_nodes(), key=lambda node: str(node.name)):
        try:
            yield from _node(client.get_redis_connection(node), node)
        except RedisError as error:
            yield Finding(
                "redis", f"node {node.name}", "failure", one_line(str(error))[:200],
                f"start it again with its data; if these are lost, the state must be built anew; {SEE}",
            )  # fmt: skip


def _node(redis: Any, node: ClusterNode) -> Iterator[Finding]:
    of = f" of {node.name}"
    info: dict[str, Any] = redis.info()
    cluster = said(redis.execute_command("CLUSTER INFO"))
    well = cluster.get("cluster_state") == "ok"
    yield Finding(
        "redis", f"node {node.name}", "ok" if well else "failure",
        f"a {node.server_type}, finds the cluster {cluster.get('cluster_state', 'in an unknown state')}",
        "" if well else f"it answers for no key until the nodes that it misses are back; {SEE}",
    )  # fmt: skip
    yield from _server(info, of)
    try:
        configuration = said(redis.config_get("*append*")) | said(redis.config_get("cluster-re*"))
    except RedisError as error:
        yield Finding(
            "redis", "persistence" + of, "warning", f"its configuration is kept from us: {one_line(str(error))[:100]}",
            f"make sure yourself that it keeps what it acknowledged; {SEE}",
        )  # fmt: skip
        return
    if node.server_type == "primary":
        yield _persistence(configuration, of)
        yield Finding("redis", "coverage" + of, "ok", f"cluster-require-full-coverage {_value(configuration, COVERAGE)}")
    else:
        yield _failover(configuration, of)


PERSISTENCE = {"appendonly": "yes", "appendfsync": "always", "no-appendfsync-on-rewrite": "no"}
"""What every primary must have, so that it never loses what it acknowledged."""
COVERAGE = "cluster-require-full-coverage"
NO_FAILOVER = "cluster-replica-no-failover"


def _persistence(configuration: dict[str, str], of: str) -> Finding:
    found = ", ".join(f"{name} {_value(configuration, name)}" for name in PERSISTENCE)
    wrong = [f"{name} {wanted}" for name, wanted in PERSISTENCE.items() if _value(configuration, name) != wanted]
    if not wrong:
        return Finding("redis", "persistence" + of, "ok", found)
    return Finding(
        "redis", "persistence" + of, "failure", found,
        f"set {', '.join(wrong)}: a node that comes back without its last writes is behind the others; {SEE}",
    )  # fmt: skip


def _failover(configuration: dict[str, str], of: str) -> Finding:
    value = _value(configuration, NO_FAILOVER)
    if value == "yes":
        return Finding("redis", "failover" + of, "ok", f"{NO_FAILOVER} yes")
    return Finding(
        "redis", "failover" + of, "failure", f"{NO_FAILOVER} {value}",
        f"set {NO_FAILOVER} yes: a replica that takes over may lack what its primary acknowledged; {SEE}",
    )  # fmt: skip


def _value(configuration: dict[str, str], name: str) -> str:
    return configuration.get(name, "unknown")


def said(reply: Any) -> dict[str, str]:
    """Names and values in a reply, whatever form redis-py gives it.

    >>> said(b"cluster_state:ok\\r\\n"), said({b"appendonly": b"yes"})
    ({'cluster_state': 'ok'}, {'appendonly': 'yes'})
    """
    if isinstance(reply, dict):
        return {str_if_bytes(name): str_if_bytes(value) for name, value in reply.items()}
    lines = (line.partition(":") for line in str_if_bytes(reply).split())
    return {name: value for name, _, value in lines}
