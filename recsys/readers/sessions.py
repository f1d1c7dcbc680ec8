"""`sessions`: sessions without times, one a line; and `prefixes`, the questions of an evaluation made from them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from recsys.readers.source import FormatError, Source

BEGIN_S = 1_577_836_800
"""2020-01-01, the time of a file's first click. Fixed, so that a file gives the same events whenever it is read."""
STEP_S = 15
"""From one click to the next: 700 000 clicks then take four months, as long as those of RetailRocket did."""
EXPECTED = "a session a line: its id, a tab, item ids separated by spaces"
EXPECTED_PREFIXES = "a prefix a line: item ids separated by spaces, a tab, the item that came next"


class Prefix(Struct, frozen=True):
    """The items of a session so far, oldest first, and the one that came next."""

    items: tuple[str, ...]
    target: str


def events(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    """A `click` for each item of each session, in the file's order.

    | part of the line | becomes |
    |---|---|
    | session id | `session_id`, and `user_id`: who clicked is not known |
    | each item id | `item_id` |

    The file has no times, so they are made: from 2020-01-01T00:00:00Z on, 15 seconds from each click to the next through the
    whole file. So the order is kept, and what is decayed with time is decayed with the number of clicks.
    """
    clock = BEGIN_S
    for number, text, session, rest in _halves(source, "session", EXPECTED):
        items = rest.split()
        if not session or not items:
            source.bad.add(number, "no session id" if items else "no items", text)
            continue
        for item in items:
            yield (
                number,
                {
                    "event_type": "click",
                    "user_id": session,
                    "item_id": item,
                    "session_id": session,
                    "event_time": clock,
                },
            )
            clock += STEP_S


def read_prefixes(path: Path) -> Iterator[Prefix]:
    """The prefixes of a file, plain or gzip, in its order.

    Raises `OSError` where it cannot be opened and `FormatError` for a line of another form: a question that is left out
    would change the result.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "prefixes.tsv")
    ...     _ = file.write_text("prefix\\ttarget\\ni1 i2\\ti3\\n")
    ...     list(read_prefixes(file))
    [Prefix(items=('i1', 'i2'), target='i3')]
    """
    source = Source(path)
    try:
        for number, text, left, right in _halves(source, "prefix", EXPECTED_PREFIXES):
            items, targets = left.split(), right.split()
            if not items or len(targets) != 1:
                raise FormatError(f"{path}: line {number} is {text[:40]!r}; expected {EXPECTED_PREFIXES}")
            yield Prefix(tuple(items), targets[0])
        if source.bad.total:
            first = source.bad.examples[0]
            raise FormatError(f"{path}: line {first.line}: {first.reason}; expected {EXPECTED_PREFIXES}")
    finally:
        source.close()


def _halves(source: Source, heading: str, expected: str) -> Iterator[tuple[int, str, str, str]]:
    """Number, text, and what stands before and behind the tab; a first line that begins with `heading` is skipped."""
    begun = False
    for number, line in source.lines():
        text = line.decode("utf-8", "surrogateescape")
        first, begun = not begun, True
        if first and text.startswith(heading):
            continue
        left, _, right = text.partition("\t")
        tabs = text.count("\t")
        other = "prefix" if heading == "session" else "session"
        if first and (tabs != 1 or text.startswith(other)):
            raise source.wrong(text, expected)
        if tabs != 1:
            source.bad.add(number, "not one tab", text)
            continue
        yield number, text, left.strip(), right
