"""Usage: what workers, broker and Redis have used so far, to be compared with what they have used later."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from recsys import stages
from recsys.stages import Stages
from streams.bench.connections import Connection, connections
from streams.bench.space import Space

TICKS = os.sysconf("SC_CLK_TCK")
REDIS_PORT = 6379


class Traffic(Struct, frozen=True):
    """Bytes between workers and a server."""

    sent: int
    """By the workers."""
    received: int


class Usage(Struct, frozen=True):
    """What was used."""

    worker_cpu_s: float
    broker_cpu_s: float | None
    """None: it is not ours."""
    redis_cpu_s: float
    """Of the whole server, its background threads included."""
    redis: Traffic
    kafka: Traffic
    stages: Stages | None
    """None of what is no worker of Freshet."""


class Meter:
    """What these processes, and the servers of the space, use from now on."""

    def __init__(self, space: Space, pids: Sequence[int]) -> None:
        self._space = space
        self._pids = pids
        self._redis_port = urlsplit(space.settings.redis).port or REDIS_PORT
        self._begun = self._read()

    def read(self) -> Usage:
        """What they used since then; of connections, those that are still open."""
        (cpu, broker, redis, wires, told), now = self._begun, self._read()
        kafka_sent = kafka_received = redis_sent = redis_received = 0
        for inode, connection in now[3].items():
            was = wires.get(inode, Connection(connection.port, 0, 0))
            sent, received = connection.sent - was.sent, connection.received - was.received
            if connection.port == self._redis_port:
                redis_sent, redis_received = redis_sent + sent, redis_received + received
            else:
                kafka_sent, kafka_received = kafka_sent + sent, kafka_received + received
        return Usage(
            now[0] - cpu,
            None if broker is None or now[1] is None else now[1] - broker,
            now[2] - redis,
            Traffic(redis_sent, redis_received),
            Traffic(kafka_sent, kafka_received),
            stages.since(now[4], told) if told and now[4] else None,
        )

    def _read(self) -> tuple[float, float | None, float, dict[int, Connection], Stages | None]:
        broker = self._space.servers.broker_pid
        found: Any = self._space.client.info("cpu")
        wires = {inode: connection for pid in self._pids for inode, connection in connections(pid).items()}
        return (
            sum(map(cpu_s, self._pids)),
            None if broker is None else cpu_s(broker),
            sum(found[f"used_cpu_{kind}"] for kind in ("sys", "user", "sys_children", "user_children")),
            wires,
            told_by(self._space, self._pids),
        )


def told_by(space: Space, pids: Sequence[int]) -> Stages | None:
    """What the workers tell of themselves, together; None where one of the processes tells nothing."""
    host = os.uname().nodename
    told: Any = space.client.mget([space.keys.worker(f"{host}-{pid}") for pid in pids])
    return stages.together(map(stages.read, told)) if all(told) else None


def cpu_s(pid: int) -> float:
    """CPU time of a process, all its threads, in user and system mode.

    >>> 0 < cpu_s(os.getpid()) < 1e6
    True
    """
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def most_memory_mb(pid: int) -> float:
    """The most memory that a process has held so far, in 10⁶ bytes.

    >>> most_memory_mb(os.getpid()) > 1
    True
    """
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))
