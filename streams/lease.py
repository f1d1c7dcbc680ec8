"""The lease: for how long a worker may believe that its partitions are its own, and what notices that it slept longer.

Kafka gives the partitions of a worker that was not heard of to others. A worker that was stopped for so long (SIGSTOP, a frozen
container, a suspended machine) knows nothing of it when it wakes: its counts are refused, but a recommendation that it still
sends would be taken for the newest. A paused virtual machine whose clocks stand still cannot tell.
"""

import asyncio
import time
from typing import NoReturn

SESSION_TIMEOUT_S = 8.0
"""A worker that died without leaving its group holds its partitions this long."""
HEARTBEAT_S = 1.0
LEASE_S = SESSION_TIMEOUT_S - 2 * HEARTBEAT_S
BEAT_S = 0.2


def now() -> float:
    """Seconds on a clock that goes on while the machine is suspended, which `time.monotonic` does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Overslept(RuntimeError):
    """The worker stood still for longer than its lease."""


def holds(begun: float) -> bool:
    """Whether what was begun at that time may go out now: it was made of what was known then."""
    return now() - begun < LEASE_S


class Lease:
    """Notices that the process stood still for longer than its lease, from when on `watch` runs."""

    def __init__(self, seconds: float = LEASE_S) -> None:
        self._seconds = seconds
        self._beat: float | None = None
        self._stood_s = 0.0
        """The longest of all."""

    async def watch(self) -> NoReturn:
        """Raises `Overslept` once it has."""
        while True:
            self._beat = now()
            await asyncio.sleep(BEAT_S)
            self.check()

    def check(self) -> None:
        """Raises `Overslept` if it has: to be asked before anything goes out that another worker may know better by now, for
        what wakes first is not always `watch`."""
        if self._beat is not None:
            self._stood_s = max(self._stood_s, now() - self._beat)
        if self._stood_s > self._seconds:
            raise Overslept(
                f"this worker stood still for {self._stood_s:.0f} s, and Kafka may have given its partitions to another: "
                "start it again"
            )
