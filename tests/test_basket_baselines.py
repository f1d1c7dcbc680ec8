"""The next-basket baselines, against each method written out plainly; slices do not matter; known figures."""

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.compiled import I32
from recsys.evaluation.baselines import BASKET_BASELINES, answers
from recsys.evaluation.trace import NOTHING, Baskets
from recsys.events import Kind
from recsys.readers import read

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
AT = 4

History = list[tuple[int, int, list[int]]]
"""(user, time, items) of the baskets so far."""
Scoring = Callable[[History, int, int], dict[int, float]]
"""From the baskets so far, a user and the time to the scores of items."""
Vector = dict[int, float]


def nothing(done: int) -> None:
    """Progress that nobody follows."""


def most_popular(history: History, _user: int, _time: int) -> dict[int, float]:
    return dict(Counter(item for _, _, items in history for item in items))


def personal_top(history: History, user: int, _time: int) -> dict[int, float]:
    return dict(Counter(item for owner, _, items in history if owner == user for item in items))


def recency_weighted(history: History, user: int, _time: int) -> dict[int, float]:
    scores: dict[int, float] = defaultdict(float)
    worth = 1.0
    for owner, _, items in reversed(history):
        if owner == user:
            for item in items:
                scores[item] += worth
            worth *= 0.95
    return scores


def vector(own: list[list[int]]) -> Vector:
    m = min(7, len(own))
    larger = len(own) % m
    sizes = [len(own) // m] * (m - larger) + [len(own) // m + 1] * larger
    whole: Vector = defaultdict(float)
    first = 0
    for g, size in enumerate(sizes):
        for i, items in enumerate(own[first : first + size]):
            for item in items:
                whole[item] += 0.9 ** (size - 1 - i) / size * (0.7 ** (m - 1 - g) / m)
        first += size
    return whole


def tifu_knn(history: History, user: int, time: int) -> dict[int, float]:
    own = [items for owner, _, items in history if owner == user]
    if not own:
        return {}
    v = vector(own)
    others: dict[int, list[list[int]]] = defaultdict(list)
    for owner, when, items in history:
        if owner != user and when < time // DAY_MS * DAY_MS:
            others[owner].append(items)
    vectors = {other: vector(baskets) for other, baskets in others.items()}

    def nearness(other: int) -> float:
        w = vectors[other]
        product = square = 0.0
        for item in v:
            product += v[item] * w.get(item, 0.0)
        for item in w:
            square += w[item] * w[item]
        return 2 * product - square

    neighbours = sorted(vectors, key=lambda other: (-nearness(other), other))[:300]
    scores: dict[int, float] = defaultdict(float, {item: 0.7 * value for item, value in v.items()})
    for other in neighbours:
        for item, value in vectors[other].items():
            scores[item] += (1 - 0.7) / len(neighbours) * value
    return scores


PLAIN: dict[str, Scoring] = {
    "most_popular": most_popular,
    "personal_top": personal_top,
    "recency_weighted": recency_weighted,
    "tifu_knn": tifu_knn,
}


def expected(name: str, baskets: Baskets, at: int) -> list[list[int]]:
    history: History = []
    found = []
    for b in range(len(baskets.user)):
        user, time = int(baskets.user[b]), int(baskets.time[b])
        if baskets.asked[b]:
            count = most_popular(history, user, time)
            scores = PLAIN[name](history, user, time)
            ranked = sorted(scores, key=lambda item: (-scores[item], -count[item], item))[:at]
            ranked += [item for item in sorted(count, key=lambda item: (-count[item], item)) if item not in ranked]
            found.append((ranked + at * [NOTHING])[:at])
        history.append((user, time, baskets.item[baskets.start[b] : baskets.start[b + 1]].tolist()))
    return found


def in_columns(rows: list[tuple[int, int, bool, list[int]]]) -> Baskets:
    """Baskets of (user, hours since the basket before, asked, items)."""
    return Baskets(
        np.array([user for user, _, _, _ in rows], np.int32),
        np.cumsum(np.array([hours for _, hours, _, _ in rows], np.int64)) * HOUR_MS,
        np.array([asked for _, _, asked, _ in rows], np.bool_),
        np.cumsum([0] + [len(items) for _, _, _, items in rows]).astype(np.int64),
        np.array([item for _, _, _, items in rows for item in items], np.int32),
    )


ROWS = st.tuples(
    st.integers(0, 4),
    st.sampled_from([0, 1, 10, 30]),
    st.booleans(),
    st.lists(st.integers(0, 7), max_size=4, unique=True),
)


def random_baskets(seed: int, baskets: int, users: int, items: int) -> Baskets:
    draw = np.random.default_rng(seed)
    rows = []
    for _ in range(baskets):
        bought = np.unique((items * draw.random(draw.integers(1, 9)) ** 2).astype(int))
        draw.shuffle(bought)
        rows.append((int(draw.integers(users)), int(draw.integers(0, 9)), bool(draw.random() < 0.7), bought.tolist()))
    return in_columns(rows)


@pytest.mark.parametrize("name", PLAIN)
@settings(deadline=None)
@given(rows=st.lists(ROWS, max_size=40))
def test_a_basket_baseline_answers_as_its_plain_form_does(name: str, rows: list[tuple[int, int, bool, list[int]]]) -> None:
    baskets = in_columns(rows)
    assert BASKET_BASELINES[name](baskets, 8, AT, nothing).tolist() == expected(name, baskets, AT)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("users", [6, 60])
def test_a_basket_baseline_answers_so_with_long_histories_and_many_users(name: str, users: int) -> None:
    baskets = random_baskets(users, 240, users, 50)
    assert BASKET_BASELINES[name](baskets, 50, 12, nothing).tolist() == expected(name, baskets, 12)


def test_tifu_knn_takes_the_nearest_three_hundred() -> None:
    """Far more users than that, most of them nothing like the one who asks."""
    draw = np.random.default_rng(5)
    rows = [(user, 0, False, np.unique(draw.integers(0, 40, 5)).tolist()) for user in range(400)]
    baskets = in_columns([*rows, (400, 30, False, [3, 4]), (400, 0, True, [1]), (7, 0, True, [2])])
    assert BASKET_BASELINES["tifu_knn"](baskets, 40, 40, nothing).tolist() == expected("tifu_knn", baskets, 40)


def test_every_basket_baseline_is_tested() -> None:
    assert list(PLAIN) == list(BASKET_BASELINES)


@pytest.mark.parametrize("name", PLAIN)
def test_to_be_asked_changes_nothing(name: str) -> None:
    baskets = random_baskets(3, 200, 15, 30)
    always = BASKET_BASELINES[name](baskets._replace(asked=np.ones(200, bool)), 30, AT, nothing)
    assert BASKET_BASELINES[name](baskets, 30, AT, nothing).tolist() == always[baskets.asked].tolist()


@pytest.mark.parametrize("name", PLAIN)
def test_slices_do_not_matter_and_progress_hears_of_each(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    baskets = random_baskets(4, 100, 10, 30)
    whole = BASKET_BASELINES[name](baskets, 30, AT, nothing).tolist()
    monkeypatch.setattr(answers, "SLICE", 7)
    done: list[int] = []
    assert BASKET_BASELINES[name](baskets, 30, AT, done.append).tolist() == whole
    assert done == [*range(7, 100, 7), 100]


def online_retail(data_dir: Path) -> tuple[Baskets, int]:
    """The invoices in order of time; asked are those in the last fifth of the period of customers with two earlier ones."""
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    invoices: dict[str, tuple[int, int, dict[int, None]]] = {}
    with read(data_dir / "online_retail.csv.gz", "online-retail") as records:
        for event in (record.event for record in records if record.event.kind is Kind.PURCHASE):
            assert event.session_id is not None
            assert event.time_ms is not None
            user = users.setdefault(event.user_id, len(users))
            bought = invoices.setdefault(event.session_id, (user, event.time_ms, {}))[2]
            for line in event.lines:
                bought.setdefault(items.setdefault(line.item_id, len(items)))
    rows = sorted(invoices.values(), key=lambda invoice: invoice[1])
    begin = rows[0][1] + 0.8 * (rows[-1][1] - rows[0][1])
    earlier: Counter[int] = Counter()
    asked = []
    for user, time, _ in rows:
        asked.append(time >= begin and earlier[user] >= 2)
        earlier[user] += 1
    baskets = Baskets(
        np.array([user for user, _, _ in rows], np.int32),
        np.array([time for _, time, _ in rows], np.int64),
        np.array(asked),
        np.cumsum([0] + [len(bought) for _, _, bought in rows]).astype(np.int64),
        np.array([item for _, _, bought in rows for item in bought], np.int32),
    )
    return baskets, len(items)


def recall_and_ndcg(baskets: Baskets, found: I32) -> tuple[float, float]:
    discount = 1 / np.log2(np.arange(2, found.shape[1] + 2))
    recall, ndcg = [], []
    for answer, b in zip(found, np.flatnonzero(baskets.asked), strict=True):
        bought = baskets.item[baskets.start[b] : baskets.start[b + 1]]
        hit = np.isin(answer, bought)
        recall.append(hit.sum() / len(bought))
        ndcg.append(discount[hit].sum() / discount[: len(bought)].sum())
    return 100 * float(np.mean(recall)), 100 * float(np.mean(ndcg))


def test_the_figures_of_online_retail_are_those_of_an_independent_implementation(data_dir: Path) -> None:
    baskets, items = online_retail(data_dir)
    assert (len(baskets.user), int(baskets.asked.sum()), items, len(baskets.item)) == (18_402, 4_199, 3_659, 386_326)
    known = {
        "most_popular": (3.0, 6.8),
        "personal_top": (17.3, 27.0),
        "recency_weighted": (17.5, 27.2),
        "tifu_knn": (17.6, 27.4),
    }
    for name, figures in known.items():
        assert recall_and_ndcg(baskets, BASKET_BASELINES[name](baskets, items, 10, nothing)) == pytest.approx(figures, abs=0.2)
