"""The board: what the demo knows at this moment. Threads write to it, the view reads one picture of it at a time."""

import threading
import time
from collections import Counter, deque
from typing import Any

from msgspec import Struct

from recsys.events import Event
from streams.demo.followed import Did, Followed, Shown
from streams.demo.measure import Hits, Latencies, percentile
from streams.demo.mishaps import Mishap
from streams.shop.visits import Fields

RATE_S = 4.0
"""Seconds over which the rate is shown."""


class Picture(Struct, frozen=True, kw_only=True):
    """What the view shows. Times are seconds since the shop opened, latencies milliseconds."""

    elapsed: float
    events: int
    rate: float
    published: int
    p50: float | None
    p99: float | None
    asked: int
    recommended: int
    popular: int
    user: str | None
    did: list[Did]
    shown: list[Shown]
    answered: float | None


class Board:
    """Shared by the thread that sends, the one that listens and the one that shows."""

    def __init__(self) -> None:
        self.began = self.opened = time.monotonic()
        self.lock = threading.Lock()
        self.hits = Hits()
        self.latencies = Latencies()
        self.followed = Followed()
        self.events = self.published = 0
        self.mishaps: Counter[Mishap] = Counter()
        self.first: float | None = None
        """Seconds from the beginning to the first recommendation."""
        self.news = threading.Event()
        """Set when the followed shopper did something, or something new is recommended to her."""
        self._samples: deque[tuple[float, int]] = deque()

    def open(self) -> None:
        """The shop opens: now its time begins."""
        self.opened = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the shop opened."""
        return time.monotonic() - self.opened

    def event(self, event: Event, fields: Fields) -> None:
        """An event is about to be sent."""
        with self.lock:
            self.events += 1
            self.hits.event(event)
            if self.followed.event(self.elapsed, event.user_id, fields):
                self.news.set()

    def mishap(self, mishap: Mishap) -> None:
        with self.lock:
            self.mishaps[mishap] += 1

    def acknowledged(self, partition: int, offset: int, at_ms: int) -> None:
        """The broker has a record of an event."""
        with self.lock:
            self.latencies.event((partition, offset), at_ms)

    def recommendation(self, document: dict[str, Any], source: tuple[int, int] | None, at_ms: int) -> None:
        """A recommendation was read from the topic."""
        with self.lock:
            self.published += 1
            if self.first is None:
                self.first = time.monotonic() - self.began
            if source is not None:
                self.latencies.recommendation(source, at_ms)
            self.hits.recommendation(document["user_id"], [item["item_id"] for item in document["items"]])
            if self.followed.recommendation(self.elapsed, document["user_id"], document["items"]):
                self.news.set()

    def picture(self) -> Picture:
        """Everything at one moment."""
        with self.lock:
            now = self.elapsed
            self._samples.append((now, self.events))
            while now - self._samples[0][0] > RATE_S:
                self._samples.popleft()
            (then, before), (_, after) = self._samples[0], self._samples[-1]
            return Picture(
                elapsed=now,
                events=self.events,
                rate=(after - before) / (now - then) if now - then > 0.5 else 0.0,
                published=self.published,
                p50=percentile(self.latencies.recent, 0.5),
                p99=percentile(self.latencies.recent, 0.99),
                asked=self.hits.asked,
                recommended=self.hits.recommended,
                popular=self.hits.popular,
                user=self.followed.user,
                did=list(self.followed.did),
                shown=list(self.followed.shown),
                answered=self.followed.answered,
            )
