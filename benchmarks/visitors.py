"""What visitors cost a worker: CPU a line without and with them, and with all methods, in memory, side by side.

    python -m benchmarks.visitors --events 100000
    python -m benchmarks.visitors online_retail.csv.gz --format online-retail

Each chunk is counted, and ranked, by three engines: one that keeps rows alone, one that keeps visitors (`FRESHET_VISITORS`),
too, and one that also counts baskets. See `benchmarks.baskets` for the load, the lists, and what is left out. It also says what
visitors take in memory, for an item and in all, without what Redis itself takes for a key (about 70 bytes).
"""

import argparse
import asyncio
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from benchmarks.baskets import ROUND, Side, chunks, synthetic
from recsys.batch import Arrival
from recsys.engine import Chunk
from recsys.events import Event
from recsys.readers import read
from recsys.rules import Rules
from recsys.visitors import unpack
from streams.warmup import warm_up


async def run(events: Iterator[Event], sides: list[Side]) -> int:
    """Counts and ranks all events on all sides; returns how many lines they have."""
    done = offset = 0
    for number, some in enumerate(chunks(events)):
        arrivals = [Arrival(offset + n, event) for n, event in enumerate(some)]
        chunk = Chunk(0, offset, offset + len(some) - 1, arrivals)
        offset += len(some)
        before, done = done, done + sum(len(event.lines) for event in some)
        # Whoever is first finds the caches cold: they take turns.
        first = number % len(sides)
        for side in (*sides[first:], *sides[:first]):
            await side.take(chunk)
            if done // ROUND > before // ROUND:
                await side.make_lists()
    return done


def kept(side: Side) -> dict[str, float]:
    """What the visitors of items take."""
    lists = [value for key, value in side.store.values.items() if "}:visitors:" in key]
    lengths = [len(unpack(value)) for value in lists]
    items, total = max(1, len(lists)), sum(map(len, lists))
    return {
        "items": len(lists),
        "visitors an item": round(sum(lengths) / items, 1),
        "bytes an item": round(total / items),
        "bytes a visitor": round(total / max(1, sum(lengths)), 1),
        "MB": round(total / 1e6, 2),
        "MB of everything": round(side.bytes_stored / 1e6, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, help="a file of real events; without it, the load of freshet bench")
    parser.add_argument("--format", default="online-retail", help="of the file, as freshet replay takes it")
    parser.add_argument("--events", type=int, default=100_000, help="so many events at most")
    parser.add_argument("--visitors", type=int, default=Rules().visitors, help="kept of each item (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.file:
        events = (record.event for record in read(arguments.file, arguments.format))
    else:
        events = synthetic(arguments.events)
    warm_up(Rules())
    plain = Side(Rules(baskets=False, visitors=0))
    with_them = Side(Rules(baskets=False, visitors=arguments.visitors))
    everything = Side(Rules(visitors=arguments.visitors))
    sides = [plain, with_them, everything]
    lines = asyncio.run(run(islice(events, arguments.events), sides))
    said: dict[str, object] = {"lines": lines, "sides": ["rows alone", "and visitors", "and baskets"]}
    for part in ("count", "rank", "lists"):
        said[f"{part} us a line"] = [round(side.took[part] / lines * 1e6, 1) for side in sides]
    took = [side.took.total() for side in sides]
    said["all us a line"] = [round(each / lines * 1e6, 1) for each in took]
    said["beside rows alone"] = [round(each / took[0], 3) for each in took]
    print(json.dumps(said | {"visitors": kept(with_them)}, indent=2))


if __name__ == "__main__":
    main()
