"""`freshet items`: a file of items, produced to the topic of the catalogue."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from recsys.catalogue.catalogue import Catalogue
from recsys.catalogue.item import FIELDS, BadItem, decode, item_id
from recsys.readers import read_items
from recsys.readers.source import Source
from streams.cli.describing import Described, Told, Unknown, key_given, lines_told, opened, produce, report, summary
from streams.cli.options import as_json
from streams.cli.producing import judge, refusals_told
from streams.failure import Failure
from streams.roles import CATALOGUE
from streams.settings import read_settings
from streams.topics import ITEMS

JSONL = "jsonl"
"""The name of Item JSON, a line for each, among formats of items."""


class Head(Struct):
    """What of a line says which item it is about."""

    item_id: str | int | None = None
    deleted: bool | None = None


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(0), help="Items at most.")
@as_json
def items(*, file: Path, limit: int | None, as_json: bool) -> None:
    """Produce the items of FILE (- is stdin), plain or gzip, to the `items` topic.

    Each line is an Item JSON with its item_id; {"item_id": "x", "deleted": true} deletes an item. The last line of an item
    holds, so a file may be produced twice. Bad lines are passed over and told. It ends with 1 where they are more than half,
    or where there is nothing else.
    """
    settings = read_settings()
    with closing(opened(file)) as source, refusals_told():
        unknown = Unknown(FIELDS)
        described = Described(source, told(source, unknown), ITEMS, CATALOGUE, "items", unknown)
        produced = produce(settings, described, limit)
    if as_json:
        click.echo(json.dumps(summary(produced, described, settings)))
    else:
        click.echo("\n".join(report(produced, described)))
    judge(produced.total, source.bad, "lines")


def catalogue_of(file: Path, format_name: str) -> Catalogue:
    """The catalogue in a file: lines of Item JSON, or what a file of real events (`recsys.readers.ITEMS`) says of its items.

    Raises `Failure` where there is none, and `FormatError` where the file is of another format.
    """
    try:
        if format_name == JSONL:
            with closing(Source(file)) as source:
                items = [decode(line.key.encode(), line.value) for line in told(source) if line.value]
            bad = source.bad
        else:
            items, bad = read_items(file, format_name)
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror or error}") from None
    found = Catalogue()
    for item in items:
        found.put(item)
    for line in bad.told("passed over", " of the items"):
        click.echo(f"freshet: {line}", err=True)
    if not len(found):
        raise Failure(f"{file} describes no item")
    return found


def told(source: Source, unknown: Unknown | None = None) -> Iterator[Told]:
    """The lines of a file that say something of an item; the others are counted in `bad`, and fields that say nothing in
    `unknown`.

    Raises `FormatError` where none of them does.
    """
    return lines_told(source, source.lines(), read_line, BadItem, "an item", unknown)


def read_line(line: bytes) -> Told:
    """What a line says of an item. Raises `BadItem`.

    >>> read_line(b'{"item_id": 7, "title": "Red mug"}').key
    '7'
    >>> read_line(b'{"item_id": "i1", "deleted": true}')
    Told(key='i1', value=None)
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
    key = key_given("item_id", head.item_id, BadItem)
    if head.deleted:
        return Told(item_id(key), None)
    return Told(decode(key, line).item_id, line)
