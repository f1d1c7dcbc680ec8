"""V-SKNN: recent sessions that resemble this one, and what they met."""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I32, I64, Bools, compiled_maker
from recsys.evaluation.baselines.answers import Progress, sheet, slices
from recsys.evaluation.baselines.best import Leaders, count, fill, leaders, offer
from recsys.evaluation.baselines.chains import NONE, chain, first_meetings, size
from recsys.evaluation.trace import Trace

NEIGHBOURS = 100
SAMPLE = 1000
"""Sessions among which the neighbours are looked for."""
LINES = 10
"""The session's last lines that find and weigh its neighbours."""


class Sessions(NamedTuple):
    """The columns of the trace and the sessions as sets of items, as far as they are learned."""

    session: I32
    item: I32
    session_before: I32
    """Of each line the session's last earlier one that met an item first."""
    item_before: I32
    """Of each line the item's last earlier one in which a session met it first."""
    session_newest: I32
    """Of each session where the way back begins, `NONE` before it has met anything."""
    item_newest: I32
    meetings: F64
    """Of each item how many sessions met it."""
    met: F64
    """One number: how many sessions met something."""


class Scratch(NamedTuple):
    """Room for one question."""

    sampled: I32
    """Of each session the last question for which it was in the sample."""
    distance: I32
    """Of each item how many lines ago the session met it; 0 where it did not."""
    own: I32
    """The session's items."""
    head: I32
    """Of each of them the newest line that was not looked at."""
    neighbour: I32
    similarity: F64
    nearest: I32
    """Of each neighbour the distance of the latest item that it shares."""
    value: F64
    """Of each item its sum over the neighbours; 0 between two questions."""
    found: I32
    """The items of which it is not 0."""
    score: F64


def v_sknn(trace: Trace, items: int, at: int, progress: Progress) -> I32:
    """V-SKNN: the score of c is (1 + ln(H/h_c)) · Σ_s sim(s) · v(d_s), over the neighbours s that met c.

    v(d) = 1 − 0.1 (d − 1) weighs the session's item of d lines ago, its latest place counting. sim(s) is the sum of these
    weights over the items that s met, d_s the distance of the latest of them. The neighbours are the 100 with the largest
    sim(s) of the 1000 most recent sessions that met one of the items; a session is as recent as the latest line with which
    it first met one of them, and equally near ones go by that. The current session is not its own neighbour. h_c of all H
    sessions met c.

    Ludewig, Jannach, 2018, "Evaluation of session-based recommendation algorithms"; the factor for rare items is that of
    Kersbergen, Sprangers, Schelter, 2022, "Serenade: low-latency session-based recommendation in e-commerce at scale".
    Linear weights, 100 neighbours and the factor were chosen on the last part of RetailRocket's training sessions, where the
    factor added 0.9 (HR@20, in per cent) and twice or five times as many neighbours nothing.
    """
    answers, row = sheet(trace.asked, at)
    number = size(trace.session)
    first = first_meetings(trace)
    before = chain(trace.session, np.ones(len(trace.item), np.bool_))
    sessions = Sessions(
        trace.session,
        trace.item,
        chain(trace.session, first),
        chain(trace.item, first),
        np.full(number, NONE, np.int32),
        np.full(items, NONE, np.int32),
        np.zeros(items),
        np.zeros(1),
    )
    scratch = Scratch(
        np.full(number, NONE, np.int32),
        np.zeros(items, np.int32),
        np.empty(LINES, np.int32),
        np.empty(LINES, np.int32),
        np.empty(NEIGHBOURS, np.int32),
        np.empty(NEIGHBOURS),
        np.empty(NEIGHBOURS, np.int32),
        np.zeros(items),
        np.empty(items, np.int32),
        np.empty(at),
    )
    popular = leaders(items, at)
    for start, stop in slices(len(trace.item), progress):
        _v_sknn(start, stop, trace.asked, trace.counted, row, before, first, sessions, scratch, popular, answers)
    return answers


@compiled_maker
def _v_sknn(
    start: int, stop: int, asked: Bools, counted: Bools, row: I64, before: I32, first: Bools,
    sessions: Sessions, scratch: Scratch, popular: Leaders, answers: I32,
) -> None:  # fmt: skip
    for line in range(start, stop):
        session, item = sessions.session[line], sessions.item[line]
        if asked[line]:
            best = answers[row[line]]
            distinct = _own_items(before, before[line], sessions, scratch)
            near = _neighbours(line, distinct, sessions, scratch)
            for i in range(distinct):
                scratch.distance[scratch.own[i]] = 0
            fill(best, _rank(best, near, sessions, scratch), popular)
        if first[line]:
            if sessions.session_newest[session] == NONE:
                sessions.met[0] += 1.0
            sessions.meetings[item] += 1.0
            sessions.session_newest[session] = line
            sessions.item_newest[item] = line
        if counted[line]:
            count(popular, item, 1.0)


@compiled_maker
def _own_items(before: I32, newest: int, sessions: Sessions, scratch: Scratch) -> int:
    """Notes the items of the session that ends with this line; returns how many they are."""
    distinct = 0
    line = newest
    for distance in range(1, LINES + 1):
        if line == NONE:
            break
        item = sessions.item[line]
        if scratch.distance[item] == 0:
            scratch.distance[item] = distance
            scratch.own[distinct], scratch.head[distinct] = item, sessions.item_newest[item]
            distinct += 1
        line = before[line]
    return distinct


@compiled_maker
def _neighbours(line: int, distinct: int, sessions: Sessions, scratch: Scratch) -> int:
    """Finds the nearest among the newest sessions; returns how many they are."""
    sample, near = 0, 0
    while sample < SAMPLE:
        newest, of = NONE, 0
        for i in range(distinct):
            if scratch.head[i] > newest:
                newest, of = scratch.head[i], i
        if newest == NONE:
            break
        scratch.head[of] = sessions.item_before[newest]
        session = sessions.session[newest]
        if session == sessions.session[line] or scratch.sampled[session] == line:
            continue
        scratch.sampled[session] = line
        sample += 1
        alike, latest = 0.0, LINES
        met = sessions.session_newest[session]
        while met != NONE:
            distance = scratch.distance[sessions.item[met]]
            if distance > 0:
                alike += _weight(distance)
                latest = min(latest, distance)
            met = sessions.session_before[met]
        if near < NEIGHBOURS or alike > scratch.similarity[near - 1]:
            near = _join(scratch.neighbour, scratch.similarity, scratch.nearest, near, session, alike, latest)
    return near


@compiled_maker
def _rank(best: I32, near: int, sessions: Sessions, scratch: Scratch) -> int:
    """Puts the items with the largest score among the best; returns how many they are."""
    filled = 0
    for n in range(near):
        amount = scratch.similarity[n] * _weight(scratch.nearest[n])
        met = sessions.session_newest[scratch.neighbour[n]]
        while met != NONE:
            item = sessions.item[met]
            if scratch.value[item] == 0.0:
                scratch.found[filled] = item
                filled += 1
            scratch.value[item] += amount
            met = sessions.session_before[met]
    found = 0
    for i in range(filled):
        item = scratch.found[i]
        value = scratch.value[item] * (1.0 + np.log(sessions.met[0] / sessions.meetings[item]))
        scratch.value[item] = 0.0
        if found < len(best) or value >= scratch.score[found - 1]:
            found = offer(best, scratch.score, found, item, value)
    return found


@compiled_maker
def _weight(distance: int) -> float:
    return 1.0 - 0.1 * (distance - 1.0)


@compiled_maker
def _join(neighbour: I32, similarity: F64, nearest: I32, near: int, session: int, alike: float, latest: int) -> int:
    """Puts a session among the nearest, behind those that are as near; returns how many there are."""
    last = len(neighbour) - 1
    place = min(near, last)
    while place > 0 and similarity[place - 1] < alike:
        neighbour[place], similarity[place] = neighbour[place - 1], similarity[place - 1]
        nearest[place] = nearest[place - 1]
        place -= 1
    neighbour[place], similarity[place], nearest[place] = session, alike, latest
    return min(near + 1, last + 1)
