"""What is expected of returning customers and what is learned from them, against the formulas written out plainly."""

import csv
import gzip
import math
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from returning_oracle import DAY, GAP, Bought, Choice, Recount, Rows, Sold, choice
from test_returning import NOW, USERS, State, counted, lines_of, recounted, start

from benchmarks.returning import as_baskets, bought, figures
from recsys.compiled import I32
from recsys.evaluation.trace import Baskets
from recsys.events import EARLIEST_MS, LATEST_MS
from recsys.index import index
from recsys.learner import LARGEST_WEIGHT, begin
from recsys.returning import sales
from recsys.returning.candidates import EVERYTHING, Breadth, Shop
from recsys.returning.evidence import Neighbourhood
from recsys.returning.expectation import Expected, expect, learn_and_count
from recsys.returning.features import ALSO_BOUGHT, FIRST
from recsys.returning.next_basket import answers
from recsys.rules import Rules

ITEMS = 30
FEW = Breadth(200, 5, 3)
FEW_NEW = Breadth(0, 7, 4)
WIDTH = 12


def random_rows(random: np.random.Generator) -> Rows:
    """Rows of most items, of numbers that a float32 holds exactly."""
    weight = {}
    for x in range(1, ITEMS + 1):
        for c in random.choice(ITEMS, int(random.integers(WIDTH)), replace=False).tolist():
            weight[x, c + 1] = float(np.float32(random.uniform(0.01, 9.0)))
    return Rows(weight, {x: float(random.uniform(0.0, 20.0)) for x in range(1, ITEMS + 1)})


def neighbourhood(rows: Rows) -> Neighbourhood:
    """The rows as arrays; an item of which nothing is known has no place."""
    known = sorted({x for x, _ in rows.weight})
    length = np.zeros(len(known), np.int32)
    other = np.zeros((len(known), WIDTH), np.uint64)
    weight = np.zeros((len(known), WIDTH), np.float32)
    for (x, c), w in rows.weight.items():
        place = known.index(x)
        other[place, length[place]], weight[place, length[place]] = c, w
        length[place] += 1
    popularity = np.array([rows.n[x] for x in known])
    where = index(np.array(known, np.uint64))
    return Neighbourhood(where, length, other, weight, popularity, np.zeros(len(known), np.int64), 0.0)


def shop_of(state: State, rows: Rows, popular: list[int]) -> Shop:
    """Places among the sales are item numbers, so place 0 is an item that nobody asks for."""
    return Shop(state.sales, index(sold_items()), neighbourhood(rows), np.array(popular, np.uint64))


def sold_items() -> Any:
    items = np.arange(ITEMS + 1).astype(np.uint64)
    items[0] = 2**63
    return items


def random_baskets(random: np.random.Generator, count: int = 60) -> list[Bought]:
    found: list[Bought] = []
    now = NOW
    for _ in range(count):
        now += int(random.integers(1, 3 * DAY))
        items = random.choice(ITEMS - 4, int(random.integers(1, 9)), replace=False) + 1
        found.append(Bought(int(random.integers(USERS)), items.tolist(), now, session=len(found) + 1))
    return found


def ranked_alike(found: list[int], scores: list[float], expected: Choice, weights: list[float]) -> bool:
    """Whether these are the best items in their order, and their scores; of two whose scores differ by rounding, any order."""
    score = expected.scores(weights)
    best = [score[c] for c in expected.ranked(weights)[: len(found)]]
    same = scores == pytest.approx(best, rel=1e-4, abs=1e-5)
    return same and [score[c] for c in found] == pytest.approx(best, rel=1e-4, abs=1e-5) and len(set(found)) == len(found)


@pytest.mark.parametrize("breadth", [FEW, FEW_NEW])
@pytest.mark.parametrize("seed", range(4))
def test_the_expected_items_and_their_scores_are_those_of_the_formulas(seed: int, breadth: Breadth) -> None:
    random = np.random.default_rng(seed)
    events, rows, popular = random_baskets(random), random_rows(random), [ITEMS, 3, 7, ITEMS - 1, 5]
    state, recount = start(ITEMS), recounted(events)
    counted(state, events)
    weights = begin(random.normal(0.0, 1.0, len(FIRST)))
    now = np.array([event.time for event in events[-USERS:]]) + DAY
    expected = expect(state.purchases, now, shop_of(state, rows, popular), weights, breadth, 10)
    for user in range(USERS):
        plain = choice(recount, user, rows, int(now[user]), popular, (breadth.held > 0, breadth.others, breadth.popular))
        items = [item for item in expected.item[user].tolist() if item]
        assert len(items) == min(10, len(plain.features))
        assert ranked_alike(items, expected.parts[user, : len(items)].sum(axis=1).tolist(), plain, weights.weight.tolist())
        probability = plain.probabilities(weights.weight.tolist())
        assert expected.probability[user, : len(items)] == pytest.approx([probability[c] for c in items], rel=1e-3)


def alone(state: State, rows: Rows, popular: list[int], breadth: Breadth = EVERYTHING) -> Expected:
    now = np.full(USERS, NOW + 2 * DAY)
    return expect(state.purchases, now, shop_of(state, rows, popular), begin(FIRST), breadth, 5)


def test_an_expected_item_names_the_bought_item_that_says_most_for_it() -> None:
    state = start(ITEMS)
    counted(state, [Bought(0, [1, 2], NOW), Bought(0, [3, 4], NOW + DAY)])
    rows = Rows({(1, 9): 2.0, (3, 9): 1.0, (3, 8): 1.0, (9, 3): 1.0}, {1: 0.0, 3: 0.0, 9: 0.0})
    found = alone(state, rows, [])
    source = dict(zip(found.item[0].tolist(), found.source[0].tolist(), strict=True))
    # 0.8 · 2 of item 1, a basket older, is more than 1 of item 3
    assert (source[9], source[1]) == (1, 0)
    assert 8 not in found.item[1]


def test_what_nothing_speaks_for_owes_nothing_to_the_purchases_of_others() -> None:
    state = start(ITEMS)
    counted(state, [Bought(0, [1, 2], NOW), Bought(1, [3], NOW)])
    rows = Rows({(1, 9): 2.0, (1, 2): 1.0}, {1: 0.0})
    weights = begin(np.linspace(0.5, 2.0, len(FIRST)))
    now = np.full(USERS, NOW + DAY)
    found = expect(state.purchases, now, shop_of(state, rows, [3]), weights, EVERYTHING, 4)
    others = dict(zip(found.item[0].tolist(), found.parts[0, :, ALSO_BOUGHT].tolist(), strict=True))
    assert others[1] == pytest.approx(0.0, abs=1e-12)
    assert others[3] == pytest.approx(0.0, abs=1e-12)
    assert min(others[9], others[2]) > 0.1


def test_what_is_held_is_no_new_item() -> None:
    state = start(ITEMS)
    counted(state, [Bought(0, [1, 2], NOW), Bought(0, [1, 4], NOW + DAY)])
    found = alone(state, Rows({(1, 9): 2.0, (4, 2): 1.0}, {1: 0.0, 4: 0.0}), [2, 1, 5], FEW_NEW)
    assert sorted(found.item[0].tolist()) == [0, 0, 0, 5, 9]


def test_of_a_user_who_bought_nothing_the_popular_items_are_expected() -> None:
    found = alone(start(ITEMS), Rows({}, {}), [7, 5])
    assert found.item[0].tolist() == [5, 7, 0, 0, 0]
    assert found.probability[0].tolist() == [0.5, 0.5, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_learned_by_the_formula_basket_by_basket(seed: int) -> None:
    random = np.random.default_rng(seed)
    events, rows, popular = random_baskets(random), random_rows(random), [ITEMS, 3, 7]
    state, recount = start(ITEMS), Recount()
    weights = begin(FIRST)
    plain, squares = FIRST.tolist(), weights.squares.tolist()
    breadth = (True, FEW.others, FEW.popular)
    for offset, event in enumerate(events):
        deltas = learn_and_count(
            state.purchases, state.tables, np.zeros(USERS, np.int32), lines_of([event], offset), float(GAP),
            shop_of(state, rows, popular), weights, FEW,
        )  # fmt: skip
        sales.merge(state.sales, deltas.time, deltas.what, deltas.weight, deltas.item.astype(np.int64))
        if recount.customers[event.user].baskets:
            expected = choice(recount, event.user, rows, event.time, popular, breadth)
            plain, squares = expected.learned(plain, squares, event.items)
        recount.take(event)
        assert weights.weight.tolist() == pytest.approx(plain, rel=1e-3, abs=1e-4)
    assert max(abs(weights.weight - FIRST)) > 0.1


def test_counting_is_the_same_with_and_without_learning() -> None:
    random = np.random.default_rng(9)
    events = random_baskets(random)
    plain, learning = start(ITEMS), start(ITEMS)
    expected = counted(plain, events)
    shop = shop_of(start(ITEMS), random_rows(random), [1])
    table = np.zeros(USERS, np.int32)
    found = learn_and_count(learning.purchases, learning.tables, table, lines_of(events), float(GAP), shop, begin(FIRST), FEW)
    assert [column.tolist() for column in found] == [column.tolist() for column in expected]
    assert learning.purchases.f60.tolist() == plain.purchases.f60.tolist()


def test_a_first_basket_and_one_without_a_candidate_teach_nothing() -> None:
    state = start(ITEMS)
    shop = shop_of(state, Rows({}, {}), [2])
    weights = begin(FIRST)
    table = np.zeros(USERS, np.int32)

    def take(event: Bought) -> None:
        learn_and_count(state.purchases, state.tables, table, lines_of([event]), float(GAP), shop, weights, EVERYTHING)

    take(Bought(0, [1, 2], NOW))
    take(Bought(0, [8, 9], NOW + DAY))
    assert weights.weight.tolist() == FIRST.tolist()
    take(Bought(0, [8, 9], NOW + 2 * DAY))
    assert weights.weight.tolist() != FIRST.tolist()


WILD = st.sampled_from([EARLIEST_MS, LATEST_MS, NOW]) | st.integers(EARLIEST_MS, LATEST_MS)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.lists(st.integers(1, 9), min_size=1, max_size=4), WILD), max_size=30),
    st.lists(st.floats(0.0, 2.0**127, width=32) | st.sampled_from([math.inf, math.nan]), min_size=9, max_size=9),
)
def test_weights_stay_bounded_whatever_comes(events: list[tuple[int, list[int], int]], strange: list[float]) -> None:
    state = start(ITEMS)
    rows = Rows({(x, x % 9 + 1): weight for x, weight in enumerate(strange, 1)}, defaultdict(float))
    weights = begin(FIRST)
    for event in events:
        deltas = learn_and_count(
            state.purchases, state.tables, np.zeros(USERS, np.int32), lines_of([Bought(*event)]), float(GAP),
            shop_of(state, rows, [1, 20]), weights, EVERYTHING,
        )  # fmt: skip
        sales.merge(state.sales, deltas.time, deltas.what, deltas.weight, deltas.item.astype(np.int64))
    assert (np.abs(weights.weight) <= LARGEST_WEIGHT).all()
    assert np.isfinite(weights.squares).all()
    found = expect(state.purchases, np.full(USERS, NOW), shop_of(state, rows, [1, 20]), weights, EVERYTHING, 9)
    assert (found.probability.sum(axis=1) <= 1.0 + 1e-9).all()
    assert np.isfinite(found.parts).all()


def numbered(events: list[Bought], asked: Any) -> Baskets:
    start = np.cumsum([0, *(len(event.items) for event in events)]).astype(np.int64)
    item = np.array([item - 1 for event in events for item in event.items], np.int32)
    return Baskets(np.array([e.user for e in events], np.int32), np.array([e.time for e in events]), asked, start, item)


def plain_answers(events: list[Bought], asked: Any, breadth: Breadth, found: I32) -> None:
    """Ranks, learns and counts basket by basket in plain Python; asserts each answer in `found`."""
    recount = Recount()
    weight: dict[tuple[int, int], float] = defaultdict(float)
    rows = Rows(weight, defaultdict(float))
    weights, squares = FIRST.tolist(), [0.01] * len(FIRST)
    popular: list[int] = []
    day = questions = 0
    for event, is_asked in zip(events, asked, strict=True):
        if event.time // DAY != day:
            day = event.time // DAY
            level = {
                c: sum(2 ** ((t - event.time) / (90 * DAY)) for t in sold.times)
                for c, sold in recount.sold.items()
                if sold.times
            }
            popular = sorted(level, key=lambda c: (-level[c], c))
        expected = choice(recount, event.user, rows, event.time, popular, (breadth.held > 0, breadth.others, breadth.popular))
        if is_asked:
            items = [number + 1 for number in found[questions].tolist() if number >= 0]
            assert len(items) == min(found.shape[1], len(expected.features))
            scores = expected.scores(weights)
            assert ranked_alike(items, [scores[c] for c in items], expected, weights)
            questions += 1
        if recount.customers[event.user].baskets:
            weights, squares = expected.learned(weights, squares, event.items)
        recount.take(event)
        for j, y in enumerate(event.items):
            rows.n[y] += 1
            for d, s in enumerate(reversed(event.items[max(0, j - 5) : j]), 1):
                weight[s, y] += (j + 1) ** -0.25 * d**-1.5
                weight[y, s] += 0.8 * (j + 1) ** -0.25 * d**-1.5
    assert questions == len(found)


@pytest.mark.parametrize("breadth", [FEW, FEW_NEW])
def test_the_evaluation_ranks_learns_and_counts_by_the_formulas(breadth: Breadth) -> None:
    random = np.random.default_rng(5)
    events = random_baskets(random, 80)
    asked = random.random(80) < 0.5
    found = answers(numbered(events, asked), breadth, 8, Rules(half_life_ms=0.0, hide=frozenset()))
    plain_answers(events, asked, breadth, found)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_bought_once_is_left_out_and_the_rest_keeps_its_order(seed: int) -> None:
    random = np.random.default_rng(seed)
    events = random_baskets(random, 120)
    asked = random.random(120) < 0.5
    everything = answers(numbered(events, asked), FEW, 60, Rules(hide=frozenset()))
    shown = answers(numbered(events, asked), FEW, 8, Rules(hide=frozenset({"once"})))
    recount, lines, again, questions, hidden = Recount(), 0, 0, 0, 0
    for event, is_asked in zip(events, asked, strict=True):
        held = recount.customers[event.user].held
        if is_asked:
            share = again / lines if lines else 0.0
            once = {c for c in held if by_holders(recount.sold[c], event.time, share) < 0.1}
            rest = [number for number in everything[questions].tolist() if number >= 0 and number + 1 not in once]
            assert [number for number in shown[questions].tolist() if number >= 0] == rest[:8]
            questions, hidden = questions + 1, hidden + len(once)
        lines, again = lines + len(event.items), again + sum(item in held for item in event.items)
        recount.take(event)
    assert hidden > 20


def by_holders(sold: Sold, now: int, share: float) -> float:
    """Of an item's purchases, the share by those who held it; of an item of which little is known, that of the shop."""
    n, m = (sum(math.exp2((time - now) / (90 * DAY)) for time in times) for times in (sold.times, sold.to_new))
    return (n - m + share) / (n + 1)


def invoice_lines(file: Path) -> Iterator[tuple[str, str, str, int]]:
    """What of Online Retail the figures were measured with: invoice, customer, item and time of each line."""
    with gzip.open(file, "rt", encoding="utf-8") as text:
        for invoice, code, _, quantity, date, price, customer, _ in islice(csv.reader(text), 1, None):
            if (
                customer
                and code[:5].isdigit()
                and len(code) >= 5
                and float(price) > 0
                and float(quantity) > 0
                and invoice[0] != "C"
            ):
                yield invoice, customer, code.upper(), milliseconds(date)


@lru_cache(maxsize=4096)
def milliseconds(date: str) -> int:
    return round(datetime.fromisoformat(date + "Z").timestamp() * 1000)


def test_online_retails_next_baskets_are_expected_as_well_as_measured(data_dir: Path) -> None:
    baskets = as_baskets(invoice_lines(data_dir / "online_retail.csv.gz"))
    counts = (len(baskets.user), baskets.user.max() + 1, baskets.item.max() + 1, len(baskets.item), baskets.asked.sum())
    assert counts == (18_402, 4_334, 3_659, 386_326, 4_199)
    found = figures(answers(baskets, EVERYTHING, 20, Rules(hide=frozenset())), bought(baskets))
    assert found.recall_10 >= 19.0
    assert found.ndcg_10 >= 30.2
