"""Ranking in plain Python: rows, evidence, features, probabilities and terms, as dicts and sums over all that was ever met.

Written from the docstrings of `recsys.fold`, `recsys.ranking.evidence` and `recsys.ranking.features` without any module of
Freshet. A meeting remembers whose session it is of: what a session added is taken out by passing over it, not by subtracting.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

DAY = 86_400_000
GAP = 1_800_000
TREND = 3.0 * DAY
STRENGTH = {1: 1.0, 2: 1.0, 3: 3.0, 4: 2.0, 5: 4.0, 6: 4.0}
"""Of a browse, a click, a cart, a wish, a purchase, a rating."""


class Line(NamedTuple):
    """An interaction; `session` 0 is none, `kind` 2 a click."""

    user: int
    item: int
    time: int
    session: int = 0
    kind: int = 2


class Meeting(NamedTuple):
    """Something that was counted: its event time, its weight, and the session (a user, a number) it is of."""

    time: int
    weight: float
    session: tuple[int, int]


class View(NamedTuple):
    """What a user's history says."""

    recent: list[int]
    session: list[int]
    """The items of the session, newest first, each once."""
    times: dict[int, int]
    now: int
    own: tuple[int, int]
    length: int


class Answer(NamedTuple):
    """Of each candidate: what was asked for."""

    f: dict[int, float]
    a: dict[int, float]
    """The first part of F: what other items say, between 0 and 1."""
    terms: dict[int, list[float]]
    """What each recent item adds to it."""
    features: dict[int, list[float]]
    narrow: bool
    """Whether the fifteenth and the sixteenth item to hop through are so close that rounding decides between them."""
    like: dict[int, list[float]]
    """What the description of each recent item adds to C."""

    def probability(self, weight: list[float]) -> dict[int, float]:
        linear = {c: sum(w * f for w, f in zip(weight, row, strict=True)) for c, row in self.features.items()}
        largest = max(linear.values())
        e = {c: math.exp(value - largest) for c, value in linear.items()}
        return {c: value / sum(e.values()) for c, value in e.items()}


def parted(before: Line, after: Line) -> bool:
    """Whether a new session begins between two lines of a user."""
    if before.session and after.session:
        return before.session != after.session
    return abs(after.time - before.time) > GAP


class Shop:
    """All that was met, until it is asked. `half_life` in milliseconds, 0 for no decay."""

    def __init__(self, half_life: float, window: int = 5) -> None:
        self.half_life = half_life
        self.window = window
        self.sessions: dict[int, list[list[Line]]] = defaultdict(list)
        self.met: dict[int, list[Meeting]] = defaultdict(list)
        self.pairs: dict[int, dict[int, list[Meeting]]] = defaultdict(lambda: defaultdict(list))
        self.landmark: dict[int, int] = {}
        self.first: dict[int, int] = {}
        """The oldest event time in an item's row."""
        self.alike: dict[int, dict[int, float]] = {}
        """Of an item, which others its description is like, and how much."""

    def take(self, line: Line, counted: bool = True) -> None:
        """Adds an interaction to its user's history and, if it is counted, to the rows."""
        sessions = self.sessions[line.user]
        if not sessions or parted(sessions[-1][-1], line):
            sessions.append([])
        earlier, own = sessions[-1], (line.user, len(sessions) - 1)
        j = len(earlier)
        if counted:
            self._landmark(line.item, line.time)
            self.met[line.item].append(Meeting(line.time, 1.0, own))
            action = STRENGTH[line.kind] / min(STRENGTH[met.kind] for met in [*earlier, line])
            for i in range(max(0, j - self.window), j):
                s, weight = earlier[i].item, action * (j + 1) ** -0.25 * (j - i) ** -1.5
                self._landmark(s, line.time)
                self.pairs[s][line.item].append(Meeting(line.time, weight, own))
                if s != line.item:
                    self.pairs[line.item][s].append(Meeting(line.time, 0.8 * weight, own))
        earlier.append(line)

    def _landmark(self, item: int, time: int) -> None:
        """The time before which a row does not reckon: that of its first meeting, moved when it is too long ago."""
        self.first[item] = min(time, self.first.get(item, time))
        age = time - self.landmark.setdefault(item, time)
        if (self.half_life and age > 32 * self.half_life) or age > 512 * TREND:
            self.landmark[item] = time

    def _worth(self, item: int, meetings: list[Meeting], now: int, half_life: float, but: tuple[int, int] | None) -> float:
        now = max(now, self.landmark.get(item, now))
        fade = [2.0 ** ((m.time - now) / half_life) if half_life else 1.0 for m in meetings]
        left = sum(m.weight * f for m, f in zip(meetings, fade, strict=True) if m.session != but)
        own = sum(m.weight * f for m, f in zip(meetings, fade, strict=True) if m.session == but)
        return left if left > 1e-3 * own else 0.0

    def n(self, item: int, view: View) -> float:
        return self._worth(item, self.met[item], view.now, self.half_life, view.own)

    def row(self, item: int, view: View) -> Iterator[tuple[int, float]]:
        """P(c|item) of each c of which others than this session say something."""
        n = self.n(item, view)
        for c, meetings in self.pairs[item].items():
            p = self._worth(item, meetings, view.now, self.half_life, view.own) / (n + 1)
            if p > 0:
                yield c, p

    def view(self, user: int) -> View:
        sessions = self.sessions[user]
        newest_first = [line.item for session in reversed(sessions) for line in reversed(session)]
        here = [line.item for line in reversed(sessions[-1])]
        recent = list(dict.fromkeys(newest_first))[:5]
        times = {item: here.count(item) for item in here}
        own = (user, len(sessions) - 1)
        return View(recent, list(dict.fromkeys(here)), times, sessions[-1][-1].time, own, len(here))

    def answer(self, user: int) -> Answer:
        view = self.view(user)
        said: dict[int, list[float]] = defaultdict(lambda: [0.0] * 5)
        newest: dict[int, float] = {}
        older: dict[int, float] = defaultdict(float)
        support: dict[int, int] = defaultdict(int)
        for d, h in enumerate(view.recent):
            for c, p in self.row(h, view):
                said[c][d] += 0.4**d * p
                support[c] += 1
                if d == 0:
                    newest[c] = p
                else:
                    older[c] += 0.7 ** (d - 1) * p
        one = {x: list(terms) for x, terms in said.items()}
        worth = {x: sum(terms) * max(self.n(x, view), 0.3) ** -0.2 for x, terms in one.items()}
        through = sorted(worth, key=lambda x: (-worth[x], x))
        narrow = len(through) > 15 and worth[through[14]] - worth[through[15]] < 1e-4 * worth[through[14]]
        for x in through[:15]:
            for c, p in self.row(x, view):
                for d in range(5):
                    said[c][d] += 4 * one[x][d] * p
        a = {c: sum(terms) * max(self.n(c, view), 0.3) ** -0.2 for c, terms in said.items()}
        largest = max(a.values(), default=1.0)
        a = {c: value / largest for c, value in a.items()}
        repeat = {c: 0.8 * 0.7**r for r, c in enumerate(view.session)}
        like: dict[int, list[float]] = defaultdict(lambda: [0.0] * 5)
        for d, h in enumerate(view.recent):
            for c, cosine in self.alike.get(h, {}).items():
                like[c][d] = 0.4**d * cosine
        content = {c: sum(terms) for c, terms in like.items()}
        everything = a.keys() | repeat.keys() | content.keys()
        f = {c: a.get(c, 0.0) + repeat.get(c, 0.0) + 0.1 * content.get(c, 0.0) for c in everything}
        terms = {c: [t / sum(said[c]) * a[c] for t in said[c]] if c in a else [0.0] * 5 for c in f}
        features = {
            c: [
                *self._features(c, f[c], newest.get(c, 0.0), older[c], support[c], view),
                *self._described(c, content.get(c, 0.0), view),
            ]
            for c in f
        }
        return Answer(f, {c: a.get(c, 0.0) for c in f}, terms, features, narrow, {c: like[c] for c in f})

    def in_places(self, user: int, answer: Answer, probability: dict[int, float], places: int) -> dict[int, tuple[float, ...]]:
        """The scores in a list of so many places, from `recsys.ranking.places`; two, where rounding decides between them."""
        view = self.view(user)
        known = {c for c in probability if self.n(c, view) >= 5}
        kept = int(0.4 * places)
        others = sorted((p for c, p in probability.items() if c not in known), reverse=True)
        best = sorted((probability[c] for c in known), reverse=True)[:kept]
        led = {c for c in probability if c not in known and c not in view.times and sum(answer.like[c]) > 0}
        if not led or not best or len(others) <= places - kept:
            return {c: (p,) for c, p in probability.items()}
        bar = others[places - kept]
        factor = min(best[-1] / bar, 1.0)
        return {
            c: ((p,) if p > 1.05 * bar or c not in led else (factor * p,) if p < bar / 1.05 else (p, factor * p))
            for c, p in probability.items()
        }

    def _described(self, c: int, content: float, view: View) -> list[float]:
        said = math.log(1 + 20 * content) / 3
        return [said, said / (1 + self.n(c, view)), said / (1 + self.n(view.recent[0], view))]

    def _features(self, c: int, f: float, newest: float, older: float, support: int, view: View) -> list[float]:
        inside, rank = c in view.times, view.session.index(c) if c in view.times else 0
        long = math.log(1 + view.length)
        n = self.n(c, view)
        trend = self._worth(c, self.met[c], view.now, TREND, view.own)
        first = self.first.get(c, view.now)
        log_f, log_p = math.log(f + 1e-4) / 4, math.log(1e-3 + newest) / 4
        return [
            log_f,
            f,
            log_p,
            math.log(1e-3 + older) / 4,
            support / 5,
            float(inside),
            0.8**rank if inside else 0.0,
            float(inside and rank == 0),
            math.log(view.times[c]) if inside else 0.0,
            math.log(1 + n) / 5,
            math.log((trend + 0.1) / (n + 0.5)) / 3,
            math.log(1 + max(view.now - first, 0) / DAY) / 10,
            inside * long / 2,
            (inside and rank == 0) * long / 2,
            log_p if view.length == 1 else 0.0,
            log_f * long / 2,
            inside * math.log(1 + n) / 5,
            inside * log_f,
        ]


def shares(answer: Answer, c: int, weight: list[float], repeat: float, length: int) -> list[float]:
    """The parts of a learned score, in the words of `features.split`: each recent item, repeats, popularity, nothing for
    what was bought, and each description."""
    row = answer.features[c]
    long = math.log(1 + length) / 2
    nothing = [0.0] * 21
    nothing[0], nothing[2], nothing[3] = math.log(1e-4) / 4, math.log(1e-3) / 4, math.log(1e-3) / 4
    nothing[10], nothing[15] = math.log(0.1 / 0.5) / 3, math.log(1e-4) / 4 * long
    nothing[14] = math.log(1e-3) / 4 if length == 1 else 0.0
    adds = [w * (value - zero) for w, value, zero in zip(weight, row, nothing, strict=True)]
    viewed = sum(adds[j] for j in (2, 3, 4, 14))
    again = sum(w * value for j, (w, value) in enumerate(zip(weight, row, strict=True)) if j in (5, 6, 7, 8, 12, 13, 16, 17))
    both = adds[0] + adds[1] + adds[15]
    popular = sum(adds[j] for j in (9, 10, 11))
    viewed = max(viewed + both * answer.a[c] / answer.f[c], 0.0) if sum(answer.terms[c]) > 0 else 0.0
    again = max(again + both * repeat / answer.f[c], 0.0) if repeat > 0 else 0.0
    popular = max(popular, 0.0)
    content = sum(answer.like[c])
    described = max(sum(adds[18:]) + both * 0.1 * content / answer.f[c], 0.0) if content > 0 else 0.0
    if viewed + again + popular + described == 0.0:
        viewed, again, popular, described = answer.a[c], repeat, 0.0, 0.1 * content
    together = viewed + again + popular + described
    said = sum(answer.terms[c])
    parts = [viewed / together * t / said if said > 0 else 0.0 for t in answer.terms[c]]
    like = [described / together * t / content if content > 0 else 0.0 for t in answer.like[c]]
    return [*parts, again / together, popular / together, 0.0, 0.0, *like]
