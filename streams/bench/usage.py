"""Usage: what workers, broker and Redis have used so far, to be compared with what they have used later."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct

from recsys import stages
from recsys.stages import Stages
from streams.bench.connections import Connection, connections
from streams.bench.space import Space
from streams.bench.timing import ends
from streams.topics import RECOMMENDATIONS

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
    others_cpus: float | None
    """CPUs that programs which have nothing to do with it used in the mean; None where it is not known."""
    redis: Traffic
    kafka: Traffic
    recommendations: int
    """Published to their topic."""
    stages: Stages | None
    """None of what is no worker of Freshet."""


class Reading(NamedTuple):
    """Everything that only grows, at a moment."""

    at_s: float
    worker_cpu_s: float
    broker_cpu_s: float | None
    redis_cpu_s: float
    own_cpu_s: float
    all_cpu_s: float
    connections: dict[int, Connection]
    stages: Stages | None


class Meter:
    """What these processes, and the servers of the space, use from now on."""

    def __init__(self, space: Space, pids: Sequence[int], told_s: float = 0.0) -> None:
        """Idle workers have told of their stages after `told_s`."""
        time.sleep(told_s)
        self._told_s = told_s
        self._space = space
        self._pids = pids
        self._redis_port = urlsplit(space.settings.redis).port or REDIS_PORT
        self._published = self._recommendations()
        self._begun = self._read()

    def read(self) -> Usage:
        """What they used since then; of connections, those that are still open."""
        was, now = self._begun, self._read()
        published = self._recommendations() - self._published
        time.sleep(self._told_s)
        told_then = told_by(self._space, self._pids)
        worker, redis = now.worker_cpu_s - was.worker_cpu_s, now.redis_cpu_s - was.redis_cpu_s
        broker = others = None
        if now.broker_cpu_s is not None and was.broker_cpu_s is not None:
            broker = now.broker_cpu_s - was.broker_cpu_s
            ours = worker + broker + redis + now.own_cpu_s - was.own_cpu_s
            others = max(0.0, now.all_cpu_s - was.all_cpu_s - ours) / (now.at_s - was.at_s)
        told = stages.since(told_then, was.stages) if told_then and was.stages else None
        return Usage(worker, broker, redis, others, *self._traffic(was, now), published, told)

    def _traffic(self, was: Reading, now: Reading) -> tuple[Traffic, Traffic]:
        """With Redis, and with everything else: that is Kafka."""
        sent, received = [0, 0], [0, 0]
        for inode, connection in now.connections.items():
            before = was.connections.get(inode, Connection(connection.port, 0, 0))
            whose = int(connection.port != self._redis_port)
            sent[whose] += connection.sent - before.sent
            received[whose] += connection.received - before.received
        return Traffic(sent[0], received[0]), Traffic(sent[1], received[1])

    def _recommendations(self) -> int:
        """All that were ever published."""
        return sum(ends(self._space.settings, RECOMMENDATIONS).values())

    def _read(self) -> Reading:
        broker = self._space.servers.broker_pid
        found: Any = self._space.client.info("cpu")
        return Reading(
            time.monotonic(),
            sum(map(cpu_s, self._pids)),
            None if broker is None else cpu_s(broker),
            sum(found[f"used_cpu_{kind}"] for kind in ("sys", "user", "sys_children", "user_children")),
            time.process_time(),
            all_cpu_s(),
            {inode: connection for pid in self._pids for inode, connection in connections(pid).items()},
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


def all_cpu_s() -> float:
    """CPU time of everything on the machine, what the host took from it included.

    >>> all_cpu_s() > cpu_s(os.getpid())
    True
    """
    user, nice, system, _idle, _waiting, irq, softirq, stolen, *_ = map(int, first_line("/proc/stat").split()[1:])
    return (user + nice + system + irq + softirq + stolen) / TICKS


def first_line(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.readline()


def most_memory_mb(pid: int) -> float:
    """The most memory that a process has held so far, in 10⁶ bytes.

    >>> most_memory_mb(os.getpid()) > 1
    True
    """
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))
