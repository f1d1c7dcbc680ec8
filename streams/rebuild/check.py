"""The check: the new generation held against a recount of the topic, which shares no code with the engine."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from redis import Redis

from recsys.export import export_items
from recsys.keys import Keys
from recsys.marks import UserMark
from streams.differences import Comparison, compare
from streams.failure import Failure
from streams.lag import read_spans
from streams.progress import Progress
from streams.rebuild.building import Building
from streams.records import read_topic
from streams.recount import Recount
from streams.settings import Settings

SHOW_EVERY = 1000


def check(settings: Settings, client: Redis, building: Building, marks: Mapping[int, UserMark]) -> Comparison:
    """Recounts the topic up to the marks of the new generation, into which nobody counts meanwhile, and compares.

    Raises `Failure` where the log has lost some of what was counted since the build began.
    """
    gone = {
        partition
        for partition, span in read_spans(settings.brokers, building.topic).items()
        if span.begin > building.begins[partition]
    }
    if gone:
        raise Failure(
            f"{building.topic} has lost records of partitions {', '.join(map(str, sorted(gone)))} to its retention while they "
            "were counted, so a recount is no measure: run freshet rebuild --no-recount, or --anew"
        )
    total = sum(mark.offset + 1 - building.begins[partition] for partition, mark in marks.items())
    recount = Recount(settings.rules, building.partitions, building.topic, settings.secret)
    with Progress("recounting", "records") as progress:
        for _, record in read_topic(settings.brokers, building.topic):
            if record.offset > marks[record.partition].offset:
                continue
            recount.take(record)
            if recount.records % SHOW_EVERY == 0:
                progress.show(recount.records / total, recount.records)
    with Progress("comparing", "items") as progress:
        rows = exported(client, building.keys(settings.key_prefix), settings.rules.half_life_ms)
        return compare(recount, shown(rows, progress, len(recount.interactions)))


def exported(client: Redis, keys: Keys, half_life_ms: float) -> Iterator[dict[str, Any]]:
    for item in export_items(client, keys, half_life_ms):
        yield msgspec.to_builtins(item)


def shown(rows: Iterator[dict[str, Any]], progress: Progress, total: int) -> Iterator[dict[str, Any]]:
    for n, row in enumerate(rows, start=1):
        if n % SHOW_EVERY == 0:
            progress.show(min(1.0, n / max(1, total)), n)
        yield row
