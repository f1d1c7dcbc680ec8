"""Warm-up: the compiled functions are made, or loaded from their cache, before a worker says that it is ready.

`python -m streams.warmup` makes them for the first time, which takes a minute; later starts load them in a second.
"""

import asyncio

from recsys.batch import Arrival
from recsys.engine import Chunk, Engine
from recsys.events import Event, Kind, Line
from recsys.keys import Keys
from recsys.rules import Rules
from recsys.store import MemoryStore


def warm_up(rules: Rules) -> None:
    """Counts and ranks two events in memory: everything that compiles has compiled afterwards."""
    asyncio.run(_count_and_rank(Engine(MemoryStore(), Keys("warm-up:"), rules)))


async def _count_and_rank(engine: Engine) -> None:
    clicks = [
        Arrival(offset, Event(kind=Kind.CLICK, user_id="u", lines=(Line(item),), time_ms=1_700_000_000_000 + offset))
        for offset, item in enumerate(("a", "b"))
    ]
    counted = await engine.count(Chunk(0, 0, 1, clicks))
    await engine.trending()
    await engine.recommend(counted, 1_700_000_000_000)


if __name__ == "__main__":
    warm_up(Rules())
