"""Ranking: histories × what is known → the best items of each user, with the terms of each score. A whole batch at once.

The candidates of `recsys.ranking.candidates` are scored by the learner: the score of an item is the probability that it comes
next, among these, but where places are kept for others (`recsys.ranking.places`); with the learner off it is F. Where fewer are
left than wanted, popular items follow, whose scores are below all of these: 0.01 · the last one's · popularity beside the most
popular's. For a user whose history says nothing the score is that popularity. What is to be hidden is left out after scoring.
"""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I32, I64, U64, Bools, compiled, compiled_beside
from recsys.hashing import NONE
from recsys.histories import Histories
from recsys.index import is_among
from recsys.known import Known
from recsys.popularity import Popular
from recsys.ranking.candidates import Desk, lay_out, repeat_term
from recsys.ranking.evidence import ALIKE_WEIGHT, HOPS, RECENT, clear
from recsys.ranking.features import ALIKE_TERMS, REPEAT_TERM, TERMS, TRENDING_TERM, split
from recsys.ranking.past import Past
from recsys.ranking.places import keep_places
from recsys.rules import Rules

FILL = 0.01
"""What popularity weighs beside the user's own evidence."""


MISSING = RECENT + HOPS
"""Rows that may be missing of a user, beside the candidates."""


class Ranked(NamedTuple):
    """For each user the best items by falling score, ties by hash; `NONE` where there are fewer."""

    item: U64
    score: F64
    terms: F64
    """Users × items × `TERMS`: what each recent item, the repeat, popularity and descriptions add to the score."""
    personal: Bools
    """Whether a user's own history put an item there."""
    recent: U64
    """Users × `RECENT`: the items that the first terms are of."""
    source: U64
    """Users × items: the held item that others bought this one with, `NONE` where none says so."""
    counts: I64
    """Users × items × `TERMS`: how often that was met which is behind a term, once `recsys.ranking.counts` has filled it."""


class Missing(NamedTuple):
    """What a ranking wanted and did not find: with it, it may be another."""

    items: U64
    """Sorted hashes of items whose rows are not known, or were read too long ago."""
    users: I64
    """The places of those whose ranking wanted them."""


def recent_items(histories: Histories) -> U64:
    """The items whose rows ranking and learning start from: of each user the newest `RECENT` + 1 distinct ones, `NONE` where
    there are fewer."""
    found = np.zeros((len(histories.length), RECENT + 1), np.uint64)
    _recent_items(histories.item, histories.length, found)
    return found


def rank(
    ranked: Ranked, which: I64, past: Past, hidden: U64, known: Known, popular: Popular, weights: F64, of: I32, desk: Desk,
    rules: Rules, since_s: float,
) -> Missing:  # fmt: skip
    """Ranks for the users in the places `which`, as many items as `ranked` has room for.

    `weights` has the weights of some learners, `of` says whose are a user's. Rows that were read before `since_s` are told as
    missing.
    """
    items = np.zeros(len(which) * (MISSING + len(desk.entry)), np.uint64)
    users = np.zeros(len(which), np.int64)
    n, lacking = _rank(
        ranked, which, past, hidden, known, popular.item, level_of(popular), weights, of, desk, rules.learner, since_s,
        items, users,
    )  # fmt: skip
    return Missing(np.unique(items[:n]), users[:lacking])


def room_for(users: int, top_n: int) -> Ranked:
    """Room for the recommendations of so many users."""
    shape = (users, top_n)
    return Ranked(
        np.zeros(shape, np.uint64),
        np.zeros(shape),
        np.zeros((*shape, TERMS)),
        np.zeros(users, np.bool_),
        np.zeros((users, RECENT), np.uint64),
        np.zeros(shape, np.uint64),
        np.zeros((*shape, TERMS), np.int64),
    )


def level_of(popular: Popular) -> F64:
    """The popularity of each beside the most popular's: at most 1."""
    level: F64 = np.exp2(popular.level - popular.level[0]) if len(popular.level) else popular.level
    return level


@compiled
def _recent_items(item: U64, length: I32, found: U64) -> None:
    for u in range(len(length)):
        distinct = 0
        for i in range(length[u] - 1, -1, -1):
            is_new = True
            for d in range(distinct):
                if found[u, d] == item[u, i]:
                    is_new = False
            if is_new:
                found[u, distinct] = item[u, i]
                distinct += 1
                if distinct == found.shape[1]:
                    break


@compiled_beside
def _rank(
    ranked: Ranked, which: I64, past: Past, hidden: U64, known: Known, popular: U64, level: F64, weights: F64, of: I32,
    desk: Desk, learner: bool, since_s: float, missing: U64, users: I64,
) -> tuple[int, int]:  # fmt: skip
    """Returns how many items are missing, some perhaps twice, and of how many users."""
    n, lacking = 0, 0
    for w in range(len(which)):
        u = which[w]
        end = past.length[u]
        more = rank_one(
            past, u, end, end, hidden[u], known, popular, level, weights[of[u]], desk, learner, since_s, ranked, u
        )  # fmt: skip
        for i in range(more):
            missing[n + i] = desk.evidence.missing[i]
        if more > 0:
            n += more
            users[lacking] = u
            lacking += 1
    return n, lacking


@compiled
def rank_one(
    past: Past, u: int, end: int, counted: int, hidden: U64, known: Known, popular: U64, level: F64, weight: F64,
    desk: Desk, learner: bool, since_s: float, ranked: Ranked, r: int,
) -> int:  # fmt: skip
    """Ranks for user `u` after `end` interactions, into place `r`; returns how many items are missing.

    The first `counted` interactions of the history are in the rows already.
    """
    e = desk.evidence
    found, missing = 0, 0
    empty(ranked, r)
    if end > 0:
        n, missing, extent = lay_out(desk, past, u, end, counted, known, since_s, weight)
        for d in range(RECENT):
            ranked.recent[r, d] = e.recent[d]
        score = desk.f
        if learner:
            score = desk.probability
            keep_places(desk, score, n, desk.places)
        found = _best(desk, score, n, hidden, ranked.item.shape[1])
        for i in range(found):
            c = desk.best[i]
            at, terms = desk.entry[c], ranked.terms[r, i]
            ranked.item[r, i], ranked.score[r, i] = e.item[at], score[c]
            if learner:
                split(terms, desk.features[c], weight, e, at, extent.length, repeat_term(e, at))
                for t in range(TERMS):
                    terms[t] *= score[c]
            else:
                terms[REPEAT_TERM] = repeat_term(e, at)
                for d in range(RECENT):
                    terms[d] = e.terms[at, d]
                    terms[ALIKE_TERMS + d] = ALIKE_WEIGHT * e.alike_terms[at, d] if e.alike[at] > 0.0 else 0.0
        clear(e, extent.filled)
    fill_up(ranked, r, found, popular, level, hidden, desk.terms)
    return missing


@compiled
def empty(ranked: Ranked, r: int) -> None:
    """Takes out what stands in place `r`."""
    ranked.item[r], ranked.score[r], ranked.source[r], ranked.recent[r] = NONE, 0.0, NONE, NONE
    ranked.terms[r], ranked.counts[r] = 0.0, 0


@compiled
def _best(desk: Desk, score: F64, n: int, hidden: U64, room: int) -> int:
    """Fills `desk.best` with the candidates of highest score that are not hidden, ties by hash; returns how many they are."""
    best, item, entry = desk.best, desk.evidence.item, desk.entry
    found = 0
    for c in range(n):
        i = found
        if found == room:
            i -= 1
            if not _before(score[c], item[entry[c]], score[best[i]], item[entry[best[i]]]):
                continue
        if _contains(hidden, item[entry[c]]) or is_among(item[entry[c]], desk.gone):
            continue
        while i > 0 and _before(score[c], item[entry[c]], score[best[i - 1]], item[entry[best[i - 1]]]):
            best[i] = best[i - 1]
            i -= 1
        best[i] = c
        found = min(found + 1, room)
    return found


@compiled
def _before(score: float, item: int, other_score: float, other: int) -> bool:
    return score > other_score or (score == other_score and item < other)


@compiled
def fill_up(ranked: Ranked, r: int, found: int, popular: U64, level: F64, hidden: U64, terms: F64) -> None:
    """Fills the places that are left behind the `found` items of a user with popular items, whose scores are below theirs.

    `terms` is scratch.
    """
    terms[:] = 0.0
    top_n = ranked.item.shape[1]
    ranked.personal[r] = found > 0
    fill = FILL * ranked.score[r, found - 1] if found > 0 else 1.0
    for i in range(len(popular)):
        if found == top_n:
            break
        if not _contains(ranked.item[r, :found], popular[i]):
            terms[TRENDING_TERM] = fill * level[i]
            found = insert(ranked, r, found, popular[i], fill * level[i], terms, NONE, hidden)


@compiled
def _contains(items: U64, item: int) -> bool:
    for other in items:  # noqa: SIM110 (compiled)
        if other == item:
            return True
    return False


@compiled
def insert(ranked: Ranked, r: int, found: int, item: int, score: float, terms: F64, source: int, hidden: U64) -> int:
    """Puts an item into the sorted best of a user, if it belongs there; returns how many there are."""
    best, best_score, best_terms, best_source = ranked.item[r], ranked.score[r], ranked.terms[r], ranked.source[r]
    top_n = len(best)
    last = found - 1
    if found == top_n and not _before(score, item, best_score[last], best[last]):
        return found
    if _contains(hidden, item):
        return found
    place = found if found < top_n else last
    while place > 0 and _before(score, item, best_score[place - 1], best[place - 1]):
        best[place], best_score[place], best_source[place] = best[place - 1], best_score[place - 1], best_source[place - 1]
        for t in range(TERMS):
            best_terms[place, t] = best_terms[place - 1, t]
        place -= 1
    best[place], best_score[place], best_source[place] = item, score, source
    for t in range(TERMS):
        best_terms[place, t] = terms[t]
    return min(found + 1, top_n)
