"""The readers on real, published files agree with an independent count of these."""

import csv
import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from reader_samples import events

from recsys.events import Event
from recsys.readers import Prefix, read, read_prefixes

Row = dict[str, str]


def rows(path: Path, delimiter: str = ",") -> list[Row]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text, delimiter=delimiter))


def test_online_retail_agrees_with_an_independent_count(data_dir: Path) -> None:
    path = data_dir / "online_retail.csv.gz"
    reader = read(path, "online-retail")
    found = events(reader)
    purchases = [e for e in found if e.kind.name == "PURCHASE"]
    refunds = [e for e in found if e.kind.name == "REFUND"]
    products = [r for r in rows(path) if r["CustomerID"] and r["StockCode"][:5].isdigit() and float(r["UnitPrice"]) > 0]
    bought = [r for r in products if int(r["Quantity"]) > 0]
    returned = [r for r in products if int(r["Quantity"]) < 0]

    def amount(of: list[Event]) -> float:
        return sum(line.quantity * line.price for e in of for line in e.lines if line.quantity and line.price)

    def expected(of: list[Row]) -> float:
        return sum(abs(int(r["Quantity"])) * float(r["UnitPrice"]) for r in of)

    assert amount(purchases) == pytest.approx(expected(bought), rel=1e-12)
    assert amount(refunds) == pytest.approx(expected(returned), rel=1e-12)
    assert sum(len(e.lines) for e in purchases) == len(bought)
    assert sum(len(e.lines) for e in refunds) == len(returned)
    assert Counter((e.session_id, line.item_id) for e in purchases for line in e.lines) == Counter(
        (r["InvoiceNo"], r["StockCode"].upper()) for r in bought
    )
    assert Counter(e.user_id for e in purchases for _ in e.lines) == Counter(r["CustomerID"] for r in bought)
    assert len({e.event_id for e in found}) == len(found)
    assert [e.time_ms for e in found] == sorted(e.time_ms for e in found)
    assert sum(len(e.lines) for e in found) + reader.left_out.total == 541_909
    assert reader.bad.total == 0


def test_rees46_agrees_with_an_independent_count(data_dir: Path) -> None:
    path = data_dir / "rees46_2019_oct_sample.csv.gz"
    reader = read(path, "rees46")
    found = events(reader)
    whole = [r for r in rows(path) if r["user_session"] is not None]
    names = {"view": "BROWSE", "cart": "ADD_TO_CART", "purchase": "PURCHASE", "remove_from_cart": "REMOVE_FROM_CART"}
    assert Counter(e.kind.name for e in found) == Counter(names[r["event_type"]] for r in whole)
    assert Counter((e.user_id, e.lines[0].item_id, e.session_id) for e in found) == Counter(
        (r["user_id"], r["product_id"], r["user_session"]) for r in whole
    )
    moments = [datetime.strptime(r["event_time"], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC) for r in whole]
    assert [e.time_ms for e in found] == [round(m.timestamp()) * 1000 for m in moments]
    assert reader.bad.total == len(rows(path)) - len(whole)


def test_retailrocket_sessions_and_clicks_agree_with_an_independent_count(data_dir: Path) -> None:
    sessions = rows(data_dir / "retailrocket_train_sessions.tsv.gz", "\t")
    found = events(read(data_dir / "retailrocket_train_sessions.tsv.gz", "sessions"))
    assert [(e.session_id, e.lines[0].item_id) for e in found] == [
        (r["session"], item) for r in sessions for item in r["items"].split()
    ]
    clicks = rows(data_dir / "retailrocket_test_clicks.tsv.gz", "\t")
    clicks.sort(key=lambda r: int(r["epoch_s"]))
    timed = events(read(data_dir / "retailrocket_test_clicks.tsv.gz", "retailrocket"))
    assert [(e.session_id, e.lines[0].item_id, e.time_ms // 1000) for e in timed] == [
        (r["session"], r["item"], int(r["epoch_s"])) for r in clicks
    ]
    prefixes = rows(data_dir / "retailrocket_test_prefixes.tsv.gz", "\t")
    assert list(read_prefixes(data_dir / "retailrocket_test_prefixes.tsv.gz")) == [
        Prefix(tuple(r["prefix"].split()), r["target"]) for r in prefixes
    ]


def test_yoochoose_agrees_with_an_independent_count(data_dir: Path) -> None:
    path = data_dir / "yoochoose-clicks-100k_train_full.txt.gz"
    table = sorted(rows(path, "\t"), key=lambda r: float(r["Time"]))
    found = events(read(path, "yoochoose"))
    assert len(found) == 70_278
    assert [(e.session_id, e.lines[0].item_id, e.time_ms) for e in found] == [
        (r["SessionId"], r["ItemId"], round(float(r["Time"]) * 1000)) for r in table
    ]


def test_otto_and_movielens_agree_with_an_independent_count(data_dir: Path) -> None:
    lines = [json.loads(line) for line in (data_dir / "otto_fixture.jsonl").read_text().splitlines()]
    found = events(read(data_dir / "otto_fixture.jsonl", "otto"))
    assert [(e.user_id, e.lines[0].item_id, e.time_ms) for e in found] == [
        (str(line["session"]), str(a["aid"]), a["ts"]) for line in lines for a in line["events"]
    ]
    assert Counter(e.kind.name for e in found) == Counter(
        {"clicks": "CLICK", "carts": "ADD_TO_CART", "orders": "PURCHASE"}[a["type"]] for line in lines for a in line["events"]
    )
    ratings = [line.split() for line in (data_dir / "ml-100k" / "u.data").read_text().splitlines()]
    rated = events(read(data_dir / "ml-100k", "movielens"))
    assert len(rated) == 100_000
    assert Counter((e.user_id, e.lines[0].item_id, str(round(e.rating or 0)), str(e.time_ms // 1000)) for e in rated) == (
        Counter(map(tuple, ratings))
    )
    assert [e.time_ms for e in rated] == sorted(e.time_ms for e in rated)
