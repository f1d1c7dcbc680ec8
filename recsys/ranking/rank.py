"""Ranking: histories × what is known → the best items of each user, with the terms of each score. A whole batch at once.

The candidates of `recsys.ranking.candidates` are scored by the learner: the score of an item is the probability that it comes
next, among these; with the learner off it is F. Where fewer are left than wanted, popular items follow, whose scores are
below all of these: 0.01 · the last one's · popularity beside the most popular's. For a user whose history says nothing the
score is that popularity. What is to be hidden is left out after scoring.
"""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I32, I64, U64, Bools, compiled
from recsys.hashing import NONE
from recsys.histories import Histories
from recsys.known import Known
from recsys.popularity import Popular
from recsys.ranking.candidates import Desk, lay_out, repeat_term
from recsys.ranking.evidence import HOPS, RECENT, clear
from recsys.ranking.features import REPEAT_TERM, TERMS, TRENDING_TERM, split
from recsys.ranking.past import Past
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
    """Users × items × `TERMS`: what each recent item, the repeat and popularity add to the score."""
    personal: Bools
    """Whether a user's own history put an item there."""
    recent: U64
    """Users × `RECENT`: the items that the first terms are of."""
    source: U64
    """Users × items: the held item that others bought this one with, `NONE` where none says so."""
    counts: I64
    """Users × items × `TERMS`: how often that was met which is behind a term, once `recsys.ranking.counts` has filled it."""
    missing: U64
    """Items that were wanted and are not known: with their rows the ranking may be another."""


def recent_items(histories: Histories) -> U64:
    """The items whose rows ranking and learning start from: of each user the newest `RECENT` + 1 distinct ones, `NONE` where
    there are fewer."""
    found = np.zeros((len(histories.length), RECENT + 1), np.uint64)
    _recent_items(histories.item, histories.length, found)
    return found


def rank(
    past: Past, hidden: U64, known: Known, popular: Popular, weights: F64, of: I32, desk: Desk, rules: Rules, since_s: float
) -> Ranked:
    """The `top_n` best items of each user. `weights` has the weights of some learners, `of` says whose are a user's.

    Rows that were read before `since_s` are told as missing.
    """
    users = len(past.length)
    ranked = room_for(users, rules.top_n, users * (MISSING + len(desk.slot)))
    level = level_of(popular)
    missing = _rank(past, hidden, known, popular.item, level, weights, of, desk, rules.learner, since_s, ranked)
    return ranked._replace(missing=np.unique(ranked.missing[:missing]))


def room_for(users: int, top_n: int, missing: int) -> Ranked:
    """Room for the recommendations of so many users, and so many items that may be missing."""
    shape = (users, top_n)
    return Ranked(
        np.zeros(shape, np.uint64),
        np.zeros(shape),
        np.zeros((*shape, TERMS)),
        np.zeros(users, np.bool_),
        np.zeros((users, RECENT), np.uint64),
        np.zeros(shape, np.uint64),
        np.zeros((*shape, TERMS), np.int64),
        np.zeros(missing, np.uint64),
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


@compiled
def _rank(
    past: Past, hidden: U64, known: Known, popular: U64, level: F64, weights: F64, of: I32,
    desk: Desk, learner: bool, since_s: float, ranked: Ranked,
) -> int:  # fmt: skip
    missing = 0
    for u in range(len(past.length)):
        end = past.length[u]
        weight = weights[of[u]]
        lacking = rank_one(
            past, u, end, end, hidden[u], known, popular, level, weight, desk, learner, since_s, ranked, u
        )  # fmt: skip
        for i in range(min(lacking, len(ranked.missing) - missing)):
            ranked.missing[missing] = desk.evidence.missing[i]
            missing += 1
    return missing


@compiled
def rank_one(
    past: Past, u: int, end: int, counted: int, hidden: U64, known: Known, popular: U64, level: F64, weight: F64,
    desk: Desk, learner: bool, since_s: float, ranked: Ranked, r: int,
) -> int:  # fmt: skip
    """Ranks for user `u` after `end` interactions, into place `r`; returns how many items are missing.

    The first `counted` interactions of the history are in the rows already.
    """
    e = desk.evidence
    terms = np.zeros(TERMS)
    found, missing = 0, 0
    if end > 0:
        n, missing, extent = lay_out(desk, past, u, end, counted, known, since_s, weight)
        ranked.recent[r] = e.recent
        for c in range(n):
            at = desk.slot[c]
            if learner:
                split(terms, desk.features[c], weight, e, at, extent.length, repeat_term(e, at))
                terms *= desk.probability[c]
                score = desk.probability[c]
            else:
                terms[:RECENT] = e.terms[at]
                terms[REPEAT_TERM], terms[TRENDING_TERM] = repeat_term(e, at), 0.0
                score = desk.f[c]
            found = insert(ranked, r, found, e.slots[at], score, terms, NONE, hidden)
        clear(e, extent.filled)
    fill_up(ranked, r, found, popular, level, hidden)
    return missing


@compiled
def fill_up(ranked: Ranked, r: int, found: int, popular: U64, level: F64, hidden: U64) -> None:
    """Fills the places that are left behind the `found` items of a user with popular items, whose scores are below theirs."""
    terms = np.zeros(TERMS)
    top_n = ranked.item.shape[1]
    ranked.personal[r] = found > 0
    fill = FILL * ranked.score[r, found - 1] if found > 0 else 1.0
    for i in range(len(popular)):
        if found == top_n:
            break
        if not _is_there(ranked.item[r], found, popular[i]):
            terms[TRENDING_TERM] = fill * level[i]
            found = insert(ranked, r, found, popular[i], fill * level[i], terms, NONE, hidden)


@compiled
def _is_there(items: U64, found: int, item: int) -> bool:
    return (items[:found] == item).any()  # type: ignore[no-any-return]


@compiled
def insert(ranked: Ranked, r: int, found: int, item: int, score: float, terms: F64, source: int, hidden: U64) -> int:
    """Puts an item into the sorted best of a user, if it belongs there; returns how many there are."""
    best, best_score, best_terms, best_source = ranked.item[r], ranked.score[r], ranked.terms[r], ranked.source[r]
    top_n = len(best)
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
        best_source[place] = best_source[place - 1]
        place -= 1
    best[place] = item
    best_score[place] = score
    best_terms[place] = terms
    best_source[place] = source
    return min(found + 1, top_n)
