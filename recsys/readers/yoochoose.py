"""`yoochoose`: the clicks of the RecSys Challenge 2015 as published, or a table `SessionId, ItemId, Time` made from them."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from msgspec import Raw

from recsys.readers.source import Source
from recsys.record import given_in_words

PUBLISHED = ("SessionId", "Time", "ItemId", "Category")
"""Our names for the columns of the publisher's file, which has no header."""
TABLE = {"SessionId", "ItemId", "Time"}
EXPECTED = "lines like 1,2014-04-07T10:51:09.277Z,214536502,0, or a table with the columns SessionId, ItemId, Time"
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
SECONDS = re.compile(r"\d{1,11}(\.\d+)?", re.ASCII)


def events(source: Source) -> Iterator[tuple[int, Raw]]:
    """A `click` for each row, sorted by time (equal times in the file's order): the files are sorted by session.

    The publisher's `yoochoose-clicks.dat` (and `yoochoose-test.dat`), comma separated, without a header:

    | column | becomes |
    |---|---|
    | session id | `session_id`, and `user_id`: who clicked is not known |
    | timestamp | `event_time`; the file's `2014-04-07T10:51:09.277Z` |
    | item id | `item_id` |
    | category | nothing: it belongs to the item, not to the event |

    The table that the preprocessing of GRU4Rec writes (Hidasi, Karatzoglou, Baltrunas, Tikk, 2016), tabs or commas between:

    | column | becomes |
    |---|---|
    | `SessionId` | `session_id`, and `user_id` |
    | `ItemId` | `item_id` |
    | `Time` | `event_time`, seconds with fractions |

    The whole file is held in memory to be sorted, about 150 bytes a row.
    """
    return source.in_time_order(_timed(source))


def _timed(source: Source) -> Iterator[tuple[int, int, dict[str, Any]]]:
    columns: tuple[str, ...] = ()
    for number, line in source.lines():
        text = line.decode("utf-8", "surrogateescape")
        fields = tuple(text.replace("\t", ",").split(","))
        if not columns:
            has_header = set(fields) >= TABLE
            columns = fields if has_header else PUBLISHED
            if has_header:
                continue
            if len(fields) != len(PUBLISHED) or not INSTANT.fullmatch(fields[1]):
                raise source.wrong(text, EXPECTED)
        if len(fields) != len(columns):
            source.bad.add(number, f"not {len(columns)} columns", text)
            continue
        row = dict(zip(columns, fields, strict=True))
        try:
            time_ms = _milliseconds(row["Time"])
        except ValueError:
            reason = "the time is neither seconds nor like 2014-04-07T10:51:09.277Z"
            source.bad.add(number, reason, text, given_in_words(row["Time"]))
            continue
        event = {"event_type": "click", "user_id": row["SessionId"], "item_id": row["ItemId"], "session_id": row["SessionId"]}
        yield time_ms, number, event | {"event_time": time_ms}


def _milliseconds(time: str) -> int:
    if SECONDS.fullmatch(time):
        return round(float(time) * 1000)
    if not INSTANT.fullmatch(time):
        raise ValueError(time)
    return round(datetime.fromisoformat(time).timestamp() * 1000)
