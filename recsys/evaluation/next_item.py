"""Which item comes next: the worker's ranking, learning and counting over all events of a file, everything in memory.

Before a line that is asked its user's recommendation is made; then its event is counted and learned from, by the functions that
the worker's engine calls. Here an event is a batch of its own.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from recsys import histories, popularity, rows
from recsys.baskets import Baskets, none_kept
from recsys.compiled import F64, I32, I64, U64, Bools, compiled
from recsys.deltas import Deltas
from recsys.evaluation.customers import Customers, buy, customers, hide_once
from recsys.evaluation.events import Events, places
from recsys.evaluation.trace import NOTHING
from recsys.events import FIRST_OTHER
from recsys.fold import Lines, count_lines, no_deltas
from recsys.growth import merge_lines
from recsys.hashing import NONE
from recsys.histories import Histories
from recsys.index import find
from recsys.known import Known, known_rows
from recsys.learner import Weights, begin
from recsys.popularity import POPULAR_TO_SPARE, Popular
from recsys.ranking.candidates import Desk, desk
from recsys.ranking.features import FIRST
from recsys.ranking.hiding import hide
from recsys.ranking.lessons import learn_newest
from recsys.ranking.past import Past, past
from recsys.ranking.rank import Ranked, level_of, rank_one, room_for
from recsys.returning.purchases import HELD
from recsys.rows import Rows
from recsys.rules import Rules

STRIDE = 2000
"""Lines between two looks at what is popular, and two reports of progress."""
NEVER = -1.0


class Learned(NamedTuple):
    """What an evaluation leaves."""

    answers: I32
    """Questions × places: item numbers, best first, filled up with `NOTHING`."""
    weights: Weights
    rows: Rows


def learned(events: Events, rules: Rules, progress: Callable[[int], None] = lambda _: None) -> Learned:
    """Goes through the events; answers each question with `rules.top_n` items. `progress` is told how many lines are done."""
    place, begins, users = places(events.batch.user, events.users)
    here = histories.empty(users, rules.history)
    everything = rows.empty(events.items, rules.row_limit + 1)
    weights = begin(FIRST)
    known, table, of_users = known_rows(everything, events.alike), desk(rules), past(here, rules)
    lines = Lines(place, *events.batch[2:])
    starts = np.flatnonzero(events.batch.opens)
    ends = np.append(starts[1:], len(place))
    deltas = no_deltas(int((ends - starts).max(initial=0)), rules)
    at, (changed, repeats) = np.zeros(len(deltas.item), np.int64), np.zeros((2, len(deltas.item)), np.bool_)
    left_out = np.zeros(2 * rules.history + HELD, np.uint64)
    hides = ("current" in rules.hide, "purchased" in rules.hide, "seen" in rules.hide, "once" in rules.hide)
    buyers = customers(events, "once" in rules.hide)
    found = np.full((int(events.asked.sum()), rules.top_n), NOTHING, np.int32)
    done = 0
    for first in range(0, len(starts), STRIDE):
        some = slice(first, first + STRIDE)
        questions = int(events.asked[starts[some]].sum())
        ranked = room_for(questions, rules.top_n)
        popular = most_popular(everything, rules) if questions else popularity.unpack(rules)
        _advance(
            starts[some], ends[some], lines, begins, events.asked, events.counted, here, of_users, buyers,
            everything.interactions, everything.updated, known, popular.item, level_of(popular), weights, table, deltas,
            at, changed, repeats, left_out, ranked, hides, rules.learner, none_kept(), rules.window, rules.neighbours,
            rules.row_limit,
        )  # fmt: skip
        numbers = np.searchsorted(events.items, ranked.item).astype(np.int32)
        found[done : done + questions] = np.where(ranked.item == NONE, NOTHING, numbers)
        done += questions
        progress(int(ends[some][-1]))
    return Learned(found, weights, everything)


def most_popular(everything: Rows, rules: Rules) -> Popular:
    """What fills up recommendations: the worker's engine reads it every moment, an evaluation now and then."""
    kept = rules.top_n + POPULAR_TO_SPARE
    met = np.flatnonzero(everything.interactions)
    if len(met) > kept:
        level = popularity.levels(rules, everything.popularity[met], everything.landmark[met])
        met = met[np.argpartition(-level, kept)[:kept]]
    return popularity.sorted_by_level(
        rules,
        everything.item[met],
        everything.popularity[met],
        everything.landmark[met],
        everything.interactions[met],
    )


@compiled
def _advance(
    starts: I64, ends: I64, lines: Lines, begins: Bools, asked: Bools, counted: Bools, here: Histories, of_users: Past,
    buyers: Customers,
    interactions: I64, updated: I64, known: Known, popular: U64, level: F64, weights: Weights, table: Desk, deltas: Deltas,
    at: I64, changed: Bools, repeats: Bools, left_out: U64, ranked: Ranked, hides: tuple[bool, bool, bool, bool],
    learner: bool, no_baskets: Baskets, window: int, keep: int, limit: int,
) -> None:  # fmt: skip
    """Goes through the events whose lines begin and end there."""
    of_history = 2 * here.item.shape[1]
    question = 0
    for n in range(len(starts)):
        k, end = starts[n], ends[n]
        u = lines.user[k]
        if begins[k]:
            here.length[u] = 0
        length = here.length[u]
        in_rows = length if counted[k] else 0
        if asked[k]:
            hide(of_users, u, length, here.event[u], hides[0], hides[1], hides[2], left_out[:of_history])
            if hides[3]:
                hide_once(buyers, k, here.time[u, length - 1], known.where, left_out[of_history:])
            rank_one(
                of_users, u, length, in_rows, left_out, known, popular, level, weights.weight, table, learner, NEVER,
                ranked, question,
            )  # fmt: skip
            question += 1
        changed[: end - k] = False
        used = count_lines(here, lines, k, end, deltas, changed, repeats, no_baskets, window, of_users.gap_ms, of_users.action)
        if hides[3]:
            buy(buyers, k, end, changed[: end - k], counted[k], known.where, of_users.gap_ms)
        if not counted[k]:
            continue
        for d in range(used):
            at[d] = find(known.where, deltas.item[d])
        merge_lines(
            deltas.time[:used], deltas.item[:used], deltas.other[:used], deltas.weight[:used], deltas.counts[:used], at[:used],
            interactions, known.popularity, known.trend, known.landmark, known.first, updated, known.length,
            known.other, known.weight, known.counts, keep, limit, of_users.half_life_ms,
        )  # fmt: skip
        if learner and lines.kind[k] < FIRST_OTHER:
            learn_newest(of_users, u, changed[: end - k].sum(), known, weights, table)
