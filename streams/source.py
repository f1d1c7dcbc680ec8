"""The header `source` of a recommendation or a customer's message: topic, partition and offset of the newest event in it."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from streams.outbox import Headers


class Named(Struct):
    """What of a recommendation says which event it answers."""

    recommendation_id: str


def source_header(events: str, partition: int, offset: int) -> Headers:
    """The header of what answers the event at this place of a topic."""
    return [("source", f"{events}/{partition}/{offset}".encode())]


def source_header_of(value: bytes, events: str) -> Headers:
    """The header of a recommendation that is written once more: the event stands in its id, too.

    >>> source_header_of(b'{"recommendation_id": "2-1f-19a"}', "events")
    [('source', b'events/2/31')]
    """
    partition, offset, _ = msgspec.json.decode(value, type=Named).recommendation_id.split("-")
    return source_header(events, int(partition, 16), int(offset, 16))


def source(headers: Iterable[tuple[str, bytes]]) -> tuple[int, int] | None:
    """Partition and offset of the newest event in a recommendation.

    >>> source([("source", b"events/3/1041")])
    (3, 1041)
    """
    for name, value in headers:
        if name == "source":
            _, partition, offset = value.decode().rsplit("/", 2)
            return int(partition), int(offset)
    return None
