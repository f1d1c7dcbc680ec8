"""Ranking: histories and rows → the best items of each user, with the terms of each score. Pure, a whole batch at once.

With h₀ (the newest), h₁ … the user's last distinct items, w the row weights and n the decayed interactions, all worth what
they are now:

    P(c|x) = w_xc / (n_x + 1)
    A(c)   = Σ_d 0.4^d · P(c|h_d)
    S(c)   = A(c) / max A + 0.8 · 0.7^r      r: the recency rank of c among the session's items, if it is one
           = 0.01 · T(c)                     for an item without such evidence, T its popularity beside the most popular's

For a user whose history says nothing, S = T. What is to be hidden is left out after scoring. Item-to-item co-occurrence:
Linden, Smith, York, 2003; distance and recency weights: Ludewig, Jannach, 2018, "Evaluation of session-based recommendation
algorithms".
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recsys.compiled import F32, F64, I32, I64, U8, U64, Bools, compiled
from recsys.fold import PURCHASE, in_one_session
from recsys.hashing import NONE
from recsys.histories import Histories
from recsys.popularity import Popular
from recsys.rows import Rows
from recsys.rules import Rules

RECENT = 5
"""The newest distinct items of a history that speak for others."""
RECENCY = 0.4
REPEAT = 0.8
REPEAT_RECENCY = 0.7
FILL = 0.01
"""What popularity weighs beside the user's own evidence."""
TERMS = RECENT + 2
REPEAT_TERM = RECENT
TRENDING_TERM = RECENT + 1


class Context(NamedTuple):
    """What ranking takes from the histories of some users."""

    now: I64
    """Event time of the newest interaction, in milliseconds; 0 without one."""
    recent: U64
    """Users × `RECENT` distinct items, newest first, `NONE` where there are fewer."""
    session: U64
    """Users × history: the session's distinct items, newest first."""
    hidden: U64
    """Users × items to be left out, `NONE` where there are fewer."""


class Ranked(NamedTuple):
    """For each user the best items by falling score, ties by hash; `NONE` where there are fewer."""

    item: U64
    score: F64
    terms: F64
    """Users × items × `TERMS`: what each recent item, the repeat and popularity add to the score."""
    personal: Bools
    """Whether a user's own history put an item there."""
    recent: U64


def context(histories: Histories, current: Sequence[Sequence[int]], rules: Rules) -> Context:
    """The context of each user; `current` gives the hashes of the items of each user's newest event."""
    users, room = histories.item.shape
    shown = current if "current" in rules.hide else [()] * users
    width = max((len(items) for items in shown), default=0)
    hidden = np.zeros((users, width + room), np.uint64)
    for user, items in enumerate(shown):
        hidden[user, : len(items)] = items
    found = Context(np.zeros(users, np.int64), np.zeros((users, RECENT), np.uint64), np.zeros((users, room), np.uint64), hidden)
    hides = ("purchased" in rules.hide, "seen" in rules.hide)
    _context(histories.item, *histories[2:], *found, width, *hides, float(rules.session_gap_ms))
    return found


def recent_items(histories: Histories) -> U64:
    """The items whose rows ranking needs: of each user the newest `RECENT` distinct ones, `NONE` where there are fewer."""
    return context(histories, [()] * len(histories.length), Rules(hide=frozenset())).recent


def rank(users: Context, rows: Rows, popular: Popular, rules: Rules) -> Ranked:
    """The `top_n` best items of each user. `rows` must hold the rows of all recent items that have one."""
    n = len(users.now)
    shape = (n, rules.top_n)
    ranked = Ranked(np.zeros(shape, np.uint64), np.zeros(shape), np.zeros((*shape, TERMS)), np.zeros(n, np.bool_), users.recent)
    at = np.searchsorted(rows.item, users.recent)
    at[at == len(rows.item)] = 0
    known = rows.item[at] == users.recent if len(rows.item) else np.zeros_like(at, np.bool_)
    at = np.where(known & (users.recent != NONE), at, -1)
    # Twice as many places as candidates, so that a search in the table is short; a power of two.
    candidates = RECENT * rows.other.shape[1] + users.session.shape[1] + len(popular.item)
    table = 1 << int(2 * candidates).bit_length()
    level = np.exp2(popular.level - popular.level[0]) if len(popular.level) else popular.level
    _rank(users.now, *users[2:], at, *rows[3:5], *rows[6:9], popular.item, level, rules.half_life_ms, table, *ranked[:4])
    return ranked


@compiled
def _context(
    item: U64, session: U64, time: I64, kind: U8, length: I32,
    now: I64, recent: U64, in_session: U64, hidden: U64, width: int,
    hides_purchased: bool, hides_seen: bool, gap: float,
) -> None:  # fmt: skip
    for u in range(len(now)):
        end = length[u]
        if end == 0:
            continue
        now[u] = time[u, end - 1]
        distinct = 0
        in_this_session = 0
        same_session = True
        out = width
        for i in range(end - 1, -1, -1):
            if i < end - 1 and same_session:
                same_session = in_one_session(session[u, i], time[u, i], session[u, i + 1], time[u, i + 1], gap)
            if hides_seen or (hides_purchased and kind[u, i] == PURCHASE):
                hidden[u, out] = item[u, i]
                out += 1
            met = False
            for later in range(i + 1, end):
                if item[u, later] == item[u, i]:
                    met = True
            if met:
                continue
            if distinct < RECENT:
                recent[u, distinct] = item[u, i]
                distinct += 1
            if same_session:
                in_session[u, in_this_session] = item[u, i]
                in_this_session += 1


@compiled
def _rank(
    now: I64, in_session: U64, hidden: U64, at: I64,
    popularity: F64, landmark: I64, length: I32, other: U64, weight: F32,
    popular: U64, level: F64, half_life: float, size: int,
    best: U64, best_score: F64, best_terms: F64, personal: Bools,
) -> None:  # fmt: skip
    # An open-addressing table of the candidates of one user; `used` lists its filled places in the order they were met.
    slots = np.zeros(size, np.uint64)
    terms = np.zeros((size, TERMS))
    used = np.empty(size, np.int64)
    top_n = best.shape[1]
    for u in range(len(now)):
        filled = 0
        for d in range(RECENT):
            r = at[u, d]
            if r < 0:
                continue
            factor = 1.0
            if half_life > 0.0 and now[u] > landmark[r]:
                factor = 2.0 ** ((landmark[r] - now[u]) / half_life)
            strength = RECENCY**d * factor / (popularity[r] * factor + 1.0)
            for i in range(length[r]):
                p = strength * weight[r, i]
                if p <= 0.0:
                    continue
                place = _place(slots, other[r, i])
                if slots[place] == NONE:
                    slots[place] = other[r, i]
                    used[filled] = place
                    filled += 1
                terms[place, d] += p
        largest = 0.0
        for f in range(filled):
            total = 0.0
            for d in range(RECENT):
                total += terms[used[f], d]
            largest = max(largest, total)
        if largest > 0.0:
            for f in range(filled):
                for d in range(RECENT):
                    terms[used[f], d] /= largest
        repeat = REPEAT
        for i in range(in_session.shape[1]):
            if in_session[u, i] == NONE:
                break
            place = _place(slots, in_session[u, i])
            if slots[place] == NONE:
                slots[place] = in_session[u, i]
                used[filled] = place
                filled += 1
            terms[place, REPEAT_TERM] = repeat
            repeat *= REPEAT_RECENCY
        evidence = filled

        # Two passes over one selection: the user's own candidates, then popularity for the places that are left.
        found = 0
        for f in range(evidence):
            place = used[f]
            score = 0.0
            for term in range(TERMS):
                score += terms[place, term]
            found = _insert(best[u], best_score[u], best_terms[u], found, top_n, slots[place], score, terms[place], hidden[u])
        personal[u] = found > 0
        fill = FILL if personal[u] else 1.0
        for i in range(len(popular)):
            if found == top_n and fill * level[i] < best_score[u, top_n - 1]:
                break
            place = _place(slots, popular[i])
            if slots[place] == NONE:
                slots[place] = popular[i]
                used[filled] = place
                filled += 1
                terms[place, TRENDING_TERM] = fill * level[i]
                found = _insert(
                    best[u],
                    best_score[u],
                    best_terms[u],
                    found,
                    top_n,
                    popular[i],
                    fill * level[i],
                    terms[place],
                    hidden[u],
                )
        for f in range(filled):
            slots[used[f]] = NONE
            terms[used[f]] = 0.0


@compiled
def _place(slots: U64, item: int) -> int:
    """Where an item stands in an open-addressing table whose size is a power of two, or the free place where it belongs."""
    last = len(slots) - 1
    place = np.int64(item & np.uint64(last))
    while slots[place] != NONE and slots[place] != item:
        place = (place + 1) & last
    return place  # type: ignore[return-value]


@compiled
def _insert(
    best: U64,
    best_score: F64,
    best_terms: F64,
    found: int,
    top_n: int,
    item: int,
    score: float,
    terms: F64,
    hidden: U64,
) -> int:
    """Puts an item into the sorted best, if it belongs there; returns how many there are."""
    last = found - 1
    if found == top_n and (score < best_score[last] or (score == best_score[last] and item > best[last])):
        return found
    for i in range(len(hidden)):
        if hidden[i] == item:
            return found
    place = found if found < top_n else last
    while place > 0 and (best_score[place - 1] < score or (best_score[place - 1] == score and best[place - 1] > item)):
        best[place] = best[place - 1]
        best_score[place] = best_score[place - 1]
        best_terms[place] = best_terms[place - 1]
        place -= 1
    best[place] = item
    best_score[place] = score
    best_terms[place] = terms
    return min(found + 1, top_n)
