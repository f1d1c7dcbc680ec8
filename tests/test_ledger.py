"""The shop's figures: equal to a recount, whatever happens, and capped against strangers' words."""

import asyncio
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal

import pytest
from customers_oracle import EPOCH
from hypothesis import given, settings
from ledger_oracle import Place, newest, told
from oracle import Record, recount
from strategies import NOW_MS, click, encoded, logs
from test_laws import KEYS, RULES_OF_ALL_KINDS, count_all, counted, cut, state

from recsys.calendar import monday
from recsys.customers import firsts
from recsys.customers.money import decimal
from recsys.events import Kind
from recsys.ledger import scopes
from recsys.ledger.books import Books
from recsys.ledger.figures import RECENT_DAYS, Cell, Figures, Minute, Reach, Subject
from recsys.rules import Rules
from recsys.store import MemoryStore

PARTITIONS = 3
STEPS = ("seen", "viewed", "carted", "bought", "both")
DAY_MS = 86_400_000


def books(store: MemoryStore, partitions: int = PARTITIONS) -> Books:
    return Books(store, KEYS, partitions)


def amounts(paid: Mapping[str, int]) -> dict[str, Decimal]:
    return {currency: decimal(amount) for currency, amount in paid.items()}


def customers(place: Place) -> dict[str, int]:
    both = place.customers["carted"] & place.customers["bought"]
    return {step: len(both if step == "both" else place.customers[step]) for step in STEPS}


def reached(reach: Reach) -> dict[str, int]:
    return {step: getattr(reach, step) for step in STEPS}


def kinds(counts: Mapping[int, int]) -> dict[str, int]:
    return {Kind(kind).name.lower(): count for kind, count in counts.items()}


def assert_is(found: Figures, place: Place) -> None:
    assert kinds(found.kinds) == place.kinds
    assert reached(found.customers) == customers(place)
    assert reached(found.sessions) == {step: place.sessions[step] for step in STEPS}
    assert decimal(found.units) == place.units
    assert amounts(found.spent) == place.spent
    assert amounts(found.refunded) == place.refunded


def assert_minute_is(found: Minute, place: Place) -> None:
    assert (found.events, found.customers) == (place.kinds.total(), len(place.customers["seen"]))
    assert (found.orders, amounts(found.spent)) == (place.kinds["purchase"], place.spent)


def assert_item_is(found: Subject, place: Place) -> None:
    assert kinds(found.kinds) == place.kinds
    assert (found.buyers, decimal(found.units)) == (len(place.customers["bought"]), place.units)
    assert (amounts(found.spent), amounts(found.refunded)) == (place.spent, place.refunded)


def assert_cell_is(found: Cell, place: Place) -> None:
    assert (found.buyers, found.orders) == (len(place.customers["bought"]), place.kinds["purchase"])
    assert (amounts(found.spent), amounts(found.refunded)) == (place.spent, place.refunded)


def day_of(number: int) -> date:
    return EPOCH + timedelta(days=number)


@settings(deadline=None, max_examples=20)
@given(logs(partitions=PARTITIONS), RULES_OF_ALL_KINDS)
def test_the_figures_are_what_the_recount_has(log: list[Record], rules: Rules) -> None:
    gap_s = rules.session_gap_ms / 1000
    events = recount(log, PARTITIONS, history=rules.history, window=rules.window, session_gap_s=gap_s).figured
    truth = told(events, rules.session_gap_ms)
    asyncio.run(compare(books(counted(log, PARTITIONS, rules)), truth.__dict__))


async def compare(found: Books, truth: dict[str, dict[object, object]]) -> None:
    days, months = await found.days(), await found.months()
    places = {**days, **months, "all": await found.total(), **await found.sources(), **await found.countries()}
    assert set(places) - {"all"} == set(truth["places"]) - {"all"}
    for name, place in truth["places"].items():
        assert_is(places[name], place)  # type: ignore[index, arg-type]
    minutes: dict[str, Minute] = {}
    for hour, of_hour in (await found.hours()).items():
        assert of_hour.customers == len(truth["minutes"][hour].customers["seen"])  # type: ignore[attr-defined]
        minutes |= {f"{hour}:{minute:02}": each for minute, each in of_hour.minutes.items()}
    assert set(minutes) == {name for name in truth["minutes"] if ":" in str(name)}
    for name, minute in minutes.items():
        assert_minute_is(minute, truth["minutes"][name])  # type: ignore[arg-type]
    items, searches = await found.items(), await found.searches()
    assert set(items) == set(truth["items"])
    for name, item in items.items():
        assert_item_is(item, truth["items"][name])  # type: ignore[arg-type]
    recent = {f"item:{name}": each.recent for name, each in items.items()}
    recent |= {f"search:{name}": each.recent for name, each in searches.items()}
    assert {name: {day_of(n): count for n, count in each.items()} for name, each in recent.items()} == {
        name: newest(each, RECENT_DAYS)  # type: ignore[arg-type]
        for name, each in truth["days"].items()
    }
    cells = {
        (day_of(monday(cohort)), day_of(monday(week))): cell
        for week, of_week in (await found.weeks()).items()
        for cohort, cell in of_week.cohorts.items()
    }
    assert set(cells) == set(truth["cohorts"])
    for pair, cell in cells.items():
        assert_cell_is(cell, truth["cohorts"][pair])  # type: ignore[arg-type]


@settings(deadline=None, max_examples=10)
@given(logs(partitions=1))
def test_the_laws_hold_where_sources_and_places_are_more_than_are_told_apart(log: list[Record]) -> None:
    with pytest.MonkeyPatch.context() as few:
        few.setattr(scopes, "MOST_SOURCES", 1)
        few.setattr(firsts, "MOST_PLACES", 1)
        few.setattr(firsts, "MOST_ITEMS", 2)
        store = MemoryStore()
        asyncio.run(count_all(store, cut(log, 0, [1, 2] * 30, 1)))
        whole = counted(log, 1)
        assert state(store) == state(whole)
        sources = asyncio.run(books(store, 1).sources())
        assert len(sources) <= 2


def test_strangers_words_do_not_make_the_ledger_grow_without_end() -> None:
    log = [Record(0, n, NOW_MS, None, encoded(click(source=f"{n}{'x' * 999}"))) for n in range(scopes.MOST_SOURCES + 10)]
    sources = asyncio.run(books(counted(log, 1), 1).sources())
    assert len(sources) == scopes.MOST_SOURCES + 1
    assert sources["source:others"].kinds == {Kind.CLICK: 10}
    assert max(map(len, sources)) == len("source:") + scopes.LONGEST


def at(day: int, user: str = "u", kind: str = "click", **fields: object) -> Record:
    event = {"event_type": kind, "user_id": user, "item_id": "a", "event_time": NOW_MS + day * DAY_MS} | fields
    return Record(0, 0, NOW_MS + 400 * DAY_MS, None, encoded(event))


def test_events_over_months_and_late_ones_count_each_customer_once_a_period() -> None:
    days = [0, 40, 41, 3, 80, 2, 40, 200, 0, 79]
    log = [record._replace(offset=n) for n, record in enumerate(at(day, user) for day in days for user in ("u", "v"))]
    bought = [
        (40, "add_to_cart"),
        (43, "purchase"),
        (42, "add_to_cart"),
        (30, "purchase"),
        (43, "add_to_cart"),
        (31, "wishlist"),
    ]
    log += [at(day, kind=kind)._replace(offset=50 + n) for n, (day, kind) in enumerate(bought)]
    truth = told(recount(log, 1, history=50, window=5, session_gap_s=1800).figured, 1_800_000)

    found = books(counted(log, 1), 1)
    for figures in (asyncio.run(found.months()), asyncio.run(found.days())):
        assert len(figures) >= 3
        for name, each in figures.items():
            assert_is(each, truth.places[name])
