"""What becomes of records that cannot be counted."""

from typing import Any
from unittest.mock import Mock

from streams.counting import LARGEST_REJECTED, fitting
from streams.home import Rejected, read_origin, sort_records

NOW_MS = 1_764_000_000_000


def record(value: bytes | None, offset: int = 7, headers: tuple[Any, ...] = ()) -> Any:
    return Mock(value=value, offset=offset, partition=2, topic="events", timestamp=NOW_MS, headers=headers)


def test_a_rejected_record_keeps_its_bytes_and_says_where_it_came_from() -> None:
    value, headers = fitting(Rejected(record(b"\xff"), "not UTF-8"))
    assert value == b"\xff"
    assert headers == [("reason", b"not UTF-8"), ("topic", b"events"), ("partition", b"2"), ("offset", b"7")]
    assert fitting(Rejected(record(None), "no value"))[0] is None


def test_a_value_that_no_broker_would_take_uncompressed_is_cut_and_says_so() -> None:
    value, headers = fitting(Rejected(record(b"x" * 3_000_000), "too large"))
    assert value is not None
    assert len(value) < LARGEST_REJECTED
    assert headers[-1] == ("truncated", b"3000000")


def test_records_are_sorted_by_what_becomes_of_them() -> None:
    good = b'{"event_type":"click","user_id":"u1","item_id":"i"}'
    found = sort_records([record(good, 0), record(b"{", 1)], partition=0, partitions=4)
    assert ([a.offset for a in found.arrivals], [r.record.offset for r in found.rejected]) == ([0], [1])
    elsewhere = sort_records([record(good, 5)], partition=3, partitions=4)
    assert [(f.home, f.key) for f in elsewhere.foreign] == [(0, b"u1")]


def test_only_what_freshet_may_have_written_counts_as_forwarded() -> None:
    def origin(header: bytes) -> object:
        return read_origin([("forwarded", header)], partition=0, partitions=4)

    assert origin(b"3/17/1700000000000") == (3, 17, 1_700_000_000_000)
    assert origin(b"3/17/1700000000000/more") == (3, 17, 1_700_000_000_000)
    for strange in (b"", b"3", b"3/17", b"0/1/1", b"4/1/1", b"-1/1/1", b"a/b/c", b"3/1/" + b"9" * 19, "3/١/1".encode()):
        assert origin(strange) is None
