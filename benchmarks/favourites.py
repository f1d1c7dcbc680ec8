"""What it costs a worker to tell favourites, in memory: CPU for each item that is described and for each customer told.

    python -m benchmarks.favourites

Customers have full histories, and hold thirty items; visitors have five views. All items are described, and drawn evenly, which
is the dearest: each has another category, and lies elsewhere in memory. The garbage collector is set as in a worker.
"""

import gc
import json
import time
from collections.abc import Callable

import msgspec
import numpy as np

from recsys import histories
from recsys.catalogue.item import CatalogueItem
from recsys.catalogue.traits import Shelves
from recsys.customers.favourites import favourites
from recsys.events import Kind
from recsys.fold import by_kind
from recsys.hashing import hash_item
from recsys.returning import purchases
from recsys.rules import Rules
from streams.worker import YOUNG_OBJECTS

ITEMS, CATEGORIES, BRANDS, CUSTOMERS = 100_000, 1_000, 700, 300
ROUNDS = 50
NOW_MS = 1_700_000_000_000


def took_us(what: Callable[[], object]) -> float:
    """Microseconds of CPU."""
    begun = time.process_time()
    what()
    return (time.process_time() - begun) * 1e6


def main() -> None:
    random = np.random.default_rng(1)
    ids = np.array([hash_item(f"i{n}") for n in range(ITEMS)], np.uint64)
    prices = random.lognormal(3.0, size=ITEMS).tolist()
    paths = [(f"A{n % 20} > B{n % 200} > C{n}",) for n in range(CATEGORIES)]
    described = [
        CatalogueItem(f"i{n}", categories=paths[n % CATEGORIES], brand=f"b{n % BRANDS}", price=price)
        for n, price in enumerate(prices)
    ]
    shelves = Shelves({})
    put = took_us(lambda: [shelves.put(item, told) for item, told in zip(ids.tolist(), described, strict=True)])
    parted = took_us(shelves.part_prices)
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
    met, bought = histories.empty(CUSTOMERS, Rules().history), purchases.empty(CUSTOMERS)
    met.item[:], met.kind[:], met.time[:] = random.choice(ids, met.item.shape), Kind.CLICK, NOW_MS
    bought.item[:], bought.time[:], bought.f60[:] = random.choice(ids, bought.item.shape), NOW_MS, 1.0
    everybody, now_ms, action = np.arange(CUSTOMERS), np.full(CUSTOMERS, NOW_MS), by_kind(Rules().action_weights)
    said: dict[str, object] = {
        "us to describe an item": round(put / ITEMS, 1),
        "bytes an item": round(shelves.nbytes / ITEMS, 1),
        f"us to part the prices of {len(shelves.categories)} categories": round(parted),
    }
    for who, views, held in (("customer", Rules().history, 30), ("visitor", 5, 0)):
        met.length[:], bought.held[:] = views, held
        told = favourites(met, bought, everybody, now_ms, shelves, action)
        took = sum(took_us(lambda: favourites(met, bought, everybody, now_ms, shelves, action)) for _ in range(ROUNDS))
        said[f"us a {who}"] = round(took / ROUNDS / CUSTOMERS, 1)
        said[f"bytes of the message of a {who}"] = round(len(msgspec.json.encode(told)) / CUSTOMERS)
    nothing = Shelves({})
    took = sum(took_us(lambda: favourites(met, bought, everybody, now_ms, nothing, action)) for _ in range(ROUNDS))
    said["us a customer where nothing is described"] = round(took / ROUNDS / CUSTOMERS, 3)
    print(json.dumps(said, indent=2))


if __name__ == "__main__":
    main()
