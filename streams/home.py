"""Home partitions: where a user's events are counted, and how a record that came elsewhere is sent there."""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from aiokafka import ConsumerRecord
from aiokafka.partitioner import murmur2

from recsys.batch import Arrival
from recsys.customers import joins
from recsys.events import InvalidEvent, decode
from recsys.record import with_given
from streams.seal import FORWARDED, JOINING, Origin, Seal


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
    """Records that workers sent under another number of partitions, or by other rules: what they came of is counted anew under
    these, and they are sent anew."""


class Sent(NamedTuple):
    """How a record came that a worker sent."""

    name: str
    """Of the header with the seal: `FORWARDED` or `JOINING`."""
    origin: Origin
    partitions: int
    """How many there were."""


@lru_cache(maxsize=1 << 16)
def home_partition(home_id: str, partitions: int) -> int:
    """What the default partitioner of Java, kafka-python and aiokafka makes of an id.

    >>> home_partition("u1", 4)
    0
    """
    return int((murmur2(home_id.encode()) & 0x7FFFFFFF) % partitions)


def sort_records(records: Iterable[ConsumerRecord], partition: int, seal: Seal, form: str = "") -> Sorted:
    """Decodes the records of one partition and says what becomes of each; messages of another `form` are left over."""
    found = Sorted([], [], [], [])
    for record in records:
        sent = read_sent(record, partition, seal) if record.headers else None
        if sent and sent.partitions != seal.partitions:
            found.leftover.append(record)
            continue
        origin = sent and sent.origin
        if sent and sent.name == JOINING:
            try:
                message = joins.decode(record.value, form)
            except joins.BadMessage as bad:
                found.rejected.append(Rejected(record, str(bad)))
                continue
            if message.form == form:
                found.arrivals.extend(
                    Arrival(record.offset, event, sent.origin[:2], message) for event in joins.events_of(message)
                )
            else:
                found.leftover.append(record)
            continue
        try:
            event = decode(record.value, origin.timestamp_ms if origin else record.timestamp)
        except InvalidEvent as invalid:
            found.rejected.append(Rejected(record, with_given(invalid)))
            continue
        home = home_partition(event.home_id, seal.partitions)
        if home == partition:
            found.arrivals.append(Arrival(record.offset, event, origin and (origin.partition, origin.offset)))
        else:
            header = seal.header(Origin(partition, record.offset, record.timestamp), home, record.value)
            found.foreign.append(Foreign(record, home, event.home_id.encode(), header))
    return found


def read_sent(record: ConsumerRecord, partition: int, seal: Seal) -> Sent | None:
    """What a worker sent a record as, and from where; None for a record that no worker sent."""
    for name, content in record.headers:
        if name in (FORWARDED, JOINING) and (found := seal.opened(content, partition, record.value, name)):
            return Sent(name, *found)
    return None
