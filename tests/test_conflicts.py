"""The simulation of workers that meet in item shards."""

import pytest

from benchmarks.conflicts import Load, simulate

SELDOM = Load(outside_ms=95.0, open_ms=5.0, rows=1_000)
"""A batch is open for a twentieth of the time."""


def test_who_is_alone_meets_nobody() -> None:
    assert simulate(1, 32, SELDOM).conflicts == 0


@pytest.mark.parametrize("workers", [2, 4])
def test_where_they_meet_seldom_it_is_as_often_as_another_one_swaps_in_the_time_that_a_batch_is_open(workers: int) -> None:
    found = simulate(workers, 32, SELDOM)
    assert found.again == pytest.approx(1000 * (workers - 1) * 0.05, rel=0.25)
    assert found.conflicts == pytest.approx(32 * found.again, rel=0.1)


def test_more_shards_help_only_batches_that_do_not_touch_them_all() -> None:
    small = SELDOM._replace(rows=10)
    assert simulate(4, 256, SELDOM).again > 0.8 * simulate(4, 8, SELDOM).again
    assert simulate(4, 256, small).again < 0.3 * simulate(4, 8, small).again


def test_who_merges_in_groups_meets_others_in_fewer_shards() -> None:
    busy = Load(outside_ms=80.0, open_ms=20.0, rows=1_000)
    assert simulate(8, 32, busy, slices=8).conflicts < 0.5 * simulate(8, 32, busy).conflicts
