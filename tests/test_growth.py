"""Growth: whatever way deltas are added to rows, each row is as if they had come one by one."""

import numpy as np
import pytest

from recsys import growth, rows
from recsys.deltas import Deltas
from recsys.growth import merge_lines
from recsys.hashing import NONE
from recsys.rows import Rows
from recsys.rules import Rules

DAY_MS = 86_400_000


def some(n: int, items: int, others: int, days: int, seed: int) -> Deltas:
    """Deltas of events, a few of each, in times that mostly rise; now and then an item is met once more."""
    random = np.random.default_rng(seed)
    event = np.sort(random.integers(0, n // 4, n))
    time = 10**12 + (event * (days * DAY_MS) // n) * 4 + random.integers(0, 2, n // 4)[event] * DAY_MS
    other = random.integers(1, others, n).astype(np.uint64)
    other[random.random(n) < 0.1] = NONE
    weight = random.choice(np.array([0.5, 1.0, 1.7], np.float32), n)
    item = random.integers(1, items + 1, n).astype(np.uint64)
    return Deltas(np.zeros(n, np.int32), event, time, item, other, weight, random.integers(0, 2, n).astype(np.uint32))


def one_by_one(found: Rows, deltas: Deltas, at: np.ndarray, rules: Rules) -> None:
    """The oracle of cuts: a list of neighbours for each row, sorted by Python where it is too long."""
    room: list[list[tuple[float, int, int]]] = [[] for _ in found.item]
    for k, r in enumerate(at.tolist()):
        one = Deltas._make(column[k : k + 1] for column in deltas)
        merge_lines(*one[2:], at[k : k + 1], *found[2:], 10**6, 10**6, rules.half_life_ms)
        n = int(found.length[r])
        if one.other[0] != NONE and n >= rules.row_limit:
            columns = found.weight[r, :n].tolist(), found.other[r, :n].tolist(), found.counts[r, :n].tolist()
            room[r] = sorted(zip(*columns, strict=True), key=lambda each: (-each[0], each[1]))[: rules.neighbours]
            n = len(room[r])
            found.weight[r, :n], found.other[r, :n], found.counts[r, :n] = zip(*room[r], strict=True)
            found.length[r] = n


@pytest.mark.parametrize(
    ("items", "others", "days", "half_life_ms"),
    [(3, 40, 90, 90.0 * DAY_MS), (3, 8, 5_000, 90.0 * DAY_MS), (200, 40, 90, 0.0), (2, 500, 1, 3.0 * DAY_MS)],
)
def test_rows_that_get_all_their_deltas_at_once_are_as_if_these_had_come_one_by_one(
    items: int, others: int, days: int, half_life_ms: float
) -> None:
    rules = Rules(neighbours=12, half_life_ms=half_life_ms)
    there = np.arange(1, items + 1, dtype=np.uint64)
    deltas = some(3_000, items, others, days, seed=items + others)
    at = np.searchsorted(there, deltas.item)
    slowly, at_once, in_parts = (rows.load(there, [None] * items, 3_000, rules) for _ in range(3))
    one_by_one(slowly, deltas, at, rules)
    growth.merge(at_once, deltas, at, rules)
    for part in np.array_split(np.arange(3_000), 700):
        growth.merge(in_parts, Deltas._make(column[part] for column in deltas), at[part], rules)
    everything = np.arange(items)
    assert slowly.interactions.sum() == (deltas.other == NONE).sum()
    assert rows.pack(at_once, everything) == rows.pack(in_parts, everything) == rows.pack(slowly, everything)


def test_a_row_that_was_written_under_a_higher_limit_is_cut_by_its_next_meeting() -> None:
    there = np.array([5], np.uint64)
    long = rows.load(there, [None], 300, Rules())
    deltas = some(400, 1, 90, 30, seed=1)._replace(item=np.full(400, 5, np.uint64))
    growth.merge(long, deltas, np.zeros(400, np.int64), Rules())
    before = int(long.length[0])
    fewer = Rules(neighbours=10)
    shorter = rows.load(there, rows.pack(long, np.zeros(1, np.int64)), 20, fewer)
    again = some(20, 1, 90, 30, seed=2)._replace(item=np.full(20, 5, np.uint64))
    growth.merge(shorter, again, np.zeros(20, np.int64), fewer)
    assert before > fewer.row_limit > shorter.length[0] >= fewer.neighbours
