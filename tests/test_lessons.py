"""What users teach: before or after it is counted, no more than a day's lessons, and nothing that carries the weights away."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ranking_oracle import DAY, Line
from test_ranking import (
    CALM,
    FEW,
    ITEMS,
    NOW,
    RULES,
    USERS,
    Counted,
    batch,
    counted,
    item,
    met_before,
    own_session,
    ranked,
    streams,
    weights,
)

from recsys import growth, histories, rows
from recsys.fold import fold
from recsys.keys import VIEWED
from recsys.known import known_rows
from recsys.learner import FIRST_SQUARES, LARGEST_WEIGHT, begin, learn, pack, softmax, unpack
from recsys.ranking.candidates import desk
from recsys.ranking.features import FEATURES, FIRST
from recsys.ranking.lessons import A_DAY, MIX, SESSIONS, learn_from, teach, teaches
from recsys.ranking.past import past
from recsys.rules import Rules

BOT = 0
HOUR = 3_600_000


class Learning:
    """A shop of some users that counts and learns from chunk after chunk, as the engine does, and counts the lessons."""

    def __init__(self, rules: Rules, first: Sequence[Line] = ()) -> None:
        self.rules = rules
        self.weights = begin(FIRST)
        self.taught: list[int] = []
        """The times of the events after which the weights were others."""
        self._histories = histories.empty(USERS + 1, rules.history)
        items = np.sort(np.array([item(n) for n in range(ITEMS)], np.uint64))
        self._rows = rows.empty(items, rules.row_limit + 1)
        self._desk = desk(rules)
        self.take(first, teaching=False)

    def take(self, lines: Sequence[Line], teaching: bool = True) -> None:
        if not lines:
            return
        deltas = fold(self._histories, batch(lines), self.rules).deltas[VIEWED]
        growth.merge(self._rows, deltas, np.searchsorted(self._rows.item, deltas.item), self.rules)
        new = np.bincount([line.user for line in lines], minlength=USERS + 1).astype(np.int32)
        if teaching:
            before = self.weights.squares.copy()
            of = np.zeros(len(new), np.int32)
            learn_from(past(self._histories, self.rules), new, known_rows(self._rows), [self.weights], of, self._desk)
            if (self.weights.squares != before).any():
                self.taught.append(lines[-1].time)

    @property
    def state(self) -> Counted:
        return Counted(self._histories, self._rows, known_rows(self._rows))


def teaching(number: int) -> bool:
    """Whether a session of this number is one that teaches."""
    return (number * MIX % 2**64 >> 40) % SESSIONS == 0


TEACHING = [number for number in range(1, 10_000) if teaching(number)]


def bot(events: int, session: int = 0, step: int = 1000, start: int = NOW) -> list[Line]:
    """A robot that goes round and round."""
    return [Line(BOT, item(k * 5 % ITEMS), start + k * step, session) for k in range(events)]


def lessons_of_a_day(times: Sequence[int]) -> int:
    return max(sum(time - DAY < other <= time for other in times) for time in times)


@pytest.mark.parametrize("history", [10, 50, 200])
@pytest.mark.parametrize("kind", ["one session", "no session ids", "many sessions"])
def test_a_robot_teaches_no_more_than_a_days_lessons(history: int, kind: str) -> None:
    start = next(time for time in range(NOW, NOW + 99) if teaching(item(0) ^ time))
    lines = bot(1500, 0 if kind == "no session ids" else TEACHING[0], start=start)
    if kind == "many sessions":
        lines = [line._replace(session=TEACHING[k // 8]) for k, line in enumerate(lines)]
    shop = Learning(Rules(history=history), met_before(lines))
    for line in lines:
        shop.take([line])
    assert 5 < len(shop.taught) <= A_DAY


@pytest.mark.parametrize("size", [1, 7, 50, 400])
def test_a_robot_teaches_no_more_when_its_events_come_many_at_once(size: int) -> None:
    lines = bot(1200, TEACHING[0])
    shop, learner = Learning(RULES, met_before(lines)), begin(FIRST)
    room = RULES.history
    lessons = 0
    for k in range(0, len(lines), size):
        shop.take(lines[k : k + size])
        state = shop.state
        new, length = min(size, len(lines) - k), int(state.histories.length[BOT])
        past_of = state.past(RULES)
        for end in range(max(length - new, 1), length):
            lessons += teaches(past_of, BOT, end, past_of.session[BOT, end], past_of.time[BOT, end])
    assert shop.taught or size >= room
    assert lessons <= A_DAY
    assert np.abs(shop.weights.weight - learner.weight).max() < LARGEST_WEIGHT


def test_sessions_that_change_with_every_event_teach_nothing() -> None:
    lines = [line._replace(session=1 + k) for k, line in enumerate(bot(500))]
    shop = Learning(RULES, met_before(lines))
    for line in lines:
        shop.take([line])
    assert not shop.taught
    assert shop.weights.weight.tolist() == FIRST.tolist()


def crowd(random: np.random.Generator, visitors: int) -> list[Line]:
    """Visitors of a shop, one after the other, who mostly go from an item to the next."""
    lines, now = [], NOW - visitors * HOUR
    for visitor in range(visitors):
        at = int(random.integers(ITEMS))
        for k in range(int(random.integers(2, 7))):
            lines.append(Line(1 + visitor % (USERS - 1), item(at), now + k * 1000, 1 + visitor))
            at = (at + int(random.choice([1, 1, 1, 2, 5]))) % ITEMS
        now += HOUR
    return lines


def test_a_robot_hardly_changes_what_others_are_shown() -> None:
    """Whose weights it teaches, with rows as they are without it."""
    first = crowd(np.random.default_rng(7), 600)
    taught, alone = Learning(RULES), Learning(RULES)
    for shop in (taught, alone):
        for line in first:
            shop.take([line])
    assert len(alone.taught) > 200
    for line in bot(3000, TEACHING[0], step=200):
        taught.take([line])
    shown, before = (ranked(alone.state, RULES, shop.weights.weight.copy()) for shop in (taught, alone))
    moved = [
        abs(shown.item[u].tolist().index(number) - place)
        for u in range(1, USERS)
        for place, number in enumerate(before.item[u, :10].tolist())
    ]
    assert np.mean(moved) < 1.0


@FEW
@given(data=st.data())
def test_a_lesson_teaches_the_same_before_and_after_its_item_is_counted(data: st.DataObject) -> None:
    lines = data.draw(streams(CALM, data.draw(st.sampled_from([3, 15, 50]))))
    everything = [*met_before(lines), *lines]
    u = lines[-1].user
    own = own_session(everything, u)
    assume(len(own) > 1)
    rules = Rules(history=80)
    after, before = counted(everything, rules), counted(everything, rules, own[-1:])
    length = int(after.histories.length[u])
    target = after.histories.item[u, length - 1]
    weights_after, weights_before = begin(data.draw(weights())), begin(FIRST)
    weights_before.weight[:] = weights_after.weight
    for state, in_rows, learner in ((after, length, weights_after), (before, length - 1, weights_before)):
        teach(desk(rules), state.past(rules), u, length - 1, in_rows, target, state.known, learner)
    assert weights_after.weight == pytest.approx(weights_before.weight, abs=2e-2)
    assert weights_after.squares == pytest.approx(weights_before.squares, rel=2e-2, abs=1e-5)


def test_weights_stay_in_bounds_whatever_comes_in() -> None:
    random = np.random.default_rng(5)
    learner = begin(FIRST)
    linear, probability, chosen = np.zeros(20), np.zeros(20), np.zeros(20)
    for k in range(3000):
        features = random.normal(size=(20, FEATURES)) * 10.0 ** random.integers(-300, 300)
        if k % 3 == 0:
            features[random.integers(20), random.integers(FEATURES)] = random.choice([np.nan, np.inf, -np.inf, 1e308, -1e308])
        softmax(features, 20, learner.weight, linear, probability)
        chosen[:] = 0.0
        chosen[random.integers(20)] = 1.0
        learn(features, 20, probability, chosen, learner.weight, learner.squares)
        assert (np.abs(learner.weight) <= LARGEST_WEIGHT).all()
        assert np.isfinite(learner.squares).all()
        assert (learner.squares >= FIRST_SQUARES).all()
    assert unpack(pack(learner), FIRST).weight.tolist() == learner.weight.tolist()


@pytest.mark.parametrize(
    ("weight", "square"), [(50.1, 1.0), (np.nan, 1.0), (-np.inf, 1.0), (1.0, 0.0), (1.0, np.nan), (1.0, np.inf)]
)
def test_stored_weights_out_of_bounds_are_as_good_as_none(weight: float, square: float) -> None:
    stored = begin(FIRST)
    stored.weight[3], stored.squares[3] = weight, square
    assert unpack(pack(stored), FIRST).weight.tolist() == FIRST.tolist()
