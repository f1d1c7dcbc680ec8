"""The next item, replayed in memory: answers are the engine's, its test part changes nothing, nobody sees another's past."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from recsys import histories
from recsys.batch import Arrival
from recsys.engine import Chunk, Engine
from recsys.evaluation import metrics, next_item
from recsys.evaluation.baselines.sequential_rules import sequential_rules
from recsys.evaluation.events import Events, frozen, places, prequential
from recsys.evaluation.metrics import PerQuestion
from recsys.evaluation.next_item import learned
from recsys.evaluation.trace import NOTHING
from recsys.events import Event, Kind, Line
from recsys.keys import Keys
from recsys.known import known_rows
from recsys.ranking.candidates import desk, lay_out
from recsys.ranking.features import FIRST
from recsys.ranking.past import past
from recsys.readers import Prefix, read
from recsys.rules import Hideable, Rules
from recsys.store import MemoryStore

NOW = 1_700_000_000_000
DAY = 86_400_000
FEW = settings(deadline=None, max_examples=12, phases=(Phase.explicit, Phase.generate))
HIDDEN: list[frozenset[Hideable]] = [frozenset(), frozenset({"current", "purchased"}), frozenset({"seen"})]
ONCE: list[frozenset[Hideable]] = [frozenset({"once"}), frozenset({"current", "once"}), frozenset({"once", "purchased"})]
AGE = 11
"""The feature."""
BUYING = [*[Kind.CLICK] * 3, *[Kind.PURCHASE] * 3, Kind.REFUND]
KINDS = [*[Kind.CLICK] * 6, Kind.ADD_TO_CART, Kind.BROWSE, Kind.SEARCH, Kind.IMPRESSION]


def click(user: str, item: str, time_ms: int, session: str | None = None) -> Event:
    return Event(kind=Kind.CLICK, user_id=user, lines=(Line(item),), time_ms=time_ms, session_id=session)


@st.composite
def logs(draw: st.DrawFn, size: int = 60, kinds: Sequence[Kind] = tuple(KINDS)) -> list[Event]:
    """Events of a few users, none of them customers unless `kinds` has purchases: sessions, baskets, repetitions, no two of
    one millisecond."""
    found: list[Event] = []
    now = NOW
    for _ in range(draw(st.integers(size // 2, size))):
        if found and draw(st.integers(0, 9)) == 0:
            found.append(found[draw(st.integers(max(len(found) - 5, 0), len(found) - 1))])
            continue
        now += draw(st.sampled_from([*[1001] * 8, 2_000_001, DAY]))
        items = draw(st.lists(st.integers(0, 19), min_size=1, max_size=draw(st.sampled_from([1, 1, 1, 4])), unique=True))
        found.append(
            Event(
                kind=draw(st.sampled_from(kinds)),
                user_id=f"u{draw(st.integers(0, 3))}",
                lines=tuple(Line(f"i{n}") for n in items),
                time_ms=now,
                event_id=f"e{len(found)}",
                session_id=draw(st.sampled_from([None, None, None, "s1", "s2"])),
            )
        )
    return found


async def asked_live(events: Sequence[Event], asked: Sequence[bool], rules: Rules) -> tuple[list[dict[str, float]], list[Any]]:
    """Items and scores that the engine recommends before each of the asked events to its user; and the learner's weights."""
    engine = Engine(MemoryStore(), Keys("p:"), rules)
    newest: dict[str, Chunk] = {}
    answers = []
    for offset, (event, is_asked) in enumerate(zip(events, asked, strict=True)):
        await engine.trending()
        if is_asked:
            again = await engine.count(newest[event.user_id])
            [(_, message)] = await engine.recommend(again, NOW)
            answers.append({item.item_id: item.score for item in message.items})
        chunk = Chunk(0, offset, offset, [Arrival(offset, event)])
        counted = await engine.count(chunk)
        if counted.newest:
            newest[event.user_id] = chunk
        await engine.recommend(counted, NOW)
    [learned_there] = engine._ranker.learners.of([0])
    return answers, [learned_there.clicks.weight]


def named(events: Events, answers: Any) -> list[list[str]]:
    names = events.names
    return [[names[number] for number in row if number != NOTHING] for row in answers.tolist()]


def asked_events(events: Events) -> list[int]:
    """The events (by offset) that are questions."""
    offsets: list[int] = events.batch.offset[events.asked].tolist()
    return offsets


@pytest.mark.parametrize("learner", [False, True], ids=["F alone", "learner"])
@pytest.mark.parametrize("history", [4, 50])
@FEW
@given(data=st.data())
def test_answers_are_what_the_engine_recommends_at_that_moment(learner: bool, history: int, data: st.DataObject) -> None:
    log = data.draw(logs())
    hide = data.draw(st.sampled_from(HIDDEN))
    rules = Rules(
        learner=learner, hide=hide, history=history, top_n=30, half_life_ms=data.draw(st.sampled_from([0.0, 5.0 * DAY]))
    )
    events = prequential(log, rules)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(next_item, "STRIDE", 1)
        result = learned(events, rules)
    questions = set(asked_events(events))
    live, weights = asyncio.run(asked_live(log, [n in questions for n in range(len(log))], rules))
    for found, expected in zip(named(events, result.answers), live, strict=True):
        assert set(found) == set(expected)
        # Ties of rounded scores are broken by id in messages, by hash in answers.
        assert [expected[name] for name in found] == pytest.approx(list(expected.values()), abs=2e-6)
    for of_live in weights:
        assert result.weights.weight == pytest.approx(of_live, abs=1e-9)


@pytest.mark.parametrize("history", [4, 50])
@settings(FEW, max_examples=25)
@given(data=st.data())
def test_what_customers_are_not_shown_is_what_the_engine_hides_at_that_moment(history: int, data: st.DataObject) -> None:
    """There are fewer items than places, so an item that is missing is hidden, however the others are ranked."""
    log = data.draw(logs(kinds=BUYING))
    rules = Rules(hide=data.draw(st.sampled_from(ONCE)), history=history, top_n=30)
    events = prequential(log, rules)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(next_item, "STRIDE", 1)
        found = named(events, learned(events, rules).answers)
    questions = set(asked_events(events))
    live, _ = asyncio.run(asked_live(log, [n in questions for n in range(len(log))], rules))
    assert [set(items) for items in found] == [set(items) for items in live]


def test_what_a_stranger_buys_in_a_frozen_test_is_hidden_from_that_one_and_sells_nothing() -> None:
    def buy(user: str, item: str, time_ms: int) -> Event:
        return Event(kind=Kind.PURCHASE, user_id=user, lines=(Line(item),), time_ms=time_ms)

    weekly = [buy(f"c{n}", "a", NOW + n + week * 7 * DAY) for week in range(3) for n in range(3)]
    bought = [buy("x", "e", NOW + 30 * DAY), click("x", "b", NOW + 30 * DAY + 1), click("x", "c", NOW + 30 * DAY + 2)]
    looked = [event for event in bought if event.kind is Kind.CLICK]
    rules = Rules(hide=frozenset({"once"}), top_n=9)

    def shown(test: list[Event]) -> list[list[str]]:
        events = frozen([*LEARNED, *sold, *weekly], iter(test), rules)
        return named(events, learned(events, rules).answers)

    sold = [buy(f"d{n}", "e", NOW + n) for n in range(20)]
    [first, second], [plain] = shown(bought), shown(looked)
    assert "e" in plain
    assert not {"e"} & {*first, *second}
    assert {*second} == {*plain} - {"e"}


def shop(sessions: Sequence[Sequence[str]], start: int = NOW) -> list[Event]:
    return [
        click(f"v{n}", name, start + 1000 * (10 * n + i), f"s{n}")
        for n, items in enumerate(sessions)
        for i, name in enumerate(items)
    ]


LEARNED = shop([["a", "b", "c"], ["b", "c", "d"], ["a", "c"], ["d", "e", "a"], ["c", "b"], ["e", "d", "c", "b"]] * 8)
TEST = [Prefix(("a",), "b"), Prefix(("a", "b"), "c"), Prefix(("e", "new"), "d"), Prefix(("d", "d", "c"), "b")]
RULES = Rules(hide=frozenset(), top_n=5)


def test_the_frozen_part_changes_nothing() -> None:
    nothing, everything = frozen(LEARNED, [], RULES), frozen(LEARNED, TEST, RULES)
    before, after = learned(nothing, RULES), learned(everything, RULES)
    assert len(before.answers) == 0
    assert after.weights.weight.tolist() == before.weights.weight.tolist() != FIRST.tolist()
    there = np.searchsorted(after.rows.item, before.rows.item)
    for name in before.rows._fields[2:]:
        assert (getattr(before.rows, name) == getattr(after.rows, name)[there]).all()
    never_met = np.setdiff1d(np.arange(len(after.rows.item)), there)
    assert not after.rows.interactions[never_met].any()


def test_questions_of_prefixes_are_independent_of_each_other() -> None:
    def answers(test: Sequence[Prefix]) -> list[list[str]]:
        events = frozen(LEARNED, test, RULES)
        return named(events, learned(events, RULES).answers)

    together = answers(TEST)
    assert together == answers(TEST[::-1])[::-1]
    assert together == [answers([prefix])[0] for prefix in TEST]


def test_every_step_of_a_frozen_session_is_a_question_and_prefixes_ask_the_same() -> None:
    clicks = shop([["a", "b", "c", "a"], ["e", "new", "d"]], start=NOW + DAY)
    by_events = frozen(LEARNED, iter(clicks), RULES)
    steps = [["a", "b", "c", "a"][:n] for n in (2, 3, 4)] + [["e", "new", "d"][:n] for n in (2, 3)]
    by_prefixes = frozen(LEARNED, [Prefix(tuple(step[:-1]), step[-1]) for step in steps], RULES)
    without_decay = Rules(hide=frozenset(), top_n=5, half_life_ms=0.0, learner=False)
    found = named(by_events, learned(by_events, without_decay).answers)
    assert found == named(by_prefixes, learned(by_prefixes, without_decay).answers)
    assert len(found) == len(steps)


def test_an_item_that_was_never_met_is_as_new_as_can_be() -> None:
    """It is among the candidates where it was met in the session that is asked about; its age is none, not that of time."""
    told = frozen(LEARNED, [Prefix(("b", "new"), "c")], RULES)
    result = learned(told, RULES)
    table, of = desk(RULES), histories.empty(1, RULES.history)
    number = {name: n for n, name in enumerate(told.names)}
    of.item[0, :2], of.time[0, :2], of.length[0] = told.items[[number["b"], number["new"]]], LEARNED[-1].time_ms, 2
    known = known_rows(result.rows)
    n, _, _ = lay_out(table, past(of, RULES), 0, 2, 0, known, -1.0, result.weights.weight)
    ages = dict(zip(table.evidence.item[table.entry[:n]].tolist(), table.features[:n, AGE].tolist(), strict=True))
    assert ages[of.item[0, 1]] == 0.0
    assert 0.0 < ages[of.item[0, 0]] < 0.01


def test_users_who_are_gone_leave_nothing_to_those_who_take_their_places() -> None:
    gone = [*shop([["a", "b"], ["c", "d"]]), click("w", "e", NOW + DAY, "t"), click("w", "a", NOW + DAY + 1, "t")]
    place, begins, used = places(np.array([0, 0, 1, 1, 2, 2], np.int32), 3)
    assert (place.tolist(), begins.tolist(), used) == ([0] * 6, [True, False] * 3, 1)
    events = prequential([*LEARNED, *gone], RULES)
    with pytest.MonkeyPatch.context() as patch:
        shared = named(events, learned(events, RULES).answers)
        _, firsts = np.unique(events.batch.user, return_index=True)
        apart = (events.batch.user, np.isin(np.arange(len(events.batch.user)), firsts), events.users)
        patch.setattr(next_item, "places", lambda *_: apart)
        assert shared == named(events, learned(events, RULES).answers)


@FEW
@given(st.lists(st.integers(0, 7), max_size=60))
def test_no_two_users_share_a_place_at_one_time(user: list[int]) -> None:
    place, begins, used = places(np.array(user, np.int32), 8)
    span = {u: (user.index(u), len(user) - 1 - user[::-1].index(u)) for u in set(user)}
    of = {u: {int(place[k]) for k in range(len(user)) if user[k] == u} for u in span}
    assert all(len(held) == 1 for held in of.values())
    for u, (first, last) in span.items():
        for v, (other_first, other_last) in span.items():
            if u != v and first <= other_last and other_first <= last:
                assert of[u] != of[v]
    assert begins.tolist() == [user.index(u) == k for k, u in enumerate(user)]
    most = max((sum(first <= k <= last for first, last in span.values()) for k in range(len(user))), default=0)
    assert used == most


def test_nothing_is_answered_where_nothing_is_asked() -> None:
    assert learned(prequential([], RULES), RULES).answers.shape == (0, 5)
    assert learned(frozen([], iter([]), RULES), RULES).answers.shape == (0, 5)
    unlearned = frozen([], [Prefix(("a",), "b")], RULES)
    assert named(unlearned, learned(unlearned, RULES).answers) == [["a"]]


def test_without_the_learner_the_weights_stay_as_they_begin() -> None:
    result = learned(prequential(LEARNED, RULES), Rules(learner=False))
    assert result.weights.weight.tolist() == FIRST.tolist()
    assert len(set(result.weights.squares.tolist())) == 1


RETAIL_SESSIONS = 20_000
RETAIL_TEST = 4_000
"""The last of these sessions: what is measured."""


@pytest.fixture(scope="module")
def retail(data_dir: Path) -> Events:
    """Clicks of RetailRocket; every step of the last sessions is a question, and all are learned."""
    found: list[Event] = []
    with read(data_dir / "retailrocket_train_sessions.tsv.gz", "sessions", NOW) as reader:
        users: set[str] = set()
        for record in reader:
            users.add(record.event.user_id)
            if len(users) > RETAIL_SESSIONS:
                break
            found.append(record.event)
    events = prequential(found, Rules())
    return events._replace(asked=events.asked & (events.session >= RETAIL_SESSIONS - RETAIL_TEST))


@pytest.fixture(scope="module")
def with_learner(retail: Events) -> PerQuestion:
    return measured(retail, learned(retail, Rules(hide=frozenset())).answers)


def measured(events: Events, answers: Any) -> PerQuestion:
    return metrics.next_item(answers, events.number[events.asked], len(events.items))


def test_the_learner_ranks_what_comes_next_higher_than_f_alone(retail: Events, with_learner: PerQuestion) -> None:
    alone = measured(retail, learned(retail, Rules(hide=frozenset(), learner=False)).answers)
    assert with_learner.mrr.mean() > alone.mrr.mean() + 0.01


def test_what_comes_next_is_found_more_often_than_by_sequential_rules(retail: Events, with_learner: PerQuestion) -> None:
    answers = sequential_rules(retail.trace, len(retail.items), 20, lambda _: None)
    rules = metrics.next_item(answers, retail.trace.item[retail.trace.asked], len(retail.items))
    assert with_learner.hit_rate.mean() > rules.hit_rate.mean()
    assert with_learner.mrr.mean() > rules.mrr.mean()
