"""Home partitions: where a user's events are counted, and how a record that came elsewhere is sent there."""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from aiokafka import ConsumerRecord
from aiokafka.partitioner import murmur2

from recsys.batch import Arrival
from recsys.events import InvalidEvent, decode
from streams.seal import Origin, Seal

FORWARDED = "forwarded"
"""The header of a record that was sent on to its home partition: partition, offset and timestamp in ms of the original, and the
seal (`streams.seal`)."""


class Rejected(NamedTuple):
    record: ConsumerRecord
    reason: str


class Foreign(NamedTuple):
    """A record to be sent on to partition `home`, with `key` and the content of the header `forwarded`."""

    record: ConsumerRecord
    home: int
    key: bytes
    header: bytes


class Sorted(NamedTuple):
    """The records of a chunk by what becomes of them."""

    arrivals: list[Arrival]
    rejected: list[Rejected]
    foreign: list[Foreign]
    leftover: list[ConsumerRecord]
    """Records that were forwarded under another number of partitions: their originals are forwarded anew under this one."""


@lru_cache(maxsize=1 << 16)
def home_partition(home_id: str, partitions: int) -> int:
    """What the default partitioner of Java, kafka-python and aiokafka makes of an id.

    >>> home_partition("u1", 4)
    0
    """
    return int((murmur2(home_id.encode()) & 0x7FFFFFFF) % partitions)


def sort_records(records: Iterable[ConsumerRecord], partition: int, seal: Seal) -> Sorted:
    """Decodes the records of one partition and says what becomes of each."""
    found = Sorted([], [], [], [])
    for record in records:
        origin, under = read_origin(record, partition, seal) or (None, seal.partitions)
        if under != seal.partitions:
            found.leftover.append(record)
            continue
        try:
            event = decode(record.value, origin.timestamp_ms if origin else record.timestamp)
        except InvalidEvent as invalid:
            found.rejected.append(Rejected(record, str(invalid)))
            continue
        home = home_partition(event.home_id, seal.partitions)
        if home == partition:
            found.arrivals.append(Arrival(record.offset, event, origin and (origin.partition, origin.offset)))
        else:
            header = seal.header(Origin(partition, record.offset, record.timestamp), home, record.value)
            found.foreign.append(Foreign(record, home, event.home_id.encode(), header))
    return found


def read_origin(record: ConsumerRecord, partition: int, seal: Seal) -> tuple[Origin, int] | None:
    """Where a record was forwarded from, and under how many partitions; None for one that no worker forwarded."""
    for name, content in record.headers:
        if name == FORWARDED and (found := seal.opened(content, partition, record.value)):
            return found
    return None
