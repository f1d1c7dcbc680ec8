"""The opponents measured: agents of stock Faust, in processes of their own."""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Literal

from streams.bench.agent import seen_in
from streams.bench.measured import BenchFailed, Pace
from streams.bench.pipeline import POLL_S, STUCK_S
from streams.bench.plan import Plan
from streams.bench.sender import Sender
from streams.bench.servers import Servers
from streams.bench.space import space
from streams.bench.steps import Steps
from streams.bench.usage import Meter, most_memory_mb
from streams.demo.worker import Worker

Name = Literal["stock", "naive"]


def opponent(name: Name, servers: Servers, plan: Plan, steps: Steps) -> Pace:
    """Its pace over the same events that Freshet gets; the agent of the textbooks gets the first of them."""
    events = plan.events if name == "stock" else plan.naive_events
    with space(servers, plan.partitions) as here, ExitStack() as stack:
        command = (sys.executable, "-m", f"streams.bench.{name}")
        agents = [stack.enter_context(Worker(here.variables, command=command)) for _ in range(plan.workers)]
        for agent in agents:
            agent.wait_ready()
        sender = Sender(here.settings, plan.load())
        sender.at_once(max(1, min(plan.warm_up, events // 2)))
        wait_seen(agents, sender.sent, steps, sender.sent)
        pids = [agent.process.pid for agent in agents]
        meter = Meter(here, pids)
        begun_ms = sender.at_once(events)
        ended_ns = wait_seen(agents, sender.sent, steps, events)
        return Pace(events, ended_ns / 1e9 - begun_ms / 1e3, meter.read(), sum(map(most_memory_mb, pids)))


def wait_seen(agents: Sequence[Worker], total: int, steps: Steps, events: int) -> int:
    """Returns when so many events are done, and when the last one was, in ns since 1970. Raises `BenchFailed`."""
    before, moved = -1, time.monotonic()
    while True:
        told = [newest(agent) for agent in agents]
        done = sum(count for count, _ in told)
        if done >= total:
            return max(at_ns for _, at_ns in told)
        steps.part(1 - (total - done) / events)
        if done != before:
            before, moved = done, time.monotonic()
        elif time.monotonic() - moved > STUCK_S:
            raise BenchFailed(f"an agent to compare with has done {done:,} of {total:,} events, and none for {STUCK_S:.0f} s")
        for agent in agents:
            agent.check()
        time.sleep(POLL_S)


def newest(agent: Worker) -> tuple[int, int]:
    """What it said last of how far it is."""
    return next((found for line in reversed(list(agent.log)) if (found := seen_in(line))[0]), (0, 0))
