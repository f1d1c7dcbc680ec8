"""Item cosine of ratings, against dense matrices; the five users and items of every textbook; what `--task rating` prints."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.strategies.item_cosine import NEIGHBOURS, Ratings
from streams.cli import main

Given = list[tuple[str, str, float]]
TEXTBOOK = {
    "alice": [5, 3, 4, 4, 0],
    "u1": [3, 1, 2, 3, 3],
    "u2": [4, 3, 4, 3, 5],
    "u3": [3, 3, 1, 5, 4],
    "u4": [1, 5, 5, 2, 1],
}
"""Jannach, Zanker, Felfernig, Friedrich, 2010, "Recommender systems: an introduction", table 2.1; 0: not rated."""


def told(matrix: dict[str, list[int]]) -> Ratings:
    ratings = Ratings()
    for user, row in matrix.items():
        for item, rating in enumerate(row, 1):
            if rating:
                ratings.learn(user, f"item{item}", rating)
    return ratings


def test_the_similarities_of_the_textbook_are_those_worked_out_by_hand() -> None:
    ratings = told(TEXTBOOK)
    by_hand = {
        ("item1", "item5"): 42 / math.sqrt(60 * 51),  # 9 + 20 + 12 + 1; 25 + 9 + 16 + 9 + 1; 9 + 25 + 16 + 1
        ("item2", "item5"): 35 / math.sqrt(53 * 51),  # 3 + 15 + 12 + 5; 9 + 1 + 9 + 9 + 25
        ("item3", "item5"): 35 / math.sqrt(62 * 51),  # 6 + 20 + 4 + 5; 16 + 4 + 16 + 1 + 25
        ("item4", "item5"): 46 / math.sqrt(63 * 51),  # 9 + 15 + 20 + 2; 16 + 9 + 9 + 25 + 4
        ("item1", "item2"): 44 / math.sqrt(60 * 53),  # 15 + 3 + 12 + 9 + 5
        ("item1", "item4"): 58 / math.sqrt(60 * 63),  # 20 + 9 + 12 + 15 + 2
    }
    assert {pair: ratings.similarity(*pair) for pair in by_hand} == pytest.approx(by_hand, abs=1e-12)
    assert round(ratings.similarity("item1", "item5"), 5) == 0.75926


def test_alice_is_expected_to_rate_the_fifth_item_with_the_weighted_mean_of_her_own_ratings() -> None:
    ratings = told(TEXTBOOK)
    alike = [ratings.similarity(f"item{n}", "item5") for n in range(1, 5)]
    assert ratings.plain("alice", "item5") == pytest.approx(np.average([5, 3, 4, 4], weights=alike))
    [only] = ratings.recommend("alice", 5)
    assert only.item == "item5"
    assert only.because == pytest.approx({f"item{n}": a / sum(alike) for n, a in enumerate(alike, 1)})


def test_a_new_user_without_any_rating_gets_the_best_rated_items_rather_than_zeros() -> None:
    ratings = told(TEXTBOOK)
    found = ratings.recommend("nobody", 5)
    means = {"item1": 16 / 5, "item2": 15 / 5, "item3": 16 / 5, "item4": 17 / 5, "item5": 13 / 4}
    assert [liked.item for liked in found] == sorted(means, key=lambda item: (-means[item], item))
    for liked in found:
        assert min(means[liked.item], ratings.mean) <= liked.score <= max(means[liked.item], ratings.mean)
        assert liked.score == ratings.plain("nobody", liked.item) == ratings.centred("nobody", liked.item)
    assert Ratings().centred("nobody", "nothing") == 3.0


def all_given() -> st.SearchStrategy[Given]:
    users, items = st.sampled_from("uvwxyz"), st.sampled_from("abcdefg")
    return st.lists(st.tuples(users, items, st.integers(2, 10).map(lambda n: n / 2)), max_size=60)


def dense(given: Given) -> tuple[dict[str, int], np.ndarray[Any, np.dtype[np.float64]]]:
    """A place for each user, and users × the items a to g, 0 where none is rated."""
    place = {user: n for n, user in enumerate("uvwxyz")}
    matrix = np.zeros((6, 7))
    for user, item, rating in given:
        matrix[place[user], "abcdefg".index(item)] = rating
    return place, matrix


@settings(deadline=None)
@given(given=all_given())
def test_similarities_and_predictions_are_those_of_the_dense_matrix(given: Given) -> None:
    ratings = Ratings()
    for one in given:
        ratings.learn(*one)
    place, matrix = dense(given)
    norm = np.sqrt((matrix**2).sum(axis=0))
    cosine = matrix.T @ matrix / np.maximum(np.outer(norm, norm), 1e-9)
    there = matrix > 0
    mean = matrix.sum() / there.sum() if there.any() else 3.0
    of_item = mean + (matrix - mean * there).sum(axis=0) / (5 + there.sum(axis=0)) * there.any(axis=0)
    of_user = ((matrix - of_item) * there).sum(axis=1) / (5 + there.sum(axis=1))
    for i, item in enumerate("abcdefg"):
        for j, other in enumerate("abcdefg"):
            assert ratings.similarity(item, other) == pytest.approx(cosine[i, j])
        for user, u in place.items():
            near = [j for j in range(7) if j != i and there[u, j] and cosine[i, j] > 0]
            plain = centred = of_item[i] + of_user[u]
            if near:
                away = matrix[u] - of_item - of_user[u]
                plain, centred = (np.average(x[near], weights=cosine[i, near]) for x in (matrix[u], away))
                centred += of_item[i] + of_user[u]
            assert ratings.plain(user, item) == pytest.approx(np.clip(plain, 1, 5))
            assert ratings.centred(user, item) == pytest.approx(np.clip(centred, 1, 5))


@settings(deadline=None)
@given(given=all_given(), data=st.data())
def test_the_order_of_ratings_changes_nothing_and_the_newest_of_a_user_holds(given: Given, data: st.DataObject) -> None:
    newest = {(user, item): rating for user, item, rating in given}
    shuffled = data.draw(st.permutations(list(newest.items())))
    ratings, others = Ratings(), Ratings()
    for one in given:
        ratings.learn(*one)
    for (user, item), rating in shuffled:
        others.learn(user, item, rating)
    for a in "abcdefg":
        assert [ratings.similarity(a, b) for b in "abcdefg"] == [others.similarity(a, b) for b in "abcdefg"]
    for user in "uvwxyz":
        here, there = ratings.recommend(user, 9), others.recommend(user, 9)
        assert {liked.item: liked.score for liked in here} == pytest.approx({liked.item: liked.score for liked in there})


@given(given=all_given())
def test_a_list_of_items_is_sorted_without_repeats_and_its_shares_are_whole(given: Given) -> None:
    ratings = Ratings()
    for one in given:
        ratings.learn(*one)
    rated = {(user, item) for user, item, _ in given}
    for user in "uvn":
        found = ratings.recommend(user, 4)
        order = [(-liked.score, liked.item) for liked in found]
        assert order == sorted(set(order))
        assert not rated & {(user, liked.item) for liked in found}
        assert all(sum(liked.because.values()) == pytest.approx(1.0) for liked in found if liked.because)


def test_of_many_rated_items_the_most_alike_speak() -> None:
    """Item x is rated as `near` ones are; the many others were never rated with it but once, low where it was high."""
    ratings = Ratings()
    for n in range(NEIGHBOURS):
        for user in ("a", "b", "c"):
            ratings.learn(user, f"near{n:02}", 5)
    for user in ("a", "b", "c"):
        ratings.learn(user, "x", 5)
    for n in range(NEIGHBOURS):
        ratings.learn("a", f"far{n:02}", 1)
        ratings.learn("me", f"far{n:02}", 1)
        ratings.learn("me", f"near{n:02}", 4)
    assert ratings.plain("me", "x") == pytest.approx(4.0)


@pytest.fixture
def ratings_file(tmp_path: Path) -> Path:
    """Ten users of two tastes: the even ones like the even items, the odd ones the odd."""
    lines = [
        f"{user}\t{item}\t{5 if (user + item) % 2 == 0 else 1}\t{880_000_000 + 100 * user + item}\n"
        for user in range(10)
        for item in range(40)
    ]
    path = tmp_path / "u.data"
    path.write_text("".join(lines), encoding="utf-8")
    return path


def run(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)], env={"FRESHET_REDIS": "redis://127.0.0.1:1/0"})


def test_ratings_are_foretold_beside_plain_means(ratings_file: Path) -> None:
    options = (ratings_file, "--format", "movielens", "--task", "rating", "--from", "0.5", "--at", "3")
    found = json.loads(run(*options, "--json").stdout)
    assert (found["task"], found["mode"]) == ("rating", "prequential")
    assert (found["events"], found["predictions"], found["at"]) == (400, 200, 3)
    names = ["global_mean", "user_mean", "item_mean", "user_and_item_mean", "item_cosine_plain"]
    assert list(found["baselines"]) == names
    for name, metrics in [("item_cosine", found["metrics"]), *found["baselines"].items()]:
        assert list(metrics) == ["rmse", "mae", "precision"]
        assert metrics["mae"] <= metrics["rmse"] <= 4.0
        low, high = found["intervals"][name]["rmse"]
        assert low <= metrics["rmse"] <= high
    # Everybody rates half the items 5 and half 1, so means say 3 for all.
    assert found["baselines"]["global_mean"]["rmse"] == pytest.approx(2.0, abs=0.05)
    assert found["metrics"]["rmse"] < 0.8 * found["baselines"]["user_and_item_mean"]["rmse"]
    assert found["metrics"]["precision"] > found["baselines"]["global_mean"]["precision"]
    table = run(*options, "--baselines", "user_mean").stdout
    assert "in stars; precision of each user's first 3, in per cent" in table
    assert [line.split()[0] for line in table.splitlines()[1:4]] == ["method", "item_cosine", "user_mean"]


def test_where_nothing_is_rated_that_is_said_and_what_ratings_have_not_is_refused(ratings_file: Path, tmp_path: Path) -> None:
    clicks = tmp_path / "clicks.tsv"
    clicks.write_text("s\ta b c\n", encoding="utf-8")
    nothing = run(clicks, "--format", "sessions", "--task", "rating")
    assert nothing.exit_code == 1
    assert "no event of the part that is measured has a rating" in nothing.stderr
    for option in (("--predictions", tmp_path / "o.jsonl"), ("--report", tmp_path / "o.html")):
        refused = run(ratings_file, "--format", "movielens", "--task", "rating", *option)
        assert (refused.exit_code, "--task rating measures one FILE" in refused.stderr) == (2, True)
