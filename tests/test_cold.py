"""Cold starts: what is counted by context and of new items, whatever crashes; and what is shown to whom nothing is known of."""

import asyncio
import contextlib
import math
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from cold_oracle import recounted, stored
from oracle import Record, home_partition, recount
from strategies import NOW_MS, encoded
from test_laws import KEYS, Crash, FragileStore, count_all, counted, cut, mark_of, state
from test_rank import START_MS, Shop

from recsys import marks
from recsys.catalogue.catalogue import Catalogue
from recsys.catalogue.item import CatalogueItem
from recsys.cold import tables, trials
from recsys.cold.contexts import MOST_PLATFORMS, Directory
from recsys.cold.exploration import Candidates, explored_places, thompson
from recsys.cold.lists import ColdList, encode
from recsys.cold.shopfront import AT_ONCE
from recsys.cold.tables import ROOM, Lines
from recsys.engine import Engine
from recsys.events import Event, Kind, Line, decode
from recsys.hashing import hash_id
from recsys.keys import Keys
from recsys.rules import Rules
from recsys.store import Entry, MemoryStore

RULES = Rules(history=6, window=3, neighbours=1000)
NO_DECAY = Rules(half_life_ms=0.0)
ITEMS = [f"i{n}" for n in range(12)]


def a_log(seed: int, records: int = 120, partitions: int = 1) -> list[Record]:
    """Events of some users in contexts, repeats and impressions among them, each in its home partition."""
    rng = random.Random(seed)
    log, ends, values = [], Counter[int](), list[tuple[str, bytes]]()
    for n in range(records):
        if values and rng.random() < 0.1:
            user, value = rng.choice(values)  # once more
        else:
            user = f"u{rng.randrange(6)}"
            event: dict[str, Any] = {"user_id": user, "event_time": NOW_MS + n * 1000, "event_id": f"e{n}"}
            event["event_type"] = rng.choice(["click", "click", "view", "purchase", "impression", "refund", "search"])
            event |= rng.choice([{"source": "web"}, {"source": "ios"}, {"source": "a:b"}, {"source": "x" * 65}, {}])
            event |= rng.choice([{"country": "DE"}, {"country": "FR"}, {}])
            event |= rng.choice([{"recommendation_id": "r", "position": 1}, {}])
            if rng.random() < 0.2:
                event["items"] = [{"item_id": item} for item in rng.choices(ITEMS, k=3)]
            else:
                event["item_id"] = rng.choice(ITEMS)
            value = encoded(event)
            values.append((user, value))
        partition = home_partition(user, partitions)
        log.append(Record(partition, ends[partition], NOW_MS + n * 1000, user.encode(), value))
        ends[partition] += 1
    return log


@pytest.mark.parametrize("seed", range(4))
def test_what_is_counted_by_context_and_of_recommendations_is_what_a_recount_counts(seed: int) -> None:
    log = a_log(seed, partitions=3)
    truth = recounted(recount(log, 3, history=RULES.history, window=RULES.window))
    assert all(truth)
    assert stored(counted(log, 3, RULES).values, KEYS, 3, ITEMS) == truth


@pytest.mark.parametrize("seed", range(2))
def test_where_batches_end_and_what_crashes_does_not_matter(seed: int) -> None:
    log, rng = a_log(seed), random.Random(seed)
    clean = state(counted(log, 1, RULES))
    store = FragileStore(0)
    for _ in range(12):
        store.left = rng.randrange(40)
        with contextlib.suppress(Crash):
            sizes = [rng.randint(1, 9) for _ in range(40)]
            asyncio.run(count_all(store, cut(log, 0, sizes, 1, mark_of(store).offset + 1), RULES))
    again = rng.randrange(mark_of(store).offset + 1)
    store.left = math.inf
    asyncio.run(count_all(store, cut(log, 0, [7] * 9, 1, again), RULES))
    assert state(store) == clean


def test_a_table_that_is_full_counts_never_too_much_and_keeps_what_is_popular() -> None:
    rng = np.random.default_rng(1)
    items = np.where(rng.random(20_000) < 0.3, rng.integers(1, 6, 20_000), rng.integers(10, 5_000, 20_000)).astype(np.uint64)
    found = tables.unpack([None])
    for part in np.array_split(np.arange(len(items)), 7):
        found = tables.unpack([tables.pack(found, 0)])
        lines = Lines(np.zeros(len(part), np.int32), items[part], np.zeros(len(part), np.int64))
        tables.count(found, lines, NO_DECAY)
    assert found.length[0] == ROOM
    true = dict(zip(*np.unique(items, return_counts=True), strict=True))
    for item, most, inherited, since in zip(*(column[0] for column in found[:3]), found.interactions[0], strict=True):
        assert most - inherited == since <= true[item] <= most
        assert inherited <= len(items) / ROOM
    assert tables.together(found, NO_DECAY).item[:5].tolist() == sorted(range(1, 6), key=lambda i: (-true[i], i))


def test_tables_of_several_partitions_are_one_whatever_their_times() -> None:
    rules, day = Rules(half_life_ms=86_400_000.0), 86_400_000
    found = tables.unpack([None, None])
    lines = [(0, 7, 0), (0, 7, 2 * day), (1, 7, day), (1, 8, 2 * day), (1, 8, 0)]
    columns = zip(*lines, strict=True)
    kinds = (np.int32, np.uint64, np.int64)
    tables.count(found, Lines(*(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True))), rules)
    both = tables.together(found, rules)
    assert both.item.tolist() == [7, 8]
    assert both.popularity.tolist() == [1.75, 1.25]
    assert both.interactions.tolist() == [3, 2]


def test_one_event_far_ahead_leaves_the_order_of_the_others() -> None:
    rules = Rules(half_life_ms=86_400_000.0)
    items, times = [7, 6, 6, 5, 5, 5], [253_402_300_799_999, *[NOW_MS] * 5]
    found = tables.unpack([None])
    tables.count(found, Lines(np.zeros(6, np.int32), np.array(items, np.uint64), np.array(times, np.int64)), rules)
    assert tables.together(found, rules).item.tolist() == [7, 5, 6]


def test_a_batch_writes_no_more_than_the_buckets_however_many_items_are_shown() -> None:
    values = [
        encoded(
            {
                "event_type": "impression",
                "user_id": "u",
                "recommendation_id": "r",
                "items": [{"item_id": f"i{n}-{k}"} for k in range(500)],
            }
        )
        for n in range(25)
    ]
    log = [Record(0, n, NOW_MS + n, b"u", value) for n, value in enumerate(values)]
    stores = [MemoryStore(), MemoryStore()]
    for store, sizes in zip(stores, ([], [1, 7, 3, 5] * 9), strict=True):
        asyncio.run(count_all(store, cut(log, 0, sizes, 1), RULES))
    kept = [{key: value for key, value in store.values.items() if ":trials:" in key} for store in stores]
    assert kept[0] == kept[1]
    assert len(kept[0]) == trials.BUCKETS
    assert sum(map(len, kept[0].values())) <= trials.BUCKETS * trials.ROOM * 16
    assert hash_id("i24-499") in trials.unpack(kept[0][KEYS.trials(0, trials.place(hash_id("i24-499")))])


def test_invented_platforms_are_bounded_and_displace_none_that_is_used() -> None:
    directory = Directory(None)
    for n in range(5_000):
        for name in ("web", "ios", "country:DE", f"invented{n}"):
            directory.meet(name)
    assert {"web", "ios", "country:DE"} <= directory.slots.keys()
    assert len(directory.slots) == MOST_PLATFORMS + 1
    assert sorted(directory.slots.values()) == list(range(MOST_PLATFORMS + 1))
    assert Directory(directory.pack()).pack() == directory.pack()
    assert {name for name in directory.slots if directory.has_list(name)} == {"web", "ios", "country:DE"}


@pytest.mark.parametrize("sizes", [[], [1] * 80, [7] * 20])
def test_a_platform_that_takes_the_slot_of_another_begins_with_an_empty_table(sizes: list[int]) -> None:
    values = [
        encoded({"event_type": "view", "user_id": "u1", "item_id": ITEMS[n % 12], "source": f"platform{n % 37}"})
        for n in range(80)
    ]
    log = [Record(0, n, NOW_MS + n, b"u1", value) for n, value in enumerate(values)]
    store = MemoryStore()
    asyncio.run(count_all(store, cut(log, 0, sizes, 1), RULES))
    met, _, _ = stored(store.values, KEYS, 1, ITEMS)
    assert len(met) == MOST_PLATFORMS
    for name, counts in met.items():
        assert counts <= Counter(ITEMS[n % 12] for n in range(80) if f"platform{n % 37}" == name)


NO_COUNTRY: list[Any] = [
    "",
    "DEU",
    "D",
    "DE\n",
    "ÄT",
    "ß",
    "D1",
    "Germany",
    49,
    1.5,
    True,
    None,
    [],
    ["DE"],
    {"code": "DE"},
    9**99,
]


@pytest.mark.parametrize("content", ["DE", "de", "De"])
def test_a_country_is_two_letters(content: str) -> None:
    assert decode(encoded({"event_type": "click", "user_id": "u", "item_id": "a", "country": content}), NOW_MS).country == "DE"


@pytest.mark.parametrize("content", NO_COUNTRY)
def test_a_country_of_another_form_is_none_and_its_event_counts(content: object) -> None:
    event = {"event_type": "click", "user_id": "u", "item_id": "a"}
    assert decode(encoded(event | {"country": content}), NOW_MS) == decode(encoded(event), NOW_MS)


def test_a_country_that_is_a_number_without_end_is_none() -> None:
    value = b'{"event_type": "click", "user_id": "u", "item_id": "a", "country": 1e999}'
    assert decode(value, NOW_MS).country is None


def test_two_letters_are_a_country_however_json_writes_them() -> None:
    value = b'{"event_type": "click", "user_id": "u", "item_id": "a", "country": "\\u0064\\u0045"}'
    assert decode(value, NOW_MS).country == "DE"


# Exploration


@pytest.mark.parametrize(("popular", "top_n", "share"), [(100, 20, 0.1), (100, 5, 0.1), (3, 20, 0.2), (100, 20, 0.0)])
def test_new_items_get_the_stated_share_of_the_places_each_place_as_often(popular: int, top_n: int, share: float) -> None:
    at, places = Counter[int](), 0
    for seed in range(4_000):
        found = explored_places(popular, 50, top_n, share, np.random.default_rng(seed)).tolist()
        at.update(found)
        places += min(top_n, popular + len(found))
    assert at.total() / places == pytest.approx(share, abs=0.01)
    if popular > top_n and share:
        assert min(at[place] for place in range(top_n)) > 0.8 * 4_000 * share


def test_thompson_sampling_finds_the_new_items_that_are_clicked() -> None:
    chances = np.array([0.02, 0.03, 0.02, 0.20, 0.01, 0.15, 0.02, 0.03])
    shown, clicked = np.zeros(8, np.int64), np.zeros(8, np.int64)
    rng = np.random.default_rng(5)
    for _ in range(2_000):
        candidates = Candidates(np.arange(1, 9, dtype=np.uint64), shown, clicked, shown == 0)
        for place in thompson(candidates, 2, rng).tolist():
            shown[place] += 1
            clicked[place] += rng.random() < chances[place]
    assert shown.min() >= 1
    assert shown[3] + shown[5] > 0.75 * shown.sum()


# What is shown


class ColdShop(Shop):
    """A shop with a catalogue that publishes its cold lists after each event."""

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.catalogue = Catalogue()
        self.engine = Engine(self.store, Keys("p:"), rules, catalogue=self.catalogue)
        self.lists: dict[str, ColdList] = {}

    async def _take(self, taken: Event) -> None:
        await super()._take(taken)
        await self.engine.trending_by_category()
        await self.publish()

    async def publish(self) -> None:
        while made := dict(await self.engine.cold_lists(START_MS)):
            self.lists |= made
            entries = [Entry(Keys("p:").cold(each), encode(found), version=found.version) for each, found in made.items()]
            await self.store.put(entries)
        self.engine.landings.forget()

    def put(self, item: str, *categories: str) -> None:
        self.catalogue.put(CatalogueItem(item, categories=categories))

    def shown(self, context: str = "") -> list[str]:
        return [item.item_id for item in self.lists[context].items]

    def new(self, context: str = "") -> set[str]:
        return {item.item_id for item in self.lists[context].items if item.reasons[0].kind == "exploration"}


def met(user: str, item: str, kind: Kind = Kind.CLICK, time_ms: int = START_MS, **fields: Any) -> Event:
    return Event(kind=kind, user_id=user, lines=(Line(item),), time_ms=time_ms, **fields)


def test_a_new_visitor_is_shown_what_is_popular_where_she_comes_from() -> None:
    rules = Rules(top_n=3, explore=0.0, hide=frozenset[Any](("current",)))
    shop = ColdShop(rules)
    for n in range(9):
        shop.take(met(f"w{n}", "web-thing", source="web", country="FR"), met(f"i{n}", "app-thing", source="ios", country="DE"))
        shop.take(met(f"x{n}", "hit", source="web", country="US"), met(f"y{n}", "hit", source="ios", country="US"))
    assert shop.shown() == ["hit", "app-thing", "web-thing"]
    assert shop.shown("ios") == ["app-thing", "hit", "web-thing"]
    assert shop.shown("country:FR") == ["web-thing", "hit", "app-thing"]
    assert [item.reasons[0].context for item in shop.lists["country:FR"].items] == ["country:FR", None, None]
    shop.take(met("me", "unheard-of", source="web"), met("you", "unheard-of-too", source="ios", country="DE"))
    for user, items in (("me", ["hit", "web-thing", "app-thing"]), ("you", ["app-thing", "hit", "web-thing"])):
        assert shop.newest[user].strategy == "cold_start"
        assert shop.items(user) == items
        scores = [item.score for item in shop.newest[user].items]
        assert scores == sorted(scores, reverse=True)
    [reason] = shop.newest["you"].items[0].reasons
    assert (reason.kind, reason.context, reason.count) == ("trending", "country:DE", 9)


def test_the_category_of_the_landing_item_comes_first_and_what_is_hidden_is_left_out() -> None:
    shop = ColdShop(Rules(top_n=4, explore=0.0, hide=frozenset[Any](("current",))))
    for item, path in (("mug", "Home > Kitchen"), ("lamp", "Home"), ("pot", "Home > Kitchen"), ("book", "Books")):
        shop.put(item, path)
    for n in range(5):
        shop.take(met(f"a{n}", "book"), met(f"b{n}", "mug"))
    shop.take(met("c", "lamp"), met("d", "pot"))
    assert shop.shown("category:Home > Kitchen") == ["mug", "pot", "book", "lamp"]
    shop.put("pan", "Home > Kitchen")
    shop.take(met("me", "pan"))
    assert shop.items("me") == ["mug", "pot", "lamp", "book"]
    shop.catalogue.remove("mug")
    asyncio.run(shop.publish())
    shop.put("jug", "Home > Kitchen")
    shop.take(met("you", "jug"))
    assert "mug" not in shop.items("you")


def test_new_items_are_explored_by_category_and_what_was_learned_is_told() -> None:
    shop = ColdShop(Rules(top_n=4, explore=0.25, hide=frozenset[Any]()))
    for n in range(30):
        shop.put(f"old{n % 6}", "Home")
        shop.take(met(f"u{n}", f"old{n % 6}", source="web"))
    shop.put("new-mug", "Home")
    shop.put("new-book", "Books")
    asyncio.run(shop.publish())
    assert shop.shown("category:Books")[0] == "new-book", "where nothing is popular, what is new"
    assert {item for item in shop.shown("category:Home") if item.startswith("new")} <= {"new-mug"}, "of its own items"
    assert "new-mug" in shop.new("category:Home")
    for _ in range(12):
        answer = shop.lists[""].recommendation_id
        shop.take(met("v", "new-mug", Kind.IMPRESSION, recommendation_id=answer, position=2))
    shop.take(met("v", "new-mug", recommendation_id=answer, position=2))
    assert [(each.item_id, each.shown, each.clicked) for each in shop.lists[""].explored] == [("new-mug", 12, 1)]
    told = {(item.item_id, item.shown, item.clicked) for found in shop.lists.values() for item in found.items}
    assert {each for each in told if each[0] != "new-mug"} == {(item, 0, 0) for item, _, _ in told if item != "new-mug"}
    for n in range(25):
        shop.take(met(f"z{n}", "new-mug"))
    assert "new-mug" in shop.shown()
    assert "new-mug" not in shop.new()


def test_the_same_state_gives_the_same_list_and_a_newer_one_a_higher_version() -> None:
    def lists_of(store: MemoryStore, catalogue: Catalogue) -> dict[str, ColdList]:
        engine = Engine(store, Keys("p:"), rules, catalogue=catalogue, partitions=1)
        engine.shopfront.note(["web"])
        asyncio.run(engine.trending())
        return dict(asyncio.run(engine.cold_lists(START_MS)))

    rules = Rules(explore=0.2)
    shop = ColdShop(rules)
    for n in range(60):
        shop.take(met(f"u{n}", f"i{n % 25}", source="web"))
    for n in range(30):
        shop.put(f"new{n}")
    first, second = (lists_of(shop.store, shop.catalogue) for _ in range(2))
    assert first == second
    assert sum(item.reasons[0].kind == "exploration" for item in first["web"].items) == 4
    shop.take(met("one more", "i0", source="web"))
    later = lists_of(shop.store, shop.catalogue)
    assert later["web"].version == first["web"].version + 1 == marks.user_mark(shop.store.values["p:{u0}:mark"]).offset + 1
    assert {*first} == {*later} == {"", "web"}


def test_what_was_first_met_long_ago_is_not_new_however_seldom_it_is_met() -> None:
    day = 86_400_000
    shop = ColdShop(Rules(explore=0.3, top_n=4))
    old = [met(f"o{n}", f"tail{n}", time_ms=START_MS - 700 * day) for n in range(6)]
    shop.take(*old, *(met(f"u{n}", f"hit{n % 4}") for n in range(80)))
    shop.take(*(met(f"p{n}", f"tail{n}") for n in range(6)), met("q", "fresh"))
    shop.catalogue.put(CatalogueItem("described long ago"), START_MS - 700 * day)
    shop.catalogue.put(CatalogueItem("described today"), START_MS)
    shown = set[str]()
    for n in range(12):
        shop.take(met(f"v{n}", "hit0"))
        shown |= shop.new()
    assert shown == {"fresh", "described today"}


def test_one_worker_makes_the_lists_of_what_all_count() -> None:
    shop = ColdShop(Rules(explore=0.0))
    shop.put("mug", "Home")
    shop.take(met("a", "mug", source="web"))
    other = Engine(shop.store, Keys("p:"), Rules(explore=0.0), catalogue=shop.catalogue, partitions=1)
    assert asyncio.run(other.cold_lists(START_MS, for_all=False)) == []
    assert {context for context, _ in asyncio.run(other.cold_lists(START_MS))} == {"", "web", "category:Home"}
    assert asyncio.run(other.cold_lists(START_MS)) == []
    other._shards.forget_all()
    shop.take(met("b", "mug", source="ios"))
    assert {context for context, _ in asyncio.run(other.cold_lists(START_MS))} == {"", "ios"}


def test_thousands_of_categories_do_not_keep_a_platforms_list_waiting() -> None:
    shop = ColdShop(Rules())
    shop.take(*(met(f"u{n}", f"i{n}", source="web") for n in range(3)))
    for n in range(500):
        shop.put(f"new{n}", f"category {n}")
    shop.engine.shopfront.note([f"category:category {n}" for n in range(500)])
    shop.engine.shopfront.note(["web"])
    made = [context for context, _ in asyncio.run(shop.engine.cold_lists(START_MS))]
    assert {"", "web"} <= set(made)
    assert len(made) == AT_ONCE
    rounds = 1
    while more := asyncio.run(shop.engine.cold_lists(START_MS)):
        made += [context for context, _ in more]
        rounds += 1
    assert len(made) == len(set(made)) == 502
    assert rounds == -(-502 // AT_ONCE)


def test_an_item_that_comes_changes_the_lists_of_its_contexts_without_waiting_for_others() -> None:
    shop = ColdShop(Rules(explore=0.5))
    shop.take(*(met(f"u{n}", f"i{n}", source="web") for n in range(9)))
    shop.engine.shopfront.note([f"category:category {n}" for n in range(100)])
    shop.put("mug", "Home > Kitchen")
    first = dict(asyncio.run(shop.engine.cold_lists_of_arrivals(START_MS)))
    assert {*first} == {"", "category:Home", "category:Home > Kitchen"}
    assert all("mug" in {item.item_id for item in each.items} for each in first.values())
    assert asyncio.run(shop.engine.cold_lists_of_arrivals(START_MS)) == []
    for n in range(AT_ONCE + 5):
        shop.put(f"new{n}", f"shelf {n}")
    assert len(asyncio.run(shop.engine.cold_lists_of_arrivals(START_MS))) == AT_ONCE
    later = {context for _ in range(6) for context, _ in asyncio.run(shop.engine.cold_lists(START_MS))}
    assert {f"category:shelf {n}" for n in range(AT_ONCE - 1, AT_ONCE + 5)} < later


def test_a_personal_recommendation_is_the_same_whether_new_items_are_explored_or_not() -> None:
    def visited(explore: float) -> ColdShop:
        shop = ColdShop(Rules(explore=explore, hide=frozenset[Any]()))
        for n in range(40):
            user = f"u{n % 8}"
            shop.take(met(user, f"i{n * 7 % 11}", source="web", session_id=user))
        return shop

    without, explored = visited(0.0), visited(0.5)
    assert {message.strategy for message in without.newest.values()} == {"personal"}
    assert explored.newest == without.newest


def test_a_new_user_of_the_textbooks_matrix_is_shown_what_most_have_met() -> None:
    matrix = ["11010", "10110", "01101", "11001", "10011"]
    shop = ColdShop(Rules(top_n=5))
    for u, row in enumerate(matrix):
        shop.take(*(met(f"u{u}", f"i{i}", source="web") for i, mark in enumerate(row) if mark == "1"))
    columns = {f"i{i}": sum(row[i] == "1" for row in matrix) for i in range(5)}
    for context in ("", "web"):
        assert [columns[item] for item in shop.shown(context)] == sorted(columns.values(), reverse=True)
    shop.take(met("new", "unknown", source="web"))
    assert shop.newest["new"].strategy == "cold_start"
    assert [columns[item] for item in shop.items("new")] == sorted(columns.values(), reverse=True)
