"""What counting for cold starts costs: what a batch's commit writes for it, and the CPU of counting with and without it.

`python -m benchmarks.cold_cost` prints the table. It counts into a dictionary, so the CPU is that of the engine alone;
bytes are those of values, without their keys. Warm: the first batch of each line is not measured.
"""

import asyncio
import random
import sys
import time
from collections.abc import Callable, Sequence

from recsys.batch import Arrival
from recsys.engine import Chunk, Engine
from recsys.events import Event, Kind, Line
from recsys.keys import Keys
from recsys.rules import Rules
from recsys.store import NO_COMMIT, NO_GUARDS, Commit, Guards, MemoryStore, Swap

START_MS = 1_764_000_000_000
ITEMS = 20_000
PLATFORMS, COUNTRIES = ["web", "ios", "android"], ["DE", "FR", "IT", "ES", "US", "GB"]


class Measured(MemoryStore):
    """A store that adds up what commits write for cold starts."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[int] = []
        self.bytes: list[int] = []

    async def swap(self, swaps: Sequence[Swap], guards: Guards = NO_GUARDS, commit: Commit = NO_COMMIT) -> list[bool]:
        for swap in commit.swaps:
            cold = [value for key, value in swap.values.items() if ":context" in key or ":trials:" in key]
            self.keys.append(len(cold))
            self.bytes.append(sum(map(len, cold)))
        return await super().swap(swaps, guards, commit)


def impression(rng: random.Random, n: int) -> Event:
    lines = tuple(Line(f"i{rng.randrange(ITEMS)}") for _ in range(20))
    return Event(
        kind=Kind.IMPRESSION, user_id=f"u{rng.randrange(500)}", lines=lines, time_ms=START_MS + n, recommendation_id="r"
    )


def click(rng: random.Random, n: int) -> Event:
    """On an item by a power law."""
    line = Line(f"i{int(rng.paretovariate(0.5)) % ITEMS}")
    return Event(kind=Kind.CLICK, user_id=f"u{rng.randrange(500)}", lines=(line,), time_ms=START_MS + n)


def click_somewhere(rng: random.Random, n: int) -> Event:
    event = click(rng, n)
    fields = {name: getattr(event, name) for name in ("kind", "user_id", "lines", "time_ms")}
    return Event(**fields, source=rng.choice(PLATFORMS), country=rng.choice(COUNTRIES))


async def measure(name: str, event: Callable[[random.Random, int], Event], size: int, batches: int) -> str:
    """A line of the table."""
    rng, store = random.Random(1), Measured()
    engine, begun = Engine(store, Keys("p:"), Rules()), 0.0
    for batch in range(batches + 1):
        start = batch * size
        arrivals = [Arrival(start + n, event(rng, start + n)) for n in range(size)]
        before = time.process_time()
        await engine.count(Chunk(0, start, start + size - 1, arrivals))
        begun += time.process_time() - before if batch else 0.0
    events = batches * size
    written = sum(store.bytes[1:])
    return f"{name:<36}{size:>6}{max(store.keys[1:]):>8}{written / events:>10.0f}{1e6 * begun / events:>10.0f}"


async def main() -> None:
    sys.stdout.write(f"{'':<36}{'batch':>6}{'keys':>8}{'B/event':>10}{'µs/event':>10}\n")
    for name, event, size, batches in (
        ("impressions of 20 items", impression, 1000, 4),
        ("clicks with a platform and a country", click_somewhere, 1, 3000),
        ("clicks with a platform and a country", click_somewhere, 20, 300),
        ("clicks with neither", click, 20, 300),
        ("clicks with a platform and a country", click_somewhere, 1000, 15),
        ("clicks with neither", click, 1000, 15),
    ):
        sys.stdout.write(await measure(name, event, size, batches) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
