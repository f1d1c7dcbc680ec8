"""The written listing against one made of objects: the same items, scores and reasons, whatever the names and numbers."""

import json
from collections.abc import Mapping

import msgspec
import numpy as np
import pytest

from recsys.digits import in_digits, rounded
from recsys.hashing import NONE, hash_id
from recsys.listing import LEAST_SHARE, listed, recommended
from recsys.ranking.features import ALIKE_TERMS, ALSO_BOUGHT_TERM, BOUGHT_AGAIN_TERM, REPEAT_TERM, TERMS, TRENDING_TERM
from recsys.ranking.rank import Ranked, room_for
from recsys.ranking.told import told
from recsys.recommendation import Reason, RecommendedItem

NAMES = ["plain", "a b", 'quo"te', "back\\slash", "\x00\x1f", "日本語", "é", "🛒", "/", "0", "x" * 128, "\x7f", "\u2028"]
KINDS = {
    REPEAT_TERM: "repeat", TRENDING_TERM: "trending", BOUGHT_AGAIN_TERM: "bought_again", ALSO_BOUGHT_TERM: "also_bought",
}  # fmt: skip


def ranking(random: np.random.Generator, users: int, items: int, names: Mapping[int, str]) -> Ranked:
    """Some ranking: falling scores of all sizes, some of them alike, and terms of all kinds; some rows are shorter."""
    found, hashes = room_for(users, items), np.array(list(names), np.uint64)
    for u in range(users):
        length = int(random.integers(items + 1))
        found.item[u, :length] = random.permutation(hashes)[:length]
        scores = 10.0 ** random.uniform(-12, 8, items) if u % 2 else random.choice([0.5, 0.25, 1.0, 1e-300], items)
        found.score[u] = -np.sort(-scores)
        found.recent[u] = random.permutation(hashes)[: found.recent.shape[1]]
    found.source[:] = random.choice(np.append(hashes, NONE).astype(np.uint64), found.source.shape)
    found.terms[:] = random.random(found.terms.shape) * (random.random(found.terms.shape) < 0.2)
    found.counts[:] = random.choice([0, 1, 12, 10**12], found.counts.shape)
    return found


def kind_of(term: int) -> str:
    return KINDS.get(term, "similar_content" if term >= ALIKE_TERMS else "also_viewed")


def plainly(ranked: Ranked, names: Mapping[int, str], least: float) -> list[list[RecommendedItem]]:
    reasons, scores, at = told(ranked, least), rounded(ranked.score), 0
    found = []
    for u in range(len(ranked.item)):
        items = []
        for i, item in enumerate(ranked.item[u].tolist()):
            each = range(at, at + int(reasons.terms[u, i]))
            at += len(each)
            if item not in names:
                continue
            items.append(
                RecommendedItem(
                    names[item],
                    float(scores[u, i]),
                    [
                        Reason(
                            kind_of(int(reasons.term[r])),  # type: ignore[arg-type]
                            int(reasons.part[r]) / 1000,
                            names.get(int(reasons.source[r])),
                            int(reasons.behind[r]),
                        )
                        for r in each
                    ],
                )
            )
        found.append(sorted(items, key=lambda item: (-item.score, item.item_id)))
    return found


@pytest.mark.parametrize("least", [0.0, LEAST_SHARE])
@pytest.mark.parametrize("seed", range(6))
def test_what_is_written_is_what_objects_would_be(seed: int, least: float) -> None:
    random = np.random.default_rng(seed)
    names = {hash_id(name): name for name in NAMES}
    ranked = ranking(random, 8, 9, names)
    del names[hash_id("日本語")]  # nobody knows how it is called
    assert recommended(ranked, names, least) == plainly(ranked, names, least)


def test_nobody_and_nothing() -> None:
    assert listed(room_for(0, 5), {}) == []
    assert listed(room_for(2, 5), {}) == [b"[]", b"[]"]


@pytest.mark.parametrize(
    ("score", "written"),
    [
        (1.0, "1.0"), (0.5, "0.5"), (0.0365497, "0.0365497"), (0.99999951, "1.0"), (999999.6, "1e6"), (123.0, "123.0"),
        (123456.4, "123456.0"), (1234567.0, "1.23457e6"), (0.0001, "0.0001"), (0.00001, "1e-5"), (1.2345678e-9, "1.23457e-9"),
        (1e-305, "0.0"), (0.0, "0.0"), (1000.0, "1000.0"), (999.9999999999999, "1000.0"), (12.5, "12.5"),
    ],
)  # fmt: skip
def test_a_score_is_written_with_six_digits(score: float, written: str) -> None:
    ranked = room_for(1, 1)
    ranked.item[0, 0], ranked.score[0, 0], ranked.terms[0, 0, TRENDING_TERM] = 7, score, 1.0
    [line] = listed(ranked, {7: "a"})
    assert line.decode() == f'[{{"item_id":"a","score":{written},"reasons":[{{"kind":"trending","share":1.0}}]}}]'
    assert json.loads(line)[0]["score"] == rounded(np.array([score]))[0]


def test_scores_of_all_sizes_read_back_as_they_were_rounded() -> None:
    scores = 10.0 ** np.random.default_rng(3).uniform(-20, 12, (1, 20_000))
    found = in_digits(scores)
    read = [float(f"{d}e{e - 5}") for d, e in zip(found.digits[0].tolist(), found.exponent[0].tolist(), strict=True)]
    assert read == pytest.approx(rounded(scores)[0].tolist(), rel=1e-15)


def test_shares_add_up_to_a_whole() -> None:
    names = {hash_id(name): name for name in NAMES}
    for line in listed(ranking(np.random.default_rng(9), 8, 9, names), names):
        for item in msgspec.json.decode(line):
            assert round(1000 * sum(reason["share"] for reason in item["reasons"])) == 1000


def test_all_terms_have_a_kind() -> None:
    ranked, names = room_for(1, 1), {7: "a"}
    ranked.item[0, 0], ranked.terms[0, 0] = 7, 1.0
    [[item]] = recommended(ranked, names, 0.0)
    assert len({reason.kind for reason in item.reasons}) == 6
    assert len(item.reasons) <= TERMS
