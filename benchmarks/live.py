"""The live worker's ranking beside that of `freshet evaluate`: a file is replayed through Kafka, and what came out evaluated.

The recommendation that a user had before an event is the newest one whose source is an earlier event of the user. It is held
against the event, as the prequential evaluation holds its answer. Where a user's events come in one batch they share a
message, so the later ones of them find an older recommendation: the second half of the table is without these.
One partition, so one learner learns from all, as in the evaluation.

`python -m benchmarks.live FILE --format F [--limit N] [--rate R]` prints both.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from recsys.compiled import I32, Bools
from recsys.evaluation.events import Events, prequential
from recsys.evaluation.metrics import next_item
from recsys.evaluation.next_item import learned
from recsys.evaluation.trace import NOTHING
from recsys.events import Event
from recsys.readers import FORMATS, read
from recsys.recommendation import Recommendation
from streams.bench.timing import records
from streams.demo.worker import Worker
from streams.local import LocalSystem
from streams.local.kafka import STEADY_JVM
from streams.settings import Settings, read_settings
from streams.source import source
from streams.topics import RECOMMENDATIONS, create_missing

AT = 20


def main() -> None:
    parser = argparse.ArgumentParser(description="Evaluate what a live worker publishes, beside the prequential evaluation.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--format", choices=list(FORMATS), required=True)
    parser.add_argument("--limit", type=int, default=30_000, help="events at most (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=300.0, help="events a second (default: %(default)s)")
    arguments = parser.parse_args()
    with read(arguments.file, arguments.format) as reader:
        events = [record.event for record in islice(reader, arguments.limit)]
    with tempfile.TemporaryDirectory() as folder, LocalSystem(Path(folder) / "system", jvm=STEADY_JVM) as system:
        environ = system.environment() | {"FRESHET_HIDE": "none", "FRESHET_PARTITIONS": "1", "FRESHET_TOP_N": str(AT)}
        settings = read_settings(environ)
        create_missing(settings)
        with Worker(environ) as worker:
            worker.wait_ready()
            replay(arguments, environ)
            published = list(read_published(settings))
            worker.finish()
    asked = prequential(iter(events), settings.rules)
    published_answers, fresh = answered(events, asked, published)
    answers = {"published by the worker": published_answers, "freshet evaluate": learned(asked, settings.rules).answers}
    target = asked.number[asked.asked]
    asked_of = f"{len(events):,} events at {arguments.rate:g} a second, {len(target):,} predictions of {AT} items"
    table = Table("in per cent", "hit rate", "mrr", "same lists", title=asked_of)
    same = (answers["published by the worker"] == answers["freshet evaluate"]).all(axis=1)
    for part, chosen in (("all", np.ones(len(target), np.bool_)), ("the user's newest event answered", fresh)):
        for name, of in answers.items():
            found = next_item(of[chosen], target[chosen], len(asked.items))
            figures = [
                *(f"{100 * values.mean():.2f}" for values in (found.hit_rate, found.mrr)),
                f"{100 * same[chosen].mean():.1f}",
            ]
            table.add_row(f"{name}, {part} ({np.count_nonzero(chosen):,})", *figures)
    Console(width=120).print(table)


def replay(arguments: argparse.Namespace, environ: dict[str, str]) -> None:
    options = ["--format", arguments.format, "--limit", str(arguments.limit), "--rate", str(arguments.rate), "--wait"]
    subprocess.run([sys.executable, "-m", "streams", "replay", str(arguments.file), *options], env=environ, check=True)


def read_published(settings: Settings) -> Iterator[tuple[int, Recommendation]]:
    """Each message with the offset of the event that it answers."""
    for record in records(settings, RECOMMENDATIONS):
        answers = source(record.headers)
        if answers:
            yield answers[1], msgspec.json.decode(record.value, type=Recommendation)


def answered(events: list[Event], asked: Events, published: list[tuple[int, Recommendation]]) -> tuple[I32, Bools]:
    """What the worker had published before each question, and whether it had answered the user's newest event by then."""
    messages: dict[int, Recommendation] = dict(published)
    number = {name: n for n, name in enumerate(asked.names)}
    begins = {int(offset) for offset in asked.batch.offset[asked.asked]}
    answers, fresh = np.full((len(begins), AT), NOTHING, np.int32), np.zeros(len(begins), np.bool_)
    newest: dict[str, Recommendation] = {}
    newest_event: dict[str, int] = {}
    question = 0
    for offset, event in enumerate(events):
        user = event.user_id
        if offset in begins:
            items = [number[item.item_id] for item in newest[user].items] if user in newest else []
            answers[question, : len(items)] = items
            fresh[question] = newest_event[user] in messages
            question += 1
        newest_event[user] = offset
        if offset in messages:
            newest[user] = messages[offset]
    return answers, fresh


if __name__ == "__main__":
    main()
