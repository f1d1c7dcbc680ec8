"""Describing: a file of items, or of users, produced to the compacted topic of them."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from recsys.readers.source import Source
from recsys.record import given_with
from streams.bulk import open_bulk
from streams.cli.files import reads
from streams.cli.reading import given, nothing_in, passed
from streams.progress import Progress
from streams.roles import Role, demand
from streams.settings import Settings
from streams.slips import meant
from streams.topics import create_missing

MOST_UNKNOWN = 50
OTHERS = "others"
"""What unknown fields are called of which there are more than so many."""
LONGEST_NAME = 40
"""Characters of an unknown field's name that are told."""
SHOW_EVERY = 1000
"""Records between two looks at the progress."""


class Told(NamedTuple):
    """A line of the file as a record: its key, and the JSON as its value; None deletes."""

    key: str
    value: bytes | None


def key_given(name: str, given: str | int | None, refusal: type[ValueError]) -> bytes:
    """The id that a line gives under a name, as the record's key. Raises the refusal where it gives none.

    >>> key_given("item_id", 7, ValueError)
    b'7'
    """
    if given is None:
        raise refusal(f"{name}: required field is missing")
    if given == "":
        raise refusal(f"{name}: expected a text that is not empty")
    return str(given).encode()


class Unknown:
    """The fields of lines that are none of the known ones, and in how many lines each is.

    >>> unknown = Unknown(frozenset({"title", "price"}))
    >>> unknown.look(b'{"titel": "Red mug", "deleted": false}')
    >>> unknown.told()
    ["1 line has an unknown field 'titel' (is 'title' meant?): nothing is made of it"]
    """

    def __init__(self, known: frozenset[str]) -> None:
        self.lines = Counter[str]()
        self._known = known | {"deleted"}

    def look(self, line: bytes) -> None:
        """Takes in a line that is a JSON object."""
        for name in msgspec.json.decode(line, type=dict[str, msgspec.Raw]).keys() - self._known:
            shown = name[:LONGEST_NAME]
            self.lines[shown if shown in self.lines or len(self.lines) < MOST_UNKNOWN else OTHERS] += 1

    def told(self) -> list[str]:
        """In words, the most frequent first."""
        return [
            f"{in_lines(count)} an unknown field {name!a}{meant(name.lower(), self._known)}: nothing is made of it"
            for name, count in self.lines.most_common()
        ]


def in_lines(count: int) -> str:
    return "1 line has" if count == 1 else f"{count:,} lines have"


class Described(NamedTuple):
    """A file, what it tells, and where that goes."""

    source: Source
    told: Iterator[Told]
    topic: str
    role: Role
    noun: str
    """What is described: "items"."""
    unknown: Unknown


class Produced(Struct):
    """What was produced."""

    put: int = 0
    deleted: int = 0
    seconds: float = 0.0

    @property
    def total(self) -> int:
        return self.put + self.deleted


def lines_told(
    source: Source,
    lines: Iterable[tuple[int, bytes]],
    read_line: Callable[[bytes], Told],
    refusal: type[ValueError],
    noun: str,
    unknown: Unknown | None = None,
) -> Iterator[Told]:
    """What lines say, each with its number; those that `read_line` refuses are counted in the source's `bad`, and what others
    have of fields that are not known in `unknown`.

    Raises `FormatError` where there are such lines alone; `noun` says what each should be, "an item".
    """
    good = False
    for number, line in lines:
        try:
            found = read_line(line)
        except refusal as bad:
            source.bad.add(number, str(bad), line.decode("utf-8", "replace"), given_with(bad))
            continue
        good = True
        if unknown:
            unknown.look(line)
        yield found
    if not good and source.bad.total:
        raise source.nothing_good(noun)


def opened(file: Path) -> Source:
    """The file, or stdin for `-`."""
    with reads(file):
        return Source(given(file))


def produce(settings: Settings, described: Described, limit: int | None) -> Produced:
    """Produces what the file says. Raises `Failure` where it says nothing.

    Its first line is read before anything is done to Kafka: another file leaves no traces.
    """
    source = described.source
    with Progress("producing", described.noun) as progress:
        first = list(itertools.islice(described.told, 1))
        if not first:
            raise nothing_in(source, described.noun)
        demand(settings, described.role)
        create_missing(settings, {described.topic})

        def show(count: int) -> None:
            progress.show(max(source.progress or 0.0, count / limit) if limit else source.progress, count)

        everything = itertools.islice(itertools.chain(first, described.told), limit)
        begun = time.monotonic()
        produced = asyncio.run(_produce(settings, settings.topic(described.topic), everything, show))
        produced.seconds = time.monotonic() - begun
        return produced


async def _produce(settings: Settings, topic: str, everything: Iterator[Told], show: Callable[[int], None]) -> Produced:
    bulk = await open_bulk(settings.brokers, topic)
    produced = Produced()
    try:
        for each in everything:
            await bulk.put(each.key, each.value)
            produced.put += each.value is not None
            produced.deleted += each.value is None
            if produced.total % SHOW_EVERY == 0:
                show(produced.total)
    except BaseException:
        await bulk.abandon()
        raise
    await bulk.close()
    show(produced.total)
    return produced


def summary(produced: Produced, described: Described, settings: Settings) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "topic": settings.topic(described.topic),
        described.noun: produced.put,
        "deleted": produced.deleted,
        "seconds": round(produced.seconds, 3),
        f"{described.noun}_per_second": round(produced.total / produced.seconds) if produced.seconds else 0,
        "bad": passed(described.source.bad),
        "unknown_fields": dict(described.unknown.lines.most_common()),
    }


def report(produced: Produced, described: Described) -> list[str]:
    """The same for people, as lines."""
    total, bad = produced.total, described.source.bad
    lines = [
        f"{total:,} {described.noun} produced in {produced.seconds:.1f} s, {total / max(produced.seconds, 1e-3):,.0f} a second"
        + (f"; {produced.deleted:,} of them deleted" if produced.deleted else "")
    ]
    lines += described.unknown.told()
    lines += bad.told("bad")
    return lines + [f"  line {each.line}: {each.text} ({each.told})" for each in bad.examples]
