"""What is popular in each category: the tables that any worker changes, and the lists that are told of them."""

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np

from recsys import rows
from recsys.catalogue.catalogue import Catalogue
from recsys.catalogue.item import CatalogueItem
from recsys.categories import KEPT, Categories
from recsys.hashing import hash_item
from recsys.item_shards import ItemShards
from recsys.keys import Keys
from recsys.rows import Rows
from recsys.rules import Rules
from recsys.sharding import row_key
from recsys.shards import Shards
from recsys.stages import Stages
from recsys.store import MemoryStore, Swap

KEYS, RULES = Keys("test:"), Rules(half_life_ms=0.0)
NOW = 1_700_000_000_000


class Workers:
    """Workers over one store, whose catalogues are alike."""

    def __init__(self, categories: Mapping[str, Sequence[str]], workers: int = 1) -> None:
        self.store = MemoryStore()
        self.catalogues = [Catalogue() for _ in range(workers)]
        for catalogue in self.catalogues:
            for item, paths in categories.items():
                catalogue.put(CatalogueItem(item, categories=tuple(paths)))
        self.each = [
            Categories(self.store, ItemShards(self.store, Shards(self.store), KEYS, RULES, Stages()), KEYS, RULES, catalogue)
            for catalogue in self.catalogues
        ]

    def met(self, times: Mapping[str, int], worker: int = 0) -> None:
        """A worker stored rows of items that were met so often, all in all."""
        found = rows_of(times)
        packed = rows.pack(found, np.arange(len(found.item)))
        self.store.values |= {row_key(KEYS, item): value for item, value in zip(found.item.tolist(), packed, strict=True)}
        self.each[worker].note(found)

    def told(self, worker: int = 0) -> dict[str, dict[str, int]]:
        """By category, the items of its new list with their counts."""
        lists = asyncio.run(self.each[worker].trending(NOW))
        return {path: {item.item_id: item.count for item in message.items} for path, message in lists}


def rows_of(times: Mapping[str, int]) -> Rows:
    ids = sorted(times, key=hash_item)
    found = rows.empty(np.array([hash_item(item) for item in ids], np.uint64), 1)
    for r, item in enumerate(ids):
        found.ids[r] = item
        found.interactions[r], found.popularity[r], found.landmark[r] = times[item], times[item], NOW
    return found


def test_a_category_has_the_items_of_its_subcategories_the_most_popular_first() -> None:
    shop = Workers({"mug": ["Home > Kitchen"], "lamp": ["Home"], "book": ["Books"], "thing": []})
    shop.met({"mug": 3, "lamp": 5, "book": 2, "thing": 9})
    told = shop.told()
    assert told == {"Home": {"lamp": 5, "mug": 3}, "Home > Kitchen": {"mug": 3}, "Books": {"book": 2}}
    assert list(told["Home"]) == ["lamp", "mug"]
    assert shop.told() == {}


def test_two_workers_change_one_table_and_the_newer_state_of_an_item_stays() -> None:
    shop = Workers({"mug": ["Home"], "lamp": ["Home"]}, workers=2)
    shop.met({"mug": 3}, worker=0)
    shop.met({"mug": 4, "lamp": 1}, worker=1)
    assert shop.told(1) == {"Home": {"mug": 4, "lamp": 1}}
    assert shop.told(0) == {"Home": {"mug": 4, "lamp": 1}}


def test_what_another_worker_changes_meanwhile_is_told_the_next_time() -> None:
    shop = Workers({"mug": ["Home"]})
    shop.met({"mug": 3})
    honest = shop.store.swap

    async def refused(swaps: Sequence[Swap]) -> list[bool]:
        return [False] * len(swaps)

    shop.store.swap = refused  # type: ignore[assignment,method-assign]
    assert shop.told() == {}
    shop.store.swap = honest  # type: ignore[method-assign]
    assert shop.told() == {"Home": {"mug": 3}}


def test_versions_grow_so_that_an_older_list_cannot_replace_a_newer_one() -> None:
    shop = Workers({"mug": ["Home"]})
    versions = []
    for times in (1, 2, 3):
        shop.met({"mug": times})
        [(_, message)] = asyncio.run(shop.each[0].trending(NOW))
        versions.append(message.version)
    assert versions == [1, 2, 3]


def test_an_item_leaves_a_category_with_the_catalogue_and_a_hidden_one_its_list() -> None:
    shop = Workers({"mug": ["Home"], "lamp": ["Home"], "cup": ["Home"]})
    shop.met({"mug": 3, "lamp": 2, "cup": 1})
    assert shop.told()["Home"] == {"mug": 3, "lamp": 2, "cup": 1}
    shop.catalogues[0].put(CatalogueItem("mug", categories=("Garden",)))
    shop.catalogues[0].put(CatalogueItem("lamp", categories=("Home",), available=False))
    shop.met({"cup": 2})
    assert shop.told() == {"Home": {"cup": 2}}


def test_a_table_keeps_the_most_popular() -> None:
    items = {f"i{n}": ["Home"] for n in range(KEPT + 20)}
    shop = Workers(items)
    shop.met({item: 1 + n for n, item in enumerate(items)})
    assert list(shop.told()["Home"]) == [f"i{n}" for n in range(KEPT + 19, KEPT + 19 - RULES.top_n, -1)]
    shop.met({"i0": 10_000})
    assert next(iter(shop.told()["Home"])) == "i0"
    [stored] = [value for key, value in shop.store.values.items() if key.startswith("test:category:")]
    assert len(stored) == 8 + 32 * KEPT
