"""Files of real events in the form in which their publishers give them out, read as Freshet's events.

>>> from pathlib import Path
>>> from tempfile import TemporaryDirectory
>>> with TemporaryDirectory() as folder:
...     file = Path(folder, "u.data")
...     _ = file.write_text("196\\t242\\t3\\t881250949\\n")
...     with read(file, "movielens") as reader:
...         for record in reader:
...             print(record.event.kind.name, record.value.decode())
RATING {"event_type":"rating","user_id":"196","item_id":"242","rating":3,"event_time":881250949}
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from msgspec import Struct

from recsys.catalogue.item import BadItem, CatalogueItem
from recsys.catalogue.item import decode as decode_item
from recsys.events import Event, InvalidEvent, decode
from recsys.readers import jsonl, movielens, online_retail, otto, rees46, retailrocket, sessions, yoochoose
from recsys.readers.sessions import Prefix, read_prefixes
from recsys.readers.source import NOT_UTF8, Example, FormatError, Passed, Source
from recsys.record import given_with

__all__ = [
    "FORMATS",
    "ITEMS",
    "USERS",
    "Example",
    "FormatError",
    "Passed",
    "Prefix",
    "Reader",
    "Record",
    "Refused",
    "read",
    "read_items",
    "read_prefixes",
]

FORMATS: dict[str, Callable[[Source], Iterator[tuple[int, Any]]]] = {
    "jsonl": jsonl.events,
    "retailrocket": retailrocket.events,
    "rees46": rees46.events,
    "yoochoose": yoochoose.events,
    "online-retail": online_retail.events,
    "online-retail-lines": online_retail.lines,
    "otto": otto.events,
    "movielens": movielens.events,
    "sessions": sessions.events,
}
"""Each format by its name on the command line: from a source to (number of the line, fields of the Event as JSON)."""

ITEMS: dict[str, Callable[[Source], Iterator[tuple[int, dict[str, Any]]]]] = {
    "rees46": rees46.items,
    "online-retail": online_retail.items,
    "movielens": movielens.items,
}
"""Those that say something of their items: from a source to (number of the line, fields of the Item JSON)."""

USERS: dict[str, Callable[[Source], Iterator[tuple[int, bytes]]]] = {"jsonl": Source.lines, "movielens": movielens.users}
"""Those that say something of their users: from a source to (number of the line, the User JSON as bytes)."""


NO_OBJECT = "not "
"""So begin the reasons for which a line is no JSON object, as `recsys.record` words them, and of text that is not UTF-8; all
others begin with a field, or with the record."""


class Record(Struct, frozen=True):
    """One event of a file: the JSON that goes to Kafka, what it says, and the number of the line where it began."""

    value: bytes
    event: Event
    line: int


class Refused(Struct, frozen=True):
    """What a file says is an event and is none: its JSON (None where it cannot be written as such), and why."""

    value: bytes | None
    reason: str
    line: int
    text: str
    given: str = ""
    """What stands there in place of what is wanted, in words, where that is short; or what is known."""


Step = Callable[[Record | Refused, int], Record | Refused]
"""Makes another event of what a file says is one; the number stands for the record's timestamp."""


class Reader:
    """An iterator over the records of an open file, in the order of the file; to be closed (`with`).

    Lines that make no sense, and events that `recsys.events.decode` refuses, are counted in `bad`; lines that are no
    event by the reader's rules in `left_out`. Both are complete when the iterator is through.
    """

    def __init__(self, path: Path, format_name: str, now_ms: int, step: Step | None = None) -> None:
        self._step = step
        self._source = Source(path)
        self._format = format_name
        self._now_ms = now_ms
        self._records = self._read()

    @property
    def path(self) -> Path:
        """Of the file that is read."""
        return self._source.path

    @property
    def bad(self) -> Passed:
        return self._source.bad

    @property
    def left_out(self) -> Passed:
        return self._source.left_out

    @property
    def progress(self) -> float | None:
        """The part of the file that is done, 0 to 1; None where that is not known (a pipe)."""
        return self._source.progress

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        return next(self._records)

    def judged(self) -> Iterator[Record | Refused]:
        """Everything that the file says is an event, also what is refused, which is not counted in `bad` then; lines that are
        not even a JSON object are.

        In place of iterating. Raises `FormatError` as that does, but not where nothing in the file is an event.
        """
        encode = msgspec.json.Encoder().encode
        for line, fields in FORMATS[self._format](self._source):
            try:
                value = encode(fields)
                event = decode(value, self._now_ms)
                found: Record | Refused = Record(value, event, line)
            except InvalidEvent as error:
                found = Refused(value, str(error), line, _shown(fields), given_with(error))
            except UnicodeEncodeError:
                found = Refused(None, NOT_UTF8, line, _shown(fields))
            if isinstance(found, Refused) and found.reason.startswith(NO_OBJECT):
                self.bad.add(found.line, found.reason, found.text, found.given)
                continue
            yield self._step(found, self._now_ms) if self._step else found

    def _read(self) -> Iterator[Record]:
        good = False
        for each in self.judged():
            if isinstance(each, Refused):
                self.bad.add(each.line, each.reason, each.text, each.given)
                continue
            good = True
            yield each
        if not good and self.bad.total:
            raise self._source.nothing_good(f"an event in the format {self._format}")


def read(path: Path, format_name: str, now_ms: int | None = None, step: Step | None = None) -> Reader:
    """The events of a file, plain or gzip; `format_name` is one of `FORMATS`. Each goes through the `step` where one is given.

    `now_ms` stands for the record's timestamp, by which `decode` judges times; it is the present where it is not given.
    Raises `OSError` where the file cannot be opened and, while it is read, `FormatError` where it is of another format.
    """
    file = movielens.ratings_file(path) if format_name == "movielens" else path
    return Reader(file, format_name, round(time.time() * 1000) if now_ms is None else now_ms, step)


def read_items(path: Path, format_name: str) -> tuple[list[CatalogueItem], Passed]:
    """The items that a file tells of, each once, and the lines that make no sense; `format_name` is one of `ITEMS`.

    MovieLens' films stand in the file `u.item`, which is found beside `u.data`. Raises `OSError` where the file cannot be
    opened, and `FormatError` where it is of another format.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "u.item").write_text("1|Toy Story (1995)|01-Jan-1995||" + "|0|0|0|1" + "|0" * 15)
    ...     found, bad = read_items(Path(folder), "movielens")
    >>> found[0].title, found[0].categories, bad.total
    ('Toy Story (1995)', ('Animation',), 0)
    """
    source = Source(movielens.films_file(path) if format_name == "movielens" else path)
    found: list[CatalogueItem] = []
    try:
        for line, fields in ITEMS[format_name](source):
            try:
                found.append(decode_item(fields["item_id"].encode(), msgspec.json.encode(fields)))
            except BadItem as error:
                source.bad.add(line, str(error), str(fields), given_with(error))
            except UnicodeEncodeError:
                source.bad.add(line, NOT_UTF8, str(fields))
    finally:
        source.close()
    return found, source.bad


def _shown(fields: Any) -> str:
    return bytes(fields).decode("utf-8", "replace") if isinstance(fields, msgspec.Raw) else str(fields)
