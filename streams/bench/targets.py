"""The targets: what must be reached and what is aimed at, beside what was measured."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from msgspec import Struct

from streams.bench.measured import Latency, Measured, Pace, Run


class Spread(Struct, frozen=True):
    """A measure over the runs."""

    median: float
    low: float
    high: float


class Target(Struct, frozen=True):
    """A measure with what it must be, and what it is to be one day."""

    what: str
    unit: str
    found: Spread | None
    """None: it was not measured, or there is nothing to be had; a `must` of such a kind is missed then."""
    must: float
    goal: float | None = None
    more_is_better: bool = False
    optional: bool = False
    """Whether it is measured only on demand."""

    @property
    def verdict(self) -> str:
        """By the median.

        >>> Target("rate", "", Spread(1.0, 0.9, 1.1), must=0.7, goal=1.2, more_is_better=True).verdict
        'passed, the goal is missed'
        """
        if self.found is None:
            return "not measured" if self.optional else "FAILED"
        if not self._reaches(self.must):
            return "FAILED"
        if self.goal is None:
            return "passed"
        return "passed, the goal too" if self._reaches(self.goal) else "passed, the goal is missed"

    @property
    def passed(self) -> bool | None:
        """None where it was not measured."""
        return None if self.found is None and self.optional else self.verdict != "FAILED"

    def _reaches(self, bound: float) -> bool:
        assert self.found is not None
        return self.found.median >= bound if self.more_is_better else self.found.median <= bound


def spread(values: Sequence[float]) -> Spread:
    """
    >>> spread([3.0, 1.0, 2.0])
    Spread(median=2.0, low=1.0, high=3.0)
    """
    return Spread(float(np.median(values)), float(min(values)), float(max(values)))


def over(measured: Measured, measure: Callable[[Run], float]) -> Spread:
    """A measure of each run."""
    return spread([measure(run) for run in measured.runs])


def at(run: Run, part: float | None) -> Latency:
    """The latency at this part of the throughput; None: at the rate of few events."""
    return next(each for each in run.latencies if each.part == part)


def conflicts(pace: Pace) -> float:
    """Refused swaps of item shards, in a thousand batches. A batch touches most shards: two that meet refuse many at once."""
    told = pace.usage.stages
    return 1000 * told.conflicts / told.batches if told and told.batches else 0.0


def merged_again(pace: Pace) -> float:
    """Merges that were made once more because of such conflicts, in a thousand batches."""
    told = pace.usage.stages
    return 1000 * (told.times["merge"] / told.batches - 1) if told and told.batches else 0.0


def targets(measured: Measured) -> list[Target]:
    """All of them, in the order of the table."""
    return list(_of_pace(measured)) + list(_of_latency(measured)) + list(_of_size(measured)) + list(_of_memory(measured))


def _of_pace(measured: Measured) -> Iterator[Target]:
    def ratio(what: str, must: float, goal: float | None, of: Callable[[Run], float]) -> Target:
        return Target(what, "times", over(measured, of), must, goal, more_is_better=True)

    stock, textbooks = "the stock agent that does nothing", "the agent of the textbooks"
    yield ratio(f"learn, rank and publish, beside {stock}", 0.7, 1.2, lambda run: run.core.rate / run.stock.rate)
    yield ratio(f"learn, rank and publish, beside {textbooks}", 12.0, 20.0, lambda run: run.core.rate / run.naive.rate)
    yield ratio("with all methods, of that", round(2 / 3, 2), None, lambda run: run.methods.rate / run.core.rate)
    yield ratio("with customers, too, of that with all methods", 0.75, None, lambda run: run.freshet.rate / run.methods.rate)
    # What the first, and what each part may cost, leaves: 0.7 · 2/3 · 3/4.
    yield ratio(f"everything, beside {stock}", 0.35, 0.7, lambda run: run.freshet.rate / run.stock.rate)
    wrong = [abs(run.sent - run.counted) + sum(each.unanswered for each in run.latencies) for run in measured.runs]
    yield Target("events not counted once, or not answered, in all runs", "events", spread([sum(wrong)]), 0.0)


def _of_latency(measured: Measured) -> Iterator[Target]:
    yield Target("latency at half the throughput, p50", "ms", over(measured, lambda run: at(run, 0.5).p50), 20.0, 8.0)
    yield Target("latency at half the throughput, p99", "ms", over(measured, lambda run: at(run, 0.5).p99), 80.0, 30.0)
    yield Target("latency at 200 events/s, p50", "ms", over(measured, lambda run: at(run, None).p50), 5.0, 3.0)
    yield Target("latency at 200 events/s, p99", "ms", over(measured, lambda run: at(run, None).p99), 20.0, 8.0)
    yield Target("the customer's message at 500 events/s, p99", "ms", over(measured, lambda run: run.told.p99), 250.0)
    yield Target("workers' start to the first recommendation", "s", over(measured, lambda run: run.start_s), 5.0, 2.0)


def _of_size(measured: Measured) -> Iterator[Target]:
    caught_up = measured.catch_up and measured.catch_up.seconds
    what = "catch-up after 10 minutes of downtime at 1 000 events/s"
    if measured.catch_up and measured.catch_up.downtime_s != 600:
        what = f"catch-up after {measured.catch_up.downtime_s:g} s of downtime at 1 000 events/s"
    must = 120.0 * measured.catch_up.downtime_s / 600 if measured.catch_up else 120.0
    yield Target(what, "s", spread([caught_up]) if caught_up else None, must, must / 2, optional=measured.catch_up is None)
    ratio = measured.scale[-1].pace.rate / measured.scale[0].pace.rate if measured.scale else 0.0
    what = "throughput beside 500 000 items and 1 000 000 users, of that beside 5 000 and 10 000"
    yield Target(what, "times", spread([ratio]) if measured.scale else None, 0.7, 0.85, more_is_better=True, optional=True)


def _of_memory(measured: Measured) -> Iterator[Target]:
    held = [run.kept.held_item for run in measured.runs if run.kept.held_item is not None]
    row, history = over(measured, lambda run: run.kept.full_item), over(measured, lambda run: run.kept.full_user)
    yield Target("Redis: an item with a full row", "bytes", row, 2_500, 1_875)
    yield Target("Redis: a user with a full history", "bytes", history, 1_600, 1_200)
    yield Target("Redis: a recommendation", "bytes", over(measured, lambda run: run.kept.recommendation), 2_500, 1_875)
    yield Target("Redis: an item that a customer holds", "bytes", spread(held) if held else None, 40, 30, optional=True)
