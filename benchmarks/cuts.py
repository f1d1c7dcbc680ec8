"""What the cuts of rows have lost, against an exact recount, and whether it is within the bound of `docs/cuts.md`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.exact import Exact
from benchmarks.footprint import StoredRow
from recsys.hashing import hash_id
from recsys.rules import Rules

TOP = 20
ROUNDING = 1e-3
"""Weights are stored in single precision, and a thousand of them may be added up to one."""


class Loss(NamedTuple):
    """What differs between the rows and the recount."""

    interactions: int
    """Items whose interactions differ."""
    never_cut: int
    differences: int
    """Counts that differ in rows that were never cut."""
    cut: int
    neighbours: int
    """True neighbours of the rows that were cut."""
    too_high: int
    beyond: int
    """Neighbours that have lost more weight than the bound allows."""
    mean: float
    """Part of a cut row's counts that is lost."""
    worst: float
    mean_top: float
    """The same of the row's strongest true neighbours by weight alone."""
    worst_top: float
    missing_top: float
    """Part of these that is not in the row at all."""


def losses(stored: Sequence[StoredRow], exact: Exact, rules: Rules) -> Loss:
    """Holds every row against the recount. A row that has fewer neighbours than a cut leaves was never cut."""
    place = {hash_id(item): number for item, number in exact.numbers.items()}
    differing = len(exact.numbers.keys() ^ {row.item for row in stored})
    never_cut = differences = too_high = beyond = neighbours = 0
    parts: list[tuple[float, float, float]] = []
    for row in stored:
        differing += row.interactions != exact.interactions[exact.numbers[row.item]]
        true = exact.row(exact.counts, row.item)
        others = np.array([place[other] for other in row.other.tolist()], np.int64)
        order = np.argsort(others)
        others, weight, counts = others[order], row.weight[order], row.counts[order].astype(float)
        if len(others) < rules.neighbours:
            never_cut += 1
            differences += int((aligned(true.other, others, counts) != true.sums).sum())
            differences += int((counts > 0).sum() != len(true.other))
            continue
        neighbours += len(true.other)
        left = true.sums - aligned(true.other, others, counts)
        too_high += int((left < 0).sum()) + int((~np.isin(others[counts > 0], true.other)).sum())
        met = exact.row(exact.weights, row.item)
        scale = 2.0 ** ((row.landmark_ms - exact.landmark_ms) / rules.half_life_ms) if rules.half_life_ms else 1.0
        lost = met.sums - aligned(met.other, others, weight * scale)
        meetings = met.times + aligned(met.other, true.other, true.sums)
        beyond += int((lost > bound(weight * scale, meetings, rules) + ROUNDING * met.sums).sum())
        top = met.other[np.argsort(-met.sums)[:TOP]]
        left_top, true_top = aligned(top, true.other, left), aligned(top, true.other, true.sums)
        parts.append(
            (left.sum() / true.sums.sum(), left_top.sum() / max(1.0, true_top.sum()), float((~np.isin(top, others)).mean()))
        )
    table = np.array(parts or [(0.0, 0.0, 0.0)])
    return Loss(
        differing, never_cut, differences, len(parts), neighbours, too_high, beyond,
        table[:, 0].mean(), table[:, 0].max(), table[:, 1].mean(), table[:, 1].max(), table[:, 2].mean(),
    )  # fmt: skip


def bound(weight: Any, meetings: Any, rules: Rules) -> Any:
    """What each true neighbour of a row can have lost at most: the weakest weight that a cut left, for each time it was cut.

    `weight` has the weights in the row now, `meetings` how often each neighbour was met. A cut takes `row_limit - neighbours`
    entries out, and each of them came in by a meeting.

    >>> bound(np.array([3.0, 2.0, 1.0]), np.array([1, 5]), Rules(neighbours=2))
    array([2., 6.])
    """
    weakest = np.sort(weight)[-rules.neighbours]
    cuts = (meetings.sum() - len(weight)) // (rules.row_limit - rules.neighbours)
    return weakest * np.minimum(meetings, cuts)


def aligned(wanted: Any, there: Any, values: Any) -> Any:
    """The values of the wanted among those that are there (sorted), 0 for the others."""
    if not len(there):
        return np.zeros(len(wanted))
    at = np.minimum(np.searchsorted(there, wanted), len(there) - 1)
    return np.where(there[at] == wanted, values[at], 0.0)
