"""What becomes of records that cannot be counted."""

from typing import Any
from unittest.mock import Mock

import pytest

from streams.counting import LARGEST_REJECTED, OURS, fitting, size_of
from streams.home import Rejected, read_origin, sort_records

NOW_MS = 1_764_000_000_000


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
    good = b'{"event_type":"click","user_id":"u1","item_id":"i"}'
    found = sort_records([record(good, 0), record(b"{", 1)], partition=0, partitions=4)
    assert ([a.offset for a in found.arrivals], [r.record.offset for r in found.rejected]) == ([0], [1])
    elsewhere = sort_records([record(good, 5)], partition=3, partitions=4)
    assert [(f.home, f.key) for f in elsewhere.foreign] == [(0, b"u1")]


def test_only_what_freshet_may_have_written_counts_as_forwarded() -> None:
    def origin(header: bytes) -> object:
        return read_origin([("forwarded", header)], partition=0, partitions=4)

    assert origin(b"3/17/1700000000000") == (3, 17, 1_700_000_000_000)
    assert origin(b"3/17/-1") == (3, 17, -1)
    assert origin(b"3/17/1700000000000/more") == (3, 17, 1_700_000_000_000)
    for strange in (b"", b"3", b"3/17", b"0/1/1", b"4/1/1", b"-1/1/1", b"a/b/c", b"3/1/" + b"9" * 20, "3/١/1".encode()):
        assert origin(strange) is None
