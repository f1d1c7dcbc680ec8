"""Freshet measured: throughput, latencies, look-ups, start, and what is stored, on one space."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from recsys.marks import user_mark
from streams.bench.look_ups import found, reader
from streams.bench.measured import BenchFailed, Latency, LookUps, Pace
from streams.bench.sender import Sender
from streams.bench.space import Space
from streams.bench.steps import Steps
from streams.bench.timing import ends, latencies, newest_stamp, percentiles, read_published
from streams.bench.usage import Meter, most_memory_mb
from streams.demo.worker import Worker
from streams.lag import NOTHING
from streams.lag import read_published as read_marks
from streams.publishing import BUSY_ROUND_S
from streams.topics import CUSTOMERS, RECOMMENDATIONS

POLL_S = 0.1
TOLD_S = 2 * BUSY_ROUND_S + 0.1
"""After this, what idle workers tell of themselves is all that they did."""
STUCK_S = 60.0
WARM_PART = 0.1
"""Of the events of a latency, the first ones are not measured."""
PARTS = (0.25, 0.5, 0.75)
"""Of the throughput, at which latencies are measured."""
LOOKED_UP = 0.5
QUIET_RATE = 200.0
CUSTOMERS_RATE = 500.0
"""Events a second at which it is measured how soon customers are told."""


@contextmanager
def workers(space: Space, number: int) -> Iterator[list[Worker]]:
    """So many workers, ready; at the end they must end well. Raises `WorkerFailed`."""
    with ExitStack() as stack:
        started = [stack.enter_context(Worker(space.variables)) for _ in range(number)]
        for worker in started:
            worker.wait_ready()
        yield started
        for worker in started:
            worker.finish()


def throughput(space: Space, sender: Sender, running: Sequence[Worker], events: int, steps: Steps) -> Pace:
    """From the first of the events appended to the last recommendation published. Nothing may be under way."""
    pids = [worker.process.pid for worker in running]
    meter = Meter(space, pids, TOLD_S)
    begun_ms = sender.at_once(events)
    wait_published(space, sender, running, steps, events)
    usage = meter.read()
    ended_ms = newest_stamp(space.settings, RECOMMENDATIONS) + 1
    return Pace(events, (ended_ms - begun_ms) / 1000, usage, sum(map(most_memory_mb, pids)))


def latency(
    space: Space, sender: Sender, running: Sequence[Worker], rate: float, part: float | None, seconds: float, steps: Steps,
    topic: str = RECOMMENDATIONS,
) -> Latency:  # fmt: skip
    """To a topic, at a rate, which is `part` of the throughput."""
    before = ends(space.settings, topic)
    meter = Meter(space, [worker.process.pid for worker in running], TOLD_S)
    events = sender.at_rate(rate, seconds, seed=round(rate))
    left, late_ms = behind(space, sender), sender.late_ms
    wait_published(space, sender, running, steps, len(events))
    usage = meter.read()
    measured = events[round(len(events) * WARM_PART) :]
    times, unanswered = latencies(measured, read_published(space.settings, before, topic))
    if unanswered == len(measured):
        raise BenchFailed(f"at {rate:,.0f} events/s none of {len(measured):,} events was answered")
    p50, p95, p99, worst = percentiles(times, 50, 95, 99)
    [late, _] = percentiles(late_ms, 99)
    return Latency(part, rate, len(measured), unanswered, left, late, p50, p95, p99, worst, usage)


def all_latencies(
    space: Space, sender: Sender, running: Sequence[Worker], rate: float, seconds: float, steps: Steps
) -> tuple[list[Latency], LookUps, Latency]:
    """At parts of the throughput, with look-ups beside one of them, and at a rate of few events; and that of customers."""
    measured = []
    for part in PARTS:
        steps.begin(f"latency at {part:.0%} of the throughput")
        with ExitStack() as stack:
            if part == LOOKED_UP:
                looking = stack.enter_context(reader(space.variables, published_keys(space), seconds))
            measured.append(latency(space, sender, running, rate * part, part, seconds, steps))
            if part == LOOKED_UP:
                look_ups = found(looking)
    steps.begin(f"latency at {QUIET_RATE:.0f} events/s")
    measured.append(latency(space, sender, running, QUIET_RATE, None, seconds, steps))
    steps.begin(f"customers, at {CUSTOMERS_RATE:.0f} events/s")
    return measured, look_ups, latency(space, sender, running, CUSTOMERS_RATE, None, seconds, steps, CUSTOMERS)


def start(space: Space, sender: Sender, number: int, steps: Steps) -> float:
    """Seconds from the start of workers to the first recommendation for an event that waited for them."""
    sender.at_once(1)
    begun = time.time()
    with workers(space, number) as started:
        wait_published(space, sender, started, steps, 1)
        return newest_stamp(space.settings, RECOMMENDATIONS) / 1000 - begun


def counted(space: Space) -> int:
    """The interactions that the marks say are counted."""
    values: Any = space.client.mget([space.keys.user_mark(partition) for partition in range(space.settings.partitions)])
    return sum(user_mark(value).interactions for value in values)


def published_keys(space: Space) -> list[str]:
    """Some hundreds of recommendations, to be looked up."""
    found = []
    for key in space.client.scan_iter(match=f"{space.keys.recs('')}*", count=1_000):
        found.append(key.decode())
        if len(found) == 500:
            break
    return found


def wait_published(space: Space, sender: Sender, running: Sequence[Worker], steps: Steps, events: int) -> None:
    """Returns when everything that was sent is out. Raises `BenchFailed`, `WorkerFailed`."""
    left, moved = behind(space, sender), time.monotonic()
    while left:
        for worker in running:
            worker.check()
        time.sleep(POLL_S)
        now = behind(space, sender)
        if now != left:
            left, moved = now, time.monotonic()
        elif time.monotonic() - moved > STUCK_S:
            raise BenchFailed(f"nothing was published for {STUCK_S:.0f} s although {left:,} events wait")
        steps.part(1 - left / events)


def behind(space: Space, sender: Sender) -> int:
    """How many events are not out yet."""
    marks = read_marks(space.client, space.keys, range(space.settings.partitions))
    return sender.sent - sum(mark - NOTHING for mark in marks.values())
