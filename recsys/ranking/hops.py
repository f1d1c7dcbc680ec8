"""Hops: from a user's recent items over their rows to all that they speak for; see `recsys.ranking.evidence`."""

import numpy as np

from recsys.alike import Alike
from recsys.compiled import F32, F64, I64, U64, compiled
from recsys.fold import in_one_session
from recsys.hashing import NONE
from recsys.index import NOWHERE, find
from recsys.known import Known
from recsys.ranking.evidence import (
    HOP_WEIGHT,
    OLDER_RECENCY,
    RECENCY,
    RECENT,
    Evidence,
    Extent,
    enter,
    enter_own,
    entry_of,
    seen_from,
    weigh,
)
from recsys.ranking.own_session import add_own, own_end, own_hop, without
from recsys.ranking.past import Past, fade


@compiled
def gather(e: Evidence, past: Past, u: int, end: int, counted: int, known: Known, since_s: float) -> Extent:
    """Fills what is free with what the first `end` interactions of user `u` say, of which there must be some.

    The first `counted` interactions of the history, perhaps more than `end`, are in the rows already. Rows read before
    `since_s` are told as missing, but used.
    """
    now = past.time[u, end - 1]
    own, start = _session(e, past, u, end)
    recent = _recent(e, past, u, end)
    counted_end = own_end(past, u, start, counted)
    own = add_own(e, past, u, start, counted_end, now, own, known)
    filled, missing = own, 0
    for d in range(recent):
        place = find(known.where, e.recent[d])
        if place == NOWHERE or known.row[place] == NOWHERE:
            e.missing[missing] = e.recent[d]
            missing += 1
            continue
        at = entry_of(e, e.recent[d])
        met = e.own_met[at] if 0 <= at < own else 0.0
        factor = min(fade(known.landmark[place], now, past.half_life_ms), 1.0)
        strength = 1.0 / (max(known.popularity[place] * factor - met, 0.0) + 1.0)
        line = known.row[place]
        n = known.length[line]
        filled = _one_hop(e, own, known.other[line, :n], known.weight[line, :n], factor, strength, d, filled)
    filled, missing = _two_hops(e, past, u, start, counted_end, own, known, now, filled, missing, since_s)
    filled = _alike(e, known.alike, recent, filled)
    return Extent(filled, own, recent, missing, end - start, now)


@compiled
def _session(e: Evidence, past: Past, u: int, end: int) -> tuple[int, int]:
    """Enters the items of the session; returns how many, and where in the history it starts."""
    filled = 0
    i = end - 1
    while True:
        at, filled = enter_own(e, past.item[u, i], filled)
        if e.times[at] == 0:
            e.rank[at] = at
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
def _one_hop(e: Evidence, own: int, other: U64, weight: F32, factor: float, strength: float, d: int, filled: int) -> int:
    """What recent item `d` says by its row; returns how many entries there are."""
    terms, total, newest, older, support = e.terms, e.total, e.newest, e.older, e.support
    recency, older_recency = RECENCY**d, OLDER_RECENCY ** (d - 1)
    for i in range(len(other)):
        at, filled = enter(e, other[i], filled)
        p = strength * without(weight[i] * factor, e.own[at, d] if at < own else 0.0)
        if not 0.0 < p < np.inf:
            continue
        terms[at, d] += recency * p
        total[at] += recency * p
        support[at] += 1
        if d == 0:
            newest[at] = p
        else:
            older[at] += older_recency * p
    return filled


@compiled
def _two_hops(
    e: Evidence, past: Past, u: int, start: int, stop: int, own: int, known: Known, now: int, filled: int, missing: int,
    since_s: float,
) -> tuple[int, int]:  # fmt: skip
    best, one, terms = e.hop, e.hop_total, e.hop_terms
    found = 0
    for at in range(filled):
        if e.total[at] > 0.0:
            weigh(e, known, at, own, now, past.half_life_ms)
            found = _keep(best, e.hop_worth, found, at, e.total[at] * e.norm[at], e.item)
    for q in range(found):
        one[q] = e.total[best[q]]
        for d in range(RECENT):
            terms[q, d] = e.terms[best[q], d]
    for q in range(found):
        at = best[q]
        place = e.place[at]
        if place == NOWHERE or known.row[place] == NOWHERE:
            e.missing[missing] = e.item[at]
            missing += 1
            continue
        if known.read[place] < since_s:
            e.missing[missing] = e.item[at]
            missing += 1
        factor = min(fade(known.landmark[place], now, past.half_life_ms), 1.0)
        strength = HOP_WEIGHT / (e.met[at] + 1.0)
        line = known.row[place]
        n = known.length[line]
        is_own = at < own and e.own_met[at] > 0.0
        if is_own:
            own_hop(e, past, u, start, stop, e.item[at], seen_from(known, place, now))
        filled = _second_hop(
            e, own, known.other[line, :n], known.weight[line, :n], factor, strength, one[q], terms[q], is_own, filled
        )  # fmt: skip
        if is_own:
            e.own_hop[:own] = 0.0
    return filled, missing


@compiled
def _second_hop(
    e: Evidence, own: int, other: U64, weight: F32, factor: float, strength: float, one: float, parts: F64, is_own: bool,
    filled: int,
) -> int:  # fmt: skip
    """What an item with A₁ `one`, made of `parts`, says by its row; returns how many entries there are."""
    terms, total = e.terms, e.total
    for i in range(len(other)):
        at, filled = enter(e, other[i], filled)
        p = strength * without(weight[i] * factor, e.own_hop[at] if is_own and at < own else 0.0)
        if not 0.0 < p < np.inf:
            continue
        total[at] += one * p
        for d in range(RECENT):
            terms[at, d] += parts[d] * p
    return filled


@compiled
def _alike(e: Evidence, told: Alike, recent: int, filled: int) -> int:
    """What the descriptions of the recent items say; returns how many entries there are."""
    for d in range(recent):
        place = find(told.where, e.recent[d])
        if place == NOWHERE:
            continue
        for i in range(told.other.shape[1]):
            if told.other[place, i] == NONE:
                break
            at, filled = enter(e, told.other[place, i], filled)
            if e.alike[at] == 0.0:
                e.alike_terms[at] = 0.0
            e.alike_terms[at, d] = RECENCY**d * told.cosine[place, i]
            e.alike[at] += e.alike_terms[at, d]
    return filled


@compiled
def _keep(best: I64, worth: F64, found: int, at: int, score: float, item: U64) -> int:
    """Puts an entry into the sorted best, if it belongs there, ties by hash; returns how many there are."""
    room = len(best)
    if found == room and (score < worth[room - 1] or (score == worth[room - 1] and item[at] > item[best[room - 1]])):
        return found
    i = found if found < room else room - 1
    while i > 0 and (worth[i - 1] < score or (worth[i - 1] == score and item[best[i - 1]] > item[at])):
        best[i], worth[i] = best[i - 1], worth[i - 1]
        i -= 1
    best[i], worth[i] = at, score
    return min(found + 1, room)
