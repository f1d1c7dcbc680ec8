"""Record batches as aiokafka reads them, but for one thing: a header's name may be of any bytes.

Brokers do not look at headers. aiokafka decodes their names as UTF-8 and raises where it cannot: one such record would end
every worker that meets it, for ever.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

LENGTH_AT, BEGUN_AT = 8, 12
"""Where in a batch its length stands, and from where that counts."""


class Batch:
    """One batch; iterating gives its records."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except UnicodeDecodeError:
            return iter(with_readable_names(self._data))


class Batches:
    """What a fetch brought of one partition; takes the place of aiokafka's `MemoryRecords`."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._next = 0
        self._batches = MemoryRecords(data)
        self.has_next = self._batches.has_next
        self.size_in_bytes = self._batches.size_in_bytes

    def next_batch(self) -> Batch:
        begun = self._next
        length = int.from_bytes(self._data[begun + LENGTH_AT : begun + BEGUN_AT], "big")
        self._next = begun + BEGUN_AT + length
        return Batch(self._batches.next_batch(), self._data[begun : self._next])


def with_readable_names(data: memoryview) -> list[Any]:
    """The records of a batch; in a header's name that is not UTF-8 each byte beyond ASCII is a question mark."""
    batch = _DefaultRecordBatchPy(bytearray(data))
    iter(batch)  # uncompresses
    buffer, at = batch._buffer, batch._pos
    for _ in range(batch._num_records):
        at = _past_record(buffer, at)
    return list(batch)


def _past_record(buffer: bytearray, at: int) -> int:
    """Makes the names of one record's headers readable, in place; returns where the next record begins."""
    length, at = decode_varint(buffer, at)
    end = int(at + length)
    at += 1  # attributes
    for _ in ("time", "offset"):
        _, at = decode_varint(buffer, at)
    for _ in ("key", "value"):
        at = _past_bytes(buffer, at)
    headers, at = decode_varint(buffer, at)
    for _ in range(headers):
        size, at = decode_varint(buffer, at)
        name = bytes(buffer[at : at + size])
        try:
            name.decode()
        except UnicodeDecodeError:
            buffer[at : at + size] = name.decode("ascii", "replace").encode("ascii", "replace")
        at = _past_bytes(buffer, at + size)
    return end


def _past_bytes(buffer: bytearray, at: int) -> int:
    size, at = decode_varint(buffer, at)
    return int(at + max(size, 0))


def use_batches() -> None:
    """Makes every consumer of this process read so."""
    fetcher.MemoryRecords = Batches
