"""Ranking, against the formula written out plainly; what is hidden; and the reasons, which are the terms of the score."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import pytest

from recsys.batch import Arrival
from recsys.engine import Chunk, Engine
from recsys.events import Event, Kind, Line
from recsys.hashing import hash_id
from recsys.keys import VIEWED, Keys
from recsys.recommendation import Neighbours, Recommendation
from recsys.rules import ActionWeights, Rules
from recsys.sharding import ITEM_SHARDS
from recsys.store import MemoryStore

START_MS = 1_700_000_000_000
DAY_MS = 86_400_000
NONE_HIDDEN = frozenset[Any]()


def event(user: str, *items: str, kind: Kind = Kind.CLICK, at_ms: int = 0, event_id: str | None = None) -> Event:
    lines = tuple(Line(item) for item in items)
    return Event(kind=kind, user_id=user, lines=lines, time_ms=START_MS + at_ms, event_id=event_id)


class Shop:
    """Counts events one by one and keeps the newest recommendation of each user."""

    def __init__(self, rules: Rules) -> None:
        self.store = MemoryStore()
        self.engine = Engine(self.store, Keys("p:"), rules)
        self._offset = 0
        self.newest: dict[str, Recommendation] = {}
        self.similar: dict[str, Neighbours] = {}

    async def _take(self, taken: Event) -> None:
        counted = await self.engine.count(Chunk(0, self._offset, self._offset, [Arrival(self._offset, taken)]))
        await self.engine.trending()
        for _, message in await self.engine.recommend(counted, START_MS):
            self.newest[message.user_id] = message
        self.similar |= {row.item_id or "": row for row in await self.engine.similar(counted.changed[VIEWED].tolist())}
        self._offset += 1

    def take(self, *events: Event) -> "Shop":
        async def all_of_them() -> None:
            for one in events:
                await self._take(one)

        asyncio.run(all_of_them())
        return self

    def items(self, user: str) -> list[str]:
        return [item.item_id for item in self.newest[user].items]


def others(*pairs: Sequence[str]) -> list[Event]:
    """Visitors who met these items, one after the other, each in a session."""
    return [event(f"visitor{n}", item, at_ms=1000 * i) for n, items in enumerate(pairs) for i, item in enumerate(items)]


def plain_scores(sessions: list[list[str]], recent: list[str]) -> dict[str, float]:
    """F from the formulas in `recsys.fold` and `recsys.ranking.evidence`, without decay; `sessions` are those of others."""
    met: dict[str, float] = {}
    weight: dict[tuple[str, str], float] = {}
    for session in sessions:
        for j, y in enumerate(session):
            met[y] = met.get(y, 0.0) + 1
            for i in range(max(0, j - 5), j):
                w = (j + 1) ** -0.25 * (j - i) ** -1.5
                s = session[i]
                weight[s, y] = weight.get((s, y), 0.0) + w
                if s != y:
                    weight[y, s] = weight.get((y, s), 0.0) + 0.8 * w

    def spread(strength: dict[str, float]) -> dict[str, float]:
        reached: dict[str, float] = {}
        for (x, c), w in weight.items():
            if x in strength:
                reached[c] = reached.get(c, 0.0) + strength[x] * w / (met[x] + 1)
        return reached

    def norm(item: str) -> float:
        return math.pow(max(met.get(item, 0.0), 0.3), -0.2)

    newest_first = list(dict.fromkeys(reversed(recent)))
    one_hop = spread({h: 0.4**d for d, h in enumerate(newest_first[:5])})
    through = sorted(one_hop, key=lambda x: -one_hop[x] * norm(x))[:15]
    two_hops = spread({x: 4 * one_hop[x] for x in through})
    evidence = {c: (one_hop.get(c, 0.0) + two_hops.get(c, 0.0)) * norm(c) for c in one_hop | two_hops}
    largest = max(evidence.values())
    scores = {c: a / largest for c, a in evidence.items()}
    for r, item in enumerate(newest_first):
        scores[item] = scores.get(item, 0.0) + 0.8 * 0.7**r
    return scores


SESSIONS = [["a", "b", "c"], ["a", "c", "d", "a"], ["b", "d"], ["c", "e", "f", "g", "h", "i", "c"]]


def test_scores_are_those_of_the_formula() -> None:
    mine = ["b", "a", "a", "c"]
    shop = Shop(Rules(hide=NONE_HIDDEN, half_life_ms=0.0, learner=False)).take(*others(*SESSIONS))
    shop.take(*(event("me", item, at_ms=1000 * i) for i, item in enumerate(mine)))
    expected = plain_scores(SESSIONS, mine)
    found = {item.item_id: item.score for item in shop.newest["me"].items}
    assert found == {item: pytest.approx(score, abs=1e-5) for item, score in expected.items()}


@pytest.mark.parametrize("action", [Kind.ADD_TO_CART, Kind.WISHLIST, Kind.PURCHASE, Kind.RATING])
def test_what_followed_with_a_stronger_action_comes_first(action: Kind) -> None:
    def best(weights: ActionWeights) -> str:
        visits = others(["x", "tea"], ["x", "tea"], ["x", "mug"])
        visits[-1] = event("visitor2", "mug", kind=action, at_ms=1000)
        return Shop(Rules(action_weights=weights, learner=False)).take(*visits, event("me", "x")).items("me")[0]

    assert best(ActionWeights()) == "mug"
    assert best(ActionWeights(add_to_cart=1, wishlist=1, purchase=1, rating=1)) == "tea"


def test_items_are_sorted_by_falling_score_and_ties_by_id() -> None:
    shop = Shop(Rules(hide=NONE_HIDDEN)).take(*others(["x", "b"], ["x", "a"], ["x", "c"]), event("me", "x"))
    items = [(-item.score, item.item_id) for item in shop.newest["me"].items]
    assert items == sorted(items)
    assert [item for _, item in items] == ["x", "a", "b", "c"]


def test_reasons_are_the_terms_of_the_score() -> None:
    mine = ["b", "a", "c"]
    shop = Shop(Rules(hide=NONE_HIDDEN, half_life_ms=0.0)).take(*others(*SESSIONS))
    shop.take(*(event("me", item, at_ms=1000 * i) for i, item in enumerate(mine)))
    for item in shop.newest["me"].items:
        assert sum(reason.share for reason in item.reasons) == pytest.approx(1.0)
        assert {reason.item_id for reason in item.reasons if reason.kind == "also_viewed"} <= set(mine) - {item.item_id}
        repeats = [reason for reason in item.reasons if reason.kind == "repeat"]
        assert [reason.item_id for reason in repeats] == ([item.item_id] if item.item_id in mine else [])


def test_what_is_looked_at_and_what_was_bought_is_left_out() -> None:
    shop = Shop(Rules()).take(*others(["a", "b", "c", "d"]))
    shop.take(event("me", "a", kind=Kind.PURCHASE), event("me", "b", at_ms=1))
    assert set(shop.items("me")) == {"c", "d"}


def test_a_basket_is_left_out_whole() -> None:
    shop = Shop(Rules(history=2)).take(*others(["a", "b", "c", "d", "e"]), event("me", "a", "b", "c", "d"))
    assert shop.items("me") == ["e"]


def test_what_was_refunded_comes_back_at_once() -> None:
    shop = Shop(Rules()).take(*others(["a", "b", "c"]), event("me", "a", kind=Kind.PURCHASE), event("me", "b", at_ms=1))
    assert "a" not in shop.items("me")
    shop.take(event("me", "a", kind=Kind.REFUND, at_ms=2))
    assert "a" in shop.items("me")
    assert "b" not in shop.items("me")
    shop.take(event("me", "a", kind=Kind.PURCHASE, at_ms=3), event("me", "b", at_ms=4))
    assert "a" not in shop.items("me")


def test_seen_items_can_be_hidden() -> None:
    shop = Shop(Rules(hide=frozenset({"seen"}))).take(*others(["a", "b", "c"]))
    shop.take(event("me", "a"), event("me", "b", at_ms=1))
    assert shop.items("me") == ["c"]


def test_a_user_of_whom_the_rows_say_nothing_gets_what_is_popular() -> None:
    shop = Shop(Rules()).take(*others(["a", "b"], ["a"], ["a"]), event("me", "new"))
    message = shop.newest["me"]
    assert message.strategy == "cold_start"
    assert [item.item_id for item in message.items] == ["a", "b"]
    assert {reason.kind for item in message.items for reason in item.reasons} == {"trending"}


def test_popular_items_fill_the_places_that_are_left_below_all_others() -> None:
    shop = Shop(Rules()).take(*others(["a", "b"], ["z"], ["z"], ["z"]), event("me", "a"))
    message = shop.newest["me"]
    assert message.strategy == "personal"
    assert [item.item_id for item in message.items] == ["b", "z"]
    assert [item.reasons[0].kind for item in message.items] == ["also_viewed", "trending"]


def test_no_more_than_top_n_items() -> None:
    shop = Shop(Rules(top_n=3)).take(*others([f"i{n}" for n in range(9)]), event("me", "i0"))
    assert len(shop.items("me")) == 3
    assert len(shop.similar["i0"].items) == 3


def test_the_first_event_of_all_leads_to_a_message_too() -> None:
    message = Shop(Rules()).take(event("me", "a", event_id="e1")).newest["me"]
    assert (message.items, message.strategy, message.event_id) == ([], "cold_start", "e1")


def test_old_weights_fade() -> None:
    rules = Rules(half_life_ms=DAY_MS, hide=frozenset({"current"}), learner=False)
    shop = Shop(rules).take(*others(["a", "old"], ["a", "old"]))
    shop.take(
        event("other", "a", at_ms=20 * DAY_MS), event("other", "new", at_ms=20 * DAY_MS), event("me", "a", at_ms=20 * DAY_MS)
    )
    scores = {item.item_id: item.score for item in shop.newest["me"].items}
    assert 0 < scores["old"] < 1e-5 * scores["new"]


@pytest.mark.parametrize("gap_days", [40, 4000, 10_000])
def test_weights_stay_finite_over_any_time(gap_days: int) -> None:
    rules = Rules(half_life_ms=DAY_MS / 10)
    late = gap_days * DAY_MS // 2
    shop = Shop(rules).take(
        event("u", "a"),
        event("u", "b"),
        event("v", "a", at_ms=late),
        event("v", "b", at_ms=late),
        event("w", "b"),
        event("w", "a"),
    )
    everything = [item.score for message in shop.newest.values() for item in message.items]
    everything += [item.score for row in shop.similar.values() for item in row.items]
    assert all(math.isfinite(score) for score in everything)
    assert {item.item_id: item.count for item in shop.similar["a"].items} == {"b": 3}


def test_a_neighbour_whose_own_row_is_not_written_yet_is_left_out() -> None:
    """Shards are written one after the other: another worker, or a crash, may be between two of them."""
    shop = Shop(Rules()).take(*others(["a", "b", "c"]))
    engine = Engine(shop.store, Keys("p:"), Rules())
    shop.store.values.pop(Keys("p:").row(hash_id("c") % ITEM_SHARDS, hash_id("c")))
    shop.engine = engine
    shop.take(event("me", "a"))
    assert shop.items("me") == ["b"]
    assert [row.item_id for row in shop.similar["a"].items] == ["b"]


def test_another_half_life_orders_old_and_new_items_alike() -> None:
    shop = Shop(Rules(half_life_ms=7.0 * DAY_MS)).take(*others(*[["old"]] * 30))
    shop.engine = Engine(shop.store, Keys("p:"), Rules(half_life_ms=30.0 * DAY_MS))
    shop.take(*(event(f"v{n}", "new", at_ms=90 * DAY_MS) for n in range(10)), event("me", "unknown", at_ms=90 * DAY_MS))
    assert [item.item_id for item in shop.newest["me"].items][:2] == ["new", "old"]


def test_a_basket_longer_than_the_history_is_published_whole_when_it_is_read_again() -> None:
    basket = [f"i{n}" for n in range(8)]

    async def changed(engine: Engine) -> set[int]:
        counted = await engine.count(Chunk(0, 0, 0, [Arrival(0, event("me", *basket))]))
        return set(counted.changed[VIEWED].tolist())

    engine = Engine(MemoryStore(), Keys("p:"), Rules(history=3))
    assert asyncio.run(changed(engine)) == asyncio.run(changed(engine)) == {hash_id(item) for item in basket}
