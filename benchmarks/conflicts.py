"""How often workers meet in an item shard, by the number of both: a simulation, beside what was measured.

    python -m benchmarks.conflicts one.json two.json four.json

Each file is what `freshet bench --workers N --json` printed. The model: a worker makes batch after batch. A batch works for a
while, reads the shards that it touches, merges for a while and swaps them; the swap of a shard is refused if another worker has
swapped it since it was read. What was refused is read, merged and swapped again, which takes less the fewer shards it is. The
times are those of the measurement; for more workers than were measured, those of the last file, as if each had its own core.
"""

import argparse
import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from recsys.compiled import I64
from recsys.sharding import ITEM_SHARDS
from recsys.stages import Stages
from streams.bench.measured import Measured
from streams.bench.usage import Usage

WORKERS = (2, 4, 8, 16, 24, 28)
SHARDS = (8, ITEM_SHARDS, 128, 512)
SLICES = (1, 4, 8)
OPEN = (0.02, 0.05, 0.1, 0.15, 0.2)
BATCHES = 3_000
"""Of all workers together, in a simulation."""
FIXED = 0.3
"""Part of the time from reading to swapping that a single shard takes as well: round trips, and the calls of numpy."""
SPREAD = 0.3
"""Of every time: the standard deviation of its logarithm."""
ROWS_AN_EVENT = 2.0
"""Rows that an event changes, in the mean of a batch."""


class Load(NamedTuple):
    """A batch that meets nobody."""

    outside_ms: float
    """From the swap of one batch to the reading of the next."""
    open_ms: float
    """From reading its item shards to swapping them."""
    rows: int
    """Items that it changes; chance spreads them over the shards."""

    @property
    def cycle_ms(self) -> float:
        return self.outside_ms + self.open_ms


class Found(NamedTuple):
    """Of a thousand batches."""

    conflicts: float
    """Refused swaps of a shard."""
    again: float
    """Merges made again."""
    longer: float
    """How many times as long a batch takes as one that meets nobody."""


class Batch(NamedTuple):
    """A batch on its way, ordered by when it swaps next."""

    swaps_at: float
    worker: int
    begun: float
    read_at: float
    here: I64
    """The shards that were read and are to be swapped."""
    left: list[I64]
    """The shards that are still to be read, group by group."""
    touched: int


def simulate(workers: int, shards: int, load: Load, slices: int = 1, batches: int = BATCHES, seed: int = 1) -> Found:
    """Runs the model until so many batches are done; each reads and swaps its shards in so many groups, one after the other,
    beginning with any.

    >>> simulate(1, 32, Load(50, 10, 800), batches=100).conflicts
    0.0
    >>> two, four = (simulate(workers, 32, Load(50, 10, 800), batches=1000).again for workers in (2, 4))
    >>> 0 < two < four
    True
    """
    rng = np.random.default_rng(seed)
    swapped_at = np.full(shards, -1.0)
    under_way: list[Batch] = []
    refused = again = done = 0
    took = 0.0

    def lasting(ms: float) -> float:
        return float(ms * rng.lognormal(-SPREAD * SPREAD / 2, SPREAD))

    def read(batch: Batch, now: float, here: I64, left: list[I64]) -> None:
        open_ms = load.open_ms * (FIXED + (1 - FIXED) * len(here) / batch.touched)
        heapq.heappush(under_way, batch._replace(swaps_at=now + lasting(open_ms), read_at=now, here=here, left=left))

    def begin(worker: int, now: float) -> None:
        touched = np.unique(rng.integers(0, shards, load.rows))
        here, *left = (part for part in np.array_split(np.roll(touched, rng.integers(shards)), slices) if len(part))
        read(Batch(0.0, worker, now, now, here, [], len(touched)), now + lasting(load.outside_ms), here, left)

    for worker in range(workers):
        begin(worker, float(rng.uniform(0, load.outside_ms)))
    while done < batches:
        batch = heapq.heappop(under_way)
        now = batch.swaps_at
        lost = swapped_at[batch.here] > batch.read_at
        swapped_at[batch.here[~lost]] = now
        if lost.any():
            refused += int(lost.sum())
            again += 1
            read(batch, now, batch.here[lost], batch.left)
        elif batch.left:
            read(batch, now, batch.left[0], batch.left[1:])
        else:
            done += 1
            took += now - batch.begun
            begin(batch.worker, now)
    return Found(1000 * refused / done, 1000 * again / done, took / done / load.cycle_ms)


class Phase(NamedTuple):
    """A part of a measurement: all events at once, or at a rate."""

    workers: int
    name: str
    seconds: float
    usage: Usage
    told: Stages

    @property
    def load(self) -> Load:
        """What its batches were like. A read or a swap takes place in the middle of the stage that waits for it."""
        told = self.told
        mean_ms = {name: told.ns[name] / told.times[name] / 1e6 for name in ("read", "merge", "write")}
        open_ms = mean_ms["read"] / 2 + mean_ms["merge"] + mean_ms["write"] / 2
        cycle_ms = self.seconds * 1e3 * self.workers / told.batches
        rows = max(1, round(ROWS_AN_EVENT * told.events / told.batches))
        return Load(max(0.0, cycle_ms - open_ms * self.merges), open_ms, rows)

    @property
    def merges(self) -> float:
        """Of a batch, those that were made again included."""
        return self.told.times["merge"] / self.told.batches


def phases(measured: Measured) -> Iterator[Phase]:
    """Of a measurement, those that workers told of."""
    for run in measured.runs:
        parts = [("at once", run.freshet.seconds, run.freshet.usage)]
        parts += [(f"{each.rate:,.0f}", measured.plan.phase_s, each.usage) for each in run.latencies]
        for name, seconds, usage in parts:
            if usage.stages is not None and usage.stages.batches:
                yield Phase(measured.plan.workers, name, seconds, usage, usage.stages)


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulate how often workers meet in item shards, beside what was measured.")
    parser.add_argument("files", nargs="+", type=Path, help="what `freshet bench --json` printed, the most workers last")
    files = parser.parse_args().files
    found = [phase for file in files for phase in phases(msgspec.json.decode(file.read_bytes(), type=Measured))]
    console = Console(width=140, highlight=False)
    console.print(beside(found))
    load = next(phase.load for phase in reversed(found) if phase.name == "at once")
    console.print(f"\nA batch that changes {load.rows:,} rows, open for {load.open_ms:.1f} of {load.cycle_ms:.1f} ms:")
    console.print(by_shards(load))
    console.print(by_slices(load))
    console.print(by_open(load))


def beside(found: Sequence[Phase]) -> Table:
    """What was measured, and what the model makes of the same batches."""
    heads = ("workers", "events/s", "CPU µs", "Redis µs", "bytes to", "from", "a batch", "open", "conflicts", "simulated")
    table = Table(*heads, "again", "simulated", title="Measured: an event's cost, events a batch, and in 1 000 batches")
    for phase in found:
        load, told, usage = phase.load, phase.told, phase.usage
        simulated = simulate(phase.workers, ITEM_SHARDS, load)
        table.add_row(
            str(phase.workers),
            phase.name,
            f"{usage.worker_cpu_s / told.events * 1e6:.0f}",
            f"{usage.redis_cpu_s / told.events * 1e6:.0f}",
            f"{usage.redis.sent / told.events:,.0f}",
            f"{usage.redis.received / told.events:,.0f}",
            f"{told.events / told.batches:,.0f}",
            f"{load.open_ms / load.cycle_ms:.0%}",
            f"{1000 * told.conflicts / told.batches:,.0f}",
            f"{simulated.conflicts:,.0f}",
            f"{1000 * (phase.merges - 1):,.0f}",
            f"{simulated.again:,.0f}",
        )
    return table


def by_shards(load: Load) -> Table:
    """Workers × item shards."""
    table = Table("workers", *(f"{shards} shards" for shards in SHARDS), title="Merges again in 1 000 batches (a batch's time)")
    for workers in WORKERS:
        table.add_row(str(workers), *(cell(simulate(workers, shards, load)) for shards in SHARDS))
    return table


def by_slices(load: Load) -> Table:
    """Workers × groups of shards that a batch merges one after the other."""
    heads = ("all at once", *(f"in {slices} groups" for slices in SLICES[1:]))
    table = Table("workers", *heads, title=f"The same with {ITEM_SHARDS} shards, merged in groups")
    for workers in WORKERS:
        table.add_row(str(workers), *(cell(simulate(workers, ITEM_SHARDS, load, slices)) for slices in SLICES))
    return table


def by_open(load: Load) -> Table:
    """Workers × the part of its time for which a batch is open."""
    table = Table(
        "workers", *(f"open for {part:.0%}" for part in OPEN), title=f"The same with {ITEM_SHARDS} shards, open shorter"
    )
    for workers in WORKERS:
        loads = (Load(load.cycle_ms * (1 - part), load.cycle_ms * part, load.rows) for part in OPEN)
        table.add_row(str(workers), *(cell(simulate(workers, ITEM_SHARDS, each)) for each in loads))
    return table


def cell(found: Found) -> str:
    return f"{found.again:,.0f} (× {found.longer:.2f})"


if __name__ == "__main__":
    main()
