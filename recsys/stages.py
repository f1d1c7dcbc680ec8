"""Stages: how long a worker spends in each part of a batch. Two looks at the clock for each, so it is always measured."""

import time
from collections.abc import Iterable
from types import TracebackType

import msgspec
from msgspec import Struct, field

NAMES = ("decode", "fold", "read", "merge", "write", "rank", "encode", "publish", "lists")
"""In the order of an event's way. `rank` has the reading of the rows that it lacks in it; `lists` are those of neighbours and
of what is popular, made in rounds beside the batches."""


def _nothing() -> dict[str, int]:
    return dict.fromkeys(NAMES, 0)


class Stages(Struct):
    """Sums since a worker started.

    A stage that waits for Redis or Kafka goes on while another one works: all together may last longer than the clock, and
    `cpu_ns` says what the process really worked.

    >>> stages = Stages()
    >>> with stages.timed("fold"):
    ...     pass
    >>> stages.times["fold"], stages.ns["fold"] > 0
    (1, True)
    """

    batches: int = 0
    events: int = 0
    conflicts: int = 0
    """Swaps of item shards that another worker was quicker with."""
    cpu_ns: int = 0
    """Of the whole process, when it was told last."""
    times: dict[str, int] = field(default_factory=_nothing)
    ns: dict[str, int] = field(default_factory=_nothing)

    @property
    def passages(self) -> int:
        """Grows whenever there is something new to tell."""
        return sum(self.times.values())

    def timed(self, name: str) -> "Timer":
        """For a `with`: what is in it belongs to this stage."""
        return Timer(self, name)

    def told(self) -> bytes:
        """All of it, to be read by others."""
        self.cpu_ns = time.process_time_ns()
        return msgspec.json.encode(self)


class Timer:
    """One passage through a stage."""

    __slots__ = ("_begun", "_name", "_stages")

    def __init__(self, stages: Stages, name: str) -> None:
        self._stages = stages
        self._name = name

    def __enter__(self) -> None:
        self._begun = time.perf_counter_ns()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stages.ns[self._name] += time.perf_counter_ns() - self._begun
        self._stages.times[self._name] += 1


def read(told: bytes) -> Stages:
    """What a worker told."""
    return msgspec.json.decode(told, type=Stages)


def since(now: Stages, before: Stages) -> Stages:
    """What came to it in between.

    >>> since(Stages(batches=5), Stages(batches=3)).batches
    2
    """
    return Stages(
        now.batches - before.batches,
        now.events - before.events,
        now.conflicts - before.conflicts,
        now.cpu_ns - before.cpu_ns,
        {name: now.times[name] - before.times[name] for name in NAMES},
        {name: now.ns[name] - before.ns[name] for name in NAMES},
    )


def together(of_workers: Iterable[Stages]) -> Stages:
    """The sum over several workers.

    >>> together([Stages(events=5), Stages(events=3)]).events
    8
    """
    total = Stages()
    for each in of_workers:
        total.batches += each.batches
        total.events += each.events
        total.conflicts += each.conflicts
        total.cpu_ns += each.cpu_ns
        for name in NAMES:
            total.times[name] += each.times[name]
            total.ns[name] += each.ns[name]
    return total
