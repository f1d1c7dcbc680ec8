"""Metrics, their intervals and their parts: against an independent library, plain sets, and the theory of means."""

import gzip
import importlib
import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.compiled import F64, I32, I64
from recsys.evaluation.bootstrap import GROUPS, intervals, resample
from recsys.evaluation.breakdown import NEVER, Groups, breakdown, by_item_age, by_session_length, circumstances, only, over_time
from recsys.evaluation.metrics import bought, next_basket, next_item, of_lists, summary
from recsys.evaluation.trace import NOTHING, Baskets, Trace

# Imported so because they have no types: they are there with the `dev` extra, and without them the tests fail.
ir: Any = importlib.import_module("ir_measures")
scipy_stats: Any = importlib.import_module("scipy.stats")

CATALOGUE = 60
AT = 10


def random_answers(random: np.random.Generator, questions: int, full: bool = False) -> I32:
    """Distinct items, best first; unless they are to be full, of any length."""
    answers = np.stack([random.permutation(CATALOGUE)[:AT] for _ in range(questions)]).astype(np.int32)
    if not full:
        answers[np.arange(AT) >= random.integers(0, AT + 1, questions)[:, None]] = NOTHING
    return answers


def random_baskets(random: np.random.Generator, questions: int, largest: int) -> list[list[int]]:
    return [random.permutation(CATALOGUE)[: random.integers(1, largest + 1)].tolist() for _ in range(questions)]


def ragged(baskets: list[list[int]]) -> tuple[I64, I32]:
    start = np.concatenate(([0], np.cumsum([len(basket) for basket in baskets]))).astype(np.int64)
    return start, np.array(list(itertools.chain(*baskets)), np.int32)


def by_library(answers: I32, baskets: list[list[int]]) -> dict[str, F64]:
    """What trec_eval says, by `ir_measures`."""
    qrels = {f"q{q}": {str(item): 1 for item in basket} for q, basket in enumerate(baskets)}
    run = {
        f"q{q}": {str(item): float(AT - place) for place, item in enumerate(row) if item != NOTHING}
        for q, row in enumerate(answers.tolist())
    }
    measures = {
        "hit_rate": ir.Success @ AT,
        "mrr": ir.RR @ AT,
        "ndcg": ir.nDCG @ AT,
        "precision": ir.P @ AT,
        "recall": ir.R @ AT,
        "f1": ir.SetF,
    }
    found = {name: np.zeros(len(baskets)) for name in measures}
    names = {str(measure): name for name, measure in measures.items()}
    for one in ir.iter_calc(list(measures.values()), qrels, run):
        found[names[str(one.measure)]][int(one.query_id[1:])] = one.value
    return found


@pytest.mark.parametrize("largest", [1, 3, 25], ids=["next item", "small baskets", "baskets longer than the list"])
@pytest.mark.parametrize("full", [True, False], ids=["full lists", "lists of any length"])
def test_each_metric_is_what_trec_eval_says(largest: int, full: bool) -> None:
    random = np.random.default_rng(largest)
    answers, baskets = random_answers(random, 500, full), random_baskets(random, 500, largest)
    ours = next_basket(answers, *ragged(baskets), CATALOGUE)._asdict()
    theirs = by_library(answers, baskets)
    if not full:  # its F takes the precision of what was shown, not of the places there were
        del theirs["f1"]
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, atol=1e-12, err_msg=name)
    assert 0.0 < ours["hit_rate"].mean() < 1.0


def test_the_next_item_is_a_basket_of_one() -> None:
    random = np.random.default_rng(2)
    answers = random_answers(random, 200)
    target = random.integers(0, CATALOGUE, 200).astype(np.int32)
    for ours, as_basket in zip(
        next_item(answers, target, CATALOGUE),
        next_basket(answers, np.arange(201), target, CATALOGUE),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, as_basket)


def by_sets(row: list[int], basket: list[int]) -> dict[str, float]:
    """The definitions, written with sets; all metrics of one question."""
    shown = list(dict.fromkeys(item for item in row if item != NOTHING))
    hits = set(shown) & set(basket)
    places = [row.index(item) + 1 for item in hits]
    ideal = sum(1 / math.log2(1 + place) for place in range(1, min(len(basket), len(row)) + 1))
    precision, recall = len(hits) / len(row), len(hits) / len(basket)
    rightly = sum((item in shown) == (item in basket) for item in range(CATALOGUE))
    return {
        "hit_rate": float(bool(hits)),
        "mrr": max((1 / place for place in places), default=0.0),
        "ndcg": sum(1 / math.log2(1 + place) for place in places) / ideal,
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if hits else 0.0,
        "accuracy": rightly / CATALOGUE,
    }


rows = st.lists(st.integers(NOTHING, CATALOGUE - 1), min_size=4, max_size=4)
a_basket = st.lists(st.integers(0, CATALOGUE - 1), min_size=1, max_size=7, unique=True)
few_rows = st.lists(st.lists(st.integers(NOTHING, 6), min_size=4, max_size=4), min_size=1, max_size=8)


@given(st.lists(st.tuples(rows | st.lists(st.integers(NOTHING, 6), min_size=4, max_size=4), a_basket), min_size=1, max_size=6))
def test_each_metric_is_its_definition_in_sets_also_for_answers_with_gaps_and_repeats(
    questions: list[tuple[list[int], list[int]]],
) -> None:
    answers = np.array([row for row, _ in questions], np.int32)
    ours = next_basket(answers, *ragged([basket for _, basket in questions]), CATALOGUE)
    for q, (row, basket) in enumerate(questions):
        for name, value in by_sets(row, basket).items():
            assert getattr(ours, name)[q] == pytest.approx(value, abs=1e-12), name
            assert 0.0 <= value <= 1.0


def test_a_perfect_list_is_worth_one_and_an_empty_one_nothing() -> None:
    baskets = [[3, 1, 2], [7], list(range(AT + 5))]
    perfect = np.array([(basket + [NOTHING] * AT)[:AT] for basket in baskets], np.int32)
    found = next_basket(perfect, *ragged(baskets), CATALOGUE)
    assert found.hit_rate.tolist() == found.mrr.tolist() == found.ndcg.tolist() == [1.0, 1.0, 1.0]
    assert found.recall.tolist() == [1.0, 1.0, AT / (AT + 5)]
    assert found.accuracy.tolist() == [1.0, 1.0, 1.0 - 5 / CATALOGUE]
    nothing = next_basket(np.full_like(perfect, NOTHING), *ragged(baskets), CATALOGUE)
    assert {name for name, values in nothing._asdict().items() if values.any()} == {"accuracy"}


def test_the_order_of_questions_does_not_matter() -> None:
    random = np.random.default_rng(3)
    answers, target = random_answers(random, 300), random.integers(0, CATALOGUE, 300).astype(np.int32)
    order = random.permutation(300)
    there, back = next_item(answers, target, CATALOGUE), next_item(answers[order], target[order], CATALOGUE)
    for one, other in zip(there, back, strict=True):
        np.testing.assert_array_equal(one[order], other)
    learned = random.integers(0, 9, CATALOGUE)
    assert of_lists(answers, learned) == pytest.approx(of_lists(answers[order], learned))


@given(few_rows, st.lists(st.integers(0, 20), min_size=7, max_size=7))
def test_the_lists_together_are_their_definition_in_sets(rows: list[list[int]], interactions: list[int]) -> None:
    lists = [set(row) - {NOTHING} for row in rows]
    learned = sum(interactions)
    information = [math.log2(learned / max(n, 1)) / math.log2(learned) if learned > 1 else 0.0 for n in interactions]
    answered = [shown for shown in lists if shown]
    novelty = [sum(information[item] for item in shown) / len(shown) for shown in answered]
    pairs = list(itertools.combinations(lists, 2))
    possible = sum(min(len(a), len(b)) for a, b in pairs)
    shared = sum(len(a & b) for a, b in pairs)
    expected = (
        len(set().union(*lists)) / 7,
        sum(novelty) / len(novelty) if novelty else 0.0,
        1 - shared / possible if possible else 0.0,
    )
    found = of_lists(np.array(rows, np.int32), np.array(interactions))
    assert found == pytest.approx(expected, abs=1e-12)
    assert all(-1e-12 <= value <= 1.0 + 1e-12 for value in found)


def test_the_same_list_for_all_is_not_diverse_and_disjoint_lists_are() -> None:
    learned = np.ones(8, np.int64)
    assert of_lists(np.array([[0, 1], [1, 0], [0, 1]], np.int32), learned).diversity == 0.0
    assert of_lists(np.array([[0, 1], [2, 3], [4, 5]], np.int32), learned).diversity == 1.0


def test_a_summary_has_the_names_of_the_contract_and_zeros_where_nothing_was_asked() -> None:
    nothing = np.zeros((0, AT), np.int32)
    found = summary(next_item(nothing, np.zeros(0, np.int32), 5), of_lists(nothing, np.ones(5, np.int64)))
    names = ("hit_rate", "mrr", "ndcg", "precision", "recall", "f1", "accuracy", "coverage", "novelty", "diversity")
    assert found == dict.fromkeys(names, 0.0)


@pytest.mark.parametrize(
    ("answer", "start", "item", "says"),
    [
        ([[9]], [0, 1], [1], "an answer has an item"),
        ([[-2]], [0, 1], [1], "an answer has an item"),
        ([[1]], [0, 1], [9], "came next is not one of the 9"),
        ([[1]], [0, 1, 2], [1, 2], "not as many questions"),
        ([[1]], [0, 0], [], "without anything that came next"),
    ],
)
def test_what_does_not_fit_together_is_refused(answer: list[list[int]], start: list[int], item: list[int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        next_basket(np.array(answer, np.int32), np.array(start), np.array(item, np.int32), 9)


def test_only_asked_baskets_are_what_came() -> None:
    user, moment = np.zeros(4, np.int32), np.arange(4)
    baskets = Baskets(
        user, moment, np.array([False, True, False, True]), np.array([0, 1, 3, 4, 6]), np.arange(6, dtype=np.int32)
    )
    start, item = bought(baskets)
    assert (start.tolist(), item.tolist()) == ([0, 2, 4], [1, 2, 4, 5])


def test_a_large_file_is_measured_in_under_two_seconds() -> None:
    random = np.random.default_rng(1)
    answers = random.integers(0, 50_000, (700_000, 20), np.int32)
    target = random.integers(0, 50_000, 700_000, np.int32)
    learned = random.integers(0, 9, 50_000)
    summary(next_item(answers[:1], target[:1], 50_000), of_lists(answers[:1], learned))  # compiles
    began = time.perf_counter()
    summary(next_item(answers, target, 50_000), of_lists(answers, learned))
    assert time.perf_counter() - began < 2.0


# Intervals


def sessions_of(random: np.random.Generator, sessions: int) -> tuple[I32, F64]:
    """Questions of sessions of unequal length which differ in how well they are answered; in the mean half are."""
    cluster = np.repeat(np.arange(sessions), random.integers(1, 8, sessions)).astype(np.int32)
    ease = random.beta(0.5, 0.5, sessions)
    return cluster, (random.random(len(cluster)) < ease[cluster]).astype(np.float64)


def test_the_interval_holds_the_truth_as_often_as_it_says_and_one_that_ignores_sessions_does_not() -> None:
    random = np.random.default_rng(4)
    held, held_without_sessions = 0, 0
    for _ in range(200):
        cluster, values = sessions_of(random, 80)
        alone = np.arange(len(values), dtype=np.int32)
        low, high = intervals(resample({"": values}, cluster, random))[""]
        held += low <= 0.5 <= high
        low, high = intervals(resample({"": values}, alone, random))[""]
        held_without_sessions += low <= 0.5 <= high
    # 95 %, of 200, three standard errors of 1.5 % either way.
    assert 0.905 <= held / 200 <= 0.995
    assert held_without_sessions / 200 < 0.85


def answered_better_and_better(random: np.random.Generator, sessions: int) -> tuple[I32, F64]:
    """Questions of sessions in the order of time, of which the last are answered best: neighbours are alike."""
    cluster = np.repeat(np.arange(sessions), 2).astype(np.int32)
    return cluster, np.repeat(random.random(sessions) < np.linspace(0.0, 1.0, sessions), 2).astype(np.float64)


@pytest.mark.parametrize("questions", [sessions_of, answered_better_and_better])
@pytest.mark.parametrize("sessions", [400, 3 * GROUPS + 1], ids=["every session drawn", "sessions in random groups"])
def test_the_interval_is_that_of_normal_theory_for_many_sessions(
    sessions: int, questions: Callable[[np.random.Generator, int], tuple[I32, F64]]
) -> None:
    random = np.random.default_rng(5)
    cluster, values = questions(random, sessions)
    drawn = resample({"": values}, cluster, random)
    low, high = intervals(drawn)[""]
    whole = Groups(("",), np.zeros(len(values), np.int32))
    (normal,) = breakdown(values, whole, cluster)
    assert normal.half_width is not None
    assert drawn[""].mean() == pytest.approx(normal.mean, abs=0.06 * normal.half_width)
    assert (low + high) / 2 == pytest.approx(normal.mean, abs=0.2 * normal.half_width)
    assert (high - low) / 2 == pytest.approx(normal.half_width, rel=0.1)


def test_the_interval_is_scipys() -> None:
    random = np.random.default_rng(6)
    cluster, values = sessions_of(random, 300)
    sums, counts = np.bincount(cluster, values), np.bincount(cluster)
    theirs = scipy_stats.bootstrap(
        (sums, counts),
        lambda s, n, axis: s.sum(axis) / n.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(7),
    ).confidence_interval
    assert intervals(resample({"": values}, cluster, random))[""] == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_pairing_narrows_the_interval_of_a_difference() -> None:
    random = np.random.default_rng(8)
    cluster, theirs = sessions_of(random, 500)
    ours = np.where(random.random(len(theirs)) < 0.05, 1.0, theirs)
    paired = resample({"ours": ours, "theirs": theirs}, cluster, random)
    unpaired = resample({"theirs": theirs}, cluster, random)["theirs"]
    found = intervals({"paired": paired["ours"] - paired["theirs"], "unpaired": paired["ours"] - unpaired})
    width = {name: high - low for name, (low, high) in found.items()}
    assert width["paired"] < width["unpaired"] / 4
    assert found["paired"][0] > 0.0


def test_the_same_generator_gives_the_same_interval() -> None:
    cluster, values = sessions_of(np.random.default_rng(9), 50)
    one, other = (resample({"": values}, cluster, np.random.default_rng(1))[""] for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_one_session_alone_has_no_interval() -> None:
    assert intervals(resample({"": np.ones(5)}, np.full(5, 3, np.int32), np.random.default_rng(1))) == {}


def test_a_metric_of_other_questions_is_refused() -> None:
    with pytest.raises(ValueError, match="a number for each question"):
        resample({"": np.ones(5)}, np.zeros(4, np.int32), np.random.default_rng(1))


# Parts


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 50), st.booleans(), st.booleans()), max_size=30))
def test_the_circumstances_of_a_question_are_what_was_known_before_it(lines: list[tuple[int, int, int, bool, bool]]) -> None:
    columns = list(zip(*lines, strict=True)) or [()] * 5
    session, item = (np.array(column, np.int32) for column in columns[:2])
    asked, counted = (np.array(column, np.bool_) for column in columns[3:])
    found = circumstances(Trace(session, session, item, np.array(columns[2], np.int64), asked, counted))
    expected = []
    first: dict[int, int] = {}
    for i, (s, y, t, is_asked, is_counted) in enumerate(lines):
        before = [other for other_session, other, *_ in lines[:i] if other_session == s]
        met = sum(other == y and other_counted for _, other, _, _, other_counted in lines[:i])
        if is_asked:
            expected.append((t, s, len(before), max(t - first[y], 0) if y in first else NEVER, met, y in before))
        if is_counted:
            first.setdefault(y, t)
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected


def test_parts_have_all_questions_once_and_their_means() -> None:
    random = np.random.default_rng(10)
    cluster, values = sessions_of(random, 200)
    length = random.integers(0, 15, len(values))
    parts = breakdown(values, by_session_length(length), cluster)
    assert [part.label for part in parts] == ["0", "1", "2", "3", "4", "5–6", "7–9", "10+"]
    assert sum(part.questions for part in parts) == len(values)
    assert sum(part.questions * part.mean for part in parts) == pytest.approx(values.sum())
    assert parts[5].mean == pytest.approx(values[(length == 5) | (length == 6)].mean())


def test_ages_are_divided_at_an_hour_a_day_and_a_week_and_repeats_can_be_left_out() -> None:
    hour = 3_600_000
    age = np.array([NEVER, 0, hour - 1, hour, 24 * hour - 1, 24 * hour, 168 * hour - 1, 168 * hour])
    groups = by_item_age(age)
    assert groups.group.tolist() == [0, 1, 1, 2, 2, 3, 3, 4]
    parts = breakdown(np.ones(8), only(groups, np.arange(8) >= 5), np.arange(8, dtype=np.int32))
    assert [(part.label, part.questions) for part in parts] == [("< 1 week", 2), ("older", 1)]


def test_slices_of_time_are_equally_long_and_labelled_with_their_beginning() -> None:
    days = 1_400_000_000_000 + np.array([0, 1, 2, 3, 19]) * 86_400_000
    groups = over_time(days, 5)
    assert groups.group.tolist() == [0, 0, 0, 0, 4]
    assert len(set(groups.labels)) == 5
    assert groups.labels[0] == "2014-05-13"


def test_parts_of_no_questions_at_all_are_none() -> None:
    nothing = np.zeros(0, np.int64)
    for groups in (over_time(nothing), by_session_length(nothing), by_item_age(nothing)):
        assert breakdown(np.zeros(0), groups, np.zeros(0, np.int32)) == []


def test_every_metric_counts_what_the_real_clicks_repeat(data_dir: Path) -> None:
    """Answering with the session so far: its hits are the repeats, which a set knows."""
    with gzip.open(data_dir / "retailrocket_test_prefixes.tsv.gz", "rt") as file:
        pairs = [line.rstrip("\n").split("\t") for line in file if not line.startswith("prefix")]
    number: dict[str, int] = {}
    for prefix, target in pairs:
        for item in (*prefix.split(), target):
            number.setdefault(item, len(number))
    answers = np.full((len(pairs), 20), NOTHING, np.int32)
    for q, (prefix, _) in enumerate(pairs):
        newest = list(dict.fromkeys(reversed(prefix.split())))[:20]
        answers[q, : len(newest)] = [number[item] for item in newest]
    targets = np.array([number[item] for _, item in pairs], np.int32)
    found = next_item(answers, targets, len(number))
    repeats = [item in list(dict.fromkeys(reversed(prefix.split())))[:20] for prefix, item in pairs]
    assert found.hit_rate.tolist() == [float(repeat) for repeat in repeats]
    assert 0.05 < found.hit_rate.mean() < 0.6
