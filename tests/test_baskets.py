"""What is bought together, and after what: the textbook's five baskets, the words of the counts, and what is shown of them."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import Phase, given, settings
from kafka import KafkaProducer
from oracle import Record, recount
from strategies import NOW_MS, encoded, logs
from test_laws import KEYS, chunk, counted, mark_of, stored_rows
from workers import Workers, wait_until

from recsys.batch import Arrival, columns
from recsys.engine import Engine
from recsys.events import Event, Kind, Line
from recsys.fold import fold
from recsys.hashing import hash_id
from recsys.histories import empty
from recsys.keys import AFTER, TOGETHER
from recsys.recommendation import Neighbours
from recsys.rules import Rules
from recsys.sharding import row_key
from recsys.store import MemoryStore
from streams.cli import main
from streams.settings import Settings
from streams.topics import create_missing

Counts = dict[str, dict[str, int]]
Run = Callable[..., Result]
HOUR_MS = 3_600_000

TEXTBOOK = (
    ("bread", "milk"),
    ("bread", "diapers", "beer", "eggs"),
    ("milk", "diapers", "beer", "cola"),
    ("bread", "milk", "diapers", "beer"),
    ("bread", "milk", "diapers", "cola"),
)
"""Tan, Steinbach, Kumar, 2005, "Introduction to data mining", table 6.1."""
LIFTS = {
    "bread": {"milk": 15 / 16, "diapers": 15 / 16, "beer": 10 / 12, "cola": 5 / 8, "eggs": 5 / 4},
    "beer": {"diapers": 15 / 12, "bread": 10 / 12, "milk": 10 / 12, "cola": 5 / 6, "eggs": 5 / 3},
    "eggs": {"bread": 5 / 4, "diapers": 5 / 4, "beer": 5 / 3},
}
"""By hand: baskets with both × 5 / (baskets with the one × baskets with the other)."""


def happened(*events: tuple[str, str, int], user: str = "u") -> list[Record]:
    """A log of one user: what was done with which items (letters), and how many minutes after the first event."""
    log = []
    for offset, (kind, items, minutes) in enumerate(events):
        lines, at_ms = [{"item_id": item} for item in items], NOW_MS - 24 * HOUR_MS + minutes * 60_000
        event = {"event_type": kind, "user_id": user, "items": lines, "event_time": at_ms}
        log.append(Record(0, offset, NOW_MS, None, encoded(event)))
    return log


def of_all(store: MemoryStore, table: str) -> Counts:
    return {item: row.counts for item, row in stored_rows(store.values, Rules(), table).items()}


def textbook() -> list[Record]:
    """Each basket a customer's, bought item by item but the last, which is one event."""
    log: list[Record] = []
    for customer, basket in enumerate(TEXTBOOK):
        for items in [basket] if customer == 4 else [[item] for item in basket]:
            event = {"event_type": "purchase", "user_id": f"c{customer}", "items": [{"item_id": item} for item in items]}
            log.append(Record(0, len(log), NOW_MS, None, encoded(event)))
    return log


def lists(store: MemoryStore, *items: str, rules: Rules | None = None) -> tuple[dict[str, Neighbours], dict[str, Neighbours]]:
    """What is bought together with these items, and after them."""
    lists = Engine(store, KEYS, rules or Rules()).baskets
    hashes = [hash_id(item) for item in items]

    async def made() -> tuple[list[Neighbours], list[Neighbours]]:
        return await lists.together(hashes), await lists.bought_after(hashes)

    together, after = asyncio.run(made())
    return {row.item_id or "": row for row in together}, {row.item_id or "": row for row in after}


def test_the_five_baskets_of_the_textbook_have_the_lifts_of_the_textbook() -> None:
    store = counted(textbook(), 1, Rules())
    assert mark_of(store).baskets == 5
    together, _ = lists(store, *LIFTS)
    found = {item: {other.item_id: other.lift for other in row.items} for item, row in together.items()}
    assert {item: set(row) for item, row in found.items()} == {item: set(row) for item, row in LIFTS.items()}
    for item, row in LIFTS.items():
        assert found[item] == pytest.approx(row, abs=1e-6)
    beer = {other.item_id: other.count for other in together["beer"].items}
    assert beer == {"diapers": 3, "bread": 2, "milk": 2, "cola": 1, "eggs": 1}


def test_a_score_is_the_share_of_baskets_as_that_of_similar_items_is() -> None:
    together, _ = lists(counted(textbook(), 1, Rules()), "beer")
    scores = {other.item_id: other.score for other in together["beer"].items}
    assert scores == pytest.approx({"diapers": 3 / 4, "bread": 2 / 4, "milk": 2 / 4, "cola": 1 / 4, "eggs": 1 / 4}, abs=1e-6)


def test_all_pairs_of_a_basket_of_fifty_count_however_it_was_sent() -> None:
    items = [f"i{n}" for n in range(50)]
    lines = [{"item_id": item} for item in items]
    at_once = [Record(0, 0, NOW_MS, None, encoded({"event_type": "purchase", "user_id": "u", "items": lines}))]
    one_by_one = [
        Record(0, n, NOW_MS, None, encoded({"event_type": "purchase", "user_id": "u", "items": [line]}))
        for n, line in enumerate(lines)
    ]
    for log in (at_once, one_by_one):
        found = of_all(counted(log, 1, Rules()), TOGETHER)
        assert found == {item: dict.fromkeys(set(items) - {item}, 1) for item in items}


def test_an_item_counts_once_a_basket_and_the_next_session_opens_another() -> None:
    log = happened(("purchase", "abab", 0), ("purchase", "ba", 10), ("purchase", "ab", 60))
    store = counted(log, 1, Rules())
    assert of_all(store, TOGETHER) == {"a": {"b": 2}, "b": {"a": 2}}
    assert {item: row.interactions for item, row in stored_rows(store.values, Rules(), TOGETHER).items()} == {"a": 2, "b": 2}
    assert mark_of(store).baskets == 2


def test_what_was_taken_back_stays_in_the_basket_and_is_not_counted_when_it_is_bought_again() -> None:
    store = counted(happened(("purchase", "ab", 0), ("refund", "a", 1), ("purchase", "a", 2), ("purchase", "c", 3)), 1, Rules())
    assert of_all(store, TOGETHER) == {"a": {"b": 1, "c": 1}, "b": {"a": 1, "c": 1}, "c": {"a": 1, "b": 1}}
    assert mark_of(store).baskets == 1


def test_what_is_bought_is_counted_after_each_other_item_that_was_met_before_it_in_the_session() -> None:
    log = happened(
        ("view", "x", 0), ("view", "a", 60), ("cart", "b", 61), ("view", "ab", 62), ("purchase", "b", 63), ("view", "c", 64)
    )
    store = counted(log, 1, Rules())
    assert of_all(store, AFTER) == {"a": {"b": 1}}
    assert of_all(store, TOGETHER) == {"b": {}}


def test_the_score_of_what_is_bought_after_an_item_is_by_how_often_the_item_is_met() -> None:
    rules = Rules(half_life_ms=HOUR_MS)
    log = happened(("view", "a", 0), ("purchase", "b", 20))
    log += [record._replace(offset=2 + n) for n, record in enumerate(happened(("view", "a", 140), user="v"))]
    _, after = lists(counted(log, 1, rules), "a", rules=rules)
    [only] = after["a"].items
    weight = 2.0 ** -(120 / 60)
    assert (only.item_id, only.count, only.lift) == ("b", 1, None)
    assert only.score == pytest.approx(weight / (1 + 2.0 ** -(140 / 60) + 1), abs=1e-6)


def test_where_baskets_are_not_counted_nothing_is_stored_of_them() -> None:
    rules = Rules(baskets=False)
    store = counted(textbook(), 1, rules)
    assert not [key for key in store.values if "together" in key or "after" in key]
    assert mark_of(store).baskets == 0
    everything = counted(textbook(), 1, Rules())
    both = stored_rows(store.values)
    assert both == stored_rows(everything.values)
    assert lists(store, *LIFTS, rules=rules) == ({}, {})


def test_a_shop_without_purchases_has_rows_of_what_was_viewed_alone() -> None:
    event = Event(kind=Kind.ADD_TO_CART, user_id="u", lines=(Line("a"), Line("b")), time_ms=NOW_MS)
    found = fold(empty(1, 50), columns([(0, Arrival(0, event))], ["u"]), Rules())
    assert list(found.deltas) == ["row"]
    assert not len(found.opened)


def test_the_room_for_a_basket_of_five_hundred_is_what_histories_allow() -> None:
    lines = tuple(Line(f"i{n}") for n in range(500))
    arrivals = [(0, Arrival(n, Event(kind=Kind.PURCHASE, user_id="u", lines=lines, time_ms=NOW_MS))) for n in range(10)]
    found = fold(empty(1, 50), columns(arrivals, ["u"]), Rules())
    whole = found.deltas[TOGETHER].item.base
    assert whole is not None
    assert len(whole) <= 5_000 * (1 + 2 * 50)


def test_an_item_whose_own_basket_is_not_stored_yet_is_left_out() -> None:
    store = counted(textbook(), 1, Rules())
    del store.values[row_key(KEYS, hash_id("eggs"), TOGETHER)]
    together, _ = lists(store, "beer")
    assert {other.item_id for other in together["beer"].items} == {"diapers", "bread", "milk", "cola"}


def test_a_list_knows_of_a_basket_that_the_same_engine_counted_after_it() -> None:
    engine, log = Engine(MemoryStore(), KEYS, Rules()), textbook()

    async def lifts(end: int, start: int) -> dict[str, float | None]:
        await engine.count(chunk(0, start, end, log, 1))
        [row] = await engine.baskets.together([hash_id("bread")])
        return {other.item_id: other.lift for other in row.items}

    async def both() -> tuple[dict[str, float | None], dict[str, float | None]]:
        return await lifts(1, 0), await lifts(len(log) - 1, 2)

    first, last = asyncio.run(both())
    assert first == {"milk": 1.0}
    assert last["beer"] == pytest.approx(10 / 12, abs=1e-6)


def test_the_laws_are_told_of_many_baskets() -> None:
    """What the generated logs hold, or the laws would say little of baskets."""
    told = []

    @settings(derandomize=True, database=None, max_examples=100, phases=(Phase.generate,))
    @given(logs(partitions=1))
    def look(log: list[Record]) -> None:
        truth = recount(log, 1, history=6, window=3)
        told.append((truth.opened, max(truth.together.values(), default=0), max(truth.after.values(), default=0)))

    look()
    assert sum(opened >= 4 and together >= 2 and after >= 1 for opened, together, after in told) >= 10


# On the running stream


@pytest.fixture
def run(variables: Mapping[str, str]) -> Run:
    """Runs a command with the settings of the test's name space."""
    return lambda *arguments, **others: CliRunner().invoke(main, list(arguments), env={**variables, **others})


def test_the_lists_are_in_redis_and_on_the_command_line(
    namespace: Settings, environ: dict[str, str], run: Run, tmp_path: Path
) -> None:
    create_missing(namespace)
    looked = [("view", "tea", "c9"), ("purchase", "milk", "c9")]
    bought = [("purchase", item, f"c{customer}") for customer, basket in enumerate(TEXTBOOK) for item in basket]
    producer = KafkaProducer(**namespace.brokers.connection())
    for kind, item, user in bought + looked:
        event = {"event_type": kind, "user_id": user, "item_id": item}
        producer.send(namespace.topic("events"), encoded(event), key=user.encode())
    producer.close(timeout=30)

    def shown(*command: str) -> dict[str, Any]:
        answer = run(*command, "--json")
        items = json.loads(answer.stdout)["items"] if answer.exit_code == 0 else []
        return {item["item_id"]: item for item in items}

    def all_counted() -> bool:
        bread = {item: found["count"] for item, found in shown("together", "bread").items()}
        return bread == {"milk": 3, "diapers": 3, "beer": 2, "cola": 1, "eggs": 1} and bool(shown("bought-after", "tea"))

    with Workers(environ, tmp_path).supervised() as workers:
        workers.start().wait_ready()
        wait_until(all_counted, "the baskets were published", seconds=60)
    lifts = {item: found["lift"] for item, found in shown("together", "eggs").items()}
    assert set(lifts) == {"bread", "diapers", "beer"}
    after = shown("bought-after", "tea")
    assert after == {"milk": {"item_id": "milk", "score": pytest.approx(0.5, abs=1e-3), "count": 1}}
    table = run("together", "bread").stdout
    assert all(word in table for word in ("bought together", "lift", "diapers"))
    assert "lift" not in run("bought-after", "tea").stdout


@pytest.mark.parametrize("command", ["together", "bought-after"])
def test_an_item_without_such_a_list_is_a_failure_that_says_why(run: Run, command: str) -> None:
    for others, why in (({}, "Check the id"), ({"FRESHET_BASKETS": "false"}, "FRESHET_BASKETS is false")):
        failed = run(command, "nothing", **others)
        assert (failed.exit_code, failed.stdout, len(failed.stderr.splitlines())) == (1, "", 1)
        assert failed.stderr.startswith("freshet: ")
        assert "'nothing'" in failed.stderr
        assert why in failed.stderr
