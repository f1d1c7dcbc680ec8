"""Who has bought is ranked by clicks and purchases together; who has not, as ever."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_rank import DAY_MS, Shop, event, others

from recsys import rows
from recsys.compiled import F64, U64
from recsys.events import Event, Kind
from recsys.known import Memory
from recsys.learners import Learned, unpack
from recsys.ranking import blend
from recsys.ranking.blend import JUST_BOUGHT, OTHERWISE
from recsys.ranking.evidence import RECENT
from recsys.ranking.features import ALSO_BOUGHT_TERM, BOUGHT_AGAIN_TERM, TERMS
from recsys.ranking.rank import Ranked, room_for
from recsys.returning.expectation import Expected
from recsys.returning.features import FIRST, PARTS
from recsys.rules import ActionWeights, Rules

ROOT = Path(__file__).parents[1]
RULES = Rules(hide=frozenset({"current", "once"}))
KINDS = {"also_viewed", "repeat", "trending", "bought_again", "also_bought"}


def weekly(customers: int, weeks: int, kind: Kind = Kind.PURCHASE) -> Iterator[Event]:
    """Customers who buy milk and bread each week, tea or coffee every other week, and look at some of it before."""
    for week in range(weeks):
        for customer in range(customers):
            who, at = f"c{customer}", 7 * DAY_MS * week + 600_000 * customer
            hot = "tea" if customer % 2 else "coffee"
            yield event(who, "milk", at_ms=at)
            yield event(who, "milk", "bread", *([hot] if week % 2 == 0 else []), kind=kind, at_ms=at + 60_000)


def learned(shop: Shop) -> Learned:
    [entry] = shop.engine.learned([0])
    return unpack(entry.value)


def test_a_customer_is_shown_what_is_bought_again_and_told_so() -> None:
    shop = Shop(RULES).take(*others(*[["cup", "pot"]] * 3), *weekly(8, 5), event("c1", "cup", at_ms=36 * DAY_MS))
    items = {item.item_id: item for item in shop.newest["c1"].items}
    assert {"pot", "milk", "bread", "tea"} <= set(items)
    for name in ("milk", "bread", "tea"):
        assert "bought_again" in {reason.kind for reason in items[name].reasons}
    assert {reason.item_id for name in items for reason in items[name].reasons if reason.kind == "bought_again"} <= set(items)
    assert not {"bought_again"} & {reason.kind for reason in items["pot"].reasons}


def test_the_shares_of_a_customers_items_add_up_to_1_and_name_their_sources() -> None:
    shop = Shop(RULES).take(*others(*[["cup", "pot"]] * 3), *weekly(8, 5), event("c1", "cup", at_ms=36 * DAY_MS))
    bought = {"milk", "bread", "tea"}
    for message in shop.newest.values():
        for item in message.items:
            assert {reason.kind for reason in item.reasons} <= KINDS
            assert sum(reason.share for reason in item.reasons) == pytest.approx(1.0)
            assert all(math.isfinite(reason.share) and reason.share > 0 for reason in item.reasons)
    for item in shop.newest["c1"].items:
        for reason in item.reasons:
            if reason.kind == "bought_again":
                assert reason.item_id == item.item_id
            if reason.kind == "also_bought":
                assert reason.item_id in bought - {item.item_id}


def test_who_has_bought_nothing_is_ranked_as_if_all_others_had_only_looked() -> None:
    """Where a purchase weighs no more than a look."""
    rules = msgspec.structs.replace(RULES, action_weights=ActionWeights(purchase=1.0))
    mine = [event("me", "cup", at_ms=36 * DAY_MS), event("me", "milk", at_ms=36 * DAY_MS + 60_000)]
    buying, looking = (
        Shop(rules).take(*others(*[["cup", "pot", "milk"]] * 3), *weekly(6, 3, kind), *mine)
        for kind in (Kind.PURCHASE, Kind.CLICK)
    )
    assert buying.newest["me"].items == looking.newest["me"].items


def test_both_learners_and_what_to_believe_are_learned_and_stored() -> None:
    found = learned(Shop(RULES).take(*weekly(12, 6)))
    assert np.isfinite(found.purchases.weight).all()
    assert found.purchases.weight.tolist() != FIRST.tolist()
    lessons = found.sums[:, 1] - blend.begin()[:, 1]
    assert lessons[JUST_BOUGHT] > 20 < lessons[OTHERWISE]
    assert (found.sums[:, 0] > 0.0).all()
    assert (found.sums[:, 0] <= found.sums[:, 1]).all()


def test_customers_who_buy_after_looking_teach_that_purchases_come_next() -> None:
    """They look at milk and then buy what they always buy, whatever others looked at after milk."""
    noise = others(*[["milk", "cup"], ["milk", "pot"], ["milk", "jug"]] * 5)
    found = learned(Shop(RULES).take(*noise, *weekly(12, 8)))
    assert blend.share(found.sums, OTHERWISE) > blend.FIRST_SHARE[OTHERWISE]


def test_without_the_learner_nothing_is_learned_and_customers_are_ranked_all_the_same() -> None:
    rules = Rules(hide=frozenset({"current"}), learner=False)
    shop = Shop(rules).take(*others(*[["cup", "pot"]] * 3), *weekly(4, 3), event("c1", "cup", at_ms=36 * DAY_MS))
    assert shop.engine.learned([0]) == []
    assert {"pot", "bread", "tea"} <= set(shop.items("c1"))
    assert sum(item.score for item in shop.newest["c1"].items) <= 1.02


def test_one_user_who_does_very_much_in_a_day_teaches_nothing() -> None:
    def robot(every_ms: int) -> list[Event]:
        return [event("robot", "milk", f"i{n % 7}", kind=Kind.PURCHASE, at_ms=every_ms * n) for n in range(60)]

    slow, fast = (Shop(RULES).take(*robot(every_ms)) for every_ms in (2 * DAY_MS, 60_000))
    assert learned(slow).sums[JUST_BOUGHT, 1] > 2 * learned(fast).sums[JUST_BOUGHT, 1] - blend.PRIOR


# The formula


def clicks_of(items: Sequence[int], scores: F64, rng: np.random.Generator) -> Ranked:
    clicks = room_for(1, len(items) + 3)
    clicks.item[0, : len(items)] = items
    clicks.score[0, : len(items)] = scores
    parts = rng.random((len(items), RECENT + 2))
    clicks.terms[0, : len(items), : RECENT + 2] = parts / parts.sum(axis=1, keepdims=True) * scores[:, None]
    return clicks


def bought_of(items: Sequence[int], probabilities: F64, rng: np.random.Generator) -> Expected:
    n = len(items) + 2
    bought = Expected(
        np.zeros((1, n), np.uint64), np.zeros((1, n)), rng.normal(size=(1, n, PARTS)), np.zeros((1, n), np.uint64)
    )
    bought.item[0, : len(items)] = items
    bought.probability[0, : len(items)] = probabilities
    bought.source[0, : len(items)] = rng.integers(0, 12, len(items))
    return bought


def probabilities(rng: np.random.Generator, n: int) -> F64:
    found: F64 = np.sort(rng.random(n))[::-1]
    return found / found.sum() if n else found


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32), st.integers(0, 8), st.integers(0, 8), st.just(0.0) | st.floats(1e-9, 1))
def test_scores_are_those_of_the_formula_and_terms_add_up_to_them(seed: int, clicked: int, buyable: int, mix: float) -> None:
    rng = np.random.default_rng(seed)
    by_clicks, by_purchases = (rng.choice(12, n, replace=False) + 1 for n in (clicked, buyable))
    p_click, p_buy = probabilities(rng, clicked), probabilities(rng, buyable)
    hidden: U64 = rng.integers(0, 12, (2, 3)).astype(np.uint64)
    popular = np.array([5, 100, 101], np.uint64)
    ranked = room_for(2, 10)
    ranked.item[:], ranked.score[:] = 77, 7.0
    bought = bought_of(by_purchases.tolist(), p_buy, rng)
    one = np.array([1])
    blend.blend(
        clicks_of(by_clicks.tolist(), p_click, rng),
        bought,
        np.array([mix]),
        one,
        hidden,
        popular,
        np.array([1.0, 0.5, 0.2]),
        ranked,
    )
    expected: dict[int, float] = {}
    for items, scores, worth in ((by_clicks, p_click, 1 - mix), (by_purchases, p_buy, mix)):
        for item, score in zip(items.tolist(), scores.tolist(), strict=True):
            expected[item] = expected.get(item, 0.0) + worth * score
    left = {item: score for item, score in expected.items() if item not in hidden[1].tolist()}
    found = dict(zip(ranked.item[1].tolist(), ranked.score[1].tolist(), strict=True))
    order = sorted(left, key=lambda item: -left[item])[:10]
    assert [found[item] for item in order] == pytest.approx([left[item] for item in order])
    assert set(found) - set(order) <= {0, *popular.tolist()}
    assert ranked.terms[1].sum(axis=1) == pytest.approx(ranked.score[1])
    assert (ranked.terms[1] >= 0.0).all()
    assert (np.diff(ranked.score[1][ranked.item[1] != 0]) <= 0.0).all()
    assert ranked.item[0].tolist() == [77] * 10
    for item, source, terms in zip(ranked.item[1].tolist(), ranked.source[1].tolist(), ranked.terms[1], strict=True):
        assert (source != 0) == (terms[ALSO_BOUGHT_TERM] > 0.0) or mix == 0.0
        assert source != item or item == 0
        assert terms.shape == (TERMS,)
        assert not terms[BOUGHT_AGAIN_TERM] or item in by_purchases


WARM = """
import pkgutil, importlib
from numba.core.dispatcher import Dispatcher
import recsys.ranking, recsys.returning
from recsys import joined_purchases
from recsys.returning import purchases
from test_blend import RULES, Kind, Shop, event, others, weekly
from streams.warmup import warm_up

names = ["recsys.known", "recsys.fold", "recsys.rows", "recsys.learner"]
for package in (recsys.ranking, recsys.returning):
    names += [f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]

def compiled():
    found = {}
    for name in names:
        for thing, value in vars(importlib.import_module(name)).items():
            if isinstance(value, Dispatcher):
                found[f"{name}.{thing}"] = len(value.signatures)
    return found

warm_up(RULES)
before = compiled()
refund = event("c1", "milk", kind=Kind.REFUND, at_ms=36 * 86_400_000)
Shop(RULES).take(*others(*[["cup", "pot"]] * 3), *weekly(4, 3), refund)
joined_purchases.join(purchases.empty(2), {1: [b""]})
after = compiled()
print([name for name in after if after[name] != before[name]])
"""


def test_a_worker_that_is_warm_compiles_nothing_more() -> None:
    found = subprocess.run(
        [sys.executable, "-c", WARM], cwd=ROOT, env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == "[]"


def test_a_memory_has_an_items_neighbours_in_the_items_own_place() -> None:
    """`recsys.buying` finds them there."""
    memory = Memory(Rules())
    for first, last in ((1, 2000), (1500, 3000), (10, 20)):
        memory.put(rows.empty(np.arange(first, last).astype(np.uint64), 3), 0.0)
    assert memory.known.row[:2999].tolist() == list(range(2999))
