"""Reading: a file of events, with a progress bar, and what is odd about them."""

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from recsys.events import Event
from recsys.readers import FormatError, Passed, Reader, Record, Refused, Step, read
from recsys.readers.source import Source
from streams.cli.files import reads
from streams.failure import Failure
from streams.progress import Progress

SHOW_EVERY = 5_000
HOUR_MS = 3_600_000


def given(file: Path) -> Path:
    """The file that an argument means: stdin for `-`."""
    return Path("/dev/stdin") if str(file) == "-" else file


@contextmanager
def opened(file: Path, format_name: str, step: Step | None = None) -> Iterator[Reader]:
    """The events of a file, each through the `step` where one is given.

    Raises `Failure` where it cannot be opened, or is found to be of another format while this is open.
    """
    with reads(file):
        reader = read(file, format_name, step=step)
    with reader:
        try:
            yield reader
        except FormatError as error:
            raise Failure(str(error)) from None


def judged(reader: Reader, verb: str) -> Iterator[Record | Refused]:
    """All that a file says is an event, also what is refused, with a progress bar."""
    with Progress(verb, "events") as progress:
        for n, each in enumerate(reader.judged(), 1):
            yield each
            if n % SHOW_EVERY == 0:
                progress.show(reader.progress, n)


def nothing_in(file: Reader | Source, noun: str) -> Failure:
    """For a file of which no line is what it should be ("events"), nor bad; with what its format leaves out."""
    left_out = "; ".join(file.left_out.told("left out"))
    return Failure(f"{file.path} has no {noun}{': ' * bool(left_out)}{left_out}")


def passed(lines: Passed) -> dict[str, Any]:
    """Lines that were passed over, as JSON has them."""
    return {"lines": lines.total, "reasons": lines.reasons, "examples": msgspec.to_builtins(lines.examples)}


class Reading:
    """The events of an open file, at most `limit` of them; what is noted of them is complete when they are read."""

    def __init__(self, file: Path, reader: Reader, verb: str, limit: int | None = None) -> None:
        self.file = file
        self.reader = reader
        self.events = 0
        self.late = 0
        """Events that come after one of a later time."""
        self.latest_ms = 0
        """By how much at most."""
        self._verb = verb
        self._limit = limit
        self._marks = array("q")
        """A number for each event; equal events have equal ones."""

    def __iter__(self) -> Iterator[Event]:
        newest = 0
        with Progress(self._verb, "events") as progress:
            for record in islice(self.reader, self._limit):
                event = record.event
                newest = max(newest, event.time_ms)
                if event.time_ms < newest:
                    self.late += 1
                    self.latest_ms = max(self.latest_ms, newest - event.time_ms)
                self._marks.append(hash((event.user_id, event.session_id, event.lines, event.time_ms)))
                self.events += 1
                yield event
                if self.events % SHOW_EVERY == 0:
                    progress.show(self.reader.progress, self.events)

    def shared_with(self, other: "Reading") -> int:
        """How many of the events are in another file, too."""
        here, there = (np.asarray(reading._marks) for reading in (self, other))
        return int(np.isin(here, there).sum())


def oddities(readings: list[Reading]) -> Iterator[str]:
    """What a reader of the figures should know of a file, and of the test file behind it, in a line each."""
    for reading in readings:
        if reading.late:
            yield (
                f"{reading.late:,} of {reading.events:,} events of {reading.file} come after later ones, by "
                f"{reading.latest_ms / HOUR_MS:,.2f} h at most: they are measured in the order of the file"
            )
    if readings[1:] and (shared := readings[1].shared_with(readings[0])):
        yield (
            f"{shared:,} of {readings[1].events:,} events of {readings[1].file} are in {readings[0].file}, too: "
            "what is asked was learned before"
        )
