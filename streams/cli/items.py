"""`freshet items`: a file of items, produced to the topic of the catalogue."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
from msgspec import Struct

from recsys.catalogue.catalogue import Catalogue
from recsys.catalogue.item import BadItem, decode, item_id
from recsys.readers import read_items
from recsys.readers.source import FormatError, Source
from streams.bulk import open_bulk
from streams.cli.failure import Failure
from streams.cli.producing import refusals_told
from streams.cli.progress import Progress
from streams.cli.replay import passed
from streams.roles import CATALOGUE, demand
from streams.settings import Settings, read_settings
from streams.topics import ITEMS, create_missing

JSONL = "jsonl"
"""The name of Item JSON, a line for each, among formats of items."""
SHOW_EVERY = 1000
"""Items between two looks at the progress."""


class Told(NamedTuple):
    """A line of the file as a record: its key, and the Item JSON as its value; None deletes the item."""

    item_id: str
    value: bytes | None


class Produced(Struct):
    """What was produced."""

    items: int = 0
    deleted: int = 0
    seconds: float = 0.0


class Head(Struct):
    """What of a line says which item it is about."""

    item_id: str | int | None = None
    deleted: bool | None = None


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(0), help="Items at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def items(*, file: Path, limit: int | None, as_json: bool) -> None:
    """Produce the items of FILE (- is stdin), plain or gzip, to the `items` topic.

    Each line is an Item JSON with its item_id; {"item_id": "x", "deleted": true} deletes an item. The last line of an item
    holds, so a file may be produced twice.
    """
    settings = read_settings()
    with closing(opened(Path("/dev/stdin") if str(file) == "-" else file)) as source, refusals_told():
        produced = produce(settings, source, limit)
    if as_json:
        click.echo(json.dumps(summary(produced, source, settings.topic(ITEMS))))
    else:
        click.echo("\n".join(report(produced, source)))


def opened(file: Path) -> Source:
    try:
        return Source(file)
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror or error}") from None


def catalogue_of(file: Path, format_name: str) -> Catalogue:
    """The catalogue in a file: lines of Item JSON, or what a file of real events (`recsys.readers.ITEMS`) says of its items.

    Raises `Failure` where there is none, and `FormatError` where the file is of another format.
    """
    try:
        if format_name == JSONL:
            with closing(Source(file)) as source:
                items = [decode(line.item_id.encode(), line.value) for line in told(source) if line.value]
            bad = source.bad
        else:
            items, bad = read_items(file, format_name)
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror or error}") from None
    found = Catalogue()
    for item in items:
        found.put(item)
    for reason, count in bad.reasons.items():
        click.echo(f"freshet: {count:,} lines of the items are passed over: {reason}", err=True)
    if not len(found):
        raise Failure(f"{file} describes no item")
    return found


def told(source: Source) -> Iterator[Told]:
    """The lines of a file that say something of an item; the others are counted in `bad`.

    Raises `FormatError` where none of them does.
    """
    good = False
    for number, line in source.lines():
        try:
            found = read_line(line)
        except BadItem as bad:
            source.bad.add(number, str(bad), line.decode("utf-8", "replace"))
            continue
        good = True
        yield found
    if not good and source.bad.total:
        first = source.bad.examples[0]
        raise FormatError(f"{source.path}: none of its lines is an item; line {first.line} is {first.text}: {first.reason}")


def read_line(line: bytes) -> Told:
    """What a line says of an item. Raises `BadItem`.

    >>> read_line(b'{"item_id": 7, "title": "Red mug"}').item_id
    '7'
    >>> read_line(b'{"item_id": "i1", "deleted": true}')
    Told(item_id='i1', value=None)
    >>> read_line(b'{"item_id": "i1", "deleted": "yes"}')
    Traceback (most recent call last):
    ...
    recsys.catalogue.item.BadItem: deleted: true or false is wanted
    """
    try:
        head = msgspec.json.decode(line, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if str(error).endswith("`$.deleted`"):
            raise BadItem("deleted: true or false is wanted") from None
        decode(b"-", line)  # it says more exactly what is wrong, if that is wrong in an item, too
        raise BadItem(f"not an item: {error}") from None
    if head.item_id in (None, ""):
        raise BadItem("item_id: required field is missing")
    key = str(head.item_id).encode()
    if head.deleted:
        return Told(item_id(key), None)
    return Told(decode(key, line).item_id, line)


def produce(settings: Settings, source: Source, limit: int | None) -> Produced:
    """Produces what the file says. Its first item is read before anything is done to Kafka: another file leaves no traces."""
    with Progress("producing", "items") as progress:
        everything = told(source)
        first = list(itertools.islice(everything, 1))
        demand(settings, CATALOGUE)
        create_missing(settings, {ITEMS})

        def show(count: int) -> None:
            progress.show(max(source.progress or 0.0, count / limit) if limit else source.progress, count)

        begun = time.monotonic()
        produced = asyncio.run(_produce(settings, itertools.islice(itertools.chain(first, everything), limit), show))
        produced.seconds = time.monotonic() - begun
        return produced


async def _produce(settings: Settings, everything: Iterator[Told], show: Callable[[int], None]) -> Produced:
    bulk = await open_bulk(settings.brokers, settings.topic(ITEMS))
    produced = Produced()
    try:
        for each in everything:
            await bulk.put(each.item_id, each.value)
            produced.items += each.value is not None
            produced.deleted += each.value is None
            if (produced.items + produced.deleted) % SHOW_EVERY == 0:
                show(produced.items + produced.deleted)
    except BaseException:
        await bulk.abandon()
        raise
    await bulk.close()
    show(produced.items + produced.deleted)
    return produced


def summary(produced: Produced, source: Source, topic: str) -> dict[str, Any]:
    """What `--json` prints."""
    total = produced.items + produced.deleted
    return {
        "topic": topic,
        "items": produced.items,
        "deleted": produced.deleted,
        "seconds": round(produced.seconds, 3),
        "items_per_second": round(total / produced.seconds) if produced.seconds else 0,
        "bad": passed(source.bad),
    }


def report(produced: Produced, source: Source) -> list[str]:
    """The same for people, as lines."""
    total = produced.items + produced.deleted
    lines = [
        f"{total:,} items produced in {produced.seconds:.1f} s, {total / max(produced.seconds, 1e-3):,.0f} a second"
        + (f"; {produced.deleted:,} of them deleted" if produced.deleted else "")
    ]
    lines += [f"{count:,} lines bad: {reason}" for reason, count in source.bad.reasons.items()]
    return lines + [f"  line {each.line}: {each.text} ({each.reason})" for each in source.bad.examples]
