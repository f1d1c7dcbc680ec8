"""The next item, replayed in memory: its answers are the engine's, its test part changes nothing, nobody sees another's past."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from recsys.batch import Arrival
from recsys.engine import Chunk, Engine
from recsys.evaluation import next_item
from recsys.evaluation.events import Events, frozen, prequential
from recsys.evaluation.next_item import learned, places
from recsys.evaluation.trace import NOTHING
from recsys.events import Event, Kind, Line
from recsys.keys import Keys
from recsys.readers import Prefix
from recsys.rules import Rules
from recsys.store import MemoryStore

NOW = 1_700_000_000_000
DAY = 86_400_000
FEW = settings(deadline=None, max_examples=12, phases=(Phase.explicit, Phase.generate))
KINDS = [*[Kind.CLICK] * 6, Kind.PURCHASE, Kind.REFUND, Kind.SEARCH, Kind.IMPRESSION]


def click(user: str, item: str, time_ms: int, session: str | None = None) -> Event:
    return Event(kind=Kind.CLICK, user_id=user, lines=(Line(item),), time_ms=time_ms, session_id=session)


@st.composite
def logs(draw: st.DrawFn, size: int = 60) -> list[Event]:
    """Events of a few users, with sessions, baskets, purchases, refunds and repetitions, no two of one millisecond."""
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
                kind=draw(st.sampled_from(KINDS)),
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
    learners = engine._learners.values()
    return answers, [weights.weight for weights in learners]


def named(events: Events, answers: Any) -> list[list[str]]:
    names = events.names
    return [[names[number] for number in row if number != NOTHING] for row in answers.tolist()]


def asked_events(events: Events) -> list[int]:
    """The events (by offset) that are questions."""
    return events.batch.offset[events.asked].tolist()


@pytest.mark.parametrize("learner", [False, True], ids=["F alone", "learner"])
@pytest.mark.parametrize("history", [4, 50])
@FEW
@given(data=st.data())
def test_answers_are_what_the_engine_recommends_at_that_moment(learner: bool, history: int, data: st.DataObject) -> None:
    log = data.draw(logs())
    hide = data.draw(st.sampled_from([frozenset(), frozenset({"current", "purchased"}), frozenset({"seen"})]))
    rules = Rules(learner=learner, hide=hide, history=history, top_n=30, half_life_ms=data.draw(st.sampled_from([0.0, 5.0 * DAY])))
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
