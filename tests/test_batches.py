"""A header's name may be of any bytes: a broker takes them all."""

import struct
from collections.abc import Sequence

import pytest
from aiokafka.codec import gzip_encode
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from streams.record_batches import Batches

HEADERS = [("source", b"ios"), ("naXe", b"1"), ("naXe", None), ("größe", b"")]


def batch(first: int, records: int, compression: int, name: bytes) -> bytes:
    """Records with headers, `naXe` among their names, which then becomes `name` in all of them or in none."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
    for n in range(records):
        builder.append(n, 1_764_000_000_000 + n, None if n % 2 else b"k" * 200, b"naYe" * n, HEADERS)
    data = bytearray(builder.build().replace(b"naXe", name))
    data[:8] = struct.pack(">q", first)
    if compression:
        data[61:] = gzip_encode(bytes(data[61:]))
        data[8:12] = struct.pack(">i", len(data) - 12)
        data[21:23] = struct.pack(">h", 1)
    data[17:21] = struct.pack(">I", calc_crc32c(bytes(data[21:])))
    return bytes(data)


def read(parts: Sequence[bytes]) -> list[tuple[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]]:
    batches, found = Batches(b"".join(parts)), []
    while batches.has_next():
        each = batches.next_batch()
        assert each.validate_crc()
        found += [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in each]
    return found


@pytest.mark.parametrize("compression", [0, 1])
def test_names_that_are_not_utf_8_are_readable_and_all_else_is_as_it_was(compression: int) -> None:
    def three(name: bytes) -> list[bytes]:
        return [batch(0, 3, compression, b"naXe"), batch(3, 4, compression, name), batch(7, 2, compression, b"naXe")]

    plain, strange = read(three(b"naXe")), read(three(b"\xffa\xc3e"))
    assert [record[0] for record in plain] == list(range(9))
    assert plain[3][4] == HEADERS
    for before, after in zip(plain, strange, strict=True):
        names = [("?a?e" if 3 <= before[0] < 7 and name == "naXe" else name) for name, _ in before[4]]
        assert after == (*before[:4], [(name, content) for name, (_, content) in zip(names, before[4], strict=True)])
