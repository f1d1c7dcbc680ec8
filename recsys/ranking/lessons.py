"""Lessons: what a user turned to next teaches the learner, wherever it was among the candidates.

An item is learned from in the session in which it was met, with what was known of it at that time: the session's own part of
the counts is taken out (`recsys.ranking.evidence`), so it does not matter that it is counted already.
"""

import numpy as np

from recsys.compiled import F64, I32, compiled, compiled_beside
from recsys.fold import in_one_session
from recsys.hashing import NONE
from recsys.known import Known
from recsys.learner import Weights, learn
from recsys.ranking.candidates import Desk, lay_out
from recsys.ranking.evidence import clear
from recsys.ranking.past import Past, session_start

A_DAY = 50
DAY_MS = 86_400_000
"""No user teaches more than `A_DAY` lessons in `DAY_MS`, or than a history holds beside the newest interaction: a robot must
not swing what all others are shown."""
SESSIONS = 4
"""One session in so many teaches: it costs at most 0.1 of HR@20, and a lesson takes as long as a ranking."""
MIX = 0x9E3779B97F4A7C15
NEVER = -1.0


@compiled
def teach(desk: Desk, past: Past, u: int, end: int, counted: int, target: int, known: Known, weights: Weights) -> None:
    """Learns that user `u` turned to `target` after `end` interactions; the first `counted`, perhaps more, are in the rows."""
    n, _, extent = lay_out(desk, past, u, end, counted, known, NEVER, weights.weight)
    for c in range(n):
        if desk.evidence.item[desk.entry[c]] == target:
            chosen = desk.linear[:n]
            chosen[:] = 0.0
            chosen[c] = 1.0
            learn(desk.features, n, desk.probability, chosen, weights.weight, weights.squares)
            break
    clear(desk.evidence, extent.filled)


@compiled
def teaches(past: Past, u: int, end: int, session: int, time: int) -> bool:
    """Whether an interaction of this session and time, after `end` others of user `u`, is a lesson: it goes on with a session
    that teaches, and the user does not teach too much."""
    if end == 0 or not in_one_session(past.session[u, end - 1], past.time[u, end - 1], session, time, past.gap_ms):
        return False
    limit = min(A_DAY, past.time.shape[1] - 1)
    # Of what a full history has lost nothing is known: a robot may have been here all day.
    is_busy = end >= limit or past.length[u] == past.time.shape[1]
    if is_busy and time - past.time[u, max(end - limit, 0)] < DAY_MS:
        return False
    start = session_start(past, u, end)
    number = past.session[u, start]
    if number == NONE:
        number = past.item[u, start] ^ np.uint64(past.time[u, start])
    return ((number * np.uint64(MIX)) >> np.uint64(40)) % np.uint64(SESSIONS) == 0  # type: ignore[no-any-return]


@compiled
def probability_of(desk: Desk, past: Past, u: int, end: int, counted: int, target: int, known: Known, weight: F64) -> float:
    """How likely it was that user `u` turned to `target` after `end` interactions; 0 where it was no candidate."""
    n, _, extent = lay_out(desk, past, u, end, counted, known, NEVER, weight)
    probability = 0.0
    for c in range(n):
        if desk.evidence.item[desk.entry[c]] == target:
            probability = desk.probability[c]
    clear(desk.evidence, extent.filled)
    return probability


def learn_from(past: Past, new: I32, known: Known, weights: list[Weights], of: I32, desk: Desk) -> None:
    """Learns from the `new` newest interactions of each user; `of` says whose weights they teach."""
    for w, learner in enumerate(weights):
        _learn_from(past, np.where(of == w, new, 0).astype(np.int32), known, learner, desk)


@compiled_beside
def _learn_from(past: Past, new: I32, known: Known, weights: Weights, desk: Desk) -> None:
    for u in range(len(new)):
        learn_newest(past, u, new[u], known, weights, desk)


@compiled
def learn_newest(past: Past, u: int, new: int, known: Known, weights: Weights, desk: Desk) -> None:
    """The same for one user; all of the history is in the rows."""
    length = past.length[u]
    for end in range(max(length - new, 1), length):
        if teaches(past, u, end, past.session[u, end], past.time[u, end]):
            teach(desk, past, u, end, length, past.item[u, end], known, weights)
