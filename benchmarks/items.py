"""A catalogue through the topic into one worker: its rate, the worker's memory, a restart, and how long a deletion takes.

`python -m benchmarks.items --items 1000000 --messages 200000` prints a table. It starts its own Kafka and Redis.

Then items are deleted, one after the other: from before a record is sent it is measured until none of the recommendations and
lists names its item, in Redis.
"""

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from kafka import KafkaProducer
from redis import Redis
from rich.console import Console
from rich.table import Table

from recsys.keys import Keys
from recsys.recommendation import Neighbour, Neighbours, Reason, Recommendation, RecommendedItem, encode
from streams.demo.worker import Worker
from streams.lag import read_spans
from streams.local import LocalSystem
from streams.local.kafka import STEADY_JVM
from streams.settings import Settings, read_settings
from streams.topics import ITEMS, create_missing

WORDS = 5000
"""Different words in titles and descriptions."""
SHOWN = 20
"""Items in a recommendation."""
TIME = "2026-01-01T00:00:00.000Z"
PAUSE_S = 3.0
"""Between two deletions: sweeps that are rare go at full speed."""
READ = re.compile(r"the catalogue is read: (\d+) items in ([\d.]+) s")
SWEPT = re.compile(r"items are hidden: of (\d+) published lists (\d+) were changed, in ([\d.]+) s")


def main() -> None:
    parser = argparse.ArgumentParser(description="Load a catalogue, and measure it.")
    parser.add_argument("--items", type=int, default=1_000_000, help="(default: %(default)s)")
    parser.add_argument("--messages", type=int, default=200_000, help="recommendations to sweep (default: %(default)s)")
    parser.add_argument("--lists", type=int, default=0, help="neighbour lists to sweep (default: %(default)s)")
    parser.add_argument("--one-in", type=int, default=100, help="of so many that name a deleted item (default: %(default)s)")
    parser.add_argument("--deletions", type=int, default=10, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    published = f"{arguments.messages:,} recommendations and {arguments.lists:,} lists"
    table = Table(title=f"{arguments.items:,} items, {published}, one in {arguments.one_in} with a deleted item")
    table.add_column("what")
    table.add_column("found", justify="right")
    with tempfile.TemporaryDirectory() as folder, LocalSystem(Path(folder) / "system", jvm=STEADY_JVM) as system:
        environ = system.environment()
        settings = read_settings(environ)
        create_missing(settings)
        file = Path(folder) / "items.jsonl"
        write_items(file, arguments.items, random.Random(arguments.seed))
        table.add_row("a record", f"{file.stat().st_size / arguments.items:,.0f} bytes")
        produced = produce(environ, file)
        table.add_row("freshet items", f"{produced['items_per_second']:,} items/s")
        with Redis.from_url(settings.redis) as redis:
            for name in ("first start, with effects", "second start"):
                measure_start(table, name, environ, settings, redis, arguments.items)
            rng = random.Random(arguments.seed)
            naming = publish(Keys(settings.key_prefix), redis, arguments, rng)
            measure_deletions(table, environ, settings, redis, naming)
    Console().print(table)


def write_items(file: Path, items: int, rng: random.Random) -> None:
    """Titles of 8 words, descriptions of 30, as frequent as words are."""
    words = ["".join(rng.choices("abcdefghijklmnoprstuvwz", k=rng.randint(3, 10))) for _ in range(WORDS)]
    weights = [1 / (rank + 3) for rank in range(WORDS)]
    with file.open("w") as out:
        for n in range(items):
            text = rng.choices(words, weights, k=38)
            told = {
                "item_id": f"i{n}",
                "title": " ".join(text[:8]),
                "description": " ".join(text[8:]),
                "brand": f"brand {n % 500}",
                "categories": [f"Shop > Department {n % 20} > Shelf {n % 400}"],
                "price": n % 10_000 / 100,
                "currency": "EUR",
                "url": f"https://shop.example/items/{n}",
            }
            out.write(json.dumps(told) + "\n")


def produce(environ: Mapping[str, str], file: Path) -> Any:
    command = [sys.executable, "-m", "streams", "items", str(file), "--json"]
    return json.loads(subprocess.run(command, env={**environ}, check=True, capture_output=True).stdout)


def measure_start(table: Table, name: str, environ: Mapping[str, str], settings: Settings, redis: "Redis", items: int) -> None:
    with Worker(environ) as worker:
        worker.wait_ready()
        process = psutil.Process(worker.process.pid)
        at_first = process.memory_info().rss
        found = wait_for(worker, READ)
        table.add_row(f"{name}: read", f"{float(found[2]):,.1f} s, {items / float(found[2]):,.0f} items/s")
        begun = time.monotonic()
        while not is_noted(settings, redis):
            worker.check()
            time.sleep(0.1)
        table.add_row(f"{name}: effects noted", f"{time.monotonic() - begun:,.1f} s later")
        table.add_row(f"{name}: memory", f"{at_first / 1e6:,.0f} MB when ready, {process.memory_info().rss / 1e6:,.0f} MB then")
        worker.finish()


def is_noted(settings: Settings, redis: "Redis") -> bool:
    keys = Keys(settings.key_prefix)
    spans = read_spans(settings.brokers, settings.topic(ITEMS))
    return all(int(redis.get(keys.catalogue_mark(n)) or -1) >= span.end - 1 for n, span in spans.items())  # type: ignore[arg-type]


def publish(keys: Keys, redis: "Redis", arguments: argparse.Namespace, rng: random.Random) -> dict[str, list[str]]:
    """Writes recommendations and lists; the items that are to be deleted, each with the keys that name it."""
    deleted = [f"i{n}" for n in range(arguments.deletions)]
    naming: dict[str, list[str]] = {item: [] for item in deleted}
    pipeline = redis.pipeline(transaction=False)
    for n in range(arguments.messages + arguments.lists):
        chosen = [f"i{rng.randrange(arguments.deletions, arguments.items)}" for _ in range(SHOWN)]
        user = n - arguments.lists
        key = keys.recs(f"u{user}") if user >= 0 else keys.similar(f"l{n}")
        for item in deleted:
            if rng.randrange(arguments.one_in) == 0:
                chosen[rng.randrange(SHOWN)] = item
        for item in set(chosen) & naming.keys():
            naming[item].append(key)
        message: Recommendation | Neighbours
        if user >= 0:
            reasons = [Reason("also_viewed", 0.7, f"i{arguments.items - 1}", 3), Reason("trending", 0.3)]
            listed = [RecommendedItem(item, 0.5, reasons) for item in chosen]
            message = Recommendation(f"u{user}", f"0-{user:x}-1", TIME, TIME, "personal", listed)
        else:
            message = Neighbours(TIME, [Neighbour(item, 0.5, 3) for item in chosen], f"l{n}", 1)
        pipeline.set(key, encode(message))
        if n % 1000 == 999:
            pipeline.execute()
    pipeline.execute()
    return naming


def measure_deletions(
    table: Table, environ: Mapping[str, str], settings: Settings, redis: "Redis", naming: Mapping[str, Sequence[str]]
) -> None:
    """Deletes one item after the other, when the worker has nothing else to do."""
    took: list[float] = []
    with Worker(environ) as worker, KafkaProducer(**settings.brokers.connection()) as producer:
        worker.wait_ready()
        wait_for(worker, READ)
        for item, keys in naming.items():
            time.sleep(PAUSE_S)
            begun = time.monotonic()
            producer.send(settings.topic(ITEMS), key=item.encode(), value=None)
            producer.flush()
            for key in keys:
                while f'{{"item_id":"{item}"'.encode() in (redis.get(key) or b""):  # type: ignore[operator]
                    worker.check()
                    time.sleep(0.002)
            took.append(time.monotonic() - begun)
        seconds = [float(found[3]) for line in worker.log if (found := SWEPT.search(line))]
        looked = int(wait_for(worker, SWEPT)[1])
        worker.finish()
    table.add_row("keys in Redis", f"{redis.dbsize():,}")
    table.add_row("keys that name a deleted item", f"{statistics.mean(map(len, naming.values())):,.0f}")
    table.add_row("a sweep", f"{statistics.median(seconds):,.2f} s, {looked / statistics.median(seconds):,.0f} keys/s")
    found = f"median {statistics.median(took):,.2f} s, longest of {len(took)} {max(took):,.2f} s"
    table.add_row("from the record to when nothing names it", found)


def wait_for(worker: Worker, pattern: re.Pattern[str]) -> re.Match[str]:
    """Waits until the worker logs it, however long that takes while it logs something."""
    while True:
        worker.check()
        for line in list(worker.log):
            if found := pattern.search(line):
                return found
        worker.check_silence()
        time.sleep(0.05)


if __name__ == "__main__":
    main()
