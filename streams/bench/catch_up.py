"""Catch-up: after a downtime the backlog is worked off while new events keep coming."""

import asyncio
import threading
import time

import numpy as np

from streams.bench.measured import CatchUp
from streams.bench.pipeline import POLL_S, behind, wait_published, workers
from streams.bench.plan import Plan
from streams.bench.sender import Sender
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
        load = plan.load()
        sender = Sender(here.settings, load)
        with workers(here, plan.workers) as running:
            sender.at_once(plan.warm_up)
            wait_published(here, sender, running, steps, plan.warm_up)
        sender.at_once(backlog)
        patience_s = max(AT_LEAST_S, PATIENCE * downtime_s)
        begun = time.monotonic()
        running = [Worker(here.variables) for _ in range(plan.workers)]
        over = threading.Event()
        seconds: list[float] = []
        try:
            watching = threading.Thread(target=_watch, args=(here, sender, backlog, begun, patience_s, over, seconds, steps))
            watching.start()
            try:
                due = np.cumsum(np.random.default_rng(plan.seed).exponential(1 / RATE, round(RATE * (patience_s + 10))))
                asyncio.run(sender.send_due(load, due, lambda: not over.is_set()))
            finally:
                over.set()
                watching.join()
            for worker in running:
                worker.finish()
        finally:
            for worker in running:
                worker.stop()
    return CatchUp(downtime_s, RATE, backlog, seconds[0] if seconds else None)


def _watch(
    here: Space,
    sender: Sender,
    backlog: int,
    begun: float,
    patience_s: float,
    over: threading.Event,
    seconds: list[float],
    steps: Steps,
) -> None:
    """Notes when the workers are less than a second behind."""
    while not over.wait(POLL_S) and time.monotonic() - begun < patience_s:
        left = behind(here, sender)
        steps.part(1 - left / backlog)
        if left < RATE:
            seconds.append(time.monotonic() - begun)
            break
    over.set()
