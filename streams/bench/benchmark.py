"""The benchmark from beginning to end."""

import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from streams.bench.catch_up import catch_up
from streams.bench.kept import kept
from streams.bench.measured import CatchUp, Machine, Measured, Pace, Run, Scale
from streams.bench.opponents import opponent
from streams.bench.pipeline import PARTS, all_latencies, counted, start, throughput, wait_published, workers
from streams.bench.plan import CORE, WITHOUT_CUSTOMERS, Plan
from streams.bench.scale import SIZES, scale
from streams.bench.sender import Sender
from streams.bench.servers import Servers, servers
from streams.bench.space import Space, space
from streams.bench.steps import Show, Steps
from streams.demo.worker import Worker

STEPS = 7 + len(PARTS) + 2
"""Of a run."""


def measure(
    plan: Plan, folder: Path, show: Show, *, broker: str | None, redis: str | None, downtime_s: float | None, sizes: bool
) -> Measured:
    """Everything; what it starts has ended then, and what it wrote is deleted. Where it is interrupted, what was whole by then.

    Raises `KeyboardInterrupt` where nothing was, `BenchFailed`, `WorkerFailed`, `LocalError`, and what Kafka and Redis raise.
    """
    begun, machine = time.monotonic(), this_machine()
    steps = Steps(plan.runs * STEPS + (downtime_s is not None) + sizes * len(SIZES), show)
    runs: list[Run] = []
    caught_up: CatchUp | None = None
    scaled: list[Scale] = []
    interrupted = False
    try:
        with servers(folder, broker, redis) as there:
            for n in range(plan.runs):
                steps.prefix = f"run {n + 1} of {plan.runs}: " if plan.runs > 1 else ""
                runs.append(run(plan, there, steps))
            steps.prefix = ""
            caught_up = catch_up(plan, there, downtime_s, steps) if downtime_s is not None else None
            scaled = scale(plan, there, SIZES, steps) if sizes else []
    except KeyboardInterrupt:
        if not runs:
            raise
        interrupted = True
    return Measured(
        plan=plan, machine=machine, runs=runs, catch_up=caught_up, scale=scaled, seconds=time.monotonic() - begun,
        interrupted=interrupted,
    )  # fmt: skip


def run(plan: Plan, there: Servers, steps: Steps) -> Run:
    """All of them one after the other, so that what disturbs the machine for a while disturbs all."""
    steps.begin("a stock Faust agent that does nothing")
    stock = opponent("stock", there, plan, steps)
    steps.begin("the agent of the textbooks")
    naive = opponent("naive", there, plan, steps)
    steps.begin("Freshet, nothing but learn, rank and publish")
    core = part_of_freshet(CORE, there, plan, steps)
    steps.begin("Freshet with all methods")
    methods = part_of_freshet(WITHOUT_CUSTOMERS, there, plan, steps)
    with space(there, plan.partitions) as here:
        sender = Sender(here.settings, plan.load())
        with workers(here, plan.workers) as running:
            steps.begin("Freshet, warm-up")
            warm_up(here, sender, running, plan, steps)
            steps.begin("Freshet, throughput")
            freshet = throughput(here, sender, running, plan.events, steps)
            latencies, look_ups, told = all_latencies(here, sender, running, freshet.rate, plan.phase_s, steps)
        steps.begin("start of the workers")
        start_s = start(here, sender, plan.workers, steps)
        return Run(
            stock, naive, core, methods, freshet, counted(here), sender.sent, latencies, look_ups, told, start_s, kept(here)
        )


def part_of_freshet(settings: Mapping[str, str], there: Servers, plan: Plan, steps: Steps) -> Pace:
    """The pace of workers that run with these settings."""
    with space(there, plan.partitions, settings) as here, workers(here, plan.workers) as running:
        sender = Sender(here.settings, plan.load())
        warm_up(here, sender, running, plan, steps)
        return throughput(here, sender, running, plan.events, steps)


def warm_up(here: Space, sender: Sender, running: Sequence[Worker], plan: Plan, steps: Steps) -> None:
    sender.at_once(plan.warm_up)
    wait_published(here, sender, running, steps, plan.warm_up)


def this_machine() -> Machine:
    return Machine(os.cpu_count() or 1, os.getloadavg()[0], platform.python_version(), platform.platform())
