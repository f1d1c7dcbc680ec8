"""What joins cost a worker: CPU an event in memory, of a load without both ids and of loads with them.

    python -m benchmarks.joins --events 20000

The load is that of `freshet bench`, on one partition. `one id` is the load as it is. With `both ids` each event has an
anonymous id, too, always that of the user: nobody ever joins, but everybody asks. With `log in` every fifth event of a user
has that id alone, so that all users join themselves. Chunk by chunk the engines take turns, and so meet the same machine. A
message goes into the next chunk; Kafka and Redis are not in it.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from msgspec.structs import replace

from benchmarks.baskets import END_MS, chunks, synthetic
from recsys.batch import Arrival
from recsys.customers import joins
from recsys.customers.joins import Letter
from recsys.engine import Chunk, Engine
from recsys.events import ANONYMOUS, Event
from recsys.keys import Keys
from recsys.recommendation import encode
from recsys.rules import Rules
from recsys.store import MemoryStore
from streams.warmup import warm_up

LOG_IN = 5
"""Of so many events one is before the log-in."""


class Side:
    """An engine, what it took in seconds of CPU, and the messages that wait to be taken."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.engine = Engine(self.store, Keys("b:"), Rules())
        self.took = 0.0
        self.messages = self.records = 0
        self._waiting: list[Letter] = []

    async def post(self, letters: Sequence[Letter]) -> None:
        self._waiting += [letter._replace(message=joins.decode(joins.encode(letter.message))) for letter in letters]

    async def take(self, events: Iterable[Event]) -> None:
        begun = time.process_time()
        waiting, self._waiting = self._waiting, []
        self.messages += len(waiting)
        first = self.records
        arrivals = [Arrival(first + n, event) for n, event in enumerate(events)]
        arrivals += [
            Arrival(first + len(arrivals) + n, joins.events_of(letter.message)[0], (0, letter.offset), letter.message)
            for n, letter in enumerate(sorted(waiting, key=lambda letter: letter.offset))
        ]
        self.records += len(arrivals)
        counted = await self.engine.count(Chunk(0, first, self.records - 1, arrivals), post=self.post)
        for _, message in await self.engine.recommend(counted, END_MS):
            encode(message)
        await self.engine.customers(counted)
        self.took += time.process_time() - begun


def both_ids(event: Event) -> Event:
    return replace(event, visitor=f"device of {event.user_id}")


def before_log_in(event: Event) -> Event:
    return replace(event, user_id=f"{ANONYMOUS}device of {event.user_id}")


async def run(events: Iterator[Event]) -> tuple[int, dict[str, Side]]:
    sides = {"one id": Side(), "both ids": Side(), "log in": Side()}
    done = 0
    for some in chunks(events):
        loads = {
            "one id": some,
            "both ids": [both_ids(event) for event in some],
            "log in": [both_ids(event) if (done + n) % LOG_IN else before_log_in(event) for n, event in enumerate(some)],
        }
        for name, side in sides.items():
            await side.take(loads[name])
        done += len(some)
    return done, sides


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000, help="so many events")
    arguments = parser.parse_args()
    warm_up(Rules())
    count, sides = asyncio.run(run(islice(synthetic(arguments.events), arguments.events)))
    said = {
        name: {
            "us an event": round(side.took / count * 1e6, 1),
            "messages": side.messages,
            "MB of accounts": round(sum(len(v) for key, v in side.store.values.items() if ":account:" in key) / 1e6, 2),
        }
        for name, side in sides.items()
    }
    print(json.dumps({"events": count} | said, indent=2))


if __name__ == "__main__":
    main()
