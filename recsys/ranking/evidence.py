"""Evidence: what a user's newest items say, by their rows, for every other item.

With h₀ (the newest), h₁ … h₄ the user's last distinct items, w the row weights and n the decayed interactions, all worth what
they are now:

    P(c|x) = w_xc / (n_x + 1)
    A₁(c)  = Σ_d 0.4^d · P(c|h_d)
    A(c)   = A₁(c) + 4 · Σ_x A₁(x) · P(c|x)         over the 15 items x with the largest A₁(x) · n_x^−0.2
    F(c)   = A(c) · n_c^−0.2 / max + 0.8 · 0.7^r     r: the recency rank of c among the session's items, if it is one

What the user's own session added to the rows is taken out again: it says nothing about others, and so it does not matter
whether the session has been counted yet. What is learned from and what is recommended is judged alike.

Item-to-item co-occurrence: Linden, Smith, York, 2003; distance and recency weights: Ludewig, Jannach, 2018, "Evaluation of
session-based recommendation algorithms".
"""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I32, I64, U8, U64, compiled
from recsys.fold import BACKWARD, in_one_session, pair_weight
from recsys.hashing import NONE
from recsys.index import NOWHERE, find, slot
from recsys.known import Known
from recsys.rows import TREND_HALF_LIFE_MS

RECENT = 5
"""The newest distinct items of a history that speak for others."""
RECENCY = 0.4
OLDER_RECENCY = 0.7
HOPS = 15
HOP_WEIGHT = 4.0
POPULARITY_NORM = -0.2
RAREST = 0.3
"""Decayed interactions that an item is taken to have at least."""
REPEAT = 0.8
REPEAT_RECENCY = 0.7
ROUNDING = 1e-3
"""What is left of a weight after the own session is taken out is nothing if it is less than this part of what was taken."""


class Past(NamedTuple):
    """The histories of some users, as `recsys.histories.Histories`, and the rules that part sessions and age weights."""

    item: U64
    session: U64
    time: I64
    kind: U8
    length: I32
    gap_ms: float
    half_life_ms: float
    """0 for no decay."""
    window: int


class Evidence(NamedTuple):
    """An open-addressing table of the items that a user's history speaks for; all 0 where it is free."""

    slots: U64
    place: I32
    """Where the item is known, `NOWHERE` if it is not."""
    terms: F64
    """Slots × `RECENT`: what each recent item adds to A."""
    total: F64
    """A, and after `finish` F without what is added for repeats."""
    newest: F64
    """P(c|h₀)."""
    older: F64
    """Σ 0.7^(d−1) · P(c|h_d) over the older recent items."""
    support: I32
    """How many recent items have it in their rows."""
    times: I32
    """How often it was met in this session."""
    rank: I32
    """Its recency rank among the session's items."""
    own: F64
    """Slots × `RECENT`: what this session itself added to the weight in the recent item's row, worth what it is now."""
    own_hop: F64
    """The same of its weight in the row of the item that is hopped through; 0 again after the hop."""
    own_met: F64
    """The same of its interactions."""
    own_trend: F64
    used: I64
    """The filled slots, in the order in which their items were met."""
    recent: U64
    """The recent items, `NONE` where there are fewer."""
    missing: U64
    """Items whose rows or popularity were wanted and are not known."""


class Extent(NamedTuple):
    """How much of an `Evidence` is filled, and of which session it is."""

    filled: int
    recent: int
    missing: int
    length: int
    """Interactions in the session."""
    now: int
    """Event time of the newest interaction, in milliseconds."""
    personal: bool
    """Whether anything speaks for an item."""


def no_evidence(width: int, history: int) -> Evidence:
    """A free table, for rows of `width` neighbours and histories of `history` interactions."""
    room = (RECENT + HOPS) * width + 2 * history
    size = 1 << int(2 * room).bit_length()
    return Evidence(
        np.zeros(size, np.uint64),
        np.zeros(size, np.int32),
        np.zeros((size, RECENT)),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size, np.int32),
        np.zeros(size, np.int32),
        np.zeros(size, np.int32),
        np.zeros((size, RECENT)),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size),
        np.zeros(room, np.int64),
        np.zeros(RECENT, np.uint64),
        np.zeros(RECENT + HOPS + room, np.uint64),
    )


@compiled
def gather(e: Evidence, past: Past, u: int, end: int, counted: int, known: Known, since_s: float) -> Extent:
    """Fills a free table with what the first `end` interactions of user `u` say, of which there must be some.

    The first `counted` interactions of the history, perhaps more than `end`, are in the rows already. Rows read before
    `since_s` are told as missing, but used.
    """
    now = past.time[u, end - 1]
    filled, start = _session(e, past, u, end, known)
    recent = _recent(e, past, u, end)
    own = _own_end(past, u, start, counted)
    filled = _own(e, past, u, start, own, now, filled, known)
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
    personal = False
    for f in range(filled):
        personal |= e.total[e.used[f]] > 0.0 or e.times[e.used[f]] > 0
    return Extent(filled, recent, missing, end - start, now, personal)


@compiled
def clear(e: Evidence, filled: int) -> None:
    """Makes the table free again."""
    for f in range(filled):
        at = e.used[f]
        e.slots[at] = NONE
        e.total[at], e.newest[at], e.older[at] = 0.0, 0.0, 0.0
        e.support[at], e.times[at], e.rank[at] = 0, 0, 0
        e.own_met[at], e.own_trend[at] = 0.0, 0.0
        for d in range(RECENT):
            e.terms[at, d], e.own[at, d] = 0.0, 0.0
    e.recent[:] = NONE


@compiled
def met(e: Evidence, known: Known, item: int, filled: int) -> tuple[int, int]:
    """The slot of an item, which is in the table from now on; and how many are filled."""
    at = slot(e.slots, item)
    if e.slots[at] == NONE:
        e.slots[at] = item
        e.place[at] = find(known.where, item)
        e.used[filled] = at
        filled += 1
    return at, filled


@compiled
def fade(since: int, now: int, half_life_ms: float) -> float:
    """What a 1 of `since` is worth at `now`, both in milliseconds; also before it, where it is more."""
    return 2.0 ** (float(since - now) / half_life_ms) if half_life_ms > 0.0 else 1.0


@compiled
def seen_from(known: Known, place: int, now: int) -> int:
    """The time from which an item's row is looked at: `now`, but not before its landmark, lest a factor be without bound."""
    return max(now, known.landmark[place]) if place != NOWHERE else now


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
def _own_end(past: Past, u: int, start: int, counted: int) -> int:
    """Where the interactions end that are of this session and in the rows."""
    k = start
    while k < counted and (
        k == start
        or in_one_session(past.session[u, k - 1], past.time[u, k - 1], past.session[u, k], past.time[u, k], past.gap_ms)
    ):
        k += 1
    return k


@compiled
def _own(e: Evidence, past: Past, u: int, start: int, stop: int, now: int, filled: int, known: Known) -> int:
    """What the session added to the rows, by the rule of `recsys.fold`."""
    seen = np.zeros(RECENT, np.int64)
    for d in range(RECENT):
        seen[d] = seen_from(known, find(known.where, e.recent[d]), now)
    for k in range(start, stop):
        y, time = past.item[u, k], past.time[u, k]
        at, filled = met(e, known, y, filled)
        here = seen_from(known, e.place[at], now)
        e.own_met[at] += fade(time, here, past.half_life_ms)
        e.own_trend[at] += fade(time, here, TREND_HALF_LIFE_MS)
        for i in range(max(start, k - past.window), k):
            s = past.item[u, i]
            weight = pair_weight(k - start, k - i)
            for d in range(RECENT):
                if e.recent[d] == s:
                    e.own[at, d] += weight * fade(time, seen[d], past.half_life_ms)
                elif e.recent[d] == y:
                    back, filled = met(e, known, s, filled)
                    e.own[back, d] += BACKWARD * weight * fade(time, seen[d], past.half_life_ms)
    return filled


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
def without(weight: float, own: float) -> float:
    """What is left of a weight without the session's own; nothing, where it is no more than what rounding leaves."""
    left = weight - own
    return left if left > ROUNDING * own else 0.0


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
            _own_hop(e, past, u, start, stop, e.slots[at], seen_from(known, place, now))
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
def _own_hop(e: Evidence, past: Past, u: int, start: int, stop: int, x: int, seen: int) -> None:
    """What the session added to the row of an item that it met."""
    for k in range(start, stop):
        y = past.item[u, k]
        for i in range(max(start, k - past.window), k):
            s = past.item[u, i]
            if s != x and y != x:  # noqa: PLR1714 (compiled)
                continue
            weight = pair_weight(k - start, k - i) * fade(past.time[u, k], seen, past.half_life_ms)
            if s == x:
                e.own_hop[slot(e.slots, y)] += weight
            else:
                e.own_hop[slot(e.slots, s)] += BACKWARD * weight


@compiled
def popularity_norm(e: Evidence, known: Known, at: int, now: int, half_life_ms: float) -> float:
    return max(popularity(e, known, at, now, half_life_ms), RAREST) ** POPULARITY_NORM  # type: ignore[no-any-return]


@compiled
def popularity(e: Evidence, known: Known, at: int, now: int, half_life_ms: float) -> float:
    """The decayed interactions of an item at `now`, without those of this session."""
    place = e.place[at]
    if place == NOWHERE:
        return 0.0
    factor = min(fade(known.landmark[place], now, half_life_ms), 1.0)
    return max(known.popularity[place] * factor - e.own_met[at], 0.0)  # type: ignore[no-any-return]


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
