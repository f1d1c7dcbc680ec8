"""Scale: the same events beside a small and a large state, in one benchmark."""

from collections.abc import Sequence

from msgspec.structs import replace

from streams.bench.kept import kept
from streams.bench.measured import Scale
from streams.bench.pipeline import throughput, wait_published, workers
from streams.bench.plan import Plan
from streams.bench.sender import AT_ONCE, Sender
from streams.bench.servers import Servers
from streams.bench.space import space
from streams.bench.steps import Steps

SIZES = ((5_000, 10_000), (500_000, 1_000_000))
"""Items and users."""


def scale(plan: Plan, there: Servers, sizes: Sequence[tuple[int, int]], steps: Steps) -> list[Scale]:
    """The throughput beside a state of each size, filled beforehand with an event for each item of the largest."""
    filling = max(items for items, _ in sizes)
    return [_measure(replace(plan, items=items, users=users), there, filling, steps) for items, users in sizes]


def _measure(plan: Plan, there: Servers, filling: int, steps: Steps) -> Scale:
    steps.begin(f"scale: {plan.items:,} items and {plan.users:,} users")
    with space(there, plan.partitions) as here, workers(here, plan.workers) as running:
        sender = Sender(here.settings, plan.load())
        while sender.sent < filling:
            sender.at_once(min(AT_ONCE, filling - sender.sent))
            wait_published(here, sender, running, steps, filling)
        pace = throughput(here, sender, running, plan.events, steps)
        found = kept(here)
    return Scale(plan.items, plan.users, found.items, found.users, pace)
