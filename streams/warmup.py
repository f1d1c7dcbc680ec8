"""Warm-up: the compiled functions are made, or loaded from their cache, before a worker says that it is ready.

`python -m streams.warmup` makes them for the first time, which takes a minute; later starts load them in a second.
"""

import asyncio

import numpy as np

from recsys import joined_purchases
from recsys.batch import Arrival
from recsys.catalogue.catalogue import Catalogue
from recsys.catalogue.item import CatalogueItem
from recsys.customers import outlook
from recsys.customers.outlook import Fitted
from recsys.engine import Chunk, Engine
from recsys.events import Event, Kind, Line
from recsys.hashing import hash_item
from recsys.keys import VIEWED, Keys
from recsys.known import Memory
from recsys.returning import purchases
from recsys.rules import Rules
from recsys.store import Entry, MemoryStore

START_MS = 1_700_000_000_000
DAY_MS = 86_400_000
EVENTS = (
    ((Kind.CLICK, "a"), (Kind.CLICK, "b"), (Kind.PURCHASE, "ab")),
    ((Kind.PURCHASE, "ac"), (Kind.REFUND, "c")),
    ((Kind.CLICK, "b"),),
)
"""Of a user, day by day."""


def warm_up(rules: Rules) -> None:
    """Counts and ranks a few events in memory: everything that compiles has compiled afterwards."""
    store, keys = MemoryStore(), Keys("warm-up:")
    Memory(rules).put_absent(np.empty(0, np.uint64))  # of an item without a row: there is none in these events
    asyncio.run(_count_and_rank(Engine(store, keys, rules, catalogue=catalogue_of_two()), store, keys))


def catalogue_of_two() -> Catalogue:
    """A catalogue to which everything has happened once."""
    catalogue = Catalogue()
    for item_id, title in (("a", "red mug"), ("b", "blue mug"), ("c", "red tea"), ("a", "green mug")):
        catalogue.put(CatalogueItem(item_id, title))
    catalogue.alike(np.array([hash_item("a")], np.uint64), 1)
    catalogue.put(CatalogueItem("b", "blue mug", available=False))
    catalogue.put(CatalogueItem("b", "blue mug"))
    catalogue.remove("c")
    return catalogue


async def _count_and_rank(engine: Engine, store: MemoryStore, keys: Keys) -> None:
    await store.put([Entry(keys.lifetimes, outlook.pack(Fitted(1.0, 30.0, 1.0, 2.0, 1, 1, "2023-11-14", 0.0)))])
    offset = 0
    for day, events in enumerate(EVENTS):
        arrivals = []
        for kind, items in events:
            lines, at = tuple(map(Line, items)), START_MS + day * DAY_MS + offset
            arrivals.append(Arrival(offset, Event(kind=kind, user_id="u", lines=lines, time_ms=at, source="web")))
            offset += 1
        counted = await engine.count(Chunk(0, arrivals[0].offset, offset - 1, arrivals))
        await engine.trending()
        await engine.recommend(counted, START_MS)
        await engine.customers(counted)
        await engine.similar(counted.changed[VIEWED].tolist())
        await engine.cold_lists(START_MS)
        joined_purchases.join(counted.users.purchases, {0: [purchases.pack(counted.users.purchases, 0)]})


if __name__ == "__main__":
    warm_up(Rules())
