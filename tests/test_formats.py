"""Each publisher's form becomes events as its table says; what does not is counted, with its line."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest
from reader_samples import (
    CLICKS_RETAILROCKET,
    JSONL,
    MOVIELENS,
    NOW_MS,
    ONLINE_RETAIL,
    ORIGINAL_RETAILROCKET,
    OTTO,
    REES46,
    SESSIONS,
    YOOCHOOSE,
    events,
    file_of,
    values,
)

from recsys.readers import FormatError, Prefix, read, read_prefixes


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
        "country": "GB",
        "items": [
            {"item_id": "85123A", "quantity": 6, "price": 2.55},
            {"item_id": "84406B", "quantity": 8, "price": 2.75},
        ],
    }
    assert [(e["event_type"], e["event_id"]) for e in found[1:]] == [("refund", "C536391"), ("purchase", "536365/2")]
    assert found[1]["items"] == [{"item_id": "22556", "quantity": 12, "price": 1.65}]
    assert found[2]["session_id"] == "536365"


def test_the_lines_of_online_retail_are_clicks_in_the_session_of_their_invoice_without_cancellations(tmp_path: Path) -> None:
    found = values(read(file_of(tmp_path, ONLINE_RETAIL), "online-retail-lines"))
    assert found[0] == {
        "event_type": "click",
        "item_id": "85123A",
        "session_id": "536365",
        "user_id": "17850",
        "event_time": "2010-12-01T08:26:00Z",
    }
    invoices = values(read(file_of(tmp_path, ONLINE_RETAIL), "online-retail"))
    bought = [line["item_id"] for e in invoices if e["event_type"] == "purchase" for line in e["items"]]
    assert [e["item_id"] for e in found] == bought


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
    assert first.given == "it is 'x'"


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
