"""Measures of the demo, taken while it runs: latency, and how often the next item had been recommended."""

import heapq
import math
from collections import Counter, deque
from collections.abc import Collection, Iterable, Sequence

from recsys.events import Event, Kind

AT = 20
RECENT = 1000
"""Latencies that the live view looks at."""

Place = tuple[int, int]
"""A record's partition and offset."""


class Latencies:
    """Milliseconds from an event's record to that of the recommendation it led to.

    The two come from different threads, and either may come first.

    >>> latencies = Latencies()
    >>> latencies.event((0, 7), 1000)
    >>> latencies.recommendation((0, 7), 1030)
    >>> latencies.all
    [30]
    """

    def __init__(self) -> None:
        self.all: list[int] = []
        self.recent: deque[int] = deque(maxlen=RECENT)
        self._events: dict[Place, int] = {}
        self._recommendations: dict[Place, int] = {}

    def event(self, place: Place, at_ms: int) -> None:
        """The broker has an event's record."""
        published = self._recommendations.pop(place, None)
        if published is None:
            self._events[place] = at_ms
        else:
            self._add(published - at_ms)

    def recommendation(self, source: Place, at_ms: int) -> None:
        """A recommendation came whose newest event is the record at `source`."""
        recorded = self._events.pop(source, None)
        if recorded is None:
            self._recommendations[source] = at_ms
        else:
            self._add(at_ms - recorded)

    def _add(self, latency: int) -> None:
        self.all.append(latency)
        self.recent.append(latency)


def percentile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed.

    >>> percentile([40, 10, 20, 30], 0.5), percentile([], 0.5)
    (20, None)
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


class Hits:
    """How often the next item a shopper touched had been recommended to her, and how often it was a bestseller.

    An item she is already looking at is no next item. The most popular leave out what a recommendation leaves out: what
    she looks at, and what she bought and did not send back.
    """

    def __init__(self) -> None:
        self.asked = self.recommended = self.popular = 0
        self.counts: Counter[str] = Counter()
        self._recommended: dict[str, tuple[str, ...]] = {}
        self._current: dict[str, frozenset[str]] = {}
        self._bought: dict[str, set[str]] = {}

    def recommendation(self, user: str, items: Sequence[str]) -> None:
        """What is recommended to a user from now on."""
        self._recommended[user] = tuple(items[:AT])

    def event(self, event: Event) -> None:
        """Measures an event before anybody could learn from it."""
        user, bought = event.user_id, self._bought.setdefault(event.user_id, set())
        if event.kind is Kind.REFUND:
            bought.difference_update(line.item_id for line in event.lines)
        if not event.kind.is_interaction:
            return
        items, current = [line.item_id for line in event.lines], self._current.get(user)
        if current is not None:
            popular = most_popular(self.counts, bought | current)
            for item in items:
                if item not in current:
                    self.asked += 1
                    self.recommended += item in self._recommended.get(user, ())
                    self.popular += item in popular
        self.counts.update(items)
        self._current[user] = frozenset(items)
        if event.kind is Kind.PURCHASE:
            bought.update(line.item_id for line in event.lines)


def most_popular(counts: Counter[str], hidden: Collection[str]) -> list[str]:
    """The `AT` items with the most interactions, ties by id, without the hidden ones.

    >>> most_popular(Counter(a=3, b=2, c=2), {"a"})
    ['b', 'c']
    """
    top = heapq.nsmallest(AT + len(hidden), counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return [item for item, _ in top if item not in hidden][:AT]
