"""A Redis Cluster on this machine: three nodes without replicas, with the persistence that a cluster must have."""

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis import Redis, RedisError

from streams.local.errors import LocalError
from streams.local.ports import HOST, free_cluster_port
from streams.local.redis import local_redis
from streams.local.server import START_S, Server

NODES = 3
SLOTS = 16_384
POLL_S = 0.05
CONFIGURATION = """\
cluster-enabled yes
cluster-config-file nodes.conf
cluster-node-timeout 5000
cluster-require-full-coverage no
cluster-replica-no-failover yes
appendfsync always
"""
"""Beside what every local Redis is given; what is said twice, the last one holds."""


class LocalCluster:
    """Nodes that share the slots, started together, that end with this process however it ends.

    `cluster.nodes` are servers: `.kill()` is kill -9, `.start()` brings back the same port, data and slots.

        with LocalCluster(directory) as cluster:
            print(cluster.url)
    """

    def __init__(self, directory: str | Path, ports: Sequence[int] = ()) -> None:
        self.directory = Path(directory).absolute()
        chosen = list(ports)
        while len(chosen) < NODES:
            if (port := free_cluster_port()) not in chosen:
                chosen.append(port)
        self.nodes = [
            local_redis(self.directory / f"node-{n}", port, lines=CONFIGURATION) for n, port in enumerate(chosen, start=1)
        ]

    @property
    def url(self) -> str:
        """As FRESHET_REDIS takes it."""
        return "redis+cluster://" + ",".join(f"{HOST}:{node.port}" for node in self.nodes)

    def start(self) -> None:
        """Start the nodes that do not run; return when every slot is served. Raises `LocalError`; then none runs."""
        try:
            for node in self.nodes:
                if node.pid is None:
                    node.launch()
                    node.watch_over()
            for node in self.nodes:
                node.wait_ready()
            if all(state(node).get("cluster_known_nodes") == "1" for node in self.nodes):
                join(self.nodes)
            self.wait_ready()
        except BaseException:
            for node in self.nodes:
                node.abandon()
            raise

    def wait_ready(self, seconds: float = START_S) -> None:
        """Return when every node knows every other one and finds all slots served. Raises `LocalError`."""
        until = time.monotonic() + seconds
        while not all(well(state(node)) for node in self.nodes):
            if time.monotonic() > until:
                raise LocalError(f"the Redis Cluster in {self.directory} did not come together within {seconds:.0f} s")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """End all nodes; their data stay in the folder."""
        for node in self.nodes:
            node.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()


def join(nodes: Sequence[Server]) -> None:
    """Make a cluster of new nodes: each gets an equal part of the slots, and the first one meets the others."""
    for n, node in enumerate(nodes):
        slots = range(n * SLOTS // len(nodes), (n + 1) * SLOTS // len(nodes))
        with client(node) as redis:
            redis.execute_command("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
            redis.execute_command("CLUSTER", "ADDSLOTS", *slots)
    with client(nodes[0]) as redis:
        for node in nodes[1:]:
            redis.execute_command("CLUSTER", "MEET", HOST, node.port)


def state(node: Server) -> dict[str, str]:
    """What a node says of the cluster; nothing where it does not answer."""
    try:
        with client(node) as redis:
            said: Any = redis.execute_command("CLUSTER", "INFO")
    except RedisError:
        return {}
    return said if isinstance(said, dict) else dict(line.split(":", 1) for line in said.decode().split())


def well(said: dict[str, str]) -> bool:
    """
    >>> well({"cluster_state": "ok", "cluster_slots_ok": "16384", "cluster_known_nodes": "3"}), well({})
    (True, False)
    """
    wanted = {"cluster_state": "ok", "cluster_slots_ok": str(SLOTS), "cluster_known_nodes": str(NODES)}
    return wanted.items() <= said.items()


def client(node: Server) -> "Redis":
    return Redis(host=HOST, port=node.port, socket_timeout=5)
