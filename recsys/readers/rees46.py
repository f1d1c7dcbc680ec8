"""`rees46`: the multi-category shop of REES46, a CSV file for each month."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from recsys.readers.source import Source
from recsys.record import given_in_words

COLUMNS = ("event_time", "event_type", "product_id", "price", "user_id", "user_session")
TYPES = {"view": "browse", "cart": "add_to_cart", "remove_from_cart": "remove_from_cart", "purchase": "purchase"}


def events(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    """An event for each row, in the file's order, which is that of time.

    | column | becomes |
    |---|---|
    | `event_time` | `event_time`; the file's `2019-10-01 00:00:00 UTC` |
    | `event_type` | `event_type`: `view` → `browse`, `cart` → `add_to_cart`, `purchase`, `remove_from_cart` |
    | `product_id` | `item_id` |
    | `price` | `price`, where there is one; the publisher names no currency and no quantity |
    | `user_id` | `user_id` |
    | `user_session` | `session_id`, where there is one |
    | `category_id`, `category_code`, `brand` | nothing: they belong to the item, not to the event |
    """
    expected = f"REES46's CSV with the columns {','.join(COLUMNS)}"
    for line, row in source.rows(expected, COLUMNS):
        kind = TYPES.get(row["event_type"])
        moment = row["event_time"]
        if kind is None:
            reason = "event_type is none of " + ", ".join(TYPES)
            source.bad.add(line, reason, ",".join(row.values()), given_in_words(row["event_type"]))
            continue
        if len(moment) != 23 or not moment.endswith(" UTC"):
            reason = "event_time is not like 2019-10-01 00:00:00 UTC"
            source.bad.add(line, reason, ",".join(row.values()), given_in_words(moment))
            continue
        event: dict[str, Any] = {
            "event_type": kind,
            "user_id": row["user_id"],
            "item_id": row["product_id"],
            "event_time": f"{moment[:10]}T{moment[11:19]}Z",
        }
        if row["user_session"]:
            event["session_id"] = row["user_session"]
        if row["price"]:
            try:
                event["price"] = float(row["price"])
            except ValueError:
                source.bad.add(line, "price is not a number", ",".join(row.values()), given_in_words(row["price"]))
                continue
        yield line, event


def items(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each product of the file, as the last row with it has it: the Item JSON, and that row's line.

    | column | becomes |
    |---|---|
    | `product_id` | `item_id` |
    | `category_code` | `categories`, one path whose parts are separated by dots, where there is one |
    | `category_id` | the attribute `category_id`: many rows have no code |
    | `brand` | `brand`, where there is one |
    | `price` | `price`, where it is a number |

    The publisher gives no names. The file names no currency.
    """
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    columns = (*COLUMNS, "category_id", "category_code", "brand")
    for line, row in source.rows(f"REES46's CSV with the columns {','.join(columns)}", columns):
        item: dict[str, Any] = {"item_id": row["product_id"]}
        if row["category_code"]:
            item["categories"] = row["category_code"]
        if row["category_id"]:
            item["attributes"] = {"category_id": row["category_id"]}
        if row["brand"]:
            item["brand"] = row["brand"]
        with suppress(ValueError):
            item["price"] = float(row["price"])
        found[row["product_id"]] = line, item
    yield from found.values()
