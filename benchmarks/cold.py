"""How soon a running system knows what to do with what is new: visitors, items, and items that are gone.

Beside the events of a shop, on a real Kafka and a real Redis that it starts itself, it measures

- from the first event of a new user, appended, to her recommendation on the topic, appended: those that land on an item nobody
  met, so that it is a `cold_start`;
- from a new item's record on `items` to its first appearance in a cold list in Redis or in a recommendation on the topic;
- from the record that deletes an item to the moment from which no published list and no user's recommendation names it.

`python -m benchmarks.cold [--json]` prints the table. New visitors come at `--rate` a second; new items one after the other,
`--every` seconds apart; deleted are the items that most lists name, one after the other, since each is waited for.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from msgspec import Struct, json
from rich.console import Console
from rich.table import Table

from recsys.connection import Client, open_client, read_values
from recsys.keys import Keys, literal
from recsys.recommendation import Reason, Recommendation, RecommendedItem, encode
from streams import topics
from streams.bench.timing import records
from streams.bulk import open_bulk
from streams.demo.worker import Worker
from streams.home import home_partition
from streams.local import LocalSystem
from streams.local.kafka import STEADY_JVM
from streams.progress import Progress
from streams.settings import Settings, read_settings
from streams.shop.catalogue import build_catalogue, in_records
from streams.shop.shoppers import crowd
from streams.shop.traffic import events
from streams.source import source

LOOK_S = 0.01
"""Between two looks at Redis: what is measured there is too long by as much, and by what a look takes."""
PATIENCE_S = 30.0
LOOKED_AT = 200
"""Of the keys that named an item so many are looked at in turn, or looking would keep Redis from being swept."""
LOOKS, SETTLED_S = 2, 0.5
"""So often nothing may be found, so long after one another, until an item is believed to be gone."""
SHOWN, LONG_AGO = 20, "2026-01-01T00:00:00.000Z"
"""Of the recommendations that `--recommendations` publishes, how many items, and when."""
WARM_S = 5.0
"""For how long the shop runs before anything is measured."""
KINDS = ("recs:", "similar:", "together:", "bought_after:", "trending", "cold")
"""What public keys that name items begin with."""


class Times(Struct):
    """What was measured, in milliseconds."""

    asked: int
    """How many were to be measured."""
    measured: int
    p50: float | None
    p99: float | None
    most: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, default=50.0, help="new visitors a second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0, help="for how long they come (default: %(default)s)")
    parser.add_argument("--beside", type=float, default=100.0, help="events of the shop a second (default: %(default)s)")
    parser.add_argument("--items", type=int, default=100, help="new items (default: %(default)s)")
    parser.add_argument("--every", type=float, default=0.2, help="seconds from one new item to the next (default: %(default)s)")
    parser.add_argument("--deleted", type=int, default=20, help="items that are deleted (default: %(default)s)")
    parser.add_argument(
        "--recommendations", type=int, default=0, help="published before, that nobody asks for (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, LocalSystem(Path(folder) / "system", jvm=STEADY_JVM) as system:
        settings = read_settings(system.environment())
        topics.create_missing(settings)
        with Worker(system.environment()) as worker, open_client(settings.redis) as redis:
            worker.wait_ready()
            found = measure(settings, redis, arguments)
            worker.finish()
    if arguments.json:
        sys.stdout.write(json.encode({"arguments": vars(arguments), "milliseconds": found}).decode() + "\n")
    else:
        show(found, arguments)
    sys.exit(0 if all(times.measured == times.asked for times in found.values()) else 1)


def measure(settings: Settings, redis: Client, arguments: argparse.Namespace) -> dict[str, Times]:
    """Runs the shop and measures one thing after the other."""
    shop = Shop(settings, redis, arguments.seed)
    shop.fill(arguments.recommendations)
    with shop.open(arguments.beside):
        time.sleep(WARM_S)
        visitors = asyncio.run(new_visitors(settings, arguments))
        new = new_items(shop, arguments)
        gone = deleted_items(shop, arguments)
    return {"first event → cold start": visitors, "new item → shown": new, "deleted → nowhere": gone}


class Shop:
    """The simulated shop beside which it is measured, and what is written and looked at for the measurements."""

    def __init__(self, settings: Settings, redis: Client, seed: int) -> None:
        self.settings = settings
        self.keys = Keys(settings.key_prefix)
        self.redis = redis
        self._rng = random.Random(seed)
        self.catalogue = build_catalogue(self._rng)
        self._producer: Any = KafkaProducer(**settings.brokers.connection(), linger_ms=0)
        self._closed = threading.Event()

    @contextmanager
    def open(self, rate: float) -> Iterator[None]:
        """Its catalogue is written, and its visitors come at this rate until it closes."""
        for key, value in in_records(self.catalogue):
            self._producer.send(self.settings.topic(topics.ITEMS), value, key=as_bytes(key))
        self._producer.flush()
        visits = threading.Thread(target=self._run, args=(rate,), daemon=True)
        visits.start()
        try:
            yield
        finally:
            self._closed.set()
            visits.join()
            self._producer.close()

    def _run(self, rate: float) -> None:
        begun = time.monotonic()
        shoppers = crowd(self._rng, 500, self.catalogue)
        for due, event in events(self._rng, self.catalogue, shoppers, rate=rate, start_ms=round(time.time() * 1000)):
            if self._closed.wait(max(0.0, begun + due - time.monotonic())):
                return
            user = event.get("user_id") or event["anonymous_id"]
            self._producer.send(self.settings.topic(topics.EVENTS), json.encode(event), key=user.encode())

    def tell(self, item: str, value: bytes | None) -> float:
        """Writes a record on `items`; when it was appended, in milliseconds since 1970."""
        sent = self._producer.send(self.settings.topic(topics.ITEMS), value, key=item.encode()).get(timeout=PATIENCE_S)
        return float(sent.timestamp)

    def public(self, kinds: Sequence[str] = KINDS) -> dict[str, set[str]]:
        """By public key, the items that it names."""
        found: dict[str, set[str]] = {}
        patterns = [f"{literal(self.keys.prefix + kind)}*" for kind in kinds]
        names = sorted({key for pattern in patterns for key in self.redis.scan_iter(match=pattern, count=5000)})
        for at in range(0, len(names), 500):
            for name, value in zip(names[at : at + 500], read_values(self.redis, names[at : at + 500]), strict=True):
                if value:
                    found[name.decode()] = named(value)
        return found

    def naming(self, item: str, keys: Sequence[str]) -> list[str]:
        """Those of the keys that name an item, or are its own list."""
        values = [value for at in range(0, len(keys), 500) for value in read_values(self.redis, keys[at : at + 500])]
        own = self.keys.similar(item)
        return [key for key, value in zip(keys, values, strict=True) if value and (key == own or item in named(value))]

    def fill(self, messages: int) -> None:
        """Publishes recommendations of users who do not come any more, and a key beside each, as a user has a history."""
        products, rng = [product.item_id for product in self.catalogue.products], random.Random(messages)
        pipeline = self.redis.pipeline(transaction=False)
        for n in range(messages):
            user, chosen = f"old-{n}", rng.sample(products, SHOWN)
            listed = [
                RecommendedItem(each, 0.5, [Reason("also_viewed", 0.7, "seen", 3), Reason("trending", 0.3)]) for each in chosen
            ]
            message = Recommendation(user, f"0-{n:x}-1", LONG_AGO, LONG_AGO, "personal", listed)
            pipeline.set(self.keys.recs(user), encode(message))
            pipeline.set(f"{self.keys.prefix}filler:{n}", user)
            if n % 1000 == 999:
                pipeline.execute()
        pipeline.execute()


def as_bytes(key: str | bytes) -> bytes:
    return key.encode() if isinstance(key, str) else key


def named(value: bytes) -> set[str]:
    """The items that a published message lists."""
    return {item["item_id"] for item in json.decode(value)["items"]}


async def new_visitors(settings: Settings, arguments: argparse.Namespace) -> Times:
    """From the first event of visitors, each on an item of her own, to the recommendation that answers it."""
    count = round(arguments.rate * arguments.seconds)
    bulk = await open_bulk(settings.brokers, settings.topic(topics.EVENTS))
    begun = time.monotonic()
    with Progress("new visitors", "visitors") as progress:
        try:
            for n in range(count):
                await asyncio.sleep(max(0.0, begun + n / arguments.rate - time.monotonic()))
                user, item = f"new-{n}", f"unheard-of-{n}"
                event = {"event_type": "view", "user_id": user, "item_id": item, "source": ("web", "ios")[n % 2]}
                await bulk.put(user, json.encode(event))
                await bulk.flush()
                progress.show((n + 1) / count, n + 1)
        finally:
            await bulk.close()
    await asyncio.sleep(1.0)
    appended = {}
    for record in records(settings, topics.EVENTS):
        if record.key and record.key.startswith(b"new-"):
            appended[record.key.decode()] = (record.partition, record.offset), record.timestamp
    answered: dict[tuple[int, int], int] = {}
    for record in records(settings, topics.RECOMMENDATIONS):
        place = source(record.headers)
        if place and record.key.startswith(b"new-") and is_cold_start(record.value):
            answered.setdefault(place, record.timestamp)
    assert all(home_partition(user, settings.partitions) == place[0] for user, (place, _) in appended.items())
    return times(count, [answered[place] + 1 - at for place, at in appended.values() if place in answered])


def is_cold_start(value: bytes) -> bool:
    return json.decode(value, type=Recommendation).strategy == "cold_start"


def new_items(shop: Shop, arguments: argparse.Namespace) -> Times:
    """From the record of new items, in the shop's categories, to their first appearance."""
    told: dict[str, float] = {}
    seen: dict[str, float] = {}
    categories = sorted({product.category for product in shop.catalogue.products})
    topic = Recommended(shop.settings)
    begun = time.monotonic()
    with Progress("new items", "items shown") as progress:
        until = begun + arguments.items * arguments.every + PATIENCE_S
        while len(seen) < arguments.items and time.monotonic() < until:
            if len(told) < arguments.items and time.monotonic() >= begun + len(told) * arguments.every:
                n = len(told)
                fields = {"title": f"New thing {n}", "categories": [categories[n % len(categories)]]}
                told[f"new-item-{n}"] = shop.tell(f"new-item-{n}", json.encode(fields))
            shown = set().union(*shop.public(("cold",)).values(), topic.items())
            now_ms = time.time() * 1000
            seen |= dict.fromkeys(shown & told.keys() - seen.keys(), now_ms)
            progress.show(len(seen) / arguments.items, len(seen))
            time.sleep(LOOK_S)
    topic.close()
    return times(arguments.items, [at - told[item] for item, at in seen.items()])


class Recommended:
    """The items of recommendations as they come out on the topic."""

    def __init__(self, settings: Settings) -> None:
        self._consumer: Any = KafkaConsumer(**settings.brokers.connection(), group_id=None)
        topic = settings.topic(topics.RECOMMENDATIONS)
        self._consumer.assign([TopicPartition(topic, n) for n in self._consumer.partitions_for_topic(topic)])
        self._consumer.seek_to_end()
        self.items()

    def items(self) -> set[str]:
        """Those that came since this was asked last."""
        found = (record for batch in self._consumer.poll(timeout_ms=0).values() for record in batch)
        return set().union(*(named(record.value) for record in found if record.value))

    def close(self) -> None:
        self._consumer.close()


def deleted_items(shop: Shop, arguments: argparse.Namespace) -> Times:
    """From the record that deletes an item to when nothing that is published names it."""
    found: list[float] = []
    gone: set[str] = set()
    with Progress("deleted items", "items gone") as progress:
        for n in range(arguments.deleted):
            public = shop.public()
            naming = Counter(item for items in public.values() for item in items - gone)
            item = max(naming, key=lambda each: (naming[each], each))
            gone.add(item)
            at_ms = shop.tell(item, None)
            where = [key for key, items in public.items() if item in items]
            nowhere_ms = watch(shop, item, [*where, shop.keys.similar(item)])
            if nowhere_ms is not None:
                found.append(nowhere_ms - at_ms)
            progress.show((n + 1) / arguments.deleted, n + 1)
    return times(arguments.deleted, found)


def watch(shop: Shop, item: str, where: list[str]) -> float | None:
    """When nothing published named the item any more, in milliseconds since 1970; None if something still does at the end.

    Looked at again and again are the keys that named it, since to look at all takes long; then all, until none is found
    `LOOKS` times: what was written meanwhile is watched, too.
    """
    until, looks, nowhere_ms = time.monotonic() + PATIENCE_S, 0, None
    while looks < LOOKS:
        while where:
            left = shop.naming(item, where[:LOOKED_AT])
            where = left + where[LOOKED_AT:]
            if time.monotonic() > until:
                sys.stderr.write(f"{item} is still named by {', '.join(sorted(where)[:5])}\n")
                return None
            if left:
                nowhere_ms = None
                time.sleep(LOOK_S)
        nowhere_ms = nowhere_ms or time.time() * 1000
        time.sleep(SETTLED_S)
        where = [key for key, items in shop.public().items() if item in items]
        looks = 0 if where else looks + 1
    return nowhere_ms


def times(asked: int, found: Sequence[float]) -> Times:
    """The figures of what was measured."""
    if not found:
        return Times(asked, 0, None, None, None)
    p50, p99 = np.percentile(found, (50, 99)).round(1).tolist()
    return Times(asked, len(found), p50, p99, round(float(max(found)), 1))


def show(found: dict[str, Times], arguments: argparse.Namespace) -> None:
    title = f"{arguments.rate:g} new visitors a second beside {arguments.beside:g} events a second of a shop"
    table = Table("", "measured", "p50", "p99", "most", title=title)
    for what, each in found.items():
        figures = ("–" if ms is None else f"{ms:,.0f} ms" for ms in (each.p50, each.p99, each.most))
        table.add_row(what, f"{each.measured:,} of {each.asked:,}", *figures)
    Console().print(table)


if __name__ == "__main__":
    main()
