"""Candidates: the hundred items that the evidence speaks for most, scored by F and then by what the learner makes of them."""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I64, U64, compiled
from recsys.index import NOWHERE
from recsys.known import Known
from recsys.learner import softmax
from recsys.ranking.evidence import (
    ALIKE_WEIGHT,
    RECENT,
    REPEAT,
    REPEAT_RECENCY,
    Evidence,
    Extent,
    no_evidence,
    weigh,
)
from recsys.ranking.features import FEATURES, TERMS, describe
from recsys.ranking.hops import gather
from recsys.ranking.past import Past
from recsys.rules import Rules

CANDIDATES = 100


class Desk(NamedTuple):
    """Where one user after the other is ranked."""

    evidence: Evidence
    entry: I64
    """Of each candidate in the evidence, by falling F, ties by hash."""
    f: F64
    features: F64
    linear: F64
    """w·f of each."""
    probability: F64
    best: I64
    """Scratch: candidates by falling score."""
    terms: F64
    """Scratch: of one score."""
    places: int
    """Of a list."""
    gone: U64
    """Sorted hashes of items that are shown to nobody, because the catalogue has them no more."""


def desk(rules: Rules) -> Desk:
    """A free desk."""
    room = max(CANDIDATES, 2 * rules.top_n)
    return Desk(
        no_evidence(rules.row_limit + 1, rules.history),
        np.zeros(room, np.int64),
        np.zeros(room),
        np.zeros((room, FEATURES)),
        np.zeros(room),
        np.zeros(room),
        np.zeros(room, np.int64),
        np.zeros(TERMS),
        rules.top_n,
        np.empty(0, np.uint64),
    )


@compiled
def lay_out(
    desk: Desk, past: Past, u: int, end: int, counted: int, known: Known, since_s: float, weight: F64
) -> tuple[int, int, Extent]:
    """Lays out the candidates of user `u` after `end` interactions on a desk; see `gather`.

    Returns how many there are, and how many items are missing: wanted rows, and candidates of which nothing is known.
    """
    e = desk.evidence
    extent = gather(e, past, u, end, counted, known, since_s)
    n = _choose(desk, extent, past, known)
    missing = extent.missing
    for c in range(n):
        if e.place[desk.entry[c]] == NOWHERE:
            e.missing[missing] = e.item[desk.entry[c]]
            missing += 1
    describe(desk.features, desk.entry, desk.f, n, desk.evidence, extent, known)
    softmax(desk.features, n, weight, desk.linear, desk.probability)
    return n, missing, extent


@compiled
def repeat_term(e: Evidence, at: int) -> float:
    """What F adds for an item that was met in this session."""
    return REPEAT * REPEAT_RECENCY ** e.rank[at] if e.times[at] > 0 else 0.0


@compiled
def _choose(desk: Desk, extent: Extent, past: Past, known: Known) -> int:
    e = desk.evidence
    largest = 0.0
    for at in range(extent.filled):
        if e.total[at] > 0.0:
            if e.norm[at] == 0.0:
                weigh(e, known, at, extent.own, extent.now, past.half_life_ms)
            e.total[at] *= e.norm[at]
            largest = max(largest, e.total[at])
        elif e.times[at] > 0 or e.alike[at] > 0.0:
            weigh(e, known, at, extent.own, extent.now, past.half_life_ms)
    n = 0
    room = len(desk.entry)
    for at in range(extent.filled):
        if e.total[at] > 0.0:
            e.total[at] /= largest
        score = e.total[at] + repeat_term(e, at) + ALIKE_WEIGHT * e.alike[at]
        if score <= 0.0:
            continue
        c = n
        if n == room:
            c -= 1
            if score < desk.f[c] or (score == desk.f[c] and e.item[at] > e.item[desk.entry[c]]):
                continue
        while c > 0 and (desk.f[c - 1] < score or (desk.f[c - 1] == score and e.item[desk.entry[c - 1]] > e.item[at])):
            desk.entry[c], desk.f[c] = desk.entry[c - 1], desk.f[c - 1]
            c -= 1
        desk.entry[c], desk.f[c] = at, score
        n = min(n + 1, room)
    for c in range(n):
        at = desk.entry[c]
        together = 0.0
        for d in range(RECENT):
            together += e.terms[at, d]
        # From here on the terms are those of F.
        for d in range(RECENT):
            e.terms[at, d] *= e.total[at] / together if together > 0.0 else 0.0
    return n
