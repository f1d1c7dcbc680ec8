"""Online Retail, whole: what Freshet counts of it is what pandas gives from the file, number by number.

    python -m benchmarks.online_retail online_retail.csv.gz

The file is replayed through the engine in memory (no Kafka, no Redis), customers, baskets and recommendations on, then its
figures are compared with those that pandas makes of the file's own columns: `recsys.readers.online_retail` is not asked. What
is compared: revenue, refunds, orders and customers by month, country and product; buyers and revenue of each cohort in each
week; moves between segments on each day; fifths of recency and frequency, which are exact, and of amounts, where a customer may
be placed otherwise whose amount is within the sketch's error of an edge. Ends with 1 where anything differs.

An order is a purchase event. The file's invoices are one each, but those with more than 500 lines of products and those with
another invoice between their lines: pandas is told to part them likewise, and both numbers are printed.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.retail_truth import Truth, truth
from recsys.batch import Arrival
from recsys.calendar import day_name, monday
from recsys.customers import account, rfm
from recsys.customers.spread import GAMMA
from recsys.engine import Chunk, Engine
from recsys.events import Kind
from recsys.keys import Keys
from recsys.ledger.books import Books
from recsys.ledger.figures import Figures, Subject
from recsys.ledger.moves import Trades, moves
from recsys.readers import read
from recsys.readers.online_retail import COUNTRIES
from recsys.recommendation import encode
from recsys.rules import Rules
from recsys.store import MemoryStore
from streams.home import home_partition
from streams.warmup import warm_up

CHUNK = 200
PARTITIONS = 2
EVERY_DAY = 1_000
END_MS = 1_764_000_000_000
KEYS = Keys("retail:")


async def replayed(file: Path, limit: int | None = None) -> tuple[MemoryStore, int, int]:
    """The state after the file's events, how many recommendations there were, and how many events."""
    store = MemoryStore()
    engine = Engine(store, KEYS, Rules())
    waiting: list[list[Arrival]] = [[] for _ in range(PARTITIONS)]
    offsets = [0] * PARTITIONS
    recommended = events = 0

    async def count(home: int) -> int:
        arrivals, waiting[home] = waiting[home], []
        if not arrivals:
            return 0
        counted = await engine.count(Chunk(home, arrivals[0].offset, arrivals[-1].offset, arrivals))
        answers = await engine.recommend(counted, END_MS)
        for _, message in answers:
            encode(message)
        return len(answers)

    with read(file, "online-retail") as records:
        for record in records:
            events += 1
            home = home_partition(record.event.home_id, PARTITIONS)
            waiting[home].append(Arrival(offsets[home], record.event))
            offsets[home] += 1
            if len(waiting[home]) == CHUNK:
                recommended += await count(home)
            if events == limit:
                break
    for home in range(PARTITIONS):
        recommended += await count(home)
    return store, recommended, events


class Compared(NamedTuple):
    """How many numbers were compared, and those that differ: what, Freshet's, pandas'."""

    numbers: int
    differences: list[tuple[str, object, object]]
    near: int
    """Customers whose fifth of amounts is another one, within the sketch's error of an edge."""


async def compared(store: MemoryStore, told: Truth) -> Compared:
    """Holds what is stored against what pandas says."""
    books = Books(store, KEYS, PARTITIONS)
    countries = {code: name for name, code in COUNTRIES.items()}
    pairs = [
        *pairs_of("month", {name: of_place(each) for name, each in (await books.months()).items()}, told.months),
        *pairs_of(
            "country",
            {countries[name.removeprefix("country:")]: of_place(each) for name, each in (await books.countries()).items()},
            {name: each for name, each in told.countries.items() if name in COUNTRIES},
        ),
        *pairs_of("product", {name: of_item(each) for name, each in (await books.items()).items()}, told.products),
        *pairs_of("moves", of_moves(store), told.moves),
        *pairs_of("cohort", await of_cohorts(books), {" in ".join(pair): each for pair, each in told.cohorts.items()}),
    ]
    scores, near = rfm_pairs(store, told)
    pairs += scores
    return Compared(len(pairs), [pair for pair in pairs if pair[1] != pair[2]], near)


def pairs_of(
    what: str, ours: Mapping[str, dict[str, int]], theirs: Mapping[str, dict[str, int]]
) -> list[tuple[str, object, object]]:
    """Each number with its name, those of pandas that we do not have among them, and ours that it has not."""
    return [
        (f"{what} {name}: {figure}", ours.get(name, {}).get(figure), theirs.get(name, {}).get(figure))
        for name in sorted({*ours, *theirs})
        for figure in sorted({*ours.get(name, {}), *theirs.get(name, {})} - (set() if what != "product" else {"customers"}))
    ]


def of_place(found: Figures) -> dict[str, int]:
    return {
        "orders": found.kinds.get(Kind.PURCHASE, 0),
        "buyers": found.customers.bought,
        "customers": found.customers.seen,
        "units": found.units // 1_000_000,
        "spent": found.spent.get("GBP", 0),
        "refunded": found.refunded.get("GBP", 0),
    }


def of_item(found: Subject) -> dict[str, int]:
    return {
        "orders": found.kinds.get(Kind.PURCHASE, 0),
        "buyers": found.buyers,
        "units": found.units // 1_000_000,
        "spent": found.spent.get("GBP", 0),
        "refunded": found.refunded.get("GBP", 0),
    }


async def of_cohorts(books: Books) -> dict[str, dict[str, int]]:
    return {
        f"{day_name(monday(cohort))} in {day_name(monday(week))}": {
            "buyers": cell.buyers,
            "orders": cell.orders,
            "spent": cell.spent.get("GBP", 0),
            "refunded": cell.refunded.get("GBP", 0),
        }
        for week, of_week in (await books.weeks()).items()
        for cohort, cell in of_week.cohorts.items()
    }


def of_moves(store: MemoryStore) -> dict[str, dict[str, int]]:
    trades = Trades()
    for key, value in store.values.items():
        if "}:account:" in key:
            trades.add(account.unpack(value).trade)
    days = moves(trades, last=EVERY_DAY)
    return {
        day_name(day): {f"{source} → {target}": count for (source, target), count in moved.items()}
        for day, moved in days.items()
    }


def rfm_pairs(store: MemoryStore, told: Truth) -> tuple[list[tuple[str, object, object]], int]:
    """The scores of all customers, and for how many the sketch's error explains another one of amounts."""
    fifths = rfm.fifths(rfm.together([rfm.unpack(store.values.get(KEYS.spreads(home))) for home in range(PARTITIONS)]))
    pairs: list[tuple[str, object, object]] = []
    near = 0
    for user, expected in told.customers.iterrows():
        home = home_partition(str(user), PARTITIONS)
        standing = rfm.standing(account.unpack(store.values[KEYS.account(home, str(user))]), {})
        assert standing is not None
        scores = rfm.rfm(standing, fifths)
        pairs += [(f"customer {user}: {name}", getattr(scores, name), int(expected[name])) for name in ("recency", "frequency")]
        if scores.monetary == int(expected["monetary"]):
            pairs.append((f"customer {user}: monetary", scores.monetary, scores.monetary))
        elif any(1 / GAMMA <= expected["amount"] / edge <= GAMMA for edge in told.edges):
            near += 1
        else:
            pairs.append((f"customer {user}: monetary", scores.monetary, int(expected["monetary"])))
    return pairs, near


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="the file, plain or gzip")
    arguments = parser.parse_args()
    warm_up(Rules())
    begun = time.monotonic()
    store, recommended, events = asyncio.run(replayed(arguments.file))
    seconds = time.monotonic() - begun
    told = truth(arguments.file)
    found = asyncio.run(compared(store, told))
    said = {
        "lines of the file": told.lines,
        "events": events,
        "recommendations": recommended,
        "seconds of the replay": round(seconds, 1),
        "invoices of purchases": told.invoices,
        "orders": sum(month["orders"] for month in told.months.values()),
        "revenue": sum(month["spent"] for month in told.months.values()) / 1e6,
        "numbers compared": found.numbers,
        "differences": len(found.differences),
        "customers near an edge of amounts, placed otherwise": found.near,
        "of customers": len(told.customers),
    }
    print(json.dumps(said, indent=2))
    for what, ours, theirs in found.differences[:20]:
        print(f"{what}: Freshet {ours}, pandas {theirs}", file=sys.stderr)
    sys.exit(1 if found.differences else 0)


if __name__ == "__main__":
    main()
