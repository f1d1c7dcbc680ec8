"""User-based collaborative filtering on a file's questions, by `recsys.strategies.user_based`."""

import numpy as np

from recsys.compiled import F64, I32, I64, compiled, compiled_maker
from recsys.evaluation.baselines.answers import Progress, sheet, slices
from recsys.evaluation.baselines.best import Leaders, count, fill, leaders, offer
from recsys.evaluation.baselines.chains import NONE, chain, size
from recsys.evaluation.trace import Trace
from recsys.strategies.user_based import (
    LINES,
    NEIGHBOURS,
    VISITORS,
    Desk,
    Near,
    VisitorTable,
    clear,
    desk,
    neighbours,
    no_neighbours,
    score,
    visit,
    visitor_table,
)


def user_based(trace: Trace, items: int, at: int, progress: Progress, history: int = 50, most: int = VISITORS) -> I32:
    """The answers; the last `history` interactions are known of each user, and of each item its `most` newest visitors."""
    answers, row = sheet(trace.asked, at)
    room = np.bincount(trace.item[trace.counted], minlength=items)
    met = visitor_table(room, most)
    before = chain(trace.user, np.ones(len(trace.item), np.bool_))
    counted_before = chain(trace.user, trace.counted)
    users = size(trace.user)
    newest = np.full(users, NONE, np.int32)
    table, near, popular = desk(users, items), no_neighbours(), leaders(items, at)
    lines = min(LINES, history)
    own, ago = np.zeros(lines, np.int32), np.zeros(lines, np.int32)
    known, length = np.zeros((NEIGHBOURS, history), np.int32), np.zeros(NEIGHBOURS, np.int32)
    best_score = np.empty(at)
    for start, stop in slices(len(trace.item), progress):
        _user_based(
            start, stop, trace, row, before, counted_before, newest, met, table, near, popular, own, ago, known, length,
            best_score, answers,
        )  # fmt: skip
    return answers


@compiled_maker
def _user_based(
    start: int, stop: int, trace: Trace, row: I64, before: I32, counted_before: I32, newest: I32, met: VisitorTable,
    table: Desk, near: Near, popular: Leaders, own: I32, ago: I32, known: I32, length: I32, best_score: F64, answers: I32,
) -> None:  # fmt: skip
    for line in range(start, stop):
        user, item = trace.user[line], trace.item[line]
        if trace.asked[line]:
            best = answers[row[line]]
            distinct = last_items(trace.item, before, before[line], own, ago)
            mine, since = own[:distinct], ago[:distinct]
            n = neighbours(mine, since, popular.counts, met, user, table, near)
            recall(trace.item, counted_before, newest, near, n, known, length)
            filled = score(mine, since, known, length, near, n, popular.counts, table)
            found = 0
            for f in range(filled):
                c = table.items[f]
                if found < len(best) or table.value[c] >= best_score[found - 1]:
                    found = offer(best, best_score, found, c, table.value[c])
            clear(table, filled)
            fill(best, found, popular)
        if trace.counted[line]:
            visit(met, item, user, trace.time[line])
            newest[user] = line
            count(popular, item, 1.0)


@compiled
def last_items(item: I32, before: I32, line: int, own: I32, ago: I32) -> int:
    """Notes the distinct items of the last lines from this one back, as many as `own` has room for, and how long ago each was
    met; returns how many they are."""
    distinct = 0
    for distance in range(1, len(own) + 1):
        if line < 0:
            break
        is_new = True
        for i in range(distinct):
            if own[i] == item[line]:
                is_new = False
        if is_new:
            own[distinct], ago[distinct] = item[line], distance
            distinct += 1
        line = before[line]
    return distinct


@compiled
def recall(item: I32, before: I32, newest: I32, near: Near, n: int, known: I32, length: I32) -> None:
    """Puts down what the neighbours met last, the oldest first."""
    room = known.shape[1]
    for k in range(n):
        line, met = newest[near.user[k]], 0
        while line >= 0 and met < room:
            met += 1
            known[k, room - met] = item[line]
            line = before[line]
        length[k] = met
        for i in range(met):
            known[k, i] = known[k, room - met + i]
