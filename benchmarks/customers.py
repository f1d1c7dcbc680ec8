"""What accounts of customers and the shop's own figures cost a worker: CPU an event without and with them, in memory.

    python -m benchmarks.customers --events 50000
    python -m benchmarks.customers online_retail.csv.gz --format online-retail

Without FILE the load is that of `freshet bench`. Chunk by chunk an engine without and one with them take turns, so both meet
the same machine, and the ratio is of one run. `settle` is what of it accounts and figures are added up in; the rest is reading
and writing more values. Redis and Kafka are not in it.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.baskets import END_MS, chunks, synthetic
from recsys import user_shards
from recsys.batch import Arrival
from recsys.engine import Chunk, Engine
from recsys.events import Event
from recsys.keys import Keys
from recsys.readers import read
from recsys.recommendation import encode
from recsys.rules import Rules
from recsys.store import MemoryStore
from streams.warmup import warm_up


class Side:
    """An engine and what it took, in seconds of CPU, by what was done."""

    def __init__(self, rules: Rules) -> None:
        self.store = MemoryStore()
        self.engine = Engine(self.store, Keys("b:"), rules)
        self.took: Counter[str] = Counter()

    async def take(self, chunk: Chunk) -> None:
        begun = time.process_time()
        counted = await self.engine.count(chunk)
        self.took["count"] += time.process_time() - begun
        begun = time.process_time()
        for _, message in await self.engine.recommend(counted, END_MS):
            encode(message)
        self.took["rank"] += time.process_time() - begun

    def bytes_stored(self, *kinds: str) -> int:
        return sum(len(value) for key, value in self.store.values.items() if any(kind in key for kind in kinds))


async def run(events: Iterator[Event]) -> tuple[int, Side, Side]:
    without, with_them = Side(Rules(customers=False)), Side(Rules())
    whole = user_shards.settle

    def timed(*given: Any) -> Any:
        begun = time.process_time()
        found = whole(*given)
        with_them.took["settle"] += time.process_time() - begun
        return found

    user_shards.settle = timed
    offset = 0
    for number, some in enumerate(chunks(events)):
        arrivals = [Arrival(offset + n, event) for n, event in enumerate(some)]
        chunk = Chunk(0, offset, offset + len(some) - 1, arrivals)
        offset += len(some)
        # Whoever is first finds the caches cold: they take turns.
        for side in (without, with_them) if number % 2 else (with_them, without):
            await side.take(chunk)
    return offset, without, with_them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, help="a file of real events; without it, the load of freshet bench")
    parser.add_argument("--format", default="online-retail", help="of the file, as freshet replay takes it")
    parser.add_argument("--events", type=int, default=50_000, help="so many events at most")
    arguments = parser.parse_args()
    events = (
        (record.event for record in read(arguments.file, arguments.format)) if arguments.file else synthetic(arguments.events)
    )
    warm_up(Rules())
    count, without, with_them = asyncio.run(run(islice(events, arguments.events)))
    said: dict[str, object] = {"events": count}
    for part in ("count", "rank"):
        said[f"{part} us an event"] = [round(side.took[part] / count * 1e6, 1) for side in (without, with_them)]
    said["settle us an event"] = round(with_them.took["settle"] / count * 1e6, 1)
    said["count, with less without, us an event"] = round((with_them.took["count"] - without.took["count"]) / count * 1e6, 1)
    accounts = [len(value) for key, value in with_them.store.values.items() if ":account:" in key]
    said["bytes an account"] = round(sum(accounts) / len(accounts), 1)
    said["MB of accounts"] = round(with_them.bytes_stored(":account:") / 1e6, 2)
    said["MB of figures"] = round(with_them.bytes_stored(":ledger:") / 1e6, 2)
    print(json.dumps(said, indent=2))


if __name__ == "__main__":
    main()
