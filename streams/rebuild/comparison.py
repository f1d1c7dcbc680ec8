"""The comparison: what the live generation and the new one have counted, side by side, and what the log no longer held."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from redis import Redis

from recsys import rows
from recsys.keys import Keys, literal
from recsys.marks import UserMark

BATCH = 500
SCAN = 5000


class Totals(Struct, frozen=True):
    """What a generation has counted."""

    items: int
    interactions: int
    users: int
    pairs: int | None
    """None: the rows are stored in a form that this version does not read."""
    baskets: int
    """Sessions in which something was bought; 0 where that is not counted."""
    rejected: int
    forwarded: int
    lost: int
    """Offsets that Kafka no longer held when they were to be counted."""


def totals(
    client: Redis, keys: Keys, marks: Iterable[UserMark], show: Callable[[int], None], *, readable: bool = True
) -> Totals:
    """Of one generation; `show` is called with the number of rows that were read, if they are `readable`."""
    row_keys, users = find_rows_and_users(client, keys)
    entries = 0
    for at in range(0, len(row_keys) if readable else 0, BATCH):
        stored: Any = client.mget(row_keys[at : at + BATCH])
        entries += sum(counted_neighbours(value) for value in stored if value)
        show(at + len(stored))
    marks = list(marks)
    return Totals(
        items=len(row_keys),
        interactions=sum(mark.interactions for mark in marks),
        users=users,
        pairs=(entries + 1) // 2 if readable else None,
        baskets=sum(mark.baskets for mark in marks),
        rejected=sum(mark.rejected for mark in marks),
        forwarded=sum(mark.forwarded for mark in marks),
        lost=sum(mark.lost for mark in marks),
    )


def find_rows_and_users(client: Redis, keys: Keys) -> tuple[Sequence[bytes], int]:
    """The keys of all rows of a generation, and how many users it knows."""
    internal = literal(keys.internal)
    found = set(client.scan_iter(match=f"{internal}{{i*}}:row:*", count=SCAN))
    users = set(client.scan_iter(match=f"{internal}{{u*}}:user:*", count=SCAN))
    return list(found), len(users)


def counted_neighbours(packed: bytes) -> int:
    """How many neighbours of a stored row have a count: those without one only have weight."""
    row = rows.empty(np.zeros(1, np.uint64), rows.packed_length(packed))
    rows.unpack(row, [packed])
    return int(np.count_nonzero(row.counts))


def losses(begins: Mapping[int, int], live: int, new: int) -> str:
    """What the new generation lacks, because the log no longer held it, in words; empty where it lacks nothing.

    `live` and `new` are interactions: those that the live generation had counted of what the new one has counted, too.

    >>> losses({0: 0, 1: 0}, 10, 12)
    ''
    >>> losses({0: 0, 1: 7}, 10, 8)
    'the log of partition 1 begins at offset 7; of 10 interactions that the live state has counted, 2 are not in the new one'
    """
    said = [f"the log of partition {partition} begins at offset {first}" for partition, first in begins.items() if first]
    if new < live:
        said.append(f"of {live:,} interactions that the live state has counted, {live - new:,} are not in the new one")
    return "; ".join(said)
