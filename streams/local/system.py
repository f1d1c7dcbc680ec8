"""The local system: a Kafka and a Redis in one folder."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.local.jars import Progress, to_stderr
from streams.local.kafka import QUICK_JVM, local_kafka
from streams.local.ports import HOST, free_port
from streams.local.redis import local_redis


class LocalSystem:
    """Kafka and Redis, started together, that end with this process however it ends.

    `system.kafka` and `system.redis` are servers: `.kill()` is kill -9, `.start()` and `.restart()` bring back the same
    port and data; `.stop()`, `.pid`, `.port`, `.log`. Ports are chosen where 0 is given.

        with LocalSystem(directory) as system:
            print(system.broker, system.redis_url)
    """

    def __init__(
        self,
        directory: str | Path,
        kafka_port: int = 0,
        redis_port: int = 0,
        *,
        jvm: Sequence[str] = QUICK_JVM,
        progress: Progress = to_stderr,
    ) -> None:
        self.directory = Path(directory).absolute()
        self.kafka = local_kafka(self.directory / "kafka", kafka_port or free_port(), jvm, progress)
        self.redis = local_redis(self.directory / "redis", redis_port or free_port())

    @property
    def broker(self) -> str:
        """As FRESHET_BROKER takes it."""
        return f"kafka://{HOST}:{self.kafka.port}"

    @property
    def redis_url(self) -> str:
        """As FRESHET_REDIS takes it."""
        return f"redis://{HOST}:{self.redis.port}/0"

    def environment(self) -> dict[str, str]:
        """The variables that lead to this system."""
        return {"FRESHET_BROKER": self.broker, "FRESHET_REDIS": self.redis_url}

    def start(self) -> None:
        """Start both and return when both answer. Raises `LocalError`; then neither runs."""
        servers = (self.kafka, self.redis)
        try:
            for server in servers:
                server.launch()
                server.watch_over()
            for server in reversed(servers):
                server.wait_ready()
        except BaseException:
            for server in servers:
                server.abandon()
            raise

    def stop(self) -> None:
        """End both; their data stay in the folder."""
        self.redis.stop()
        self.kafka.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()
