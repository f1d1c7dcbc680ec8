"""The servers that are measured on: those that were named, or a Kafka and a Redis of the benchmark's own."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from streams.local.kafka import STEADY_JVM, local_kafka
from streams.local.ports import HOST, free_port
from streams.local.redis import local_redis

OF_KAFKA = "FRESHET_KAFKA_"
"""What the variables begin with that say how to get in; they are taken from the environment for a broker that was named."""


class Servers(NamedTuple):
    """Where Kafka and Redis are."""

    variables: dict[str, str]
    """Those that lead there."""
    broker_pid: int | None
    """Of a broker of our own: whatever else runs on another one, it is not known how much of it is for us."""


@contextmanager
def servers(folder: Path, broker: str | None, redis: str | None) -> Iterator[Servers]:
    """Starts what was not named; it ends with the benchmark. Raises `LocalError`."""
    with ExitStack() as stack:
        variables, pid = {}, None
        if broker is None:
            kafka = local_kafka(folder / "kafka", free_port(), STEADY_JVM)
            stack.callback(kafka.abandon)
            kafka.start()
            broker, pid = f"kafka://{HOST}:{kafka.port}", kafka.pid
        else:
            variables = {name: value for name, value in os.environ.items() if name.startswith(OF_KAFKA)}
        if redis is None:
            server = local_redis(folder / "redis", free_port())
            stack.callback(server.abandon)
            server.start()
            redis = f"redis://{HOST}:{server.port}/0"
        yield Servers({**variables, "FRESHET_BROKER": broker, "FRESHET_REDIS": redis}, pid)
