"""The session baselines, against each method written out plainly; what is not counted leaves no trace; known figures."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.compiled import I32
from recsys.evaluation.baselines import SESSION_BASELINES, answers
from recsys.evaluation.baselines.item_cosine import REACH
from recsys.evaluation.baselines.pairs import FREE, add, pairs
from recsys.evaluation.trace import NOTHING, Trace
from recsys.readers import read, read_prefixes

DAY_MS = 86_400_000
AT = 4

History = list[tuple[int, int, int]]
"""(session, item, time) of the counted lines so far."""
Ranking = Callable[[History, list[int], int], list[int]]
"""From the counted lines, the items of the session so far and its number to the items with a score, best first."""


def nothing(done: int) -> None:
    """Progress that nobody follows."""


def by_score(scores: dict[int, float]) -> list[int]:
    return sorted(scores, key=lambda item: (-scores[item], item))


def most_popular(history: History, _seen: list[int], _session: int) -> list[int]:
    counts: dict[int, float] = defaultdict(float)
    for _, item, _ in history:
        counts[item] += 1
    return by_score(counts)


def trending(history: History, _seen: list[int], _session: int) -> list[int]:
    counts: dict[int, float] = defaultdict(float)
    for _, item, time in history:
        counts[item] += 2.0 ** (time / DAY_MS)
    return by_score(counts)


def sequential_rules(history: History, seen: list[int], _session: int) -> list[int]:
    rules: dict[tuple[int, int], float] = defaultdict(float)
    sessions: dict[int, list[int]] = defaultdict(list)
    for session, item, _ in history:
        for distance, earlier in enumerate(reversed(sessions[session][-10:]), 1):
            rules[earlier, item] += 1 / distance
        sessions[session].append(item)
    return by_score({c: weight for (x, c), weight in rules.items() if seen and x == seen[-1]})


def item_sets(history: History) -> dict[int, dict[int, int]]:
    """Of each session its distinct items in the order in which they were met, with the number of that line."""
    sets: dict[int, dict[int, int]] = defaultdict(dict)
    for line, (session, item, _) in enumerate(history):
        sets[session].setdefault(item, line)
    return sets


def item_cosine(history: History, seen: list[int], _session: int) -> list[int]:
    sets = item_sets(history).values()
    met = {item for items in sets for item in items}
    scores: dict[int, float] = defaultdict(float)
    for d, x in enumerate(dict.fromkeys(reversed(seen))):
        strength = math.prod([0.8] * d)
        scores[x] += strength
        for c in met - {x}:
            both = sum(x in items and c in items for items in sets)
            if both:
                n_x, n_c = (sum(one in items for items in sets) for one in (x, c))
                scores[c] += strength * (both / math.sqrt(n_x * n_c))
    return by_score(scores)


def v_sknn(history: History, seen: list[int], session: int) -> list[int]:
    sets = item_sets(history)
    distance: dict[int, int] = {}
    for d, item in enumerate(reversed(seen[-10:]), 1):
        distance.setdefault(item, d)

    def common(other: int) -> list[int]:
        return [item for item in reversed(sets[other]) if item in distance]

    def recency(other: int) -> int:
        return max(sets[other][item] for item in common(other))

    def weight(d: int) -> float:
        return 1 - 0.1 * (d - 1)

    def similarity(other: int) -> float:
        total = 0.0
        for item in common(other):
            total += weight(distance[item])
        return total

    sample = sorted((other for other in sets if other != session and common(other)), key=recency, reverse=True)[:1000]
    neighbours = sorted(sample, key=lambda other: (-similarity(other), -recency(other)))[:100]
    scores: dict[int, float] = defaultdict(float)
    for other in neighbours:
        for item in sets[other]:
            scores[item] += similarity(other) * weight(min(distance[x] for x in common(other)))
    return by_score({c: s * (1 + math.log(len(sets) / sum(c in items for items in sets.values()))) for c, s in scores.items()})


PLAIN: dict[str, Ranking] = {
    "most_popular": most_popular,
    "trending": trending,
    "sequential_rules": sequential_rules,
    "item_cosine": item_cosine,
    "v_sknn": v_sknn,
}


def expected(name: str, trace: Trace, at: int) -> list[list[int]]:
    history: History = []
    seen: dict[int, list[int]] = defaultdict(list)
    found = []
    for line in range(len(trace.item)):
        session, item = int(trace.session[line]), int(trace.item[line])
        if trace.asked[line]:
            ranked = PLAIN[name](history, seen[session], session)[:at]
            ranked += [other for other in most_popular(history, [], session) if other not in ranked]
            found.append((ranked + at * [NOTHING])[:at])
        seen[session].append(item)
        if trace.counted[line]:
            history.append((session, item, int(trace.time[line])))
    return found


def a_trace(lines: Iterable[tuple[int, int, int, bool, bool]]) -> Trace:
    """A trace of (session, item, days since the line before, asked, counted)."""
    columns = np.array(list(lines), np.int64).reshape(-1, 5).T
    session, item = columns[0].astype(np.int32), columns[1].astype(np.int32)
    return Trace(session, session, item, np.cumsum(columns[2]) * DAY_MS, columns[3].astype(bool), columns[4].astype(bool))


def traces(items: int = 7) -> st.SearchStrategy[Trace]:
    often = st.sampled_from([True, True, True, False])
    days = st.sampled_from([0, 0, 1, 1, 2, 16])
    return st.lists(st.tuples(st.integers(0, 5), st.integers(0, items - 1), days, often, often), max_size=60).map(a_trace)


def random_trace(seed: int, lines: int, sessions: int, items: int) -> Trace:
    """A trace in which some items are met much more often than others."""
    draw = np.random.default_rng(seed)
    item = (items * draw.random(lines) ** 3).astype(int)
    days = draw.integers(0, 2, lines)
    flags = draw.random((2, lines)) < 0.8
    return a_trace(zip(draw.integers(0, sessions, lines), item, days, *flags, strict=True))


@pytest.mark.parametrize("name", PLAIN)
@settings(deadline=None)
@given(trace=traces())
def test_a_baseline_answers_as_its_plain_form_does(name: str, trace: Trace) -> None:
    assert SESSION_BASELINES[name](trace, 7, AT, nothing).tolist() == expected(name, trace, AT)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("sessions", [4, 40])
def test_a_baseline_answers_so_with_long_sessions_and_many_items(name: str, sessions: int) -> None:
    trace = random_trace(sessions, 240, sessions, 60)
    assert SESSION_BASELINES[name](trace, 60, 20, nothing).tolist() == expected(name, trace, 20)


def test_every_baseline_is_tested() -> None:
    assert list(PLAIN) == list(SESSION_BASELINES)


def test_v_sknn_looks_at_the_newest_thousand_sessions_and_takes_the_nearest_hundred() -> None:
    """The first 50 sessions share two items with the last one, but a thousand newer ones share one."""
    lines = [(s, item, 0, False, True) for s in range(50) for item in (0, 1, 2)]
    lines += [(s, item, 0, False, True) for s in range(50, 1049) for item in (0, 3 + s % 7)]
    lines += [(2000, 0, 0, False, False), (2000, 1, 0, False, False), (2000, 5, 0, True, False)]
    for sessions in (0, 50):
        trace = a_trace(lines[3 * sessions :])
        answer = SESSION_BASELINES["v_sknn"](trace, 12, 12, nothing).tolist()
        assert answer == expected("v_sknn", trace, 12)
        assert (2 in answer[0]) == (sessions == 0)


def test_an_item_makes_pairs_with_a_thousand_of_its_session() -> None:
    """The first item of a session of 1002 has no pair with the last one, so it only fills up, behind all others."""
    lines = [(0, item, 0, False, True) for item in range(REACH + 2)]
    trace = a_trace([*lines, (1, REACH + 1, 0, False, False), (1, 0, 0, True, False)])
    answer = SESSION_BASELINES["item_cosine"](trace, REACH + 2, REACH + 2, nothing).tolist()
    assert answer == [[*range(1, REACH + 2), 0]]


def test_pairs_count_as_a_dict_does_and_use_tables_again() -> None:
    draw = np.random.default_rng(6)
    table = pairs(300)
    plain: dict[tuple[int, int], float] = defaultdict(float)
    for first, second in zip((300 * draw.random(40_000) ** 2).astype(int), draw.integers(0, 900, 40_000), strict=True):
        table = add(table, first, second, 0.5)
        plain[int(first), int(second)] += 0.5
    found = {}
    for first in range(300):
        for place in range(int(table.begin[first]), int(table.begin[first] + table.places[first])):
            if table.other[place] != FREE:
                found[first, int(table.other[place])] = float(table.weight[place])
    assert found == plain
    assert int(table.used[0]) < 1.5 * int(table.places.sum())


@pytest.mark.parametrize("name", PLAIN)
@settings(deadline=None, max_examples=30)
@given(trace=traces(), data=st.data())
def test_a_line_that_is_not_counted_changes_no_other_sessions_answer(name: str, trace: Trace, data: st.DataObject) -> None:
    uncounted = np.flatnonzero(~trace.counted)
    if not len(uncounted):
        return
    line = data.draw(st.sampled_from(uncounted.tolist()))
    others = trace.session[trace.asked] != trace.session[line]
    rest = np.arange(len(trace.item)) != line
    without = Trace._make(column[rest] for column in trace)
    still_there = without.session[without.asked] != trace.session[line]
    before, after = (SESSION_BASELINES[name](t, 7, AT, nothing) for t in (trace, without))
    assert before[others].tolist() == after[still_there].tolist()


@pytest.mark.parametrize("name", PLAIN)
def test_to_be_asked_changes_nothing(name: str) -> None:
    trace = random_trace(3, 300, 20, 30)
    always = SESSION_BASELINES[name](trace._replace(asked=np.ones(300, bool)), 30, AT, nothing)
    assert SESSION_BASELINES[name](trace, 30, AT, nothing).tolist() == always[trace.asked].tolist()


@pytest.mark.parametrize("name", PLAIN)
def test_slices_do_not_matter_and_progress_hears_of_each(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = random_trace(4, 100, 10, 30)
    whole = SESSION_BASELINES[name](trace, 30, AT, nothing).tolist()
    monkeypatch.setattr(answers, "SLICE", 7)
    done: list[int] = []
    assert SESSION_BASELINES[name](trace, 30, AT, done.append).tolist() == whole
    assert done == [*range(7, 100, 7), 100]


def test_what_trends_survives_a_thousand_half_lives_and_the_rest_is_filled_up() -> None:
    """Item 2 is all too long ago to count; item 1 counts more than it once did twice as much."""
    ages = [(0, 2, 0), (0, 2, 0), (0, 1, 1500), (0, 1, 0), (0, 0, 2), (0, 3, 600)]
    trace = a_trace([(s, item, days, False, True) for s, item, days in ages] + [(1, 0, 0, True, False)])
    assert SESSION_BASELINES["trending"](trace, 5, 5, nothing).tolist() == [[3, 0, 1, 2, NOTHING]]


def frozen(data_dir: Path) -> tuple[Trace, int]:
    """RetailRocket's training clicks, to be learned, and a fresh session for each of the test's prefixes, to be asked."""
    sessions: dict[str, int] = {}
    items: dict[str, int] = {}
    lines: list[tuple[int, int, bool, bool]] = []
    with read(data_dir / "retailrocket_train_sessions.tsv.gz", "sessions") as records:
        for record in records:
            session = sessions.setdefault(record.event.session_id or "", len(sessions))
            lines.append((session, items.setdefault(record.event.lines[0].item_id, len(items)), False, True))
    prefixes = read_prefixes(data_dir / "retailrocket_test_prefixes.tsv.gz")
    for session, prefix in enumerate(prefixes, len(sessions)):
        lines += [(session, items.setdefault(item, len(items)), False, False) for item in prefix.items]
        lines.append((session, items.setdefault(prefix.target, len(items)), True, False))
    session, item, asked, counted = np.array(lines, np.int32).T
    time = np.arange(len(lines), dtype=np.int64) * 1000
    return Trace(session, session, item, time, asked.astype(bool), counted.astype(bool)), len(items)


def hit_rate_and_mrr(trace: Trace, found: I32) -> tuple[float, float]:
    hit = found == trace.item[trace.asked][:, None]
    reciprocal = (hit / np.arange(1, found.shape[1] + 1)).sum(axis=1)
    return 100 * float(hit.any(axis=1).mean()), 100 * float(reciprocal.mean())


def test_the_figures_of_retailrocket_are_those_of_the_literature(data_dir: Path) -> None:
    trace, items = frozen(data_dir)
    assert int(trace.asked.sum()) == 15_132
    literature = {
        "most_popular": (2.4, 0.5),
        "sequential_rules": (40.4, 19.5),
        "v_sknn": (55.9, 27.3),
    }
    for name, figures in literature.items():
        assert hit_rate_and_mrr(trace, SESSION_BASELINES[name](trace, items, 20, nothing)) == pytest.approx(figures, abs=0.7)
