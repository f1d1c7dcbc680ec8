"""What becomes of records that cannot be counted."""

from typing import Any
from unittest.mock import Mock

import oracle
import pytest

from recsys.customers import joins
from recsys.customers.joins import Identification, Joined
from streams.counting import LARGEST_REJECTED, OURS, fitting, size_of
from streams.home import Rejected, read_sent, sort_records
from streams.seal import FORWARDED, JOINING, Origin, Seal

NOW_MS = 1_764_000_000_000
GOOD = b'{"event_type":"click","user_id":"u1","item_id":"i"}'
SEAL = Seal.of("key", "events", 4)


def record(value: bytes | None, offset: int = 7, headers: tuple[Any, ...] = (), key: bytes | None = None) -> Any:
    return Mock(value=value, offset=offset, partition=2, topic="events", timestamp=NOW_MS, headers=headers, key=key)


def test_a_rejected_record_keeps_its_bytes_and_says_where_it_came_from() -> None:
    key, value, headers = fitting(Rejected(record(b"\xff", headers=(("a", None), ("offset", b"99")), key=b"\0"), "not UTF-8"))
    assert (key, value) == (b"\0", b"\xff")
    assert headers == [("a", None), ("reason", b"not UTF-8"), ("topic", b"events"), ("partition", b"2"), ("offset", b"7")]
    assert fitting(Rejected(record(None), "no value"))[:2] == (None, None)


LARGE = [("trace", b"h" * 500_000)] * 2, [(str(n), b"") for n in range(90_000)]


@pytest.mark.parametrize("headers", [(), *LARGE])
@pytest.mark.parametrize("key", [None, b"k", b"k" * 1_000_000])
@pytest.mark.parametrize("value", [None, b"v", b"v" * 60_000, b"v" * 3_000_000])
def test_what_no_broker_would_take_uncompressed_is_cut_and_says_so(
    value: bytes | None, key: bytes | None, headers: tuple[tuple[str, bytes], ...]
) -> None:
    whole = len(key or b"") + len(value or b"") + size_of(headers)
    short_key, short_value, written = fitting(Rejected(record(value, headers=tuple(headers), key=key), "wrong"))
    assert len(short_key or b"") + len(short_value or b"") + size_of(written) < LARGEST_REJECTED + 1_000
    said = dict(written)
    assert short_value == value or (whole > LARGEST_REJECTED and said["truncated"] == str(len(value or b"")).encode())
    assert short_key == key or (whole > LARGEST_REJECTED and said["truncated-key"] == str(len(key or b"")).encode())
    kept = [header for header in written if header[0] not in OURS]
    assert kept == list(headers) or (whole > LARGEST_REJECTED and said["dropped-headers"] == str(len(headers)).encode())


def test_records_are_sorted_by_what_becomes_of_them() -> None:
    found = sort_records([record(GOOD, 0), record(b"{", 1)], partition=0, seal=SEAL)
    assert ([a.offset for a in found.arrivals], [r.record.offset for r in found.rejected]) == ([0], [1])
    elsewhere = sort_records([record(GOOD, 5)], partition=3, seal=SEAL)
    assert [(f.home, f.key) for f in elsewhere.foreign] == [(0, b"u1")]


ORIGIN = Origin(3, 17, 1_700_000_000_000)


def sent_on(header: bytes, value: bytes = GOOD, partition: int = 0, seal: Seal = SEAL) -> Any:
    sent = read_sent(record(value, headers=(("other", b"x"), (FORWARDED, header))), partition, seal)
    return None if sent is None else (sent.origin, sent.partitions)


def test_a_record_that_a_worker_forwarded_is_known_by_its_seal() -> None:
    header = SEAL.header(ORIGIN, 0, GOOD)
    assert header == oracle.sealed(GOOD, *ORIGIN, under=4, home=0, secret=b"key")
    assert sent_on(header) == (ORIGIN, 4)


def test_a_seal_is_worth_nothing_on_another_record_elsewhere_or_of_another_secret() -> None:
    header = SEAL.header(ORIGIN, 0, GOOD)
    assert sent_on(header, value=GOOD + b" ") is None
    assert sent_on(header, partition=1) is None
    assert sent_on(header, seal=Seal.of("other", "events", 4)) is None
    assert sent_on(header, seal=Seal.of("key", "shop-events", 4)) is None
    for place in range(len(header)):
        assert sent_on(header[:place] + bytes((header[place] ^ 1,)) + header[place + 1 :]) is None
    for strange in (
        b"",
        b"3/17",
        b"3/17/1700000000000",
        b"3/17/1700000000000/4-",
        b"-1/1/1/4-x",
        "3/١/1/4-x".encode(),
        b"/" * 9,
    ):
        assert sent_on(strange) is None


def test_a_secret_can_be_replaced_while_the_old_one_is_still_accepted() -> None:
    both = Seal.of("new, key", "events", 4)
    assert sent_on(SEAL.header(ORIGIN, 0, GOOD), seal=both) == (ORIGIN, 4)
    assert both.header(ORIGIN, 0, GOOD) == Seal.of("new", "events", 4).header(ORIGIN, 0, GOOD)


def test_what_was_forwarded_under_another_number_of_partitions_is_left_to_its_original() -> None:
    header = Seal.of("key", "events", 3).header(ORIGIN, 0, GOOD)
    found = sort_records([record(GOOD, headers=((FORWARDED, header),))], 0, SEAL)
    assert (len(found.leftover), len(found.arrivals), len(found.foreign)) == (1, 0, 0)


def test_a_forged_header_changes_nothing() -> None:
    forged = record(GOOD, headers=((FORWARDED, b"3/999999999/1700000000000"),))
    [arrival] = sort_records([forged], 0, SEAL).arrivals
    assert arrival.origin is None
    [foreign] = sort_records([forged], 3, SEAL).foreign
    assert sent_on(foreign.header) == (Origin(3, 7, NOW_MS), 4)


# Messages on visitors who join

ASKED = b'{"event_type":"identify","anonymous_id":"v","user_id":"u1","event_time":1764000000000}'


def test_a_message_from_another_home_is_known_by_its_seal_and_says_what_a_worker_said() -> None:
    header = SEAL.header(ORIGIN, 3, ASKED, JOINING)
    assert header == oracle.sealed(ASKED, *ORIGIN, under=4, home=3, secret=b"key", header="joining")
    [arrival] = sort_records([record(ASKED, headers=((JOINING, header),))], 3, SEAL).arrivals
    assert arrival.message == Identification("v", "u1", NOW_MS)
    assert (arrival.origin, arrival.event.user_id, arrival.event.lines) == (ORIGIN[:2], "anon:v", ())


@pytest.mark.parametrize("name", [JOINING, FORWARDED])
def test_no_header_can_be_passed_off_as_the_other(name: str) -> None:
    other = FORWARDED if name == JOINING else JOINING
    [arrival] = sort_records([record(ASKED, headers=((name, SEAL.header(ORIGIN, 0, ASKED, other)),))], 0, SEAL).arrivals
    assert (arrival.message, arrival.origin, arrival.event.user_id) == (None, None, "u1")


def test_an_answer_that_no_worker_sealed_is_set_aside() -> None:
    forged = joins.encode(Joined("v", "u1", NOW_MS, b"", b""))
    [rejected] = sort_records([record(forged, headers=((JOINING, b"3/7/1/4-" + b"0" * 32),))], 0, SEAL).rejected
    assert rejected.reason.startswith("event_type: unknown type 'joined'; known are browse, click")


def test_a_message_under_another_number_of_partitions_is_left_to_what_it_came_of() -> None:
    header = Seal.of("key", "events", 3).header(ORIGIN, 0, ASKED, JOINING)
    found = sort_records([record(ASKED, headers=((JOINING, header),))], 0, SEAL)
    assert (len(found.leftover), len(found.arrivals), len(found.foreign)) == (1, 0, 0)


def test_a_message_by_other_rules_is_left_to_what_it_came_of() -> None:
    header = SEAL.header(ORIGIN, 3, ASKED, JOINING)
    found = sort_records([record(ASKED, headers=((JOINING, header),))], 3, SEAL, "another form")
    assert (len(found.leftover), len(found.arrivals), len(found.rejected)) == (1, 0, 0)


@pytest.mark.parametrize(
    "value",
    [
        b"{}",
        b"[",
        joins.encode(Joined("v", "u1", NOW_MS, b"no account", b"")),
        joins.encode(Joined("v", "u1", 0, b"\x90", b"?")),
        joins.encode(Joined("v", "u1", 0, b"\x90", b"", b"?")),
    ],
)
def test_what_has_a_genuine_seal_and_cannot_be_read_is_set_aside(value: bytes) -> None:
    [rejected] = sort_records([record(value, headers=((JOINING, SEAL.header(ORIGIN, 3, value, JOINING)),))], 3, SEAL).rejected
    assert rejected.reason.startswith("no message of a worker, though it has the seal of one: ")
