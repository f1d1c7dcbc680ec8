"""Repurchase: how likely an item is bought again, from how often a user bought it and how many baskets ago.

A table of 9 × 9 cells, by k, the user's baskets that have the item, and g, the baskets since its last purchase (1: it was in
the last one). Each cell counts exposures, baskets of a user who holds such an item, and purchases, those that have it again;
they start at 20 and 1, so a cell that has seen nothing says 0.05.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, compiled

STEPS = 9
"""1, 2, 3, 4, 5–6, 7–9, 10–14, 15–29, 30 and more."""
EXPOSURES, PURCHASES = 20.0, 1.0
VERSION = 1


class Repurchase(NamedTuple):
    """Some tables, one of each partition: tables × k × g."""

    exposures: F64
    purchases: F64


def empty(tables: int) -> Repurchase:
    shape = (tables, STEPS, STEPS)
    return Repurchase(np.full(shape, EXPOSURES), np.full(shape, PURCHASES))


def unpack(packed: Sequence[bytes | None]) -> Repurchase:
    """Tables from their stored bytes (None: one that has counted nothing).

    Raises `ValueError` for bytes of another version.

    >>> unpack([None, pack(empty(1), 0)]).purchases.sum()
    np.float64(162.0)
    """
    tables = empty(len(packed))
    cells = STEPS * STEPS
    for table, value in enumerate(packed):
        if not value:
            continue
        if value[0] != VERSION or len(value) != 1 + 16 * cells:
            raise ValueError(f"a repurchase table is stored in form {value[0]}, this version reads {VERSION}")
        tables.exposures[table].flat = np.frombuffer(value, np.float64, cells, 1)
        tables.purchases[table].flat = np.frombuffer(value, np.float64, cells, 1 + 8 * cells)
    return tables


def pack(tables: Repurchase, table: int) -> bytes:
    """The bytes to store for one table."""
    return b"".join((bytes((VERSION,)), tables.exposures[table].tobytes(), tables.purchases[table].tobytes()))


def has_counted(tables: Repurchase, table: int) -> bool:
    """Whether a table says anything but what it began with.

    >>> has_counted(empty(1), 0)
    False
    """
    return bool((tables.exposures[table] != EXPOSURES).any() or (tables.purchases[table] != PURCHASES).any())


@compiled
def step(number: int) -> int:
    """The row or column of the table for a k or a g.

    >>> [step(number) for number in (1, 4, 5, 6, 7, 9, 10, 14, 15, 29, 30, 1000)]
    [0, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8]
    """
    if number <= 4:
        return max(number, 1) - 1
    if number <= 6:
        return 4
    if number <= 9:
        return 5
    if number <= 14:
        return 6
    if number <= 29:
        return 7
    return 8


@compiled
def probability(tables: Repurchase, table: int, k: int, g: int) -> float:
    """How likely a basket has an item that was bought `k` times and `g` baskets ago: at most 1.

    >>> probability(empty(1), 0, 3, 1)
    0.05
    """
    row, column = step(k), step(g)
    return min(tables.purchases[table, row, column] / tables.exposures[table, row, column], 1.0)  # type: ignore[no-any-return]
