"""What a customer likes: equal to a recount by the catalogue as it is, and told in messages and on the command line."""

import asyncio
import json
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from click.testing import CliRunner
from favourites_oracle import Described, liked
from hypothesis import given
from hypothesis import strategies as st
from oracle import Record, home_partition, recount
from purchase_counts import recounted
from strategies import ITEMS, NOW_MS, encoded, logs
from test_laws import FEW, KEYS, RULES_OF_ALL_KINDS, chunk, end_of

from recsys.catalogue.catalogue import Catalogue
from recsys.catalogue.item import CatalogueItem
from recsys.catalogue.traits import LEAST_PRICED, Shelves, band
from recsys.connection import open_client
from recsys.customers import message
from recsys.customers.favourites import STRONGEST, Favourite, Favourites
from recsys.customers.message import Customer
from recsys.engine import Engine
from recsys.hashing import hash_id, hash_item
from recsys.index import find
from recsys.keys import Keys
from recsys.rules import Rules
from recsys.store import MemoryStore
from streams.cli import main
from streams.settings import Settings

DAY_MS = 86_400_000
PATHS = [["Home"], ["Home", "Mugs"], ["Home", "Mugs", "Red"], ["Gifts"], ["Toys", "Cars"]]
DESCRIBED = st.builds(
    Described,
    st.lists(st.sampled_from(PATHS), max_size=3, unique_by=tuple),
    st.sampled_from(["", "Acme", "Brand X", "7"]),
    st.sampled_from([None, 0.0, 1.0, 2.0, 5.0, 5.0, 100.0]),
)
NAMES = [*sorted({str(item) for item in ITEMS}), *(f"o{n}" for n in range(40))]
SHOPS = st.sampled_from([0, 15, 40]).flatmap(  # left to itself Hypothesis draws five
    lambda least: st.dictionaries(st.sampled_from(NAMES), DESCRIBED, min_size=least)
)


def item_of(item: str, described: Described) -> CatalogueItem:
    categories = tuple(" > ".join(names) for names in described.categories)
    return CatalogueItem(item, brand=described.brand, price=described.price, categories=categories)


def catalogue_of(shop: Mapping[str, Described]) -> Catalogue:
    catalogue = Catalogue()
    for item, described in shop.items():
        catalogue.put(item_of(item, described))
    return catalogue


def messages(log: Sequence[Record], rules: Rules, catalogue: Catalogue, partitions: int = 1) -> dict[str, Customer]:
    """The message for each user, once all is counted."""
    engine = Engine(MemoryStore(), KEYS, rules, catalogue=catalogue)

    async def told() -> dict[str, Customer]:
        found: dict[str, Customer] = {}
        for partition in range(partitions):
            counted = await engine.count(chunk(partition, 0, end_of(log, partition), log, partitions))
            found |= {known.user: said for known, said in await engine.customers(counted)}
        return found

    return asyncio.run(told())


def assert_favourites_are(log: list[Record], rules: Rules, shop: Mapping[str, Described], partitions: int) -> None:
    gap_s = rules.session_gap_ms / 1000
    truth = recount(log, partitions, history=rules.history, window=rules.window, session_gap_s=gap_s)
    held = [recounted(truth, partition, rules.session_gap_ms).customers for partition in range(partitions)]
    said = messages(log, rules, catalogue_of(shop), partitions)
    newest = {user: max(event.time_ms for event in theirs) for user, theirs in truth.of_users.items() if theirs}
    assert said.keys() == newest.keys()
    ids = {hash_id(item): item for item in shop}
    for user, of_user in said.items():
        theirs = held[home_partition(user.removeprefix("anon:"), partitions)][hash_id(user)].held
        by_id = {ids[item]: each for item, each in theirs.items() if item in ids}
        expected = liked(truth.histories[user], by_id, newest[user], shop)
        found = of_user.favourites or Favourites()
        assert_strongest(found.categories, expected.categories)
        assert_strongest(found.brands, expected.brands)
        assert found.price_band in expected.price_bands or (found.price_band is None and not expected.price_bands)
        assert of_user.favourites != Favourites()


def assert_strongest(told: list[Favourite], shares: Mapping[str, float]) -> None:
    """Which of equal ones are told is not looked at here."""
    assert [each.share for each in told] == pytest.approx(sorted(shares.values(), reverse=True)[:STRONGEST], abs=6e-4)
    assert {each.name: each.share for each in told} == pytest.approx({each.name: shares[each.name] for each in told}, abs=6e-4)
    assert len({each.name for each in told}) == len(told)


@FEW
@given(logs(partitions=3), RULES_OF_ALL_KINDS, SHOPS)
def test_favourites_are_those_of_the_recount(log: list[Record], rules: Rules, shop: dict[str, Described]) -> None:
    assert_favourites_are(log, rules, shop, 3)


MET = st.tuples(
    st.integers(0, 300), st.sampled_from(["view", "add_to_cart", "wishlist", "order", "refund"]), st.sampled_from("abcdé")
)


@FEW
@given(st.lists(MET, min_size=1, max_size=80), SHOPS)
def test_what_was_met_long_ago_counts_less(met: list[tuple[int, str, str]], shop: dict[str, Described]) -> None:
    events = [
        {"event_type": kind, "user_id": "u", "item_id": item, "event_time": NOW_MS - day * DAY_MS} for day, kind, item in met
    ]
    log = [Record(0, n, NOW_MS, None, encoded(event)) for n, event in enumerate(events)]
    assert_favourites_are(log, Rules(), shop, 1)


def test_equally_strong_names_are_told_in_the_order_of_their_hashes_whoever_learned_of_them_first() -> None:
    names = [f"brand {n}" for n in range(2 * STRONGEST)]
    log = [
        Record(0, n, NOW_MS, None, encoded({"event_type": "view", "user_id": "u", "item_id": name, "event_time": NOW_MS}))
        for n, name in enumerate(names)
    ]
    for order in (names, names[::-1]):
        said = messages(log, Rules(), catalogue_of({name: Described([], name, None) for name in order}))["u"]
        assert said.favourites is not None
        assert [brand.name for brand in said.favourites.brands] == sorted(names, key=hash_id)[:STRONGEST]


def test_no_favourites_are_told_where_no_item_is_described() -> None:
    log = [Record(0, 0, NOW_MS, None, encoded({"event_type": "view", "user_id": "u", "item_id": "a"}))]
    for shop in ({}, {"b": Described([["Home"]], "Acme", 1.0)}):
        assert messages(log, Rules(), catalogue_of(shop))["u"].favourites is None


# The traits of items

CHANGES = st.lists(st.tuples(st.sampled_from([f"i{n}" for n in range(60)]), st.none() | DESCRIBED), max_size=200)


def traits_of(shelves: Shelves, item: str) -> tuple[list[str], str, int] | None:
    """By name: its categories, its brand, its band."""
    shelves.part_prices()
    known = shelves.known()
    place = find(known.where, np.uint64(hash_item(item)))
    if place < 0:
        return None
    shelf, brand, _ = known.item[place].tolist()
    codes = known.category[known.start[shelf] : known.start[shelf + 1]].tolist()
    return [shelves.categories[code] for code in codes], shelves.brands[brand], band(known, place)


@FEW
@given(CHANGES)
def test_traits_are_those_of_the_items_that_are_there_however_they_came_about(
    changes: list[tuple[str, Described | None]],
) -> None:
    shelves, there = Shelves({}), dict[str, Described]()
    for item, described in changes:
        if described is None:
            shelves.remove(hash_item(item))
            there.pop(item, None)
        else:
            shelves.put(hash_item(item), item_of(item, described))
            there[item] = described
    anew = Shelves({})
    for item, described in sorted(there.items()):
        anew.put(hash_item(item), item_of(item, described))
    assert len(shelves) == len(there)
    assert [traits_of(shelves, f"i{n}") for n in range(60)] == [traits_of(anew, f"i{n}") for n in range(60)]


def prices(shelves: Shelves, *each: tuple[float, str]) -> list[int]:
    """The bands of items with these prices and currencies, in one category."""
    for n, (price, currency) in enumerate(each):
        shelves.put(hash_item(f"i{n}"), CatalogueItem(f"i{n}", categories=("Home",), price=price, currency=currency))
    found = [traits_of(shelves, f"i{n}") for n in range(len(each))]
    return [traits[2] for traits in found if traits is not None]


def test_prices_are_parted_into_fifths_and_equal_ones_stand_in_the_middle() -> None:
    assert prices(Shelves({}), *((float(n), "") for n in range(1, 101))) == [1 + n // 20 for n in range(100)]
    assert prices(Shelves({}), *((5.0, "") for _ in range(LEAST_PRICED))) == [3] * LEAST_PRICED
    assert prices(Shelves({}), *((5.0, "") for _ in range(LEAST_PRICED - 1))) == [0] * (LEAST_PRICED - 1)


def test_prices_are_compared_in_the_shops_currency() -> None:
    yen = [(100.0 * n, "JPY") for n in range(1, 51)]
    both = [*yen, *((float(n), "EUR") for n in range(1, 51)), (1.0, "USD"), (1.7e308, "EUR")]
    found = prices(Shelves({"EUR": 1.0, "JPY": 0.01}), *both)
    assert found[:50] == found[50:100]
    assert found[100:] == [0, 5]


# On the command line


def test_a_table_tells_what_a_customer_likes(namespace: Settings, variables: Mapping[str, str]) -> None:
    likes = Favourites([Favourite("Home > Mugs", 0.61), Favourite("Gifts", 0.2)], [Favourite("Acme", 1.0)], 4)
    told = Customer("u", "2026-01-01T00:00:00Z", "", "", 1, 1, {}, favourites=likes)
    with open_client(namespace.redis) as client:
        client.set(Keys(namespace.key_prefix).customer("u"), message.encode(told))
    table = CliRunner().invoke(main, ["customer", "u"], env=variables).stdout
    assert "Home > Mugs 61 %, Gifts 20 %" in table
    assert "Acme 100 %" in table
    assert "4 of 5" in table
    said = json.loads(CliRunner().invoke(main, ["customer", "u", "--json"], env=variables).stdout)
    assert said["favourites"]["price_band"] == 4
