"""The own session: what a user's session added to the rows, by the rule of `recsys.fold`, so that it can be taken out again."""

import numpy as np

from recsys.compiled import compiled
from recsys.fold import BACKWARD, in_one_session, pair_weight
from recsys.index import find
from recsys.known import Known
from recsys.ranking.evidence import RECENT, Evidence, enter_own, entry_of, seen_from
from recsys.ranking.past import Past, fade
from recsys.rows import TREND_HALF_LIFE_MS

ROUNDING = 1e-3
"""What is left of a weight after the own session is taken out is nothing if it is less than this part of what was taken."""


@compiled
def own_end(past: Past, u: int, start: int, counted: int) -> int:
    """Where the interactions end that are of this session and in the rows."""
    k = start
    while k < counted and (
        k == start
        or in_one_session(past.session[u, k - 1], past.time[u, k - 1], past.session[u, k], past.time[u, k], past.gap_ms)
    ):
        k += 1
    return k


@compiled
def add_own(e: Evidence, past: Past, u: int, start: int, stop: int, now: int, filled: int, known: Known) -> int:
    """What the session added to the rows, by the rule of `recsys.fold`; returns how many entries there are."""
    seen = e.seen
    for d in range(RECENT):
        seen[d] = seen_from(known, find(known.where, e.recent[d]), now)
    least = np.inf
    for k in range(start, stop):
        action = past.action[past.kind[u, k]]
        least = min(least, action)
        y, time = past.item[u, k], past.time[u, k]
        at, filled = enter_own(e, y, filled)
        here = seen_from(known, find(known.where, y), now)
        e.own_met[at] += fade(time, here, past.half_life_ms)
        e.own_trend[at] += fade(time, here, TREND_HALF_LIFE_MS)
        for i in range(max(start, k - past.window), k):
            s = past.item[u, i]
            weight = pair_weight(action / least, k - start, k - i)
            for d in range(RECENT):
                if e.recent[d] == s:
                    e.own[at, d] += weight * fade(time, seen[d], past.half_life_ms)
                elif e.recent[d] == y:
                    back, filled = enter_own(e, s, filled)
                    e.own[back, d] += BACKWARD * weight * fade(time, seen[d], past.half_life_ms)
    return filled


@compiled
def own_hop(e: Evidence, past: Past, u: int, start: int, stop: int, x: int, seen: int) -> None:
    """What the session added to the row of an item that it met."""
    least = np.inf
    for k in range(start, stop):
        action = past.action[past.kind[u, k]]
        least = min(least, action)
        y = past.item[u, k]
        for i in range(max(start, k - past.window), k):
            s = past.item[u, i]
            if s != x and y != x:  # noqa: PLR1714 (compiled)
                continue
            weight = pair_weight(action / least, k - start, k - i) * fade(past.time[u, k], seen, past.half_life_ms)
            if s == x:
                e.own_hop[entry_of(e, y)] += weight
            else:
                e.own_hop[entry_of(e, s)] += BACKWARD * weight


@compiled
def without(weight: float, own: float) -> float:
    """What is left of a weight without the session's own; nothing, where it is no more than what rounding leaves."""
    left = weight - own
    return left if left > ROUNDING * own else 0.0
