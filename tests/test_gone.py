"""What the catalogue has no more, or cannot sell, is recommended to nobody and stands in no list, until it is put again."""

import asyncio
import random
from typing import Any

import numpy as np
import pytest
from test_rank import Shop, event, others

from recsys import popularity
from recsys.catalogue.catalogue import Catalogue
from recsys.catalogue.item import CatalogueItem
from recsys.engine import Engine
from recsys.events import Kind
from recsys.hashing import hash_id
from recsys.index import among, is_among
from recsys.keys import AFTER, TOGETHER, VIEWED, Keys
from recsys.rules import Rules

OPEN = Rules(hide=frozenset[Any](), top_n=8)
ITEMS = [f"i{n}" for n in range(30)]


class CatalogueShop(Shop):
    """A shop with a catalogue, in which many have met many things."""

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.catalogue = Catalogue()
        self.engine = Engine(self.store, Keys("p:"), rules, catalogue=self.catalogue)
        rng = random.Random(3)
        self.take(*others(*(rng.sample(ITEMS, 6) for _ in range(40))))

    def popular(self) -> list[str]:
        found = asyncio.run(self.engine.trending())
        assert found
        return [item.item_id for item in found.items]

    def list_of(self, item: str) -> list[str] | None:
        found = asyncio.run(self.engine.similar([hash_id(item)]))
        return [neighbour.item_id for neighbour in found[0].items] if found else None

    def remove(self, *items: str) -> None:
        for item in items:
            self.catalogue.remove(item)

    def put(self, *items: str, available: bool = True) -> None:
        for item in items:
            self.catalogue.put(CatalogueItem(item, available=available))


def visit(shop: CatalogueShop, user: str = "me") -> list[str]:
    """What is recommended to a user who looks at the first two things, once more."""
    shop.take(event(user, "i0"), event(user, "i1"))
    return shop.items(user)


@pytest.mark.parametrize("learner", [True, False])
def test_a_removed_item_is_in_no_recommendation_and_its_place_is_filled(learner: bool) -> None:
    rules = Rules(hide=frozenset[Any](), top_n=8, learner=learner)
    first = visit(CatalogueShop(rules))
    shop = CatalogueShop(rules)
    shop.remove(*first[:3])
    found = visit(shop)
    assert len(found) == len(first) == 8
    assert not set(found) & set(first[:3])
    assert found[:2] == [item for item in first if item not in first[:3]][:2]


def test_an_item_that_is_not_available_is_as_if_it_were_removed() -> None:
    first = visit(CatalogueShop(OPEN))
    removed, sold_out = CatalogueShop(OPEN), CatalogueShop(OPEN)
    removed.remove(first[0], first[4])
    sold_out.put(first[0], first[4], available=False)
    assert visit(removed) == visit(sold_out)
    assert removed.popular() == sold_out.popular()
    assert [removed.list_of(item) for item in ITEMS] == [sold_out.list_of(item) for item in ITEMS]


def test_everything_may_be_removed_but_one() -> None:
    shop = CatalogueShop(OPEN)
    shop.remove(*ITEMS[:-1])
    assert (visit(shop), shop.popular(), shop.list_of("i29")) == (["i29"], ["i29"], [])
    assert {shop.list_of(item) is None for item in ITEMS[:-1]} == {True}


def test_a_visitor_of_whom_nothing_is_known_gets_nothing_that_is_removed() -> None:
    shop = CatalogueShop(OPEN)
    popular = shop.popular()
    shop.remove(popular[0])
    shop.take(event("new", "never met before"))
    found = shop.items("new")
    assert popular[0] not in found
    assert popular[1] in found
    assert len(found) == 8


def test_what_is_removed_while_it_is_ranked_is_not_recommended_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    first = visit(CatalogueShop(OPEN))
    shop = CatalogueShop(OPEN)
    shop.take(event("me", "i0"))
    look_up = shop.engine.landings.shown

    async def meanwhile(*arguments: Any) -> Any:
        shop.remove(first[0])
        return await look_up(*arguments)

    monkeypatch.setattr(shop.engine.landings, "shown", meanwhile)
    shop.take(event("me", "i1"))
    assert shop.items("me") == first[1:], "too late to fill its place"


def test_a_customer_gets_nothing_that_is_removed_though_it_was_bought() -> None:
    def buy(shop: CatalogueShop) -> list[str]:
        for n in range(12):
            shop.take(event(f"c{n}", "i3", "i4", kind=Kind.PURCHASE, at_ms=1000 * n))
            shop.take(event(f"c{n}", "i3", "i5", kind=Kind.PURCHASE, at_ms=40 * 86_400_000 + 1000 * n))
        return shop.items("c0")

    assert "i4" in buy(CatalogueShop(OPEN))
    shop = CatalogueShop(OPEN)
    shop.remove("i4")
    found = buy(shop)
    assert len(found) == 8
    assert "i4" not in found


def test_a_list_without_what_is_removed_has_the_next_ones_in_its_place() -> None:
    shop = CatalogueShop(Rules(hide=frozenset[Any](), top_n=4))
    before = shop.list_of("i0")
    assert before
    assert len(before) == 4
    shop.remove(before[1])
    after = shop.list_of("i0")
    assert after
    assert len(after) == 4
    assert after[:3] == [before[0], *before[2:]]


def test_what_is_removed_stands_in_no_list_of_baskets() -> None:
    """A purchase makes these lists anew, and would bring it back after every sweep."""

    def lists(shop: CatalogueShop) -> dict[str, list[str]]:
        for n in range(3):
            shop.take(event(f"c{n}", "i7", at_ms=1000 * n))
            shop.take(event(f"c{n}", "i3", "i4", "i5", kind=Kind.PURCHASE, at_ms=1000 * n + 1))
        baskets, wanted = shop.engine.baskets, [hash_id(item) for item in ("i3", "i4", "i7")]
        kinds = {"with": baskets.together, "after": baskets.bought_after}
        return {
            f"{kind} {row.item_id}": [each.item_id for each in row.items]
            for kind, made in kinds.items()
            for row in asyncio.run(made(wanted))
        }

    shop = CatalogueShop(OPEN)
    everything = lists(CatalogueShop(OPEN))
    assert "i4" in everything["with i3"]
    assert "i4" in everything["after i7"]
    shop.remove("i4")
    assert lists(shop) == {
        name: [item for item in listed if item != "i4"] for name, listed in everything.items() if not name.endswith("i4")
    }


def test_what_is_removed_while_lists_are_made_is_taken_out_of_them() -> None:
    shop = CatalogueShop(OPEN)
    shop.remove("i9")
    before, [row] = shop.engine.hidden, asyncio.run(shop.engine.similar([hash_id("i0")]))
    listed = [each.item_id for each in row.items]
    shop.engine.take_out([row], before)
    assert [each.item_id for each in row.items] == listed, "nothing was removed meanwhile"
    shop.remove(listed[0], listed[-1])
    shop.put("i9")
    shop.engine.take_out([row], before)
    assert [each.item_id for each in row.items] == listed[1:-1]


def test_an_item_that_is_put_again_is_back_everywhere() -> None:
    shop, other = CatalogueShop(OPEN), CatalogueShop(OPEN)
    gone = visit(CatalogueShop(OPEN))[:4]
    shop.remove(*gone)
    assert not {*shop.popular()} & {*gone}
    shop.put(*gone)
    assert shop.popular() == other.popular()
    assert visit(shop) == visit(other)
    assert [shop.list_of(item) for item in ITEMS] == [other.list_of(item) for item in ITEMS]


def test_the_lists_around_an_item_are_those_it_stands_in() -> None:
    shop = CatalogueShop(Rules(hide=frozenset[Any](), top_n=30))
    around = asyncio.run(shop.engine.around([hash_id("i0")]))
    assert set(around) == {VIEWED, TOGETHER, AFTER}
    assert set(around[VIEWED]) == {hash_id(item) for item in ITEMS if item == "i0" or "i0" in (shop.list_of(item) or [])}


def test_what_is_among_sorted_hashes_is_found_however_many_they_are() -> None:
    rng = np.random.default_rng(5)
    for n in range(40):
        gone = np.unique(rng.integers(1, 60, n, np.uint64))
        items = rng.integers(0, 62, (5, 7), np.uint64)
        assert among(items, gone).tolist() == np.isin(items, gone).tolist()
        assert [is_among(item, gone) for item in items.ravel()] == np.isin(items.ravel(), gone).tolist()


def test_nothing_is_copied_while_nothing_is_removed() -> None:
    shop = CatalogueShop(OPEN)
    popular = popularity.unpack(OPEN)
    assert popularity.without(popular, shop.catalogue.hidden) is popular
    assert shop.catalogue.hidden is shop.catalogue.hidden
