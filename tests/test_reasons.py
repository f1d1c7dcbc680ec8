"""Reasons: the counts behind them against a recount by the contract's words, and scores recomputed from them."""

import numpy as np
import pytest
import ranking_oracle
from oracle import Interaction, Parsed, Recount, count
from purchase_counts import recounted
from ranking_oracle import GAP
from test_rank import START_MS, Shop, event

from recsys.events import Event, Kind
from recsys.hashing import hash_id
from recsys.learners import unpack
from recsys.listing import LEAST_SHARE
from recsys.ranking.told import KIND_SHARE
from recsys.recommendation import Reason, RecommendedItem
from recsys.rules import Rules

KINDS = [Kind.CLICK, Kind.CLICK, Kind.BROWSE, Kind.PURCHASE]
STEPS_MS = [1000, 1000, 60_000, 2_000_000]
ROUNDING = 5e-3
"""A share is a whole thousandth, and the largest takes what the others lack."""


def happened(seed: int, count: int, kinds: list[Kind], users: int = 6, items: int = 14) -> list[Event]:
    """Events of some users, with pauses that end sessions."""
    random = np.random.default_rng(seed)
    now, found = 0, []
    for _ in range(count):
        now += int(random.choice(STEPS_MS))
        lines = {f"i{int(random.integers(items) * random.random())}" for _ in range(random.integers(1, 3))}
        kind = kinds[random.integers(len(kinds))]
        found.append(event(f"u{random.integers(users)}", *sorted(lines), kind=kind, at_ms=now))
    return found


def of_session(history: list[Interaction]) -> list[str]:
    """The items of the newest session, each as often as it was met."""
    start = max(i for i, entry in enumerate(history) if entry.begins or i == 0)
    return [entry.item for entry in history[start:]]


def expected_count(truth: Recount, user: str, item: str, reason: Reason) -> int:
    if reason.kind == "repeat":
        return of_session(truth.histories[user]).count(item)
    if reason.kind == "trending":
        return truth.interactions[item]
    if reason.kind == "bought_again":
        held = recounted(truth, 0, GAP).customers[hash_id(user)].held
        return held[hash_id(item)].k
    assert reason.item_id
    return truth.pairs[min(item, reason.item_id), max(item, reason.item_id)]


@pytest.mark.parametrize("learner", [False, True], ids=["F alone", "learner"])
def test_the_count_behind_each_reason_is_that_of_the_contract(learner: bool) -> None:
    shop, truth = Shop(Rules(hide=frozenset(), learner=learner)), Recount()
    met: dict[str, int] = {}
    for offset, each in enumerate(happened(5, 150, KINDS)):
        shop.take(each)
        items = [line.item_id for line in each.lines]
        parsed = Parsed(each.kind.name.lower(), each.user_id, each.user_id, items, each.time_ms, None, None, {})
        count(truth, (0, offset), parsed, history=50, window=5, gap_ms=GAP)
        for item in shop.newest[each.user_id].items:
            for reason in item.reasons:
                assert reason.count == expected_count(truth, each.user_id, item.item_id, reason), (item, reason)
                met[reason.kind] = max(met.get(reason.kind, 0), reason.count)
    assert min(met[kind] for kind in ("also_viewed", "repeat", "bought_again", "also_bought", "trending")) > 1


def test_an_item_that_a_third_one_led_to_has_no_count() -> None:
    shop = Shop(Rules(learner=False)).take(
        event("v", "a"), event("v", "b", at_ms=1), event("w", "b"), event("w", "c", at_ms=1), event("me", "a")
    )
    counts = {item.item_id: [(r.kind, r.item_id, r.count) for r in item.reasons] for item in shop.newest["me"].items}
    assert counts == {"b": [("also_viewed", "a", 1)], "c": [("also_viewed", "a", 0)]}


def plain(events: list[Event]) -> ranking_oracle.Shop:
    """The oracle after these events; users by their order, items by their hash."""
    users = list(dict.fromkeys(each.user_id for each in events))
    found = ranking_oracle.Shop(90.0 * ranking_oracle.DAY)
    for each in events:
        for line in each.lines:
            found.take(ranking_oracle.Line(users.index(each.user_id), hash_id(line.item_id), each.time_ms))
    return found


def terms_of(item: RecommendedItem) -> dict[tuple[str, str | None], float]:
    return {(reason.kind, reason.item_id): reason.share * item.score for reason in item.reasons}


def told_together(terms: dict[tuple[str, str | None], float], least: float) -> dict[tuple[str, str | None], float]:
    """The terms, small ones with the one that adds most."""
    most = max(terms, key=lambda name: terms[name], default=None)
    small = {name: term for name, term in terms.items() if name != most and term < least}
    return {name: term + sum(small.values()) * (name == most) for name, term in terms.items() if name not in small}


def assert_terms_are(item: RecommendedItem, recent: list[str], terms: list[float]) -> None:
    """`terms` are what each recent item, the repeat and popularity add; what an item says for itself is a repeat, too."""
    viewed: dict[tuple[str, str | None], float] = {
        ("also_viewed", name): term for name, term in zip(recent, terms[:5], strict=False) if name != item.item_id
    }
    least = LEAST_SHARE * item.score
    own = sum(term for name, term in zip(recent, terms[:5], strict=False) if name == item.item_id)
    rest = {("repeat", item.item_id): terms[5] + own, ("trending", None): terms[6]}
    all_told = told_together(viewed, least) | rest
    if 0 < all_told["trending", None] < least:
        most = max(all_told, key=lambda name: all_told[name])
        all_told[most] += all_told.pop(("trending", None)) if most != ("trending", None) else 0.0
    expected = told_together(all_told, least * KIND_SHARE)
    found = terms_of(item)
    assert set(found) <= set(expected)
    for what, term in expected.items():
        assert found.get(what, 0.0) == pytest.approx(term, rel=2e-3, abs=2 * ROUNDING * item.score)


LOOKS = [Kind.CLICK, Kind.BROWSE]


@pytest.mark.parametrize("seed", range(3))
def test_without_the_learner_a_score_is_the_sum_of_its_reasons(seed: int) -> None:
    events = happened(seed, 120, LOOKS)
    shop = Shop(Rules(hide=frozenset(), learner=False)).take(*events)
    user = events[-1].user_id
    oracle = plain(events)
    number = list(dict.fromkeys(each.user_id for each in events)).index(user)
    answer, view = oracle.answer(number), oracle.view(number)
    names = {hash_id(f"i{n}"): f"i{n}" for n in range(14)}
    recent = [names[item] for item in view.recent]
    repeat = {names[c]: 0.8 * 0.7**r for r, c in enumerate(view.session)}
    items = shop.newest[user].items
    assert len([item for item in items if hash_id(item.item_id) in answer.f]) == len(answer.f) > 5
    for item in items:
        c = hash_id(item.item_id)
        if c in answer.f:
            assert item.score == pytest.approx(answer.f[c], rel=1e-3)
            assert_terms_are(item, recent, [*answer.terms[c], repeat.get(item.item_id, 0.0), 0.0])
        else:
            assert [reason.kind for reason in item.reasons] == ["trending"]


@pytest.mark.parametrize("seed", range(3))
def test_with_the_learner_a_reasons_share_is_that_of_the_learned_score(seed: int) -> None:
    events = happened(seed, 200, LOOKS)
    # The first interaction of a visit is no lesson: what was learned before it is what it was ranked with.
    events.append(event("u1", "i2", at_ms=events[-1].time_ms - START_MS + 2_000_000))
    shop = Shop(Rules(hide=frozenset())).take(*events[:-1])
    [entry] = shop.engine.learned([0])
    weight = unpack(entry.value).clicks.weight.tolist()
    assert weight != unpack(None).clicks.weight.tolist()
    shop.take(events[-1])
    oracle = plain(events)
    number = list(dict.fromkeys(each.user_id for each in events)).index("u1")
    answer, view = oracle.answer(number), oracle.view(number)
    probability = answer.probability(weight)
    names = {hash_id(f"i{n}"): f"i{n}" for n in range(14)}
    found = 0
    for item in shop.newest["u1"].items:
        c = hash_id(item.item_id)
        if c in answer.f:
            repeat = 0.8 * 0.7 ** view.session.index(c) if c in view.session else 0.0
            shares = ranking_oracle.shares(answer, c, weight, repeat, view.length)
            assert item.score == pytest.approx(probability[c], rel=1e-3)
            assert_terms_are(item, [names[h] for h in view.recent], [share * probability[c] for share in shares])
            found += 1
    assert found == len(answer.f) > 5
