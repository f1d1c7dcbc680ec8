"""User-based recommendation, against users compared one by one; the visits that an item remembers have no order."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_baselines import DAY_MS, a_trace, nothing, random_trace
from test_rank import START_MS, Shop, event

from recsys import users_alike
from recsys.batch import Arrival
from recsys.compiled import I64, U64
from recsys.engine import Chunk, Engine
from recsys.evaluation.trace import NOTHING, Trace
from recsys.evaluation.user_based import user_based
from recsys.events import Event, Kind, Line
from recsys.item_shards import ItemShards
from recsys.keys import VIEWED, Keys
from recsys.onlooker import Onlooker, Unknown
from recsys.recommendation import RecommendedItem
from recsys.rows import Rows
from recsys.rules import Rules
from recsys.store import MemoryStore
from recsys.strategies import user_based as core
from recsys.strategies.user_based import LINES, NEIGHBOURS, visit, visitor_table

Visit = tuple[int, int, int]
"""(user, item, time)"""


def newest_visitors(history: Sequence[Visit], item: int, most: int) -> dict[int, int]:
    """When each of the newest visitors of an item met it last."""
    last: dict[int, int] = {}
    for user, met, time in history:
        if met == item:
            last[user] = max(last.get(user, time), time)
    order = sorted(last, key=lambda user: (-last[user], user))
    return {user: last[user] for user in order[:most]}


def plain(history: Sequence[Visit], mine: Sequence[int], me: int, known: int, most: int) -> dict[int, float]:
    """The scores for user `me`, who met these items, by going through all that happened; see the module's formula."""
    ago: dict[int, int] = {}
    for distance, item in enumerate(reversed(mine[-min(LINES, known) :]), 1):
        ago.setdefault(item, distance)
    interactions: dict[int, int] = defaultdict(int)
    items_of: dict[int, list[int]] = defaultdict(list)
    for user, item, _ in history:
        interactions[item] += 1
        items_of[user].append(item)

    def weight(distance: int) -> float:
        return 1 - 0.1 * (distance - 1)

    met = {item: newest_visitors(history, item, most) for item in ago}
    alike: dict[int, float] = defaultdict(float)
    for item, distance in ago.items():
        for user in met[item]:
            if user != me:
                alike[user] += weight(distance) * interactions[item] ** core.RARITY

    def latest(user: int) -> int:
        return max(met[item][user] for item in ago if user in met[item])

    nearest = sorted(alike, key=lambda user: (-alike[user], -latest(user), user))[:NEIGHBOURS]
    scores: dict[int, float] = defaultdict(float)
    for user in nearest:
        shared = min((item for item in ago if user in met[item]), key=lambda item: ago[item])
        past = items_of[user][-known:]
        last = {item: place for place, item in enumerate(past)}
        anchor = last.get(shared, -1)
        for item, place in last.items():
            scores[item] += alike[user] * weight(ago[shared]) / (1 + core.NEARBY * abs(place - anchor))
    return {item: score * interactions[item] ** core.POPULARITY_NORM for item, score in scores.items()}


def expected(trace: Trace, at: int, known: int, most: int) -> list[list[tuple[int, float]]]:
    """The items with a score for each question, best first."""
    history: list[Visit] = []
    seen: dict[int, list[int]] = defaultdict(list)
    found = []
    for line in range(len(trace.item)):
        user, item = int(trace.user[line]), int(trace.item[line])
        if trace.asked[line]:
            scores = plain(history, seen[user], user, known, most)
            found.append(sorted(scores.items(), key=lambda each: (-each[1], each[0]))[:at])
        seen[user].append(item)
        if trace.counted[line]:
            history.append((user, item, int(trace.time[line])))
    return found


def agree(trace: Trace, items: int, at: int, known: int, most: int) -> None:
    answers = user_based(trace, items, at, nothing, known, most)
    for answer, wanted in zip(answers.tolist(), expected(trace, at, known, most), strict=True):
        assert len(set(answer) - {NOTHING}) == sum(item != NOTHING for item in answer)
        scores = dict(wanted)
        # What adds up in another order may differ in the last digit, and so may the order of equal scores.
        assert [scores.get(item) for item in answer[: len(wanted)]] == pytest.approx([score for _, score in wanted])


def traces() -> st.SearchStrategy[Trace]:
    often = st.sampled_from([True, True, True, False])
    days = st.sampled_from([0, 0, 1, -3])
    return st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6), days, often, often), max_size=60).map(a_trace)


@settings(deadline=None, max_examples=50)
@given(trace=traces(), known=st.integers(1, 30), most=st.integers(1, 6))
def test_users_are_found_and_followed_as_by_comparing_all_of_them(trace: Trace, known: int, most: int) -> None:
    agree(trace, 7, 7, known, most)


@pytest.mark.parametrize("users", [8, 300])
def test_so_they_are_among_many_users_and_items(users: int) -> None:
    agree(random_trace(users, 900, users, 40), 40, 20, 50, core.VISITORS)


@settings(deadline=None)
@given(
    visits=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(0, 5)), max_size=40),
    most=st.integers(1, 4),
    data=st.data(),
)
def test_the_visitors_of_an_item_do_not_depend_on_the_order_of_visits_nor_on_repetition(
    visits: list[Visit], most: int, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(visits + visits[: data.draw(st.integers(0, 5))]))
    wanted = [newest_visitors(visits, item, most) for item in range(3)]
    assert remembered(visits, most) == remembered(shuffled, most) == wanted


def remembered(visits: Iterable[Visit], most: int) -> list[dict[int, int]]:
    found = visitor_table(np.full(3, 99), most)
    for user, item, time in visits:
        visit(found, item, user, time)
    parts = [slice(found.begin[item], found.begin[item] + found.length[item]) for item in range(3)]
    return [dict(zip(found.user[part].tolist(), found.time[part].tolist(), strict=True)) for part in parts]


async def asked_one_by_one(trace: Trace, at: int, known: int, most: int) -> list[list[RecommendedItem]]:
    """What a live state recommends for each question, of so many items at most; ids sort as the numbers do."""
    rules = Rules(history=known, visitors=most, hide=frozenset(), top_n=at)
    store, keys = MemoryStore(), Keys("p:")
    engine, look, answers = Engine(store, keys, rules), Onlooker(store, keys, rules, 1), []
    for line in range(len(trace.item)):
        user, item = f"{trace.user[line]:03}", f"{trace.item[line]:03}"
        if trace.asked[line]:
            try:
                answers.append((await look.recommend(user, 0, "user-based", now_ms=0)).items)
            except Unknown:  # the user did nothing yet
                answers.append([])
        met = Event(kind=Kind.CLICK, user_id=user, lines=(Line(item),), time_ms=START_MS + int(trace.time[line]))
        await engine.count(Chunk(0, line, line, [Arrival(line, met)]))
    return answers


@settings(deadline=None, max_examples=15)
@given(trace=traces(), known=st.integers(1, 30), most=st.integers(1, 6))
def test_a_live_state_recommends_what_the_file_does_and_counts_the_users_alike(trace: Trace, known: int, most: int) -> None:
    trace = trace._replace(counted=np.ones(len(trace.item), np.bool_))
    wanted = expected(trace, 7, known, most)
    for answer, best in zip(asyncio.run(asked_one_by_one(trace, 7, known, most)), wanted, strict=True):
        order = [(-item.score, item.item_id) for item in answer]
        assert order == sorted(order)
        assert len({item.item_id for item in answer}) == len(answer)
        assert all(sum(reason.share for reason in item.reasons) == 1.0 for item in answer)
        alike = [item for item in answer if item.reasons[0].kind == "similar_users"]
        assert [item.score for item in alike] == pytest.approx([score for _, score in best], rel=1e-5)
        scores = {f"{item:03}": score for item, score in best}
        assert [scores[item.item_id] for item in alike] == pytest.approx([item.score for item in alike], rel=1e-5)
        assert {item.reasons[0].kind for item in answer[len(alike) :]} <= {"trending"}


def test_of_many_items_those_that_may_be_best_are_found_without_reading_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = random_trace(60, 400, 40, 200)._replace(counted=np.ones(400, np.bool_))
    trace = trace._replace(asked=np.arange(400) >= 392)
    everything = asyncio.run(asked_one_by_one(trace, 5, 50, core.VISITORS))
    monkeypatch.setattr(users_alike, "ROWS", 7)
    read: list[int] = []
    load = ItemShards.load

    async def noted(self: ItemShards, items: U64, table: str = VIEWED) -> tuple[Rows, I64]:
        read.append(len(items))
        return await load(self, items, table)

    monkeypatch.setattr(ItemShards, "load", noted)
    assert asyncio.run(asked_one_by_one(trace, 5, 50, core.VISITORS)) == everything
    assert sum(read) < 8 * 100, "of 200 items, for each of 8 questions"


def textbook() -> Shop:
    visits = {"u1": "abd", "u2": "abe", "u3": "bcd", "u4": "acd", "u5": "ce", "new": "z"}
    met = [event(user, item, at_ms=n) for n, (user, items) in enumerate(visits.items()) for item in items]
    return Shop(Rules(hide=frozenset(), half_life_ms=0.0)).take(*met)


def of_textbook(shop: Shop, user: str, rules: Rules) -> dict[str, tuple[str, int]]:
    """The kind of the reason and its count for each item, the best first."""
    message = asyncio.run(Onlooker(shop.store, Keys("p:"), rules, 1).recommend(user, 0, "user-based", now_ms=0))
    return {item.item_id: (item.reasons[0].kind, item.reasons[0].count) for item in message.items}


def test_who_shares_nothing_with_anybody_gets_what_is_popular_and_others_what_was_met_by_users_alike() -> None:
    shop, rules = textbook(), Rules(half_life_ms=0.0, hide=frozenset({"seen"}))
    popular = {item: ("trending", count) for item, count in zip("abcde", (3, 3, 3, 3, 2), strict=True)}
    assert of_textbook(shop, "new", rules) == popular
    # u2, u3 and u4 are alike: c was met by two of them, e by one; u5 met c and e, and nothing that u1 did.
    assert of_textbook(shop, "u1", rules) == {"c": ("similar_users", 2), "e": ("similar_users", 1), "z": ("trending", 1)}


def test_a_neighbour_who_was_forgotten_is_passed_over() -> None:
    shop, rules = textbook(), Rules(half_life_ms=0.0, hide=frozenset({"seen"}))
    del shop.store.values[Keys("p:").user(0, "u2")]
    assert of_textbook(shop, "u1", rules) == {"c": ("similar_users", 2), "e": ("trending", 2), "z": ("trending", 1)}


def test_without_visitors_it_says_how_to_keep_them() -> None:
    shop = Shop(Rules(visitors=0)).take(event("u", "a"), event("v", "a"))
    with pytest.raises(Unknown, match=r"no visitors are kept of what user 'u' met.*FRESHET_VISITORS is above 0"):
        of_textbook(shop, "u", Rules())
    with pytest.raises(Unknown, match="user-based is turned off: FRESHET_VISITORS is 0"):
        of_textbook(textbook(), "u1", Rules(visitors=0))


def test_what_users_alike_met_comes_first() -> None:
    """Users 0 and 1 began as user 2 did and went on to items 3 and 3, 4; user 9 shares nothing and met 5 twice."""
    days = [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (1, 4), (9, 5), (9, 5)]
    mine = [(2, 1), (2, 2)]
    trace = a_trace([*((*each, 0, False, True) for each in days + mine), (2, 0, 0, True, True)])
    [answer] = user_based(trace, 6, 6, nothing).tolist()
    others = [item for item in answer if item not in (1, 2)]
    assert others[:2] == [3, 4]
    assert answer.index(4) < answer.index(5), "what nobody alike met only fills up"


def test_a_rare_item_in_common_says_more_than_a_popular_one() -> None:
    """Item 0 is everybody's; users 1 and 2 share it and one other item with the one who is asked, 2 a rare one."""
    crowd = [(user, item) for user in range(20, 60) for item in (0, 1)]
    lines = [*crowd, (1, 0), (1, 1), (1, 3), (2, 0), (2, 2), (2, 4), (5, 0), (5, 1), (5, 2)]
    trace = a_trace([*((*each, 0, False, True) for each in lines), (5, 6, 0, True, True)])
    [answer] = user_based(trace, 7, 7, nothing).tolist()
    assert answer.index(4) < answer.index(3)


def test_of_an_item_the_newest_visitors_are_remembered_by_the_time_of_their_visit() -> None:
    """A visit that arrives late is as old as its own time says."""
    lines = [(1, 0, 5), (1, 8, 5), (2, 0, 9), (2, 2, 9), (3, 0, 1), (3, 3, 1)]
    columns = [np.array(column, np.int32) for column in zip(*lines, (4, 0, 10), (4, 9, 10), strict=True)]
    flags = np.array([False] * 7 + [True])
    trace = Trace(columns[0], columns[0], columns[1], columns[2].astype(np.int64) * DAY_MS, flags, np.ones(8, np.bool_))
    [answer] = user_based(trace, 10, 10, nothing, most=3).tolist()
    assert 2 in answer[:4]
    assert answer.index(8) < answer.index(3), "of user 3, who came last and visited first, nothing is known any more"
