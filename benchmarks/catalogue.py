"""What a catalogue takes: bytes an item, and the time of a put, a search and a change, for synthetic items.

`python -m benchmarks.catalogue [--items 100000 1000000]` prints a table. The items have a title of 3 to 9 words and a
description of 10 to 40 that are as frequent as words are (Zipf), one of 2,000 brands, one of 1,000 category paths of three, and
two attributes. Times are those that the processor spent, so that other programs do not matter much.
"""

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from recsys.catalogue.catalogue import Catalogue
from recsys.catalogue.item import CatalogueItem
from recsys.catalogue.terms import terms
from recsys.hashing import hash_item
from streams.progress import Progress

WORDS, BRANDS, CATEGORIES = 200_000, 2_000, 1_000
ASKED = 2_000
CHANGED = 2_000
ROOM = 20
BATCH = 1_000


class Measured(NamedTuple):
    """Times are in microseconds."""

    items: int
    terms: float
    """Of an item, on average."""
    rate: float
    """Items a second while loading, from the checked item on."""
    tokenise: float
    """Making an item's terms."""
    put: float
    """Giving an item all other terms."""
    search: float
    """The alike of an item, anew."""
    slowest: float
    """The same at the 99th percentile."""
    kept: float
    """An item's list that is kept."""
    change: float
    """A changed item: terms, put, and entering it into the kept lists."""
    bytes_vectors: float
    """An item's in the arrays of `Content`."""
    bytes_process: float
    """What the process grew by, for each item, with names and categories."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--items", type=int, nargs="+", default=[100_000, 1_000_000], help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    arguments = parser.parse_args()
    measured = [measure(items, arguments.seed) for items in arguments.items]
    table = Table("", *(f"{found.items:,} items" for found in measured), title="the catalogue")
    for name in Measured._fields[1:]:
        table.add_row(name.replace("_", " "), *(f"{getattr(found, name):,.1f}" for found in measured))
    Console().print(table)


def measure(count: int, seed: int) -> Measured:
    compiled()
    catalogue = Catalogue()
    before = resident()
    spent = 0.0
    with Progress(f"loading {count:,} items", "items") as progress:
        for n, item in enumerate(made(count, seed), 1):
            start = time.thread_time()
            catalogue.put(item)
            spent += time.thread_time() - start
            if n % BATCH == 0:
                progress.show(n / count, n)
    grown = resident() - before
    vectors = catalogue.content.nbytes
    some = [(hash_item(item.item_id), item) for item in made(CHANGED, seed + 1)]
    tokenise = [timed(lambda item=item: terms(item)) for _, item in some]
    found = [(number, terms(item)) for number, item in some]
    put = [timed(lambda number=number, of=of: catalogue.content.put(number, of)) for number, of in found]
    random = np.random.default_rng(seed)
    asked = random.integers(count, size=ASKED)
    searches = np.array([timed(lambda n=n: catalogue.content.alike(hash_item(f"i{n}"), ROOM)) for n in asked])
    numbers = np.array([hash_item(f"i{n}") for n in asked], np.uint64)
    catalogue.alike(numbers, ROOM)
    kept = timed(lambda: catalogue.alike(numbers, ROOM)) / ASKED
    changes = [timed(lambda item=item: catalogue.put(item)) for item in made(CHANGED, seed + 2)]
    return Measured(
        count, sum(len(of.term) for _, of in found) / CHANGED, count / spent, float(np.median(tokenise)), float(np.median(put)),
        float(np.median(searches)), float(np.quantile(searches, 0.99)), kept, float(np.median(changes)),
        vectors / count, grown / count,
    )  # fmt: skip


def made(count: int, seed: int) -> Iterator[CatalogueItem]:
    """So many items, `i0`, `i1`, …; of another seed they have the same ids and other texts."""
    random = np.random.default_rng(seed)
    for first in range(0, count, BATCH):
        some = min(BATCH, count - first)
        title, described = random.integers(3, 10, some), random.integers(10, 41, some)
        word = iter((np.minimum(random.zipf(1.2, int(title.sum() + described.sum())), WORDS)).tolist())
        brands = np.minimum(random.zipf(1.3, some), BRANDS).tolist()
        categories = random.integers(CATEGORIES, size=some).tolist()
        colours, sizes = random.integers(20, size=some).tolist(), random.integers(8, size=some).tolist()
        for n in range(some):
            category = categories[n]
            yield CatalogueItem(
                f"i{first + n}",
                title=" ".join(f"word{next(word)}" for _ in range(title[n])),
                description=" ".join(f"word{next(word)}" for _ in range(described[n])),
                brand=f"brand {brands[n]}",
                categories=(f"c{category % 10} > c{category % 100} > c{category}",),
                attributes={"colour": f"colour {colours[n]}", "size": sizes[n]},
            )


def compiled() -> None:
    """Has everything compiled before the clock runs."""
    catalogue = Catalogue()
    for item in made(20, 1):
        catalogue.put(item)
    catalogue.alike(np.array([hash_item("i1")], np.uint64), ROOM)
    catalogue.content.alike(hash_item("i1"), ROOM)
    catalogue.put(CatalogueItem("i1", "new"))
    catalogue.remove("i1")


def timed(call: Callable[[], object]) -> float:
    """Microseconds of the processor."""
    start = time.thread_time()
    call()
    return (time.thread_time() - start) * 1e6


def resident() -> int:
    """Bytes of memory that the process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
