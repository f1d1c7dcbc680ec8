"""Home partitions: where a user's events are counted, and how a record that came elsewhere is sent there."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from aiokafka import ConsumerRecord
from aiokafka.partitioner import murmur2

from recsys.batch import Arrival
from recsys.events import InvalidEvent, decode

FORWARDED = "forwarded"
"""The header of a record that was sent on to its home partition: `<partition>/<offset>/<timestamp in ms>` of the original."""


class Origin(NamedTuple):
    """Where a forwarded record first came."""

    partition: int
    offset: int
    timestamp_ms: int

    def header(self) -> tuple[str, bytes]:
        return FORWARDED, "/".join(map(str, self)).encode()


class Rejected(NamedTuple):
    record: ConsumerRecord
    reason: str


class Foreign(NamedTuple):
    """A record to be sent on to partition `home`, with `key`."""

    record: ConsumerRecord
    home: int
    key: bytes


class Sorted(NamedTuple):
    """The records of a chunk by what becomes of them."""

    arrivals: list[Arrival]
    rejected: list[Rejected]
    foreign: list[Foreign]


@lru_cache(maxsize=1 << 16)
def home_partition(home_id: str, partitions: int) -> int:
    """What the default partitioner of Java, kafka-python and aiokafka makes of an id.

    >>> home_partition("u1", 4)
    0
    """
    return int((murmur2(home_id.encode()) & 0x7FFFFFFF) % partitions)


def sort_records(records: Iterable[ConsumerRecord], partition: int, partitions: int) -> Sorted:
    """Decodes the records of one partition, of `partitions` in the topic, and says what becomes of each."""
    found = Sorted([], [], [])
    for record in records:
        origin = read_origin(record.headers, partition, partitions)
        try:
            event = decode(record.value, origin.timestamp_ms if origin else record.timestamp)
        except InvalidEvent as invalid:
            found.rejected.append(Rejected(record, str(invalid)))
            continue
        home = home_partition(event.home_id, partitions)
        if home == partition:
            found.arrivals.append(Arrival(record.offset, event, origin and (origin.partition, origin.offset)))
        else:
            found.foreign.append(Foreign(record, home, event.home_id.encode()))
    return found


def read_origin(headers: Sequence[tuple[str, bytes]], partition: int, partitions: int) -> Origin | None:
    """Where a record was forwarded from; None for one that was not, or whose header cannot be Freshet's.

    >>> read_origin([("forwarded", b"3/17/1700000000000")], partition=0, partitions=4)
    Origin(partition=3, offset=17, timestamp_ms=1700000000000)
    >>> read_origin([("forwarded", b"0/17/1700000000000")], partition=0, partitions=4)
    """
    for name, value in headers:
        if name != FORWARDED or not value:
            continue
        parts = value.split(b"/")[:3]
        digits = [*parts[:2], parts[-1].removeprefix(b"-")]  # a record without a timestamp has −1
        if len(parts) == 3 and all(part.isdigit() and len(part) <= 19 for part in digits):
            origin = Origin(*map(int, parts))
            if origin.partition < partitions and origin.partition != partition:
                return origin
    return None
