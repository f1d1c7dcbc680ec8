"""Describing: a file of items, or of users, produced to the compacted topic of them."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct

from recsys.readers.source import FormatError, Source
from streams.bulk import open_bulk
from streams.cli.failure import Failure
from streams.cli.progress import Progress
from streams.cli.replay import passed
from streams.roles import Role, demand
from streams.settings import Settings
from streams.topics import create_missing

SHOW_EVERY = 1000
"""Records between two looks at the progress."""


class Told(NamedTuple):
    """A line of the file as a record: its key, and the JSON as its value; None deletes."""

    key: str
    value: bytes | None


class Described(NamedTuple):
    """A file, what it tells, and where that goes."""

    source: Source
    told: Iterator[Told]
    topic: str
    role: Role
    noun: str
    """What is described: "items"."""


class Produced(Struct):
    """What was produced."""

    put: int = 0
    deleted: int = 0
    seconds: float = 0.0

    @property
    def total(self) -> int:
        return self.put + self.deleted


def lines_told(
    source: Source, lines: Iterable[tuple[int, bytes]], read_line: Callable[[bytes], Told], refusal: type[ValueError], noun: str
) -> Iterator[Told]:
    """What lines say, each with its number; those that `read_line` refuses are counted in the source's `bad`.

    Raises `FormatError` where there are such lines alone; `noun` says what each should be, "an item".
    """
    good = False
    for number, line in lines:
        try:
            found = read_line(line)
        except refusal as bad:
            source.bad.add(number, str(bad), line.decode("utf-8", "replace"))
            continue
        good = True
        yield found
    if not good and source.bad.total:
        first = source.bad.examples[0]
        raise FormatError(f"{source.path}: none of its lines is {noun}; line {first.line} is {first.text}: {first.reason}")


def opened(file: Path) -> Source:
    """The file, or stdin for `-`."""
    try:
        return Source(Path("/dev/stdin") if str(file) == "-" else file)
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror or error}") from None


def produce(settings: Settings, described: Described, limit: int | None) -> Produced:
    """Produces what the file says. Its first line is read before anything is done to Kafka: another file leaves no traces."""
    source = described.source
    with Progress("producing", described.noun) as progress:
        first = list(itertools.islice(described.told, 1))
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
    }


def report(produced: Produced, described: Described) -> list[str]:
    """The same for people, as lines."""
    total, bad = produced.total, described.source.bad
    lines = [
        f"{total:,} {described.noun} produced in {produced.seconds:.1f} s, {total / max(produced.seconds, 1e-3):,.0f} a second"
        + (f"; {produced.deleted:,} of them deleted" if produced.deleted else "")
    ]
    lines += [f"{count:,} lines bad: {reason}" for reason, count in bad.reasons.items()]
    return lines + [f"  line {each.line}: {each.text} ({each.reason})" for each in bad.examples]
