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


async def watch_sleep(lease_s: float = LEASE_S) -> NoReturn:
    """Raises `Overslept` once the process has stood still for longer than the lease."""
    beat = now()
    while True:
        await asyncio.sleep(BEAT_S)
        before, beat = beat, now()
        if beat - before > lease_s:
            raise Overslept(
                f"this worker stood still for {beat - before:.0f} s, and Kafka may have given its partitions to another: "
                "start it again"
            )
