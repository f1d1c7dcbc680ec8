"""One hot user and one hot item: what they cost all the others.

Ordinary shoppers send some hundred events a second, and ten times as many come beside them: in the first half from many users
on many items, in the second from one user, and from many on one item. Printed is the time from an event of an ordinary shopper
to the recommendation that answers it, in both halves: of those in the hot user's partition and of the others. The load is the
same, so the difference is what being hot costs the others. Ends with 1 where that is beyond `BOUND`.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from msgspec import json
from rich.console import Console
from rich.table import Table

from streams.bench.timing import read_all
from streams.bulk import Bulk, open_bulk
from streams.demo.worker import Worker
from streams.home import home_partition
from streams.local import LocalSystem
from streams.local.kafka import STEADY_JVM
from streams.settings import Settings, read_settings
from streams.topics import create_missing

HOT_USER, HOT_ITEM = "hot", "hot-item"
TICK_S = 0.01
SETTLE_S = 3.0
BOUND = 2.0
"""The p99 of the others may be so many times what it is beside the same load of many users and items."""

Batch = list[tuple[str, bytes]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what a hot user and a hot item cost the others.")
    parser.add_argument("--rate", type=int, default=300, help="events of ordinary shoppers a second (default: %(default)s)")
    parser.add_argument("--times", type=int, default=10, help="events of the hot ones for each of these (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=30, help="of each half (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, LocalSystem(Path(folder) / "system", jvm=STEADY_JVM) as system:
        settings = read_settings(system.environment())
        create_missing(settings)
        with Worker(system.environment()) as worker:
            worker.wait_ready()
            halves = asyncio.run(send(settings, arguments.rate, arguments.times, arguments.seconds))
            time.sleep(SETTLE_S)
            worker.finish()
        answered = read_all(settings)
    home = home_partition(HOT_USER, settings.partitions)
    table = Table(
        "the others' events",
        "",
        "p50",
        "p99",
        title=f"{arguments.rate} events/s beside {arguments.times} times as many; must be at most {BOUND:g} times as long",
    )
    ratios = []
    for name, is_there in (("in the hot user's partition", lambda p: p == home), ("in other partitions", lambda p: p != home)):
        found = [latencies(answered.appended, answered.published, half, is_there) for half in halves]
        for half, of in zip(("beside many", "beside the hot ones"), found, strict=True):
            table.add_row(name, half, f"{np.percentile(of, 50):.0f} ms", f"{np.percentile(of, 99):.0f} ms")
        ratio = np.percentile(found[1], 99) / np.percentile(found[0], 99)
        table.add_row(name, "times as long", f"{np.percentile(found[1], 50) / np.percentile(found[0], 50):.1f}", f"{ratio:.1f}")
        ratios.append(ratio)
    Console().print(table)
    sys.exit(0 if max(ratios) <= BOUND else 1)


async def send(settings: Settings, rate: int, times: int, seconds: int) -> list[dict[tuple[int, int], None]]:
    """Sends both halves; of each, where the ordinary shoppers' events stand."""
    rng = np.random.default_rng(1)
    bulk = await open_bulk(settings.brokers, settings.topic("events"))
    ends = dict.fromkeys(range(settings.partitions), 0)
    try:
        await at_rate(bulk, ends, SETTLE_S, lambda: ordinary(rng, rate))
        many = await at_rate(bulk, ends, seconds, lambda: ordinary(rng, rate) + spread(rng, rate * times))
        beside = await at_rate(bulk, ends, seconds, lambda: ordinary(rng, rate) + heated(rng, rate * times))
    finally:
        await bulk.close()
    return [many, beside]


async def at_rate(bulk: Bulk, ends: dict[int, int], seconds: float, batch: Callable[[], Batch]) -> dict[tuple[int, int], None]:
    """Sends a batch each tick; returns the places of the ordinary ones: a producer alone on a new topic knows them."""
    places: dict[tuple[int, int], None] = {}
    begun = time.monotonic()
    for n in range(round(seconds / TICK_S)):
        for home_id, value in batch():
            partition = home_partition(home_id, len(ends))
            if home_id.startswith("u"):
                places[partition, ends[partition]] = None
            ends[partition] += 1
            await bulk.put(home_id, value)
        await bulk.flush()
        await asyncio.sleep(max(0.0, begun + (n + 1) * TICK_S - time.monotonic()))
    return places


def ordinary(rng: np.random.Generator, rate: int) -> Batch:
    """A tick of many shoppers, each on items of her own liking."""
    users = rng.integers(0, 5_000, rng.poisson(rate * TICK_S)).tolist()
    return [event(f"u{user}", f"i{(user * 7 + int(rng.integers(20))) % 2_000}") for user in users]


def spread(rng: np.random.Generator, rate: int) -> Batch:
    """A tick of many others on many items."""
    events = rng.poisson(rate * TICK_S)
    pairs = zip(rng.integers(0, 5_000, events).tolist(), rng.integers(0, 2_000, events).tolist(), strict=True)
    return [event(f"w{user}", f"i{item}") for user, item in pairs]


def heated(rng: np.random.Generator, rate: int) -> Batch:
    """A tick of the hot ones: half of it one user on many items, half of it many users on one item."""
    events = rng.poisson(rate * TICK_S)
    users = [event(HOT_USER, f"i{item}") for item in rng.integers(0, 2_000, events // 2).tolist()]
    return users + [event(f"v{user}", HOT_ITEM) for user in rng.integers(0, 5_000, events - events // 2).tolist()]


def event(user: str, item: str) -> tuple[str, bytes]:
    return user, json.encode({"event_type": "view", "user_id": user, "item_id": item})


def latencies(
    appended: dict[tuple[int, int], int],
    published: dict[tuple[int, int], int],
    half: dict[tuple[int, int], None],
    is_there: Callable[[int], bool],
) -> list[int]:
    """Milliseconds from an event of this half to its recommendation."""
    return [published[place] - appended[place] for place in half if place in published and is_there(place[0])]


if __name__ == "__main__":
    main()
