"""The soak: millions of events through one worker, then the whole topic recounted exactly, and held against the state.

On a real Kafka and Redis that it starts itself, with default settings. Ends with 1 if a count of a row that was never cut
differs, if a cut lost more than `docs/cuts.md` allows, if the worker's memory grows, or if Redis takes another amount of memory
than the README predicts.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from redis import Redis
from rich.console import Console
from rich.table import Table

from benchmarks.cuts import Loss, losses
from benchmarks.exact import Exact, recount
from benchmarks.footprint import Footprint, footprint
from recsys.keys import Keys
from streams.bench.load import events
from streams.bulk import open_bulk
from streams.demo.worker import Worker
from streams.lag import read_published, read_spans, total_behind
from streams.local import LocalSystem
from streams.local.kafka import STEADY_JVM
from streams.progress import Progress
from streams.settings import Settings, read_settings
from streams.topics import create_missing

AHEAD = 200_000
"""Events that may wait for the worker: it must never be idle, nor share the machine with a producer for long."""
LOOK_S = 0.5
GROWTH = 0.10
"""What a worker's memory may grow by from a quarter of the run to its end, beyond `NOISE_MB`."""
NOISE_MB = 15
DEVIATION = 0.10
"""By how much Redis' memory may differ from what is predicted."""


class Run(NamedTuple):
    """What was measured while the worker counted."""

    seconds: float
    memory_mb: list[float]
    """The worker's, sampled evenly."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Count millions of events, and check everything afterwards.")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, LocalSystem(Path(folder) / "system", jvm=STEADY_JVM) as system:
        settings = read_settings(system.environment())
        prepare(settings)
        with Redis.from_url(settings.redis) as redis:
            empty = redis.info("memory")["used_memory"]
            run = count(settings, system.environment(), arguments.events, arguments.seed)
            taken = redis.info("memory")["used_memory"] - empty
            found = footprint(redis, Keys(settings.key_prefix))
            may_be_cut = frozenset(row.item for row in found.rows if len(row.other) >= settings.rules.neighbours)
            exact = recounted(settings, arguments.events, may_be_cut)
    sys.exit(0 if report(settings, arguments.events, run, taken, found, exact) else 1)


def prepare(settings: Settings) -> None:
    """Makes the topics. That of recommendations, ten times as large as that of events, deletes the old: it spares the disk."""
    sparing = {"cleanup.policy": "delete", "retention.bytes": "100000000", "segment.bytes": "50000000"}
    with KafkaAdminClient(**settings.brokers.connection()) as admin:
        topic = settings.topic("recommendations")
        admin.create_topics({topic: {"num_partitions": settings.partitions, "configs": sparing}})
    create_missing(settings)


def count(settings: Settings, environment: dict[str, str], number: int, seed: int) -> Run:
    """Lets a worker count so many events."""
    samples: list[float] = []
    with Worker(environment) as worker, Progress("counting", "events") as progress:
        worker.wait_ready()
        process = psutil.Process(worker.process.pid)

        def look() -> int:
            """Checks the worker and shows where it is; returns how many events it has done."""
            worker.check()
            with Redis.from_url(settings.redis) as redis:
                published = read_published(redis, Keys(settings.key_prefix), range(settings.partitions))
            done = sum(published.values()) + settings.partitions
            samples.append(process.memory_info().rss / 1e6)
            progress.show(done / number, done)
            return done

        begun = time.monotonic()
        asyncio.run(produce(settings, number, seed, look))
        while look() < number:
            time.sleep(LOOK_S)
        seconds = time.monotonic() - begun
        assert total_behind(read_spans(settings.brokers, settings.topic("events")), published_now(settings)) == 0
        worker.finish()
    return Run(seconds, samples)


def published_now(settings: Settings) -> dict[int, int]:
    with Redis.from_url(settings.redis) as redis:
        return read_published(redis, Keys(settings.key_prefix), range(settings.partitions))


async def produce(settings: Settings, number: int, seed: int, look: Callable[[], int]) -> None:
    """Sends the load, `AHEAD` events at most before the worker."""
    bulk = await open_bulk(settings.brokers, settings.topic("events"))
    looked = 0.0
    for n, (home_id, value) in enumerate(events(number, int(time.time() * 1000), seed)):
        await bulk.put(home_id, value)
        if n % 1000 == 0 and time.monotonic() - looked > LOOK_S:
            looked = time.monotonic()
            while n - look() > AHEAD:
                await asyncio.sleep(LOOK_S)
                looked = time.monotonic()
    await bulk.close()


def recounted(settings: Settings, number: int, cut: frozenset[str]) -> Exact:
    """The exact recount of the topic."""
    with Progress("recounting", "events") as progress:

        def values() -> Iterator[bytes]:
            for n, value in enumerate(topic_values(settings)):
                if n % 10_000 == 0:
                    progress.show(n / number, n)
                yield value

        return recount(values(), cut, settings.rules.half_life_ms)


def topic_values(settings: Settings) -> Iterator[bytes]:
    """The values of all records of the topic, partition by partition, read ahead by a loop of its own."""
    loop = asyncio.new_event_loop()
    spans = read_spans(settings.brokers, settings.topic("events"))

    async def opened(tp: TopicPartition) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(**settings.brokers.connection(), auto_offset_reset="earliest")
        await consumer.start()
        consumer.assign([tp])
        return consumer

    try:
        for partition, span in spans.items():
            tp = TopicPartition(settings.topic("events"), partition)
            consumer = loop.run_until_complete(opened(tp))
            left = span.end - span.begin
            while left:
                for part in loop.run_until_complete(consumer.getmany(timeout_ms=500)).values():
                    left -= len(part)
                    yield from (record.value for record in part)
            loop.run_until_complete(consumer.stop())
    finally:
        loop.close()


def report(settings: Settings, number: int, run: Run, taken: int, found: Footprint, exact: Exact) -> bool:
    """Prints what was found; whether all of it is as it should be."""
    table = Table("what", "found", "must be", title=f"{number:,} events, one worker")
    fine = []

    def line(what: str, said: str, must_be: str = "", *, holds: bool = True) -> None:
        fine.append(holds)
        table.add_row(what, said if holds else f"[red]{said}[/red]", must_be)

    loss: Loss = losses(found.rows, exact, settings.rules)
    line("rate, producer and servers on the same cores", f"{number / run.seconds:,.0f} events/s, {run.seconds:,.0f} s")
    line("items, users, pairs", f"{len(exact.numbers):,}, {found.users:,}, {len(exact.counts.codes) // 2:,}")
    line("items whose interactions differ", f"{loss.interactions:,}", "0", holds=loss.interactions == 0)
    line("rows never cut, counts that differ", f"{loss.never_cut:,}, {loss.differences:,}", "0", holds=loss.differences == 0)
    line("neighbours in cut rows, counts too high", f"{loss.too_high:,}", "0", holds=loss.too_high == 0)
    line("rows cut, neighbours in them", f"{loss.cut:,}, {loss.neighbours:,}")
    line("… beyond the bound of docs/cuts.md", f"{loss.beyond:,}", "0", holds=loss.beyond == 0)
    line("… lost of a cut row's counts", f"mean {loss.mean:.1%}, worst {loss.worst:.1%}")
    line("… of those of its true 20 strongest", f"mean {loss.mean_top:.1%}, worst {loss.worst_top:.1%}")
    line("… of its true 20 strongest not in the row", f"mean {loss.missing_top:.1%}")
    memory = run.memory_mb
    quarter, last = float(np.median(around(memory, 0.25))), float(np.median(around(memory, 1.0)))
    slope = float(np.polyfit(np.linspace(0, number / 1e6, len(memory))[len(memory) // 4 :], memory[len(memory) // 4 :], 1)[0])
    flat = last <= quarter * (1 + GROWTH) + NOISE_MB
    line("worker's memory at a quarter, end, most", f"{quarter:.0f}, {last:.0f}, {max(memory):.0f} MB", "flat", holds=flat)
    line("… its slope after a quarter", f"{slope:+.2f} MB a million events")
    deviation = taken / found.predicted - 1
    predicted = f"{taken / 1e6:,.1f} MB, predicted {found.predicted / 1e6:,.1f} ({deviation:+.1%})"
    line("Redis' memory", predicted, f"± {DEVIATION:.0%}", holds=abs(deviation) <= DEVIATION)
    line("… an item, a user, with their public keys", f"{found.bytes_per_item:,.0f}, {found.bytes_per_user:,.0f} bytes")
    Console().print(table)
    return all(fine)


def around(samples: list[Any], part: float) -> list[Any]:
    """The twentieth of the samples that ends at this part of the run."""
    end = max(1, round(len(samples) * part))
    return samples[max(0, end - max(1, len(samples) // 20)) : end]


if __name__ == "__main__":
    inherited = [name for name in os.environ if name.startswith("FRESHET_")]
    if inherited:
        sys.exit(f"the soak runs with default settings: unset {', '.join(inherited)}")
    main()
