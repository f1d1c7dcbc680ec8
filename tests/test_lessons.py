"""What users teach: before or after it is counted, no more than a day's lessons, and nothing that carries the weights away."""

from collections.abc import Sequence

import numpy as np
import pytest
from ranking_oracle import DAY, Line
from test_ranking import (
    ITEMS,
    NOW,
    USERS,
    Counted,
    batch,
    item,
    met_before,
)

from recsys import histories, rows
from recsys.fold import fold
from recsys.known import known_rows
from recsys.learner import begin
from recsys.ranking.candidates import desk
from recsys.ranking.features import FIRST
from recsys.ranking.lessons import A_DAY, MIX, SESSIONS, learn_from
from recsys.ranking.rank import past
from recsys.rules import Rules

BOT = 0


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
        deltas, _ = fold(self._histories, batch(lines), self.rules)
        rows.merge(self._rows, deltas, np.searchsorted(self._rows.item, deltas.item), self.rules)
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
