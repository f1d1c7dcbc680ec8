"""Catch-up: after a downtime the backlog is worked off while new events keep coming."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from streams.bench.measured import CatchUp
from streams.bench.pipeline import POLL_S, behind, wait_published, workers
from streams.bench.plan import Plan
from streams.bench.sender import AT_ONCE, Sender
from streams.bench.servers import Servers
from streams.bench.space import Space, space
from streams.bench.steps import Steps
from streams.demo.worker import Worker

RATE = 1_000.0
"""Events a second, during the downtime and after it."""
PATIENCE = 1.5
"""How many times as long as the downtime it may take at most."""
AT_LEAST_S = 30.0


def catch_up(plan: Plan, there: Servers, downtime_s: float, steps: Steps) -> CatchUp:
    """A state is there, nobody works for so long, and then workers start."""
    steps.begin(f"catch-up after {downtime_s:g} s of downtime at {RATE:,.0f} events/s")
    backlog = round(downtime_s * RATE)
    with space(there, plan.partitions) as here:
        sender = Sender(here.settings, plan.load())
        with workers(here, plan.workers) as running:
            sender.at_once(plan.warm_up)
            wait_published(here, sender, running, steps, plan.warm_up)
        for first in range(0, backlog, AT_ONCE):
            sender.at_once(min(AT_ONCE, backlog - first))
        with ExitStack() as stack:
            begun = time.monotonic()
            started = [stack.enter_context(Worker(here.variables)) for _ in range(plan.workers)]
            seconds = _work_off(here, sender, started, backlog, begun, max(AT_LEAST_S, PATIENCE * downtime_s), steps, plan.seed)
    return CatchUp(downtime_s, RATE, backlog, seconds)


def _work_off(
    here: Space,
    sender: Sender,
    started: Sequence[Worker],
    backlog: int,
    begun: float,
    patience_s: float,
    steps: Steps,
    seed: int,
) -> float | None:
    """Sends more until the workers are less than a second behind; how long that took, None where it took too long."""
    over = threading.Event()

    def watch() -> float | None:
        try:
            while time.monotonic() - begun < patience_s and not over.wait(POLL_S):
                for worker in started:
                    worker.check()
                left = behind(here, sender)
                steps.part(1 - left / backlog)
                if left < RATE:
                    return time.monotonic() - begun
            return None
        finally:
            over.set()

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            sender.at_rate(RATE, patience_s, seed, lambda: not over.is_set())
        finally:
            over.set()
        return watching.result()
