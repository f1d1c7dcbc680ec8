"""A local Kafka and Redis without Docker, Java or Maven: for the demo, for tests, for trying things out."""

from streams.local.errors import LocalError
from streams.local.system import LocalSystem

__all__ = ["LocalError", "LocalSystem"]
