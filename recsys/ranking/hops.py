"""Hops: from a user's recent items over their rows to all that they speak for; see `recsys.ranking.evidence`."""

import numpy as np

from recsys.compiled import F64, I64, U64, compiled
from recsys.fold import in_one_session
from recsys.hashing import NONE
from recsys.index import NOWHERE, find, slot
from recsys.known import Known
from recsys.ranking.evidence import (
    HOP_WEIGHT,
    HOPS,
    OLDER_RECENCY,
    RECENCY,
    RECENT,
    Evidence,
    Extent,
    met,
    popularity,
    popularity_norm,
    seen_from,
)
from recsys.ranking.own_session import add_own, own_end, own_hop, without
from recsys.ranking.past import Past, fade


@compiled
def gather(e: Evidence, past: Past, u: int, end: int, counted: int, known: Known, since_s: float) -> Extent:
    """Fills a free table with what the first `end` interactions of user `u` say, of which there must be some.

    The first `counted` interactions of the history, perhaps more than `end`, are in the rows already. Rows read before
    `since_s` are told as missing, but used.
    """
    now = past.time[u, end - 1]
    filled, start = _session(e, past, u, end, known)
    recent = _recent(e, past, u, end)
    own = own_end(past, u, start, counted)
    filled = add_own(e, past, u, start, own, now, filled, known)
    missing = 0
    for d in range(recent):
        at = slot(e.slots, e.recent[d])
        if e.slots[at] != NONE:
            place, met = e.place[at], e.own_met[at]
        else:
            place, met = find(known.where, e.recent[d]), 0.0
        if place == NOWHERE or known.row[place] == NOWHERE:
            e.missing[missing] = e.recent[d]
            missing += 1
            continue
        filled = _one_hop(e, past, known, place, d, met, now, filled)
    filled, missing = _two_hops(e, past, u, start, own, known, now, filled, missing, since_s)
    return Extent(filled, recent, missing, end - start, now)


@compiled
def _session(e: Evidence, past: Past, u: int, end: int, known: Known) -> tuple[int, int]:
    """Enters the items of the session; returns how many, and where in the history it starts."""
    filled, distinct = 0, 0
    i = end - 1
    while True:
        at, filled = met(e, known, past.item[u, i], filled)
        if e.times[at] == 0:
            e.rank[at] = distinct
            distinct += 1
        e.times[at] += 1
        if i == 0 or not in_one_session(
            past.session[u, i - 1], past.time[u, i - 1], past.session[u, i], past.time[u, i], past.gap_ms
        ):
            return filled, i
        i -= 1


@compiled
def _recent(e: Evidence, past: Past, u: int, end: int) -> int:
    distinct = 0
    for i in range(end - 1, -1, -1):
        is_new = True
        for d in range(distinct):
            if e.recent[d] == past.item[u, i]:
                is_new = False
        if is_new:
            e.recent[distinct] = past.item[u, i]
            distinct += 1
            if distinct == RECENT:
                break
    return distinct


@compiled
def _one_hop(e: Evidence, past: Past, known: Known, place: int, d: int, own_met: float, now: int, filled: int) -> int:
    factor = min(fade(known.landmark[place], now, past.half_life_ms), 1.0)
    strength = 1.0 / (max(known.popularity[place] * factor - own_met, 0.0) + 1.0)
    line = known.row[place]
    for i in range(known.length[line]):
        at, filled = met(e, known, known.other[line, i], filled)
        p = strength * without(known.weight[line, i] * factor, e.own[at, d])
        if not 0.0 < p < np.inf:
            continue
        e.terms[at, d] += RECENCY**d * p
        e.total[at] += RECENCY**d * p
        e.support[at] += 1
        if d == 0:
            e.newest[at] = p
        else:
            e.older[at] += OLDER_RECENCY ** (d - 1) * p
    return filled


@compiled
def _two_hops(
    e: Evidence, past: Past, u: int, start: int, stop: int, known: Known, now: int, filled: int, missing: int, since_s: float
) -> tuple[int, int]:
    best = np.zeros(HOPS, np.int64)
    worth = np.zeros(HOPS)
    one = np.zeros(HOPS)
    terms = np.zeros((HOPS, RECENT))
    found = 0
    for f in range(filled):
        at = e.used[f]
        if e.total[at] > 0.0:
            found = _keep(best, worth, found, at, e.total[at] * popularity_norm(e, known, at, now, past.half_life_ms), e.slots)
    for q in range(found):
        one[q] = e.total[best[q]]
        terms[q] = e.terms[best[q]]
    for q in range(found):
        at = best[q]
        place = e.place[at]
        if place == NOWHERE or known.row[place] == NOWHERE:
            e.missing[missing] = e.slots[at]
            missing += 1
            continue
        if known.read[place] < since_s:
            e.missing[missing] = e.slots[at]
            missing += 1
        factor = min(fade(known.landmark[place], now, past.half_life_ms), 1.0)
        strength = HOP_WEIGHT / (popularity(e, known, at, now, past.half_life_ms) + 1.0)
        line = known.row[place]
        is_own = e.own_met[at] > 0.0
        if is_own:
            own_hop(e, past, u, start, stop, e.slots[at], seen_from(known, place, now))
        for i in range(known.length[line]):
            to, filled = met(e, known, known.other[line, i], filled)
            p = strength * without(known.weight[line, i] * factor, e.own_hop[to])
            if not 0.0 < p < np.inf:
                continue
            e.total[to] += one[q] * p
            for d in range(RECENT):
                e.terms[to, d] += terms[q, d] * p
        if is_own:
            for k in range(start, stop):
                e.own_hop[slot(e.slots, past.item[u, k])] = 0.0
    return filled, missing


@compiled
def _keep(best: I64, worth: F64, found: int, at: int, score: float, slots: U64) -> int:
    """Puts a slot into the sorted best, if it belongs there, ties by hash; returns how many there are."""
    room = len(best)
    if found == room and (score < worth[room - 1] or (score == worth[room - 1] and slots[at] > slots[best[room - 1]])):
        return found
    i = found if found < room else room - 1
    while i > 0 and (worth[i - 1] < score or (worth[i - 1] == score and slots[best[i - 1]] > slots[at])):
        best[i], worth[i] = best[i - 1], worth[i - 1]
        i -= 1
    best[i], worth[i] = at, score
    return min(found + 1, room)
