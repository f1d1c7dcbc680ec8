"""`online-retail`: UCI Online Retail, the invoice lines of a UK web shop (Chen, Sain, Guo, 2012)."""

import math
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any

from recsys.readers.source import Source
from recsys.record import MAX_ID, given_in_words

COLUMNS = ("InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")
MAX_ITEMS = 500
"""Items of one event, by the contract."""
COUNTRIES = {
    "Australia": "AU", "Austria": "AT", "Bahrain": "BH", "Belgium": "BE", "Brazil": "BR", "Canada": "CA", "Cyprus": "CY",
    "Czech Republic": "CZ", "Denmark": "DK", "EIRE": "IE", "European Community": "EU", "Finland": "FI", "France": "FR",
    "Germany": "DE", "Greece": "GR", "Hong Kong": "HK", "Iceland": "IS", "Israel": "IL", "Italy": "IT", "Japan": "JP",
    "Lebanon": "LB", "Lithuania": "LT", "Malta": "MT", "Netherlands": "NL", "Norway": "NO", "Poland": "PL", "Portugal": "PT",
    "RSA": "ZA", "Saudi Arabia": "SA", "Singapore": "SG", "Spain": "ES", "Sweden": "SE", "Switzerland": "CH", "USA": "US",
    "United Arab Emirates": "AE", "United Kingdom": "GB",
}  # fmt: skip
"""ISO 3166-1 alpha-2 of the countries that the file names; `EU` is reserved there, the Channel Islands have two codes."""


def events(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    """A `purchase` for each invoice, and a `refund` for each cancellation, in the file's order, which is that of time.

    | column | becomes |
    |---|---|
    | `InvoiceNo` | `session_id`, and `event_id` of the invoice's first event; the others have `/2`, `/3` … behind it |
    | | one that begins with `C` is a cancellation: a `refund`, its quantities made positive |
    | `StockCode` | `item_id` of a line in `items`, in capitals: the file has both `85123A` and `85123a` |
    | `Quantity` | `quantity` of the line |
    | `UnitPrice` | `price` of the line; `currency` is `GBP` |
    | `InvoiceDate` | `event_time`: that of the event's first line; the file names no offset, it is taken as UTC |
    | `CustomerID` | `user_id` |
    | `Country` | `country`, where the name is one country's and the file has the column: it is that of the event's first line |
    | `Description` | nothing: it belongs to the item |

    An invoice has several events where it has more than 500 lines, or where another invoice stands between its lines.

    Left out, and counted, are lines without customer, lines whose code does not begin with five digits (postage, manual
    entries, bank charges, bad debt: nothing that can be recommended), and lines with the price 0 (gifts, corrections of
    stock). These are the rules under which the project's figures for this file were measured. A cancellation with a
    positive quantity, or any other line without one, makes no sense.

    The time is `2010-12-01T08:26:00` or the publisher's own `12/1/2010 8:26` (month first).
    """
    parts: dict[str, int] = {}
    begun = ("", "")
    event: dict[str, Any] = {}
    start = 0
    expected = f"Online Retail's CSV with the columns {','.join(COLUMNS)}"
    for line, row in source.rows(expected, COLUMNS):
        item = _item(source, line, row)
        if item is None:
            continue
        invoice, customer = row["InvoiceNo"], row["CustomerID"]
        if begun != (invoice, customer) or len(event["items"]) == MAX_ITEMS:
            if event:
                yield start, event
            parts[invoice] = part = parts.get(invoice, 0) + 1
            begun, start = (invoice, customer), line
            event = {
                "event_type": "refund" if invoice.startswith("C") else "purchase",
                "event_id": invoice if part == 1 else f"{invoice}/{part}",
                "session_id": invoice,
                "user_id": customer,
                "event_time": _time(row["InvoiceDate"]),
                "currency": "GBP",
                "items": [],
            }
            if row.get("Country") in COUNTRIES:
                event["country"] = COUNTRIES[row["Country"]]
        event["items"].append(item)
    if event:
        yield start, event


def lines(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    """A `click` for each line of an invoice, cancellations left out: a session of items one by one, as `events` reads them.

    An invoice says which items were bought together, not in which order they were turned to. This is for measuring next items
    on data with text (`freshet evaluate`), not for what was bought.
    """
    for start, invoice in events(source):
        if invoice["event_type"] == "purchase":
            same = {name: invoice[name] for name in ("session_id", "user_id", "event_time")}
            for item in invoice["items"]:
                yield start, {"event_type": "click", "item_id": item["item_id"]} | same


def items(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each product of the file, as the last line with it has it: the Item JSON, and that line's number.

    | column | becomes |
    |---|---|
    | `StockCode` | `item_id`, in capitals |
    | `Description` | `title`, where there is one |
    | `UnitPrice` | `price`; `currency` is `GBP` |

    The lines are those that are events by the rules of `events`; the others are counted as there.
    """
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    expected = f"Online Retail's CSV with the columns {','.join((*COLUMNS, 'Description'))}"
    for line, row in source.rows(expected, (*COLUMNS, "Description")):
        bought = _item(source, line, row)
        if bought is None:
            continue
        item = {"item_id": bought["item_id"], "price": bought["price"], "currency": "GBP"}
        before = found.get(item["item_id"])
        title = row["Description"].strip() or (before[1].get("title") if before else None)
        found[item["item_id"]] = line, item | ({"title": title} if title else {})
    yield from found.values()


def _item(source: Source, line: int, row: dict[str, str]) -> dict[str, Any] | None:
    """The row as a line of an event; None, and counted, where it is none."""
    code, price = row["StockCode"], _number(row["UnitPrice"])
    quantity = _number(row["Quantity"])
    cancelled = row["InvoiceNo"].startswith("C")
    if not row["InvoiceNo"]:
        fault = "no InvoiceNo"
    elif quantity is None or quantity != int(quantity):
        fault = "Quantity is not a whole number"
    elif price is None:
        fault = "UnitPrice is not a number"
    elif _time(row["InvoiceDate"]) is None:
        fault = "InvoiceDate is not like 2010-12-01T08:26:00"
    elif not row["CustomerID"]:
        source.left_out.add(line, "no customer", ",".join(row.values()))
        return None
    elif not code.isascii() or len(code) > MAX_ID:
        fault = f"StockCode is not ASCII of at most {MAX_ID} characters"
    elif not (code[:5].isdigit() and len(code) >= 5):
        source.left_out.add(line, "not a product: the code does not begin with five digits", ",".join(row.values()))
        return None
    elif price == 0:
        source.left_out.add(line, "price 0", ",".join(row.values()))
        return None
    elif price < 0:
        fault = "UnitPrice is negative"
    elif (quantity >= 0) is cancelled or quantity == 0:
        fault = "a cancellation of a positive Quantity" if cancelled else "Quantity is not positive"
    else:
        return {"item_id": code.upper(), "quantity": abs(int(quantity)), "price": price}
    at_fault = row.get(fault.partition(" ")[0])  # faults of a column begin with its name
    source.bad.add(line, fault, ",".join(row.values()), given_in_words(at_fault))
    return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


@lru_cache(maxsize=4096)
def _time(text: str) -> str | None:
    """The file's time as RFC 3339.

    >>> _time("2010-12-01T08:26:00"), _time("12/1/2010 8:26")
    ('2010-12-01T08:26:00Z', '2010-12-01T08:26:00Z')
    """
    for form in ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%m/%d/%Y %H:%M"):
        try:
            return datetime.strptime(text, form).isoformat() + "Z"
        except ValueError:
            continue
    return None
