"""What a cut of a row can lose: never more than `docs/cuts.md` says."""

import asyncio
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import Record
from strategies import NOW_MS, logs
from test_laws import FEW, SIZES, chunk, count_all, cut, end_of

from benchmarks.cuts import ROUNDING, bound, losses
from benchmarks.exact import recount
from benchmarks.footprint import unpacked
from recsys import fold as folding
from recsys import growth, histories, rows
from recsys.batch import Arrival, columns
from recsys.deltas import Deltas
from recsys.engine import Chunk
from recsys.events import decode
from recsys.hashing import NONE, hash_id
from recsys.keys import VIEWED
from recsys.rules import Rules
from recsys.store import MemoryStore
from streams.bench.load import events

SMALL = st.builds(
    Rules, history=st.just(8), neighbours=st.sampled_from([1, 2, 4]), half_life_ms=st.sampled_from([0.0, 3_600_000.0])
)


@FEW
@given(logs(partitions=1), SIZES, SMALL)
def test_no_neighbour_loses_more_than_the_weakest_weight_that_a_cut_left_for_each_time_it_was_cut(
    log: list[Record], sizes: list[int], rules: Rules
) -> None:
    store = MemoryStore()
    asyncio.run(count_all(store, cut(log, 0, sizes, 1), rules))
    arrivals = chunk(0, 0, end_of(log, 0), log, 1).arrivals
    users = sorted({arrival.event.user_id for arrival in arrivals})
    batch = columns([(0, arrival) for arrival in arrivals], users)
    deltas = folding.fold(histories.empty(len(users), rules.history), batch, rules).deltas[VIEWED]
    met: dict[int, dict[int, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    for time, item, other, weight in zip(*(column.tolist() for column in (deltas[2], *deltas[3:6])), strict=True):
        if other != NONE:
            met[item][other].append((time, weight))
    for key, value in store.values.items():
        if "}:row:" not in key:
            continue
        row = unpacked(value)
        true = met[hash_id(row.item)]
        weights = dict(zip(row.other.tolist(), row.weight.tolist(), strict=True))

        def worth(time: int, landmark_ms: int = row.landmark_ms) -> float:
            return float(2.0 ** ((time - landmark_ms) / rules.half_life_ms)) if rules.half_life_ms else 1.0

        sums = np.array([sum(weight * worth(time) for time, weight in meetings) for meetings in true.values()])
        lost = sums - np.array([weights.get(other, 0.0) for other in true])
        allowed = np.zeros(len(true))
        if len(weights) >= rules.neighbours:
            allowed = bound(row.weight, np.array([len(meetings) for meetings in true.values()]), rules)
        assert (lost <= allowed + ROUNDING * np.maximum(sums, 1e-6)).all()


@pytest.mark.parametrize("returns", [1, 7])
def test_the_bound_is_reached_by_a_neighbour_that_always_comes_back_too_weak(returns: int) -> None:
    rules = Rules(neighbours=1, half_life_ms=0.0)
    n = 1 + returns
    other, weight = np.array([8] + [9] * returns, np.uint64), np.array([1.0] + [0.99] * returns, np.float32)
    item, time, ones = np.full(n, 5, np.uint64), np.full(n, NOW_MS), np.ones(n, np.uint32)
    row = rows.load(item[:1], [None], n, rules)
    growth.merge(
        row, Deltas(np.zeros(n, np.int32), np.arange(n), time, item, other, weight, ones), np.zeros(n, np.int64), rules
    )
    assert row.other[0, : row.length[0]].tolist() == [8]
    allowed = bound(row.weight[0, :1].astype(float), np.array([1, returns]), rules)[1]
    assert 0.98 * allowed < 0.99 * returns <= allowed


def test_a_short_soak_loses_no_count_but_by_cuts_within_the_bound() -> None:
    rules = Rules(neighbours=8)
    load = list(events(6_000, NOW_MS, seed=3, items=3_000))
    decoded = [Arrival(offset, decode(value, NOW_MS)) for offset, (_, value) in enumerate(load)]
    store = MemoryStore()
    chunks = [Chunk(0, at, at + 499, decoded[at : at + 500]) for at in range(0, len(load), 500)]
    asyncio.run(count_all(store, chunks, rules))
    stored = [unpacked(value) for key, value in store.values.items() if "}:row:" in key]
    may_be_cut = frozenset(row.item for row in stored if len(row.other) >= rules.neighbours)
    found = losses(stored, recount((value for _, value in load), may_be_cut, rules.half_life_ms), rules)
    assert (found.interactions, found.differences, found.too_high, found.beyond) == (0, 0, 0, 0)
    assert found.cut > 50 < found.never_cut
    assert 0 < found.mean < found.worst < 1
