"""Readers: each publisher's form becomes events as its table says; what does not is counted, with its line."""

import csv
import gzip
import json
import os
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recsys.events import Event, decode
from recsys.readers import FORMATS, FormatError, Prefix, Reader, read, read_prefixes

NOW_MS = 1_800_000_000_000

ONLINE_RETAIL = """\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,WHITE HANGING HEART,6,2010-12-01T08:26:00,2.55,17850,United Kingdom
536365,84406b,"COAT ""CUPID"", SMALL",8,2010-12-01T08:26:00,2.75,17850,United Kingdom
536366,22633,HAND WARMER,x,2010-12-01T08:28:00,1.85,17850,United Kingdom
536370,POST,POSTAGE,3,2010-12-01T08:45:00,18,12583,France
536414,22139,,56,2010-12-01T11:52:00,0,,United Kingdom
536415,22139,SAMPLE,56,2010-12-01T11:52:00,0,12583,France
C536391,22556,PLASTERS,-12,2010-12-01T10:24:00,1.65,17548,United Kingdom
C536392,22556,PLASTERS,12,2010-12-01T10:24:00,1.65,17548,United Kingdom
536393,22556,PLASTERS,0,2010-12-01T10:24:00,1.65,17548,United Kingdom
536394,22556,PLASTERS,1,yesterday,1.65,17548,United Kingdom
536395,22556,PLASTERS,1
A563185,B,Adjust bad debt,1,2011-08-12T14:50:00,-11062.06,,United Kingdom
536365,71053,METAL LANTERN,1,2010-12-01T08:26:00,3.39,17850,United Kingdom
"""
REES46 = """\
event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session
2019-10-01 00:00:00 UTC,view,44600062,2103807459595387724,,shiseido,35.79,541312140,72d76fde
2019-10-01 00:00:01 UTC,cart,3900821,2053013552326770905,appliances,aqua,33.20,554748717,9333dfbd
2019-10-01 00:00:02 UTC,purchase,3900821,2053013552326770905,appliances,aqua,33.20,554748717,
2019-10-01 00:00:03 UTC,remove_from_cart,3900821,2053013552326770905,appliances,aqua,,554748717,9333dfbd
2019-10-01 00:00:04 UTC,gaze,3900821,2053013552326770905,appliances,aqua,33.20,554748717,9333dfbd
2019-10-01 00:00:05,view,3900821,2053013552326770905,appliances,aqua,33.20,554748717,9333dfbd
2019-10-01 00:00:06 UTC,view,3900821,2053013552326770905,appliances,aqua,-33.20,554748717,9333dfbd
2019-10-01 00:00:07 UTC,view,3900821,2053013552326770905,appliances,aqua,cheap,554748717,9333dfbd
2019-10-01 00:00:08 UTC,view,3900821
"""
ORIGINAL_RETAILROCKET = """\
timestamp,visitorid,event,itemid,transactionid
1433221332117,257597,view,355908,
1433221078505,158090,addtocart,10572,
1433222276276,599528,transaction,356475,4000
1433221332117,257597,gaze,355908,
soon,257597,view,355908,
"""
CLICKS_RETAILROCKET = "session\titem\tepoch_s\n7\t19887\t1441935373\n7\t29113\t1441935367\n8\t1\t1441935000\n8\t1\n"
OTTO = """\
{"session":0,"events":[{"aid":1517085,"ts":1659304800025,"type":"clicks"},{"aid":4,"ts":1659304900000,"type":"carts"}]}
{"session":1,"events":[{"aid":9,"ts":1659304800025,"type":"orders"},{"aid":9,"ts":1659304800026,"type":"gazes"}]}
{"session":2,"events":
"""
MOVIELENS = "196\t242\t3 \t881250949\n186\t302\t5\t881250000\n22\t377\t9\t878887116\n22\t377\tgood\t878887116\n22\t377\n"
SESSIONS = "session\titems\n0\t1 2 1\n1\t3\n2\t\nno tab\n3\t4 4\n"
JSONL = """\
{"event_type": "view", "user_id": 7, "item_id": "i1", "event_time": "2026-11-23T10:00:00Z", "properties": {"a":  [1.0]}}
{"event_type": "view", "user_id": 7}

not JSON
{"event_type":"click","anonymous_id":"a","item_id":"i2"}
"""


YOOCHOOSE = """\
2,2014-04-07T13:56:37.614Z,214662742,0
1,2014-04-07T10:51:09.277Z,214536502,S
1,2014-04-07T10:54:09.868Z,214536500,0
1,yesterday,214536500,0
1,2014-13-07T10:54:09.868Z,214536500,0
3,2014-04-07T13:56:37.614Z,214662742
"""


def file_of(folder: Path, content: str | bytes, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def values(reader: Reader) -> list[dict[str, Any]]:
    with reader:
        return [json.loads(record.value) for record in reader]


def events(reader: Reader) -> list[Event]:
    with reader:
        return [record.event for record in reader]


@pytest.mark.parametrize("name", ["jsonl", "sessions", "rees46", "retailrocket"])
def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path, name: str) -> None:
    content = {"jsonl": JSONL, "sessions": "0\t1 2 1\n", "rees46": REES46, "retailrocket": ORIGINAL_RETAILROCKET}[name]
    plain = values(read(file_of(tmp_path, content), name, NOW_MS))
    marked = file_of(tmp_path, gzip.compress(b"\xef\xbb\xbf" + content.encode()), "marked")
    assert values(read(marked, name, NOW_MS)) == plain


# Each format


@pytest.mark.parametrize("between", [",", "\t"])
def test_yoochoose_as_published_and_as_a_table_give_the_same_clicks_in_the_order_of_time(tmp_path: Path, between: str) -> None:
    table = ["SessionId,ItemId,Time", "2,214662742,1396878997.614", "1,214536502,1396867869.277", "1,214536500,1396868049.868"]
    content = "\n".join([*table, "1,214536500,soon", "1,2"]).replace(",", between)
    published, made = read(file_of(tmp_path, YOOCHOOSE), "yoochoose"), read(file_of(tmp_path, content, "made"), "yoochoose")
    found = values(published)
    assert found == values(made)
    assert [(e["session_id"], e["user_id"], e["item_id"]) for e in found] == [
        ("1", "1", "214536502"),
        ("1", "1", "214536500"),
        ("2", "2", "214662742"),
    ]
    assert found[0]["event_time"] == round(datetime(2014, 4, 7, 10, 51, 9, 277_000, UTC).timestamp() * 1000)
    wrong_time = "the time is neither seconds nor like 2014-04-07T10:51:09.277Z"
    assert published.bad.reasons == {wrong_time: 2, "not 4 columns": 1}
    assert made.bad.reasons == {wrong_time: 1, "not 3 columns": 1}


def test_online_retail_becomes_a_basket_for_each_invoice_and_a_refund_for_each_cancellation(tmp_path: Path) -> None:
    found = values(read(file_of(tmp_path, ONLINE_RETAIL), "online-retail"))
    assert found[0] == {
        "event_type": "purchase",
        "event_id": "536365",
        "session_id": "536365",
        "user_id": "17850",
        "event_time": "2010-12-01T08:26:00Z",
        "currency": "GBP",
        "items": [
            {"item_id": "85123A", "quantity": 6, "price": 2.55},
            {"item_id": "84406B", "quantity": 8, "price": 2.75},
        ],
    }
    assert [(e["event_type"], e["event_id"]) for e in found[1:]] == [("refund", "C536391"), ("purchase", "536365/2")]
    assert found[1]["items"] == [{"item_id": "22556", "quantity": 12, "price": 1.65}]
    assert found[2]["session_id"] == "536365"


def test_online_retail_counts_what_it_leaves_out_and_what_makes_no_sense(tmp_path: Path) -> None:
    reader = read(file_of(tmp_path, ONLINE_RETAIL), "online-retail")
    values(reader)
    assert reader.left_out.reasons == {
        "not a product: the code does not begin with five digits": 1,
        "no customer": 2,
        "price 0": 1,
    }
    assert reader.bad.reasons == {
        "Quantity is not a whole number": 1,
        "a cancellation of a positive Quantity": 1,
        "Quantity is not positive": 1,
        "InvoiceDate is not like 2010-12-01T08:26:00": 1,
        "not 8 columns": 1,
    }
    first = reader.bad.examples[0]
    assert (first.line, first.reason) == (4, "Quantity is not a whole number")
    assert first.text.startswith("'536366,22633,")


def test_an_invoice_of_more_than_500_lines_becomes_several_events_of_one_session(tmp_path: Path) -> None:
    header = ONLINE_RETAIL.partition("\n")[0]
    lines = [f"1,{10000 + n},,1,2010-12-01T08:26:00,1,2,F" for n in range(1001)]
    found = events(read(file_of(tmp_path, "\n".join([header, *lines])), "online-retail"))
    assert [(e.event_id, e.session_id, len(e.lines)) for e in found] == [
        ("1", "1", 500),
        ("1/2", "1", 500),
        ("1/3", "1", 1),
    ]


def test_rees46_rows_become_events_of_the_four_types(tmp_path: Path) -> None:
    reader = read(file_of(tmp_path, REES46), "rees46")
    found = values(reader)
    assert found[0] == {
        "event_type": "browse",
        "user_id": "541312140",
        "item_id": "44600062",
        "event_time": "2019-10-01T00:00:00Z",
        "session_id": "72d76fde",
        "price": 35.79,
    }
    assert [e["event_type"] for e in found] == ["browse", "add_to_cart", "purchase", "remove_from_cart"]
    assert "session_id" not in found[2]
    assert "price" not in found[3]
    assert reader.bad.total == 5
    assert {"not 9 columns", "price is not a number"} < set(reader.bad.reasons)
    assert any(reason.startswith("price: ") for reason in reader.bad.reasons)


def test_retailrockets_own_file_is_sorted_by_time(tmp_path: Path) -> None:
    reader = read(file_of(tmp_path, ORIGINAL_RETAILROCKET), "retailrocket")
    assert [(e["event_type"], e["user_id"], e["item_id"], e["event_time"]) for e in values(reader)] == [
        ("add_to_cart", "158090", "10572", 1433221078505),
        ("browse", "257597", "355908", 1433221332117),
        ("purchase", "599528", "356475", 1433222276276),
    ]
    assert reader.bad.total == 2


def test_retailrocket_clicks_by_session_belong_to_a_user_of_that_session(tmp_path: Path) -> None:
    reader = read(file_of(tmp_path, CLICKS_RETAILROCKET), "retailrocket")
    found = events(reader)
    assert [(e.user_id, e.session_id, e.lines[0].item_id, e.time_ms) for e in found] == [
        ("8", "8", "1", 1441935000_000),
        ("7", "7", "29113", 1441935367_000),
        ("7", "7", "19887", 1441935373_000),
    ]
    assert reader.bad.reasons == {"not 3 columns": 1}


def test_otto_sessions_become_clicks_carts_and_purchases(tmp_path: Path) -> None:
    reader = read(file_of(tmp_path, OTTO), "otto")
    assert values(reader) == [
        {"event_type": "click", "user_id": "0", "item_id": "1517085", "event_time": 1659304800025},
        {"event_type": "add_to_cart", "user_id": "0", "item_id": "4", "event_time": 1659304900000},
        {"event_type": "purchase", "user_id": "1", "item_id": "9", "event_time": 1659304800025},
    ]
    assert reader.bad.total == 2
    assert [example.line for example in reader.bad.examples] == [2, 3]


@pytest.mark.parametrize("in_folder", [False, True])
def test_movielens_ratings_are_sorted_by_time_from_the_file_or_its_folder(tmp_path: Path, in_folder: bool) -> None:
    path = file_of(tmp_path, MOVIELENS, "u.data")
    reader = read(tmp_path if in_folder else path, "movielens")
    assert values(reader) == [
        {"event_type": "rating", "user_id": "186", "item_id": "302", "rating": 5, "event_time": 881250000},
        {"event_type": "rating", "user_id": "196", "item_id": "242", "rating": 3, "event_time": 881250949},
    ]
    assert reader.bad.total == 3


def test_sessions_get_times_that_keep_their_order_and_are_the_same_each_time(tmp_path: Path) -> None:
    path = file_of(tmp_path, SESSIONS)
    reader = read(path, "sessions")
    found = events(reader)
    assert [(e.user_id, e.session_id, e.lines[0].item_id) for e in found] == [
        ("0", "0", "1"),
        ("0", "0", "2"),
        ("0", "0", "1"),
        ("1", "1", "3"),
        ("3", "3", "4"),
        ("3", "3", "4"),
    ]
    assert [e.time_ms for e in found] == [1_577_836_800_000 + 15_000 * n for n in range(6)]
    assert reader.bad.reasons == {"no items": 1, "not one tab": 1}
    assert events(read(path, "sessions")) == found


def test_jsonl_is_passed_on_byte_for_byte_and_judged_by_the_contract(tmp_path: Path) -> None:
    reader = read(file_of(tmp_path, JSONL), "jsonl", NOW_MS)
    with reader:
        found = list(reader)
    lines = JSONL.encode().split(b"\n")
    assert [record.value for record in found] == [lines[0], lines[4]]
    assert [record.line for record in found] == [1, 5]
    assert [record.event.home_id for record in found] == ["7", "a"]
    assert found[1].event.time_ms == NOW_MS
    assert [(example.line, example.text) for example in reader.bad.examples] == [
        (2, '\'{"event_type": "view", "user_id": 7}\''),
        (4, "'not JSON'"),
    ]


def test_an_event_of_the_future_is_bad(tmp_path: Path) -> None:
    ahead = '{"event_type":"view","user_id":1,"item_id":1,"event_time":%d}\n'
    path = file_of(tmp_path, ahead % NOW_MS + ahead % (NOW_MS + 600_001))
    reader = read(path, "jsonl", NOW_MS)
    assert len(events(reader)) == 1
    assert reader.bad.reasons == {"event_time: more than 10 minutes ahead of the record's timestamp": 1}


def test_prefixes_are_read_with_and_without_their_header(tmp_path: Path) -> None:
    expected = [Prefix(("1", "2"), "3"), Prefix(("4",), "4")]
    for header in ("prefix\ttarget\n", ""):
        path = file_of(tmp_path, gzip.compress(f"{header}1 2\t3\n4\t4\n".encode()))
        assert list(read_prefixes(path)) == expected


@pytest.mark.parametrize("line", ["1 2", "1 2\t", "\t3", "1\t2 3"])
def test_a_prefix_of_another_form_is_an_error_with_its_line(tmp_path: Path, line: str) -> None:
    with pytest.raises(FormatError, match="line 2"):
        list(read_prefixes(file_of(tmp_path, f"1\t2\n{line}\n")))


# All formats

SAMPLES = {
    "jsonl": JSONL,
    "retailrocket": ORIGINAL_RETAILROCKET,
    "yoochoose": YOOCHOOSE,
    "rees46": REES46,
    "online-retail": ONLINE_RETAIL,
    "otto": OTTO,
    "movielens": MOVIELENS,
    "sessions": SESSIONS,
}


def test_there_is_a_sample_of_every_format() -> None:
    assert SAMPLES.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", FORMATS)
def test_gzip_is_known_by_its_content_and_changes_nothing(tmp_path: Path, name: str) -> None:
    plain = read(file_of(tmp_path, SAMPLES[name], "plain.gz"), name, NOW_MS)
    packed = read(file_of(tmp_path, gzip.compress(SAMPLES[name].encode()), "packed.csv"), name, NOW_MS)
    assert values(plain) == values(packed) != []
    assert plain.bad == packed.bad
    assert plain.left_out == packed.left_out


@pytest.mark.parametrize("name", FORMATS)
def test_windows_line_ends_and_a_missing_last_one_change_nothing(tmp_path: Path, name: str) -> None:
    unix = values(read(file_of(tmp_path, SAMPLES[name]), name, NOW_MS))
    windows = SAMPLES[name].replace("\n", "\r\n").rstrip()
    assert values(read(file_of(tmp_path, windows), name, NOW_MS)) == unix


@pytest.mark.parametrize("name", FORMATS)
def test_a_record_says_the_same_in_bytes_and_as_event(tmp_path: Path, name: str) -> None:
    with read(file_of(tmp_path, SAMPLES[name]), name, NOW_MS) as reader:
        for record in reader:
            assert decode(record.value, NOW_MS) == record.event
            if name != "jsonl":
                assert "event_time" in json.loads(record.value)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("other", [*FORMATS, "prefixes"])
def test_a_file_of_another_format_is_an_error_that_names_it(tmp_path: Path, name: str, other: str) -> None:
    if name == other:
        return
    path = file_of(tmp_path, (SAMPLES | {"prefixes": "prefix\ttarget\n1 2\t3\n"})[other], "theirs")
    with pytest.raises(FormatError) as caught:
        values(read(path, name))
    message = str(caught.value)
    assert str(path) in message
    assert "expected" in message or f"in the format {name}" in message
    assert "begins with '" in message or "line 1 is '" in message


@pytest.mark.parametrize("name", FORMATS)
def test_a_gzip_file_that_is_cut_short_is_an_error(tmp_path: Path, name: str) -> None:
    packed = gzip.compress(SAMPLES[name].encode())
    with pytest.raises(FormatError, match="cut short"):
        values(read(file_of(tmp_path, packed[:-12]), name))


@pytest.mark.parametrize("name", FORMATS)
def test_progress_grows_to_the_whole(tmp_path: Path, name: str) -> None:
    head, _, rest = SAMPLES[name].partition("\n")
    good = rest.split("\n")[0]
    path = file_of(tmp_path, "\n".join([head, *[good] * 3_000]))
    with read(path, name, NOW_MS) as reader:
        parts = [part for _ in reader if (part := reader.progress) is not None]
        assert reader.progress == 1.0
    assert parts == sorted(parts)
    assert all(0 <= part <= 1 for part in parts)
    assert len(set(parts)) > 1 or name in ("online-retail", "jsonl")  # of these the lines make one event, or none


def test_a_pipe_has_no_progress_but_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(REES46,))
    writer.start()
    with read(pipe, "rees46") as reader:
        assert reader.progress is None
        assert len(list(reader)) == 4
    writer.join()


def test_bytes_that_are_not_utf8_do_harm_only_in_a_column_that_is_used(tmp_path: Path) -> None:
    header = REES46.partition("\n")[0].encode()
    used = b"2019-10-01 00:00:00 UTC,view,\xff,1,,b,1,2,s"
    unused = b"2019-10-01 00:00:00 UTC,view,3,1,,\xff,1,2,s"
    reader = read(file_of(tmp_path, b"\n".join([b"\xef\xbb\xbf" + header, used, unused])), "rees46")
    assert [e["item_id"] for e in values(reader)] == ["3"]
    assert reader.bad.reasons == {"not UTF-8": 1}


def test_reasons_and_examples_do_not_grow_without_end(tmp_path: Path) -> None:
    lines = [json.dumps({"event_type": f"t{n}", "user_id": 1, "item_id": 1}) for n in range(1000)]
    good = '{"event_type":"view","user_id":1,"item_id":1}'
    reader = read(file_of(tmp_path, "\n".join([good, *lines])), "jsonl")
    events(reader)
    assert reader.bad.total == 1000
    assert len(reader.bad.reasons) == 51
    assert reader.bad.reasons["other reasons"] == 950
    assert len(reader.bad.examples) == 3


def test_a_file_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nowhere", "jsonl")


# The real files, against an independent count

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
