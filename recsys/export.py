"""The export: the whole counted state, an item at a time, as the contract writes it."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from recsys import rows
from recsys.connection import Client, read_values
from recsys.damage import missing_row
from recsys.keys import AFTER, TOGETHER, VIEWED, Keys, literal
from recsys.record import MAX_ID
from recsys.rows import worth
from recsys.sharding import row_key

BATCH = 500
PATIENCE_S = 15.0
"""A worker that died between two writes is replaced within this."""
HEAD_BYTES = rows.HEADER.size + 4 * MAX_ID
"""Of a row, what holds its id: four bytes a character at most."""


class ExportedNeighbour(Struct, gc=False):
    item_id: str
    count: int
    weight: float


class ExportedItem(Struct, omit_defaults=True):
    item_id: str
    interactions: int
    neighbours: list[ExportedNeighbour]
    baskets: int = 0
    """In how many baskets it was (`recsys.baskets`)."""
    bought_together: list[ExportedNeighbour] = []
    bought_after: list[ExportedNeighbour] = []


def export_items(client: Client, keys: Keys, half_life_ms: float) -> Iterator[ExportedItem]:
    """Every counted item, sorted by id, with its whole rows by falling weight, ties by id.

    A weight is worth what it was at the row's newest event. Rows are read one after the other: while workers count, the whole
    is not the state of one moment. Raises `DamagedState` for a neighbour whose own row is missing.
    """
    names = dict(_names(client, keys))
    in_order = sorted(names, key=names.__getitem__)
    for at in range(0, len(in_order), BATCH):
        items = in_order[at : at + BATCH]
        tables = [read_values(client, [row_key(keys, item, table) for item in items]) for table in (VIEWED, TOGETHER, AFTER)]
        for value, together, after in zip(*tables, strict=True):
            if value:
                item = _exported(client, keys, value, names, half_life_ms)
                if together:
                    baskets = _exported(client, keys, together, names, half_life_ms)
                    item.baskets, item.bought_together = baskets.interactions, baskets.neighbours
                if after:
                    item.bought_after = _exported(client, keys, after, names, half_life_ms).neighbours
                yield item


def count_items(client: Client, keys: Keys) -> int:
    """How many items there are to export."""
    return sum(1 for _ in _row_keys(client, keys))


def _exported(client: Client, keys: Keys, value: bytes, names: dict[int, str], half_life_ms: float) -> ExportedItem:
    row = rows.empty(np.zeros(1, np.uint64), rows.packed_length(value))
    rows.unpack(row, [value])
    today = float(worth(row.landmark, row.updated, half_life_ms)[0])
    neighbours = []
    for other, weight, count in zip(row.other[0].tolist(), row.weight[0].tolist(), row.counts[0].tolist(), strict=True):
        if other not in names:
            names[other] = _name(client, keys, other)
        neighbours.append(ExportedNeighbour(names[other], count, weight * today))
    neighbours.sort(key=lambda neighbour: (-neighbour.weight, neighbour.item_id))
    return ExportedItem(row.ids[0] or "", int(row.interactions[0]), neighbours)


def _name(client: Client, keys: Keys, item: int) -> str:
    """The name of an item that was met first while the export ran: its row may be written a moment after its neighbours'."""
    until = time.monotonic() + PATIENCE_S
    while True:
        value: Any = client.get(row_key(keys, item))
        if value is not None:
            return rows.packed_id(value)
        if time.monotonic() > until:
            raise missing_row(item)
        time.sleep(0.1)


def _names(client: Client, keys: Keys) -> Iterator[tuple[int, str]]:
    batch: list[bytes] = []
    for key in _row_keys(client, keys):
        batch.append(key)
        if len(batch) == BATCH:
            yield from _heads(client, batch)
            batch = []
    yield from _heads(client, batch)


def _heads(client: Client, batch: Sequence[bytes]) -> Iterator[tuple[int, str]]:
    pipeline = client.pipeline(transaction=False)
    for key in batch:
        pipeline.getrange(key, 0, HEAD_BYTES)
    for key, head in zip(batch, pipeline.execute(), strict=True):
        if head:
            yield int(key.rpartition(b":")[2], 16), rows.packed_id(head)


def _row_keys(client: Client, keys: Keys) -> Iterator[bytes]:
    seen: set[bytes] = set()
    for key in client.scan_iter(match=f"{literal(keys.internal)}{{i*}}:row:*", count=5000):
        if key not in seen:  # SCAN may give a key twice
            seen.add(key)
            yield key
