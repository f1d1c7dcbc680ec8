"""What baskets cost a worker: CPU an event without and with them, in memory, chunk by chunk beside each other.

    python -m benchmarks.baskets --events 100000
    python -m benchmarks.baskets online_retail.csv.gz --format online-retail

Without FILE the load is that of `freshet bench` (`streams.bench.load`), three purchases in a hundred events. Each chunk is
counted, and ranked, by an engine without and one with baskets; after each `ROUND` lines both make the lists of what changed.
So both meet the same machine, and the ratio is of one run. Redis and Kafka are not in it: with them every event costs more, and
the share of baskets is smaller.
"""

import argparse
import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from recsys.batch import Arrival
from recsys.engine import Chunk, Engine
from recsys.events import Event, decode
from recsys.keys import AFTER, TOGETHER, VIEWED, Keys
from recsys.readers import read
from recsys.recommendation import encode
from recsys.rules import Rules
from recsys.store import MemoryStore
from streams.bench import load
from streams.warmup import warm_up

CHUNK = 200
ROUND = 2_000
"""Lines after which lists are made."""
ITEMS_AT_ONCE = 200
END_MS = 1_764_000_000_000


class Side:
    """An engine and what it took, in seconds of CPU, by what was done."""

    def __init__(self, rules: Rules) -> None:
        self.store = MemoryStore()
        self.engine = Engine(self.store, Keys("b:"), rules)
        self.took: Counter[str] = Counter()
        self._changed: dict[str, set[int]] = defaultdict(set)

    async def take(self, chunk: Chunk) -> None:
        begun = time.process_time()
        counted = await self.engine.count(chunk)
        self.took["count"] += time.process_time() - begun
        for table, items in counted.changed.items():
            self._changed[table].update(items.tolist())
        begun = time.process_time()
        for _, message in await self.engine.recommend(counted, END_MS):
            encode(message)
        self.took["rank"] += time.process_time() - begun

    async def make_lists(self) -> None:
        begun = time.process_time()
        await self.engine.trending()
        baskets = self.engine.baskets
        baskets.forget(self._changed[TOGETHER])
        makers = {VIEWED: self.engine.similar, TOGETHER: baskets.together, AFTER: baskets.bought_after}
        for table, items in self._changed.items():
            there = list(items)
            for first in range(0, len(there), ITEMS_AT_ONCE):
                for row in await makers[table](there[first : first + ITEMS_AT_ONCE]):
                    encode(row)
        self._changed.clear()
        self.took["lists"] += time.process_time() - begun

    @property
    def bytes_stored(self) -> int:
        return sum(map(len, self.store.values.values()))


def synthetic(count: int) -> Iterator[Event]:
    for _, value in load.events(count, END_MS, seed=1):
        yield decode(value, END_MS)


def chunks(events: Iterator[Event]) -> Iterator[list[Event]]:
    while some := list(islice(events, CHUNK)):
        yield some


async def run(events: Iterator[Event]) -> tuple[int, int, Side, Side]:
    without, with_them = Side(Rules(baskets=False)), Side(Rules())
    done = purchases = offset = 0
    for number, some in enumerate(chunks(events)):
        arrivals = [Arrival(offset + n, event) for n, event in enumerate(some)]
        chunk = Chunk(0, offset, offset + len(some) - 1, arrivals)
        offset += len(some)
        before, done = done, done + sum(len(event.lines) for event in some)
        purchases += sum(len(event.lines) for event in some if event.kind.name == "PURCHASE")
        # Whoever is first finds the caches cold: they take turns.
        for side in (without, with_them) if number % 2 else (with_them, without):
            await side.take(chunk)
            if done // ROUND > before // ROUND:
                await side.make_lists()
    return done, purchases, without, with_them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, help="a file of real events; without it, the load of freshet bench")
    parser.add_argument("--format", default="online-retail", help="of the file, as freshet replay takes it")
    parser.add_argument("--events", type=int, default=100_000, help="so many events at most")
    arguments = parser.parse_args()
    events = (
        (record.event for record in read(arguments.file, arguments.format)) if arguments.file else synthetic(arguments.events)
    )
    warm_up(Rules())
    lines, purchases, without, with_them = asyncio.run(run(islice(events, arguments.events)))
    said: dict[str, object] = {"lines": lines, "purchases": purchases}
    for part in ("count", "rank", "lists"):
        said[f"{part} us a line"] = [round(side.took[part] / lines * 1e6, 1) for side in (without, with_them)]
    before, after = without.took.total(), with_them.took.total()
    said["all us a line"] = [round(before / lines * 1e6, 1), round(after / lines * 1e6, 1)]
    said["with / without"] = round(after / before, 3)
    said["MB stored"] = [round(side.bytes_stored / 1e6, 1) for side in (without, with_them)]
    print(json.dumps(said, indent=2))


if __name__ == "__main__":
    main()
