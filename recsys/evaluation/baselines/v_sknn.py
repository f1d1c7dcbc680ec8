"""V-SKNN: recent sessions that resemble this one, and what they met."""

import numpy as np

from recsys.compiled import F64, I32, I64, Bools, compiled
from recsys.evaluation.baselines.answers import Progress, sheet, slices
from recsys.evaluation.baselines.best import Leaders, count, fill, leaders, offer
from recsys.evaluation.baselines.chains import NONE, chain, first_meetings, size
from recsys.evaluation.trace import Trace

NEIGHBOURS = 100
SAMPLE = 1000
"""Sessions among which the neighbours are looked for."""
LINES = 10
"""The session's last lines that find and weigh its neighbours."""


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
    first = first_meetings(trace)
    before = chain(trace.session, np.ones(len(trace.item), np.bool_))
    session_before, item_before = chain(trace.session, first), chain(trace.item, first)
    popular, meetings, sessions = leaders(items, at), np.zeros(items), np.zeros(1)
    last_of_session, last_of_item = np.full(size(trace.session), NONE, np.int32), np.full(items, NONE, np.int32)
    sampled = np.full(size(trace.session), NONE, np.int32)
    distance, scores, scored = np.zeros(items, np.int32), np.zeros(items), np.empty(items, np.int32)
    score = np.empty(at)
    for start, stop in slices(len(trace.item), progress):
        columns = (trace.session, trace.item, trace.asked, trace.counted, row, first, before, session_before, item_before)
        state = (last_of_session, last_of_item, meetings, sessions, popular)
        _v_sknn(start, stop, *columns, *state, sampled, distance, scores, scored, score, answers)
    return answers


@compiled
def _v_sknn(
    start: int, stop: int, session: I32, item: I32, asked: Bools, counted: Bools, row: I64, first: Bools,
    before: I32, session_before: I32, item_before: I32, last_of_session: I32, last_of_item: I32,
    meetings: F64, sessions: F64, popular: Leaders, sampled: I32, distance: I32, scores: F64, scored: I32, score: F64, answers: I32,
) -> None:  # fmt: skip
    own = np.empty(LINES, np.int32)
    head = np.empty(LINES, np.int32)
    neighbour = np.empty(NEIGHBOURS, np.int32)
    similarity = np.empty(NEIGHBOURS)
    nearest = np.empty(NEIGHBOURS, np.int32)
    for line in range(start, stop):
        if asked[line]:
            # The session's items, and of each the last line that met it.
            distinct = 0
            earlier = before[line]
            for d in range(1, LINES + 1):
                if earlier == NONE:
                    break
                if distance[item[earlier]] == 0:
                    distance[item[earlier]] = d
                    own[distinct], head[distinct] = item[earlier], last_of_item[item[earlier]]
                    distinct += 1
                earlier = before[earlier]
            sample = 0
            near = 0
            while sample < SAMPLE:
                newest = NONE
                for i in range(distinct):
                    if head[i] > newest:
                        newest, of = head[i], i
                if newest == NONE:
                    break
                head[of] = item_before[newest]
                s = session[newest]
                if s == session[line] or sampled[s] == line:
                    continue
                sampled[s] = line
                sample += 1
                alike, latest = _alike(last_of_session[s], session_before, item, distance)
                near = _join(neighbour, similarity, nearest, near, s, alike, latest)
            filled = 0
            for n in range(near):
                amount = similarity[n] * _weight(nearest[n])
                met = last_of_session[neighbour[n]]
                while met != NONE:
                    c = item[met]
                    if scores[c] == 0.0:
                        scored[filled] = c
                        filled += 1
                    scores[c] += amount
                    met = session_before[met]
            for i in range(distinct):
                distance[own[i]] = 0
            best = answers[row[line]]
            found = 0
            for i in range(filled):
                c = scored[i]
                value = scores[c] * (1.0 + np.log(sessions[0] / meetings[c]))
                scores[c] = 0.0
                if found < len(best) or value >= score[found - 1]:
                    found = offer(best, score, found, c, value)
            fill(best, found, popular)
        if first[line]:
            if last_of_session[session[line]] == NONE:
                sessions[0] += 1.0
            meetings[item[line]] += 1.0
            last_of_session[session[line]] = line
            last_of_item[item[line]] = line
        if counted[line]:
            count(popular, item[line], 1.0)


@compiled
def _weight(distance: int) -> float:
    return 1.0 - 0.1 * (distance - 1.0)


@compiled
def _alike(newest: int, session_before: I32, item: I32, distance: I32) -> tuple[float, int]:
    """How alike the session that ends with this line is, and how far back the latest common item is."""
    alike = 0.0
    latest = LINES
    met = newest
    while met != NONE:
        d = distance[item[met]]
        if d > 0:
            alike += _weight(d)
            latest = min(latest, d)
        met = session_before[met]
    return alike, latest


@compiled
def _join(neighbour: I32, similarity: F64, nearest: I32, near: int, session: int, alike: float, latest: int) -> int:
    """Puts a session among the nearest by falling similarity, behind those that are as near; returns how many there are."""
    last = len(neighbour) - 1
    if near > last and alike <= similarity[last]:
        return near
    place = min(near, last)
    while place > 0 and similarity[place - 1] < alike:
        neighbour[place], similarity[place] = neighbour[place - 1], similarity[place - 1]
        nearest[place] = nearest[place - 1]
        place -= 1
    neighbour[place], similarity[place], nearest[place] = session, alike, latest
    return min(near + 1, last + 1)
