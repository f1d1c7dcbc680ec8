"""What people hardly ever buy again stays hidden once it was bought; what they buy again and again comes back."""

import asyncio
from collections.abc import Iterator

import pytest
from test_rank import DAY_MS, Shop, event, others

from recsys.engine import Engine
from recsys.events import Event, Kind
from recsys.keys import Keys
from recsys.rules import Rules

ONCE = Rules(hide=frozenset({"current", "once"}))


def weekly(customers: int, weeks: int) -> Iterator[Event]:
    """Customers who buy milk each week, and in the first week a kettle too."""
    for week in range(weeks):
        for customer in range(customers):
            items = ["milk", "kettle"] if week == 0 else ["milk"]
            yield event(f"c{customer}", *items, kind=Kind.PURCHASE, at_ms=7 * DAY_MS * week)


def look_around(at_ms: int) -> list[Event]:
    """I buy both and look at something that everybody looked at beside them."""
    visitors = others(*[["tea", "milk", "kettle"]] * 3)
    mine = [event("me", "milk", "kettle", kind=Kind.PURCHASE, at_ms=at_ms), event("me", "tea", at_ms=at_ms + 3 * DAY_MS)]
    return [*visitors, *mine]


def test_what_is_bought_again_and_again_comes_back_and_the_rest_does_not() -> None:
    shop = Shop(ONCE).take(*weekly(customers=20, weeks=4), *look_around(at_ms=36 * DAY_MS))
    assert "milk" in shop.items("me")
    assert "kettle" not in shop.items("me")


def test_it_is_so_for_a_worker_that_has_just_begun() -> None:
    shop = Shop(ONCE).take(*weekly(customers=20, weeks=4), *look_around(at_ms=36 * DAY_MS))
    shop.engine = Engine(shop.store, Keys("p:"), ONCE)
    asyncio.run(shop.engine.begin(0, born=""))
    shop.take(event("me", "tea", at_ms=40 * DAY_MS))
    assert "milk" in shop.items("me")
    assert "kettle" not in shop.items("me")


def test_purchased_hides_both() -> None:
    rules = Rules(hide=frozenset({"current", "purchased"}))
    shop = Shop(rules).take(*weekly(customers=20, weeks=4), *look_around(at_ms=36 * DAY_MS))
    assert not {"milk", "kettle"} & set(shop.items("me"))


def test_where_nothing_was_bought_again_yet_all_that_was_bought_is_hidden() -> None:
    shop = Shop(ONCE).take(*weekly(customers=20, weeks=1), *look_around(at_ms=36 * DAY_MS))
    assert not {"milk", "kettle"} & set(shop.items("me"))


def test_an_item_that_nobody_could_buy_again_yet_is_like_the_others_of_the_shop() -> None:
    """With most lines bought again, one purchase of a new item says nothing against it."""
    new = [event("me", "oats", kind=Kind.PURCHASE, at_ms=36 * DAY_MS), event("me", "tea", at_ms=39 * DAY_MS)]
    shop = Shop(ONCE).take(*weekly(customers=20, weeks=4), *others(*[["tea", "oats"]] * 3), *new)
    assert "oats" in shop.items("me")


def test_what_was_refunded_comes_back_though_it_is_bought_once() -> None:
    shop = Shop(ONCE).take(*weekly(customers=20, weeks=4), *look_around(at_ms=36 * DAY_MS))
    shop.take(event("me", "kettle", kind=Kind.REFUND, at_ms=40 * DAY_MS))
    assert "kettle" in shop.items("me")


@pytest.mark.parametrize("repeats", [0, 1])
def test_a_tenth_of_purchases_by_those_who_have_it_is_enough(repeats: int) -> None:
    """Of the kettles sold, (n − m + ρ) / (n + 1) must reach a tenth."""
    later = [event("c0", "kettle", kind=Kind.PURCHASE, at_ms=35 * DAY_MS + n) for n in range(repeats)]
    mine = [event("me", "kettle", kind=Kind.PURCHASE, at_ms=36 * DAY_MS), event("me", "tea", at_ms=39 * DAY_MS)]
    first = [event(f"c{n}", "kettle", kind=Kind.PURCHASE) for n in range(4)]
    shop = Shop(ONCE).take(*others(*[["tea", "kettle"]] * 3), *first, *later, *mine)
    assert ("kettle" in shop.items("me")) is bool(repeats)
