"""The simulated shop: one seed, the same events; all of them good; and something to be learned from them."""

import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any

import msgspec
import pytest
from kafka.errors import UnknownTopicOrPartitionError

from recsys.events import Event, Kind, decode
from streams.demo.measure import most_popular
from streams.demo.mishaps import BROKEN, TWICE, WRONG_KEY, sendings
from streams.demo.pace import on_time
from streams.lag import read_spans
from streams.records import read_topic
from streams.recount import home
from streams.settings import Settings
from streams.shop.catalogue import build_catalogue
from streams.shop.shoppers import crowd
from streams.shop.traffic import events
from streams.shop.words import BRANDS, CATEGORIES, MODELS, NAMES
from streams.topics import EVENTS

START_MS = 1_800_000_000_000
RATE = 150.0
AT = 20


def stream(seed: int, start_ms: int = START_MS) -> Iterator[tuple[float, dict[str, Any]]]:
    rng = Random(seed)
    catalogue = build_catalogue(rng)
    return events(rng, catalogue, crowd(rng, 400, catalogue), rate=RATE, start_ms=start_ms)


@pytest.fixture(scope="module")
def many() -> list[tuple[float, dict[str, Any]]]:
    return list(islice(stream(1), 10_000))


@pytest.fixture(scope="module")
def decoded(many: list[tuple[float, dict[str, Any]]]) -> list[Event]:
    return [decode(msgspec.json.encode(event), START_MS + round(due * 1000)) for due, event in many]


def test_the_same_seed_gives_the_same_events(many: list[tuple[float, dict[str, Any]]]) -> None:
    assert list(islice(stream(1), 2_000)) == many[:2_000]
    assert list(islice(stream(2), 100)) != many[:100]


def test_a_second_run_with_the_same_seed_is_no_repeat_of_the_first(many: list[tuple[float, dict[str, Any]]]) -> None:
    again = [event for _, event in islice(stream(1, START_MS + 60_000), 2_000)]
    for name in ("event_id", "session_id"):
        assert not {event[name] for event in again} & {event[name] for _, event in many}


def test_every_event_is_good_has_its_own_id_and_happens_when_it_is_due(
    many: list[tuple[float, dict[str, Any]]], decoded: list[Event]
) -> None:
    assert len({event.event_id for event in decoded}) == len(decoded)
    assert all(event.session_id and event.source in ("web", "ios", "android") for event in decoded)
    for (due, _), event in zip(many, decoded, strict=True):
        assert 0 <= START_MS + due * 1000 - event.time_ms < 1
    times = [due for due, _ in many]
    assert times == sorted(times)


def test_the_rate_is_the_one_asked_for(many: list[tuple[float, dict[str, Any]]]) -> None:
    assert len(many) / many[-1][0] == pytest.approx(RATE, rel=0.05)
    first = sum(due < 5 for due, _ in many)
    assert first / 5 == pytest.approx(RATE, rel=0.15)


def test_all_kinds_of_events_happen(decoded: list[Event]) -> None:
    assert {event.kind for event in decoded} == set(Kind) - {Kind.IDENTIFY, Kind.FORGET}
    assert any(len(event.lines) > 1 for event in decoded if event.kind is Kind.PURCHASE)
    anonymous = sum(event.user_id.startswith("anon:") for event in decoded)
    assert 0.05 < anonymous / len(decoded) < 0.3


def test_a_session_is_of_one_shopper_and_many_are_open_at_once(decoded: list[Event]) -> None:
    users: dict[str | None, set[str]] = defaultdict(set)
    places: dict[str | None, list[int]] = defaultdict(list)
    for place, event in enumerate(decoded):
        users[event.session_id].add(event.user_id)
        places[event.session_id].append(place)
    assert all(len(owners) == 1 for owners in users.values())
    middle = len(decoded) // 2
    assert sum(found[0] < middle < found[-1] for found in places.values()) > 100


def test_purchases_are_of_what_was_put_in_the_cart(decoded: list[Event]) -> None:
    carts: dict[str | None, set[str]] = defaultdict(set)
    for event in decoded:
        items = {line.item_id for line in event.lines}
        if event.kind is Kind.ADD_TO_CART:
            carts[event.session_id] |= items
        if event.kind is Kind.PURCHASE:
            assert items <= carts[event.session_id]


def test_products_that_were_not_there_at_first_appear(decoded: list[Event]) -> None:
    catalogue = build_catalogue(Random(1))
    late = {product.item_id for product in catalogue.products[catalogue.opening :]}
    touched = [{line.item_id for event in part for line in event.lines} for part in (decoded[:100], decoded)]
    assert not touched[0] & late
    assert touched[1] & late


def test_a_catalogue_has_readable_distinct_products_in_every_category() -> None:
    catalogue = build_catalogue(Random(4), 700)
    products = catalogue.products
    assert len({product.item_id for product in products}) == len({product.title for product in products}) == 700
    assert {product.category for product in products} == {category.slug for category in CATEGORIES}
    for product in products:
        category = next(category for category in CATEGORIES if category.slug == product.category)
        assert product.item_id.startswith(product.category + "-")
        assert product.title.startswith(product.brand)
        assert category.low - 0.5 <= product.price <= category.high + 0.5
        nearby = catalogue.similar[product.number] + catalogue.goes_with[product.number]
        assert product not in nearby
        assert len(nearby) >= 6


def test_a_catalogue_too_small_for_its_categories_is_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        build_catalogue(Random(1), 5)


def test_the_words_name_everything_once() -> None:
    slugs = [category.slug for category in CATEGORIES]
    for words in (slugs, BRANDS, MODELS, NAMES):
        assert len(set(words)) == len(words)
    assert all(set(category.goes_with) <= set(slugs) - {category.slug} for category in CATEGORIES)


def test_what_is_seen_together_tells_more_than_what_is_popular(decoded: list[Event]) -> None:
    met: dict[str, Counter[str]] = defaultdict(Counter)
    popular: Counter[str] = Counter()
    current: dict[str, str] = {}
    cases = together = bestsellers = 0
    for event in decoded:
        if not event.kind.is_interaction:
            continue
        item, before = event.lines[0].item_id, current.get(event.user_id)
        if before is not None and before != item:
            cases += 1
            together += item in most_popular(met[before], {before})
            bestsellers += item in most_popular(popular, {before})
            met[before][item] += 1
            met[item][before] += 1
        popular[item] += 1
        current[event.user_id] = item
    assert cases > 5_000
    assert together > 2 * bestsellers


def test_mishaps_happen_in_small_shares() -> None:
    rng = Random(7)
    sent = [sending for _ in range(20_000) for sending in sendings(rng, b'{"a": 1}', b"u1")]
    counts = Counter(sending.mishap for sending in sent)
    for mishap, expected in (("wrong key", WRONG_KEY), ("twice", TWICE), ("broken", BROKEN)):
        assert counts[mishap] / 20_000 == pytest.approx(expected, rel=0.4)  # type: ignore[index]
    assert all((sending.key != b"u1") == (sending.mishap == "wrong key") for sending in sent)


def test_an_event_comes_when_it_is_due_although_the_one_before_took_long() -> None:
    start = time.monotonic()
    came = []
    for due, _ in on_time([(0.0, None), (0.05, None), (0.1, None), (0.2, None)], start, threading.Event()):
        came.append(time.monotonic() - start)
        if due == 0.05:
            time.sleep(0.1)
    assert came[2] == pytest.approx(0.15, abs=0.04)
    assert came[3] == pytest.approx(0.2, abs=0.04)


def test_a_stop_ends_the_waiting() -> None:
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    assert list(on_time([(60.0, None)], time.monotonic(), stop)) == []


def test_simulate_fills_the_topic_at_its_rate_until_it_is_told_to_stop(environ: dict[str, str], namespace: Settings) -> None:
    command = [sys.executable, "-m", "streams", "simulate", "--rate", "300", "--shoppers", "100", "--seed", "3"]
    process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    topic = namespace.topic(EVENTS)
    deadline = time.monotonic() + 60
    while (spans := ends(namespace, topic)) < 600 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert spans >= 600
    assert "seed 3" in err

    records = list(read_topic(namespace.brokers, topic))
    assert f"{len(records):,} events" in err
    for partitions, record in records:
        assert home(decode(record.value, record.timestamp).home_id, partitions) == record.partition
    times = [record.timestamp for _, record in records]
    assert len(records) / (max(times) - min(times)) * 1000 == pytest.approx(300, rel=0.3)


def ends(settings: Settings, topic: str) -> int:
    """Records in the topic so far; 0 while it does not exist."""
    try:
        return sum(span.end for span in read_spans(settings.brokers, topic).values())
    except UnknownTopicOrPartitionError:
        return 0
