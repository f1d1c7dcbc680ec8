"""Content-based neighbours are those of dense TF-IDF vectors, whatever was put and removed before."""

import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.catalogue.content import REACH, Content
from recsys.catalogue.posting_lists import PART
from recsys.catalogue.terms import MOST_TERMS, Terms
from recsys.hashing import hash_id

Vectors = dict[int, dict[int, float]]
"""Weights by item and term."""


def as_terms(weights: dict[int, float]) -> Terms:
    by_term = sorted(weights.items())
    return Terms(np.array([t for t, _ in by_term], np.uint64), np.array([w for _, w in by_term], np.float32))


def content_of(vectors: Vectors) -> Content:
    content = Content()
    for item, weights in vectors.items():
        content.put(item, as_terms(weights))
    return content


def dense(vectors: Vectors) -> tuple[list[int], "np.ndarray[tuple[int, int], np.dtype[np.float64]]"]:
    """The items, and their cosines by a matrix of all terms: the oracle."""
    items, columns = sorted(vectors), sorted({term for weights in vectors.values() for term in weights})
    tf = np.array([[np.float32(vectors[item].get(term, 0)) for term in columns] for item in items], np.float64)
    tf = tf.reshape(len(items), len(columns))
    idf = np.log((1 + len(items)) / (1 + (tf > 0).sum(axis=0))) + 1
    rows = tf * idf
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(norm, norm, 1)
    return items, unit @ unit.T


def told(content: Content, items: Iterable[int], room: int = 100) -> list[tuple[list[int], list[float]]]:
    found = (content.alike(item, room) for item in items)
    return [(alike.tolist(), cosines.tolist()) for alike, cosines in found]


weights = st.dictionaries(st.integers(1, 8), st.sampled_from([0.5, 1.0, 1.5, 2.2]), max_size=5)
changes = st.lists(st.tuples(st.integers(1, 12), st.none() | weights), max_size=60)


def after(content: Content, changed: list[tuple[int, dict[int, float] | None]]) -> Vectors:
    """Puts and removes one after the other; what is there in the end."""
    vectors: Vectors = {}
    for item, new in changed:
        if new is None:
            assert content.remove(item) is (vectors.pop(item, None) is not None)
        else:
            assert content.put(item, as_terms(new)) is (vectors.get(item) != new)
            vectors[item] = new
    return vectors


@settings(deadline=None)
@given(changes)
def test_cosines_are_those_of_dense_vectors(changed: list[tuple[int, dict[int, float] | None]]) -> None:
    content = Content()
    vectors = after(content, changed)
    items, cosines = dense(vectors)
    assert len(content) == len(items)
    for i, item in enumerate(items):
        found, values = content.alike(item, 100)
        expected = {other: cosines[i, j] for j, other in enumerate(items) if j != i and cosines[i, j] > 0}
        assert dict(zip(found.tolist(), values.tolist(), strict=True)) == pytest.approx(expected)
        order = [(-value, other ^ item) for other, value in zip(found.tolist(), values.tolist(), strict=True)]
        assert order == sorted(order)
        for j, other in enumerate(items):
            assert content.cosine(item, other) == content.cosine(other, item) == pytest.approx(cosines[i, j])


@settings(deadline=None)
@given(changes)
def test_what_was_put_before_leaves_no_trace(changed: list[tuple[int, dict[int, float] | None]]) -> None:
    content = Content()
    vectors = after(content, changed)
    assert told(content, range(1, 13)) == told(content_of(vectors), range(1, 13))


def test_rarer_terms_say_more() -> None:
    content = content_of({1: {1: 1, 2: 1}, 2: {1: 1, 4: 1}, 3: {2: 1, 5: 1}, 4: {1: 1, 6: 1}})
    assert content.alike(1, 1)[0].tolist() == [3]


def test_the_room_cuts_the_least_alike() -> None:
    vectors = {n: {1: 1.0, n + 10: n / 10} for n in range(1, 30)}
    whole, cut = told(content_of(vectors), [3], 100)[0], told(content_of(vectors), [3], 7)[0]
    assert cut == (whole[0][:7], whole[1][:7])
    assert told(content_of(vectors), [3], 0) == [([], [])]


def test_equals_come_by_the_distance_of_their_hashes() -> None:
    content = content_of({item: {1: 1.0} for item in (0b1000, 0b1001, 0b1011, 0b0001)})
    assert content.alike(0b1000, 9)[0].tolist() == [0b1001, 0b1011, 0b0001]
    assert content.alike(0b0001, 2)[0].tolist() == [0b1001, 0b1000]


def test_an_item_that_is_unknown_or_has_no_terms_has_nothing_alike() -> None:
    content = content_of({1: {}, 2: {}, 3: {1: 1.0}})
    assert told(content, [1, 2, 3, 4]) == [([], [])] * 4
    assert content.cosine(1, 2) == content.cosine(3, 4) == 0


def test_a_hidden_item_counts_and_can_be_asked_for_but_is_in_no_result() -> None:
    content = content_of({1: {1: 1.0, 2: 1.0}, 2: {1: 1.0, 3: 1.0}, 3: {1: 1.0, 2: 2.0}})
    before = told(content, [1, 2, 3])
    assert content.hide(3)
    assert not content.hide(3)
    hidden = told(content, [1, 2, 3])
    assert hidden[0] == ([2], [content.cosine(1, 2)])
    assert hidden[2] == before[2]
    content.put(3, as_terms({1: 1.0}))
    assert content.alike(1, 9)[0].tolist() == [2]
    content.put(3, as_terms({1: 1.0, 2: 2.0}))
    assert content.show(3)
    assert told(content, [1, 2, 3]) == before
    assert not content.hide(4)


def test_more_terms_than_an_item_may_have_are_an_error() -> None:
    with pytest.raises(ValueError, match=f"65 terms: an item has at most {MOST_TERMS}"):
        Content().put(1, as_terms(dict.fromkeys(range(1, 66), 1.0)))


# Lists that are cut into parts

COMMON, HALF, FEW = 1, 2, 3
MANY = 5 * PART + 7


def crowd(seed: int, items: int = MANY) -> Vectors:
    """Items that all share a term, of which half share a second one and some a third."""
    random = np.random.default_rng(seed)
    vectors: Vectors = {}
    for n in range(items):
        weights = {COMMON: 1.0, 1000 + int(random.integers(items)): float(random.integers(1, 4))}
        if random.random() < 0.5:
            weights[HALF] = 0.5
        if random.random() < 0.02:
            weights[FEW] = 1.0
        vectors[hash_id(f"i{n}")] = weights
    return vectors


def part(item: int, holders: int) -> int:
    """The part of linear hashing, by its definition."""
    parts = max(1, math.ceil(holders / PART))
    power = 1 << (parts.bit_length() - 1)
    return item % (2 * power) if item % (2 * power) < parts else item % power


def reached(vectors: Vectors, item: int) -> set[int]:
    """The items that a search looks at."""
    holders: dict[int, list[int]] = {}
    for other, weights in vectors.items():
        for term in weights:
            holders.setdefault(term, []).append(other)
    found: set[int] = set()
    left = REACH

    def share(term: int) -> float:
        idf = math.log(1 + len(vectors)) + 1 - math.log(1 + len(holders[term]))
        return float(np.float32(vectors[item][term])) * idf

    for term in sorted(vectors[item], key=lambda term: (-share(term), term)):
        own = part(item, len(holders[term]))
        members = [other for other in holders[term] if part(other, len(holders[term])) == own]
        if len(members) <= left:
            left -= len(members)
            found |= set(members)
    return found - {item}


def test_of_a_frequent_term_an_item_sees_its_own_part() -> None:
    vectors = crowd(1)
    content = content_of(vectors)
    for item in list(vectors)[:30]:
        found = content.alike(item, MANY)[0].tolist()
        assert set(found) == reached(vectors, item)
        assert PART / 2 < len(found) < MANY


def test_parts_grow_and_shrink_without_a_trace() -> None:
    content, vectors = Content(), crowd(2)
    random = np.random.default_rng(3)
    for item, weights in crowd(4).items():
        content.put(item, as_terms(weights))
    for item in vectors:
        if random.random() < 0.9:
            content.remove(item)
    for item, weights in vectors.items():
        content.put(item, as_terms(weights))
    asked = list(vectors)[::17]
    assert told(content, asked) == told(content_of(vectors), asked)
    for item in vectors:
        content.remove(item)
    counts = content.postings
    assert len(content) == 0
    assert not counts.rows.keys.any()
    assert not counts.where.keys.any()


def test_many_lists_are_looked_through_up_to_a_limit() -> None:
    vectors = {hash_id(f"i{n}"): {term: 1.0 + term / 100 for term in range(1, 9)} | {100 + n: 1.0} for n in range(REACH // 4)}
    content = content_of(vectors)
    assert set(content.alike(hash_id("i0"), REACH)[0].tolist()) == reached(vectors, hash_id("i0"))


# Memory


def test_a_hundred_thousand_changes_of_the_same_items_take_no_more_room() -> None:
    random = np.random.default_rng(5)
    content = Content()

    def change(times: int) -> None:
        for item, terms, first in random.integers(1, [1500, 40, 3000], (times, 3)).tolist():
            if first % 5 == 0:
                content.remove(item)
            else:
                term = np.append(np.arange(first, first + terms), 10_000).astype(np.uint64)
                content.put(item, Terms(term, np.ones(len(term), np.float32)))

    change(30_000)
    before, used = content.nbytes, content.postings.counter.copy()
    change(100_000)
    assert content.nbytes <= 1.3 * before
    assert np.all(content.postings.counter[[0, 2, 4, 6]] <= 1.3 * used[[0, 2, 4, 6]])
