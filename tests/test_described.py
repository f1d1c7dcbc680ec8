"""What items' descriptions bring to recommendations: what nobody met yet is found by what it is like."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from test_rank import Shop, event, others

from recsys.catalogue.catalogue import Catalogue
from recsys.catalogue.item import CatalogueItem
from recsys.engine import Engine
from recsys.keys import Keys
from recsys.recommendation import RecommendedItem
from recsys.rules import Rules
from recsys.store import Group, MemoryStore

OPEN = Rules(hide=frozenset[Any](), top_n=5)
MET = (["mug", "book"], ["book", "lamp"], ["mug", "cup"])
TITLES = {"mug": "Blue enamel mug", "cup": "Enamel cup", "book": "History of Rome", "lamp": "Desk lamp"}


class CountingStore(MemoryStore):
    """A store that counts how often a key was read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_keys: list[str] = []

    async def read(self, groups: Sequence[Group]) -> list[list[bytes | None]]:
        self.read_keys += [key for group in groups for key in group]
        return await super().read(groups)


class DescribedShop(Shop):
    """A shop whose catalogue has titles; some have met a few of its items."""

    def __init__(self, rules: Rules = OPEN, titles: Mapping[str, str] = TITLES) -> None:
        super().__init__(rules)
        self.store = self.reads = CountingStore()
        self.catalogue = Catalogue()
        self.engine = Engine(self.store, Keys("p:"), rules, catalogue=self.catalogue)
        for item, title in titles.items():
            self.put(item, title)
        self.take(*others(*MET))

    def put(self, item: str, title: str) -> None:
        self.catalogue.put(CatalogueItem(item, title=title))

    def found(self, user: str, item: str) -> RecommendedItem | None:
        return next((each for each in self.newest[user].items if each.item_id == item), None)


@pytest.mark.parametrize("learner", [True, False])
def test_an_item_that_nobody_met_is_recommended_for_what_it_is_like(learner: bool) -> None:
    shop = DescribedShop(Rules(hide=frozenset[Any](), top_n=5, learner=learner))
    shop.take(event("before", "mug"))
    assert shop.found("before", "new") is None
    shop.put("new", "Blue enamel mug, large")
    shop.take(event("after", "mug"))
    found = shop.found("after", "new")
    assert found is not None
    assert [(reason.kind, reason.item_id, reason.share) for reason in found.reasons] == [("similar_content", "mug", 1.0)]


def test_an_item_of_which_nothing_but_its_title_is_known_leads_to_others() -> None:
    shop = DescribedShop()
    shop.put("new", "Enamel cup, small")
    shop.take(event("me", "new"))
    assert shop.newest["me"].strategy == "personal"
    found = shop.found("me", "cup")
    assert found is not None
    assert ("similar_content", "new") in [(reason.kind, reason.item_id) for reason in found.reasons]


def test_a_removed_item_is_found_no_more_and_a_changed_one_by_its_new_title() -> None:
    shop = DescribedShop()
    shop.put("new", "Blue enamel mug, large")
    shop.take(event("one", "mug"))
    assert shop.found("one", "new")
    shop.put("new", "History of the Roman Republic")
    shop.take(event("two", "mug"), event("three", "book"))
    assert shop.found("two", "new") is None
    assert shop.found("three", "new")
    shop.catalogue.remove("new")
    shop.take(event("four", "book"))
    assert shop.found("four", "new") is None


def test_the_row_of_an_item_that_nobody_met_is_looked_for_once() -> None:
    shop = DescribedShop()
    shop.put("new", "Blue enamel mug, large")
    for n in range(5):
        shop.take(event(f"u{n}", "mug"))
        assert shop.found(f"u{n}", "new")
    shop.reads.read_keys.clear()
    shop.take(event("me", "mug"))
    assert shop.found("me", "new")
    rows = [key for key in shop.reads.read_keys if ":row:" in key]
    assert not rows


def test_without_descriptions_nothing_is_ranked_otherwise() -> None:
    plain, empty = Shop(OPEN), DescribedShop(titles=dict.fromkeys(TITLES, ""))
    plain.take(*others(*MET))
    for shop in (plain, empty):
        shop.take(event("me", "mug"), event("me", "book"))
    assert plain.newest["me"].items == empty.newest["me"].items
