"""What a worker remembers of items: the newest of each, within its limits, found whatever the hashes."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from recsys import known, rows
from recsys.compiled import U64
from recsys.index import NOWHERE, find, index
from recsys.known import Memory
from recsys.rows import Rows
from recsys.rules import Rules

RULES = Rules(neighbours=3)
WIDTH = RULES.row_limit + 1
ALIKE = 2**40
"""Hashes that differ by it stand in the same place of every table here."""


def told(items: Sequence[int], neighbours: int = 2, popularity: float = 1.0) -> Rows:
    found = rows.empty(np.array(items, np.uint64), max(neighbours, 1))
    for r, item in enumerate(items):
        found.popularity[r], found.trend[r], found.landmark[r], found.first[r] = popularity, popularity / 2, 1000 + r, 500 + r
        found.length[r] = neighbours
        found.other[r, :neighbours] = [item + 1 + n for n in range(neighbours)]
        found.weight[r, :neighbours] = [popularity + n for n in range(neighbours)]
        found.counts[r, :neighbours] = 7
    return found


def place(memory: Memory, item: int) -> int:
    return find(memory.known.where, np.uint64(item))


def lacking(memory: Memory, items: Sequence[int], since_s: float = 0.0) -> list[int]:
    wanted: U64 = np.array(items, np.uint64)
    return memory.lacking(wanted, since_s).tolist()  # type: ignore[no-any-return]


def neighbours(memory: Memory, item: int) -> list[int]:
    line = memory.known.row[place(memory, item)]
    return memory.known.other[line, : memory.known.length[line]].tolist()  # type: ignore[no-any-return]


@settings(deadline=None, max_examples=40, phases=(Phase.explicit, Phase.generate))
@given(st.lists(st.tuples(st.integers(1, 40), st.sampled_from([1, ALIKE])), unique=True, max_size=60))
def test_every_item_is_found_where_it_stands_and_no_other(parts: list[tuple[int, int]]) -> None:
    items = sorted({number * factor for number, factor in parts})
    where = index(np.array(items, np.uint64))
    assert [find(where, np.uint64(item)) for item in items] == list(range(len(items)))
    assert {find(where, np.uint64(number)) for number in range(41, 80)} == {NOWHERE}
    assert {find(where, np.uint64(ALIKE * number)) for number in range(41, 80)} == {NOWHERE}
    assert len(where.keys) > 2 * len(items)


def test_an_item_that_has_no_row_is_remembered_as_unmet_until_its_row_is_there() -> None:
    memory = Memory(RULES)
    memory.put(told([1]), 0.0)
    memory.put_absent(np.array([1, 2], np.uint64))
    assert neighbours(memory, 1) == [2, 3]
    assert memory.known.landmark[place(memory, 2)] == 0
    assert lacking(memory, [1, 2]) == [2]
    memory.put(told([2]), 1.0)
    assert neighbours(memory, 2) == [3, 4]
    assert memory.known.popularity[place(memory, 2)] == 1.0


def test_items_whose_hashes_stand_in_one_place_keep_apart() -> None:
    memory = Memory(RULES)
    items = [5 + ALIKE * n for n in range(300)]
    for item in items:
        memory.put(told([item], popularity=float(item % 1009)), 1.0)
    assert lacking(memory, [*items, 5 + ALIKE * 300]) == [5 + ALIKE * 300]
    for item in items:
        assert memory.known.popularity[place(memory, item)] == float(item % 1009)
        assert neighbours(memory, item) == [item + 1, item + 2]


def test_the_newest_put_wins_whole() -> None:
    memory = Memory(RULES)
    memory.put(told([7, 9], neighbours=3, popularity=4.0), 1.0)
    memory.put(told([7], neighbours=1, popularity=2.0), 5.0)
    assert neighbours(memory, 7) == [8]
    assert neighbours(memory, 9) == [10, 11, 12]
    at = place(memory, 7)
    columns = (memory.known.popularity, memory.known.trend, memory.known.landmark, memory.known.first, memory.known.read)
    assert [float(column[at]) for column in columns] == [2.0, 1.0, 1000.0, 500.0, 5.0]
    assert lacking(memory, [7, 9, 11], since_s=3.0) == [9, 11]


def test_nothing_is_lost_while_it_grows() -> None:
    memory = Memory(RULES)
    items = np.random.default_rng(3).choice(2**40, 5000, replace=False).tolist()
    for k in range(0, len(items), 700):
        memory.put(told(items[k : k + 700], popularity=float(k)), float(k))
    assert not lacking(memory, items)
    assert [float(memory.known.popularity[place(memory, item)]) for item in items] == [
        float(k // 700 * 700) for k in range(5000)
    ]
    assert all(neighbours(memory, item) == [item + 1, item + 2] for item in items)
    assert not lacking(memory, [])


def test_of_a_row_longer_than_the_width_the_beginning_is_kept() -> None:
    memory = Memory(RULES)
    memory.put(told([7, 100], neighbours=WIDTH + 5), 0.0)
    assert neighbours(memory, 7) == [8 + n for n in range(WIDTH)]
    assert neighbours(memory, 100) == [101 + n for n in range(WIDTH)]


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """A memory that starts anew after a batch that left more than 20 rows."""
    monkeypatch.setattr(known, "BYTES_REMEMBERED", 20 * known.BYTES_PER_NEIGHBOUR * WIDTH)
    return Memory(RULES)


def test_it_starts_anew_between_batches_where_it_holds_too_much(forgetful: Memory) -> None:
    for first in range(1, 400, 8):
        items = list(range(first, first + 8))
        forgetful.trim()
        forgetful.put(told(items, popularity=float(first)), 1.0)
        assert not lacking(forgetful, items)
        assert all(float(forgetful.known.popularity[place(forgetful, item)]) == float(first) for item in items)
        held = [item for item in range(1, 500) if item not in lacking(forgetful, [item])]
        assert len(held) <= 20 + 8
        assert all(neighbours(forgetful, item) == [item + 1, item + 2] for item in held)
    assert lacking(forgetful, [1]) == [1]


def test_what_is_told_again_is_no_more_to_remember(forgetful: Memory) -> None:
    for _ in range(10):
        forgetful.trim()
        forgetful.put(told(list(range(1, 20))), 0.0)
    assert not lacking(forgetful, list(range(1, 20)))


def test_nothing_is_forgotten_within_a_batch_however_much_it_is(forgetful: Memory) -> None:
    forgetful.put(told([9000]), 0.0)
    forgetful.put(told(list(range(1, 2000, 3))), 0.0)
    assert not lacking(forgetful, [9000, *range(1, 2000, 3)])
