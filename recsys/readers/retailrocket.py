"""`retailrocket`: RetailRocket's `events.csv`, or a table of clicks by session made from it."""

from collections.abc import Iterator
from typing import Any

from msgspec import Raw

from recsys.readers.source import Source
from recsys.record import given_in_words

ORIGINAL = ("timestamp", "visitorid", "event", "itemid")
CLICKS = ("session", "item", "epoch_s")
TYPES = {"view": "browse", "addtocart": "add_to_cart", "transaction": "purchase"}


def events(source: Source) -> Iterator[tuple[int, Raw]]:
    """An event for each row, sorted by time (equal times in the file's order): neither file is in the order of time.

    The publisher's `events.csv`, comma separated:

    | column | becomes |
    |---|---|
    | `timestamp` | `event_time`, milliseconds |
    | `visitorid` | `user_id` |
    | `event` | `event_type`: `view` → `browse`, `addtocart` → `add_to_cart`, `transaction` → `purchase` |
    | `itemid` | `item_id` |
    | `transactionid` | nothing: each row is a purchase of its own, and those of one visit are one session |

    The clicks by session, tab separated:

    | column | becomes |
    |---|---|
    | `session` | `session_id`, and `user_id`: who clicked is not known |
    | `item` | `item_id` of a `click` |
    | `epoch_s` | `event_time`, seconds |

    The whole file is held in memory to be sorted, about 150 bytes a row.
    """
    return source.in_time_order(_timed(source))


def _timed(source: Source) -> Iterator[tuple[int, int, dict[str, Any]]]:
    expected = f"RetailRocket's columns {','.join(ORIGINAL)}, or {', '.join(CLICKS)} separated by tabs"
    for line, row in source.rows(expected, ORIGINAL, CLICKS):
        text = row["epoch_s"] if "epoch_s" in row else row["timestamp"]
        if not (text.isascii() and text.isdigit() and len(text) < 18):
            source.bad.add(line, "the time is not a whole number", ",".join(row.values()), given_in_words(text))
            continue
        time = int(text)
        if "epoch_s" in row:
            yield time, line, _click(row, time)
        elif row["event"] in TYPES:
            yield time, line, _action(row, time)
        else:
            reason = "event is none of " + ", ".join(TYPES)
            source.bad.add(line, reason, ",".join(row.values()), given_in_words(row["event"]))


def _action(row: dict[str, str], time: int) -> dict[str, Any]:
    return {
        "event_type": TYPES[row["event"]],
        "user_id": row["visitorid"],
        "item_id": row["itemid"],
        "event_time": time,
    }


def _click(row: dict[str, str], time: int) -> dict[str, Any]:
    return {
        "event_type": "click",
        "user_id": row["session"],
        "item_id": row["item"],
        "session_id": row["session"],
        "event_time": time,
    }
