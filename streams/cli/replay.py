"""`freshet replay`: a file of real events, produced to the topic."""

import asyncio
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct

from recsys.connection import Client, open_client, read_values
from recsys.layout import Layout
from recsys.readers import FORMATS, Reader, Record
from streams.bulk import open_bulk
from streams.cli.cleaning import cleaned, cleaned_lines, cleaner_of
from streams.cli.options import as_json
from streams.cli.producing import judge, refusals_told
from streams.cli.reading import given, nothing_in, opened, passed
from streams.failure import Failure
from streams.lag import falling, read_spans, read_total_behind
from streams.live import live_keys
from streams.progress import Progress
from streams.roles import PRODUCER, demand
from streams.settings import Settings, read_settings
from streams.topics import EVENTS, create_missing

FLUSH_S = 0.1
"""No event waits longer than this for others to be sent with."""
AHEAD_S = 0.01
"""A paced replay sleeps when it is this far ahead: shorter sleeps cost more than they are worth."""
POLL_S = 0.2
HINT_S = 5.0
"""Without any progress for this long, `--wait` asks whether a worker runs."""
STALLED_S = 60.0
"""Without any progress for this long, `--wait` gives up."""


class Result(Struct, frozen=True):
    """What a replay did."""

    produced: int
    seconds: float
    waited: float | None


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "format_name", type=click.Choice(list(FORMATS)), required=True, help="Format of the file.")
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), help="Events a second; as fast as Kafka takes them if not given."
)
@click.option("--limit", type=click.IntRange(0), help="Events at most.")
@click.option("--clean", type=click.Path(path_type=Path), help="Put events right by this policy, a TOML file.")
@click.option("--wait", is_flag=True, help="Return when every event has been processed.")
@as_json
def replay(
    *, file: Path, format_name: str, rate: float | None, limit: int | None, clean: Path | None, wait: bool, as_json: bool
) -> None:
    """Produce the events of FILE (- is stdin), plain or gzip, to the `events` topic.

    Bad events are passed over and told; where they are more than half of the file, or nothing in it is an event,
    it ends with 1.

    A file that is replayed twice counts twice, unless its events carry ids. What a policy can do stands in
    recsys/preprocessing.py; what it fills is named in the event's field `filled`.
    """
    if rate is not None and not math.isfinite(rate):
        raise click.BadParameter("a number of events a second is wanted", param_hint="--rate")
    file = given(file)
    settings = read_settings()
    cleaner = cleaner_of(clean, file, format_name) if clean is not None else None
    step = cleaner.clean if cleaner else None
    with refusals_told(), open_client(settings.redis) as redis, opened(file, format_name, step) as reader:
        if wait:
            redis.ping()  # better now than after the whole file
            check_counted(settings, redis)
        produced, seconds = produce(settings, reader, rate, limit)
        waited = wait_until_processed(settings, redis) if wait else None
    result = Result(produced, seconds, waited)
    if as_json:
        said = summary(result, reader, settings.topic(EVENTS))
        click.echo(json.dumps(said | ({"cleaned": cleaned(cleaner)} if cleaner else {})))
    else:
        click.echo("\n".join(report(result, reader) + (cleaned_lines(cleaner) if cleaner else [])))
    judge(produced, reader.bad, "events", cleaner.rejected.total() if cleaner else 0)


def produce(settings: Settings, reader: Reader, rate: float | None, limit: int | None) -> tuple[int, float]:
    """Produces the reader's events; how many, and in how many seconds. Raises `Failure` where it has none.

    The first event is read before anything is done to Kafka, so a file of another format leaves no traces.
    """
    with Progress("producing", "events") as progress:
        first = list(itertools.islice(reader, 1))
        if not first:
            raise nothing_in(reader, "events")
        demand(settings, PRODUCER)
        create_missing(settings, {EVENTS})
        records = itertools.islice(itertools.chain(first, reader), limit)

        def show(count: int) -> None:
            of_file = reader.progress
            progress.show(max(of_file or 0.0, count / limit) if limit else of_file, count)

        begun = time.monotonic()
        count = asyncio.run(_produce(settings, records, rate, show))
        return count, time.monotonic() - begun


async def _produce(settings: Settings, records: Iterator[Record], rate: float | None, show: Callable[[int], None]) -> int:
    bulk = await open_bulk(settings.brokers, settings.topic(EVENTS))
    begun = flushed = time.monotonic()
    count = 0
    try:
        for record in records:
            due = begun + count / rate if rate else begun
            while (ahead := due - time.monotonic()) > AHEAD_S:
                await bulk.flush()
                await asyncio.sleep(min(ahead, FLUSH_S))
                show(count)
            await bulk.put(record.event.home_id, record.value)
            count += 1
            if time.monotonic() - flushed > FLUSH_S:
                await bulk.flush()
                flushed = time.monotonic()
                show(count)
    except BaseException:
        await bulk.abandon()
        raise
    await bulk.close()
    show(count)
    return count


def check_counted(settings: Settings, redis: Client) -> None:
    """Raises `Failure` where the state is not of the topic that is written to: nobody's progress there would say anything."""
    [stored] = read_values(redis, [live_keys(redis, settings.key_prefix).state])
    counted = None if stored is None else msgspec.json.decode(stored, type=Layout).topic
    if counted not in (None, settings.topic(EVENTS)):
        raise Failure(
            f"the state under {settings.key_prefix!r} is counted from the topic {counted!r}, and the events would go to "
            f"{settings.topic(EVENTS)!r}: set FRESHET_KEY_PREFIX, too, or FRESHET_TOPIC_PREFIX as the workers have it"
        )


def wait_until_processed(settings: Settings, redis: Client) -> float:
    """Waits until everything that is on the topic now has been processed; the seconds it took.

    Twice: a record may be forwarded to its home partition, once; when the first wait is over, what was forwarded is on
    the topic, and its end is taken anew. So it also returns while others go on producing. Raises `Failure` when nothing
    moves any more.
    """
    begun = time.monotonic()
    with Progress("processing", "events") as progress:
        for _ in range(2):
            _wait_until_published(settings, redis, progress)
    return time.monotonic() - begun


def _wait_until_published(settings: Settings, redis: Client, progress: Progress) -> None:
    spans = read_spans(settings.brokers, settings.topic(EVENTS))
    at_first = 0
    hinted = False
    for left, idle_s in falling(lambda: read_total_behind(redis, settings.key_prefix, spans), POLL_S):
        at_first = at_first or left
        progress.show(1 - left / at_first, at_first - left)
        if idle_s > HINT_S and not hinted:
            hinted = True
            click.echo("nothing is being processed: does a worker run (freshet worker)?", err=True)
        if idle_s > STALLED_S:
            raise Failure(
                f"nothing was processed for {STALLED_S:.0f} s, {left:,} of {at_first:,} events are left: "
                "look whether a worker runs (freshet worker) and what it says"
            )


def summary(result: Result, reader: Reader, topic: str) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "topic": topic,
        "events": result.produced,
        "seconds": round(result.seconds, 3),
        "events_per_second": round(result.produced / result.seconds) if result.seconds else 0,
        "waited_seconds": None if result.waited is None else round(result.waited, 3),
        "left_out": passed(reader.left_out),
        "bad": passed(reader.bad),
    }


def report(result: Result, reader: Reader) -> list[str]:
    """The same for people, as lines."""
    rate = result.produced / max(result.seconds, 1e-3)
    lines = [f"{result.produced:,} events produced in {result.seconds:.1f} s, {rate:,.0f} a second"]
    if result.waited is not None:
        lines.append(f"all of them processed {result.waited:.1f} s later")
    for what, found in (("left out", reader.left_out), ("bad", reader.bad)):
        lines += found.told(what)
        lines += [f"  line {each.line}: {each.text} ({each.told})" for each in found.examples]
    return lines
