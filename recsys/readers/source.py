"""The file being read: plain or gzip, how far it has come, and the lines that were passed over."""

import codecs
import csv
import gzip
import os
import zlib
from array import array
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Raw, Struct, field

from recsys.record import quoted

GZIP_MAGIC = b"\x1f\x8b"
EXAMPLES = 3
"""Passed-over lines of which the text is kept, to be shown."""
REASONS = 50
"""Different reasons that are told apart; reasons name values, so a hostile file could have a million."""
OTHER_REASONS = "other reasons"
NOT_UTF8 = "not UTF-8"
UTF_16_HERE = ("\udcff\udcfe", "\udcfe\udcff")
"""How UTF-16 begins where it is read as text."""
BY_ICONV = "iconv -f {} -t UTF-8 makes it readable"
FROM_UTF_16 = f"; it is UTF-16: {BY_ICONV.format('UTF-16')}"
WITH_COMMAS = "; save it with commas or tabs between the columns, not semicolons"
TODO = {
    "it is UTF-16": f": {BY_ICONV.format('UTF-16')}",
    NOT_UTF8: f": if it is Latin-1, {BY_ICONV.format('LATIN1')}",
    "got a list": "; one object a line is wanted: jq -c '.[]' makes these of a list",
}
"""What mends a file of which no line is right, by a part of the first reason; the first that fits."""


class FormatError(ValueError):
    """The file is not of the format it was said to be, or cannot be read to its end."""


class Example(Struct, frozen=True, omit_defaults=True):
    """One line that was passed over; `line` counts from 1."""

    line: int
    reason: str
    text: str
    given: str = ""
    """What stands there in place of what is wanted, in words, where that is short; or what is known."""

    @property
    def told(self) -> str:
        """The reason, with what was given."""
        return f"{self.reason}; {self.given}" if self.given else self.reason


class Passed(Struct):
    """Lines that were passed over: how many for each reason, and the first of them.

    >>> passed = Passed()
    >>> for line in (2, 7):
    ...     passed.add(line, "no customer", "536365,85123A,…")
    >>> passed.total, passed.reasons
    (2, {'no customer': 2})
    >>> list(passed.told("left out"))
    ['2 lines left out, the first is line 2: no customer']

    Lines are counted by what is wanted; what was given instead, which is another thing in each, is told of the first.
    """

    reasons: dict[str, int] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    first: dict[str, Example] = field(default_factory=dict)
    """Of each reason, the first line."""

    @property
    def total(self) -> int:
        return sum(self.reasons.values())

    def add(self, line: int, reason: str, text: str, given: str = "") -> None:
        key = reason if reason in self.reasons or len(self.reasons) < REASONS else OTHER_REASONS
        self.reasons[key] = self.reasons.get(key, 0) + 1
        if key not in self.first:
            self.first[key] = Example(line, key, quoted(text), given if key == reason else "")
        if len(self.examples) < EXAMPLES:
            self.examples.append(Example(line, reason, quoted(text), given))

    def told(self, what: str, of: str = "") -> Iterator[str]:
        """A line for each reason: how many lines (" of the test") are `what` for it ("bad"), and where the first is."""
        for reason, count in self.reasons.items():
            first = self.first[reason]
            line = f"line {first.line:,}: {first.told}"
            yield f"1 line{of} {what}, {line}" if count == 1 else f"{count:,} lines{of} {what}, the first is {line}"


class Source:
    """An open file: its lines, how much of it is read, and what was passed over.

    `bad` are lines that make no sense, `left_out` those that are no event by the reader's own rules.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bad = Passed()
        self.left_out = Passed()
        self._raw: BufferedReader = path.open("rb")
        self._size = os.fstat(self._raw.fileno()).st_size
        self._given_out: float | None = None

    def close(self) -> None:
        self._raw.close()

    @property
    def progress(self) -> float | None:
        """The part that is done, 0 to 1, by the position in the file as it lies there; None of a pipe.

        Of a file that has to be sorted it is the part of its events that was given out.
        """
        if self._given_out is not None:
            return self._given_out
        if not self._size:
            return None
        return 1.0 if self._raw.closed else min(1.0, self._raw.tell() / self._size)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Each line with its number, from 1, without its line end; empty lines are no lines.

        Raises `FormatError` where a gzip file is cut short or damaged.
        """
        for number, line in enumerate(self._unpacked(), 1):
            bare = line.rstrip(b"\r\n")
            if bare:
                yield number, bare

    def rows(self, expected: str, *headers: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
        """Each row of a table as a dict by column, with the number of the line where it ends.

        One of `headers` has to be among the columns of the first line, in any order; by that line commas or tabs
        separate. Bytes that are not UTF-8 stay in the text as lone surrogates, so they do harm only in a column that is
        used. Raises `FormatError`.
        """
        text = (line.decode("utf-8", "surrogateescape") for line in self._unpacked())
        header = next(text, "")
        delimiter = "\t" if "\t" in header else ","
        try:
            columns = next(csv.reader([header], delimiter=delimiter), [])
        except csv.Error:
            columns = []
        if not any(set(needed) <= set(columns) for needed in headers):
            raise self.wrong(header.rstrip("\r\n"), expected)
        table = csv.reader(text, delimiter=delimiter)
        while True:
            try:
                for row in table:
                    if len(row) == len(columns):
                        yield table.line_num + 1, dict(zip(columns, row, strict=True))
                    elif row:
                        self.bad.add(table.line_num + 1, f"not {len(columns)} columns", delimiter.join(row))
                return
            except csv.Error as error:
                self.bad.add(table.line_num + 1, f"not CSV: {error}", "")

    def in_time_order(self, timed: Iterable[tuple[int, int, dict[str, Any]]]) -> Iterator[tuple[int, Raw]]:
        """Of (time, line, event) the lines and events, by rising time; equal times keep their order.

        Holds all of them in memory as JSON, about 150 bytes each.
        """
        times, lines, held = array("q"), array("q"), []
        for time, line, event in timed:
            try:
                held.append(msgspec.json.encode(event))
            except UnicodeEncodeError:
                self.bad.add(line, NOT_UTF8, str(event))
                continue
            times.append(time)
            lines.append(line)
        for done, n in enumerate(np.argsort(np.asarray(times), kind="stable").tolist(), 1):
            self._given_out = done / len(held)
            yield lines[n], Raw(held[n])

    def wrong(self, found: str, expected: str) -> FormatError:
        shown = f"it begins with {quoted(found)}" if found else "it is empty"
        todo = FROM_UTF_16 if found.startswith(UTF_16_HERE) else WITH_COMMAS if ";" in found and "," not in found else ""
        return FormatError(f"{self.path}: {shown}; expected {expected}{todo}")

    def nothing_good(self, what: str) -> FormatError:
        """For a file of which no line is what it should be; some lines must be bad. Says what to do where that is plain."""
        first = self.bad.examples[0]
        todo = next((todo for sign, todo in TODO.items() if sign in first.reason), "")
        return FormatError(f"{self.path}: none of its lines is {what}; line {first.line} is {first.text}: {first.told}{todo}")

    def _unpacked(self) -> Iterator[bytes]:
        packed = self._raw.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
        try:
            lines = iter(gzip.GzipFile(fileobj=self._raw) if packed else self._raw)
            if first := next(lines, b"").removeprefix(codecs.BOM_UTF8):
                yield first
            yield from lines
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FormatError(f"{self.path}: the gzip file is cut short or damaged ({error})") from None
