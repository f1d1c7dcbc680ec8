"""Users in memory: who met what, to be asked for user-based recommendations (`recsys.strategies.user_based`) one at a time."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable

import numpy as np

from recsys.compiled import F64
from recsys.ranking.rank import FILL
from recsys.recommendation import Reason, RecommendedItem
from recsys.strategies import user_based
from recsys.strategies.user_based import LINES, Visitors


class Users:
    """What users met, as far as it is remembered: of each the last `history` items, of each item the `most` newest visitors.

    >>> users = Users()
    >>> for time_ms, (user, item) in enumerate([("u1", "cup"), ("u1", "pot"), ("u2", "cup"), ("u3", "hat"), ("u4", "hat")]):
    ...     users.learn(user, item, time_ms)
    >>> found = users.recommend("u2", 3)
    >>> [(item.item_id, item.reasons[0].kind, item.reasons[0].count) for item in found]
    [('cup', 'similar_users', 1), ('pot', 'similar_users', 1), ('hat', 'trending', 2)]
    """

    def __init__(self, history: int = 50, most: int = user_based.VISITORS) -> None:
        self._most = most
        self._histories: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=history))
        self._visitors: dict[str, dict[str, int]] = defaultdict(dict)
        self._interactions: Counter[str] = Counter()

    def learn(self, user: str, item: str, time_ms: int) -> None:
        """Counts an interaction, of event time `time_ms`."""
        self._histories[user].append(item)
        self._interactions[item] += 1
        visitors = self._visitors[item]
        visitors[user] = max(visitors.get(user, time_ms), time_ms)
        if len(visitors) > self._most:
            del visitors[max(visitors, key=lambda each: (-visitors[each], each))]

    def recommend(self, user: str, n: int) -> list[RecommendedItem]:
        """The `n` best items for a user, by falling score, ties by id, each with how many of the users alike met it.

        Behind these the most popular items, whose scores are below; for a user of whom nothing is known these alone.
        """
        scores, counts = self._scored(user)
        order = sorted(scores, key=lambda item: (-scores[item], item))[:n]
        found = [RecommendedItem(item, scores[item], [Reason("similar_users", 1.0, count=counts[item])]) for item in order]
        below = scores[order[-1]] if order else 1.0
        popular = sorted(self._interactions, key=lambda item: (-self._interactions[item], item))
        largest = self._interactions[popular[0]] if popular else 1
        for item in popular:
            if len(found) < n and item not in scores:
                count = self._interactions[item]
                score = FILL * below * count / largest
                found.append(RecommendedItem(item, score, [Reason("trending", 1.0, count=count)]))
        return found

    def _scored(self, user: str) -> tuple[dict[str, float], dict[str, int]]:
        """The score of each item that the users alike met, and how many of them met it."""
        ago: dict[str, int] = {}
        for distance, item in enumerate(list(reversed(self._histories.get(user, ())))[:LINES], 1):
            ago.setdefault(item, distance)
        people = sorted({other for item in ago for other in self._visitors[item]})
        distances = np.array(list(ago.values()), np.int32)
        near = user_based.no_neighbours()
        me = people.index(user) if user in people else -1
        places = np.arange(len(ago), dtype=np.int32)
        n = user_based.neighbours(
            places, distances, self._met(ago), self._of(ago, people), me, user_based.desk(len(people), 0), near
        )
        histories = [list(self._histories[people[other]]) for other in near.user[:n].tolist()]
        items = sorted(set(ago).union(*histories))
        number = {item: place for place, item in enumerate(items)}
        known = np.zeros((max(n, 1), max(map(len, histories), default=1)), np.int32)
        length = np.array([len(history) for history in histories], np.int32)
        for line, history in zip(known, histories, strict=False):
            line[: len(history)] = [number[item] for item in history]
        table = user_based.desk(0, len(items))
        own = np.array([number[item] for item in ago], np.int32)
        found = table.items[: user_based.score(own, distances, known, length, near, n, self._met(items), table)].tolist()
        values, counts = table.value.tolist(), table.counts.tolist()
        return {items[c]: values[c] for c in found}, {items[c]: counts[c] for c in found}

    def _met(self, items: Iterable[str]) -> F64:
        return np.array([self._interactions[item] for item in items], np.float64)

    def _of(self, items: Iterable[str], people: list[str]) -> Visitors:
        """The visitors of these items, by their places in `people`."""
        number = {user: place for place, user in enumerate(people)}
        each = [[(number[user], time) for user, time in self._visitors[item].items()] for item in items]
        length = np.array([len(visits) for visits in each], np.int32)
        flat = np.array([visit for visits in each for visit in visits], np.int64).reshape(-1, 2)
        begin = np.concatenate((np.zeros(1, np.int64), np.cumsum(length, dtype=np.int64)))
        return Visitors(begin, length, flat[:, 0].astype(np.int32), flat[:, 1].copy())
