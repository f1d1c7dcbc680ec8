"""The exact recount of a large topic: the contract's *What is counted* once more, in whole numbers, for ten million events.

It shares nothing with the engine. It takes what `streams.bench.load` makes: every event has one item and no `event_id`, and is
in its home partition. Weights are recounted for the rows that may have been cut, by the formula of `recsys/fold.py`.
"""

from array import array
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

HISTORY, WINDOW, GAP_MS = 50, 5, 1_800_000
BACKWARD = 0.8
STRENGTH = {"add_to_cart": 3.0, "purchase": 4.0}
"""Of an action; of the others 1."""
PENDING = 1 << 22
"""Pairs that are collected before they are added up."""


class Told(Struct):
    """What of an event matters here."""

    item_id: str
    event_time: int
    event_type: str = "view"
    user_id: str | None = None
    anonymous_id: str | None = None
    session_id: str | None = None


class Sums:
    """Numbers added up by code, sorted now and then so that memory follows the codes, not the additions."""

    def __init__(self) -> None:
        self.codes: Any = np.zeros(0, np.int64)
        self.sums: Any = np.zeros(0)
        self.times: Any = np.zeros(0, np.int64)
        """How often each code was added to."""
        self._codes, self._values = array("q"), array("d")

    def add(self, code: int, value: float) -> None:
        self._codes.append(code)
        self._values.append(value)
        if len(self._codes) >= PENDING:
            self.settle()

    def settle(self) -> None:
        """Adds up what is pending."""
        new, place = np.unique(np.frombuffer(self._codes, np.int64), return_inverse=True)
        codes, at = np.unique(np.concatenate((self.codes, new)), return_inverse=True)
        sums = np.bincount(at, np.concatenate((self.sums, np.bincount(place, self._values, len(new)))), len(codes))
        times = np.bincount(at, np.concatenate((self.times, np.bincount(place, minlength=len(new)))), len(codes))
        self.codes, self.sums, self.times = codes, sums, times.astype(np.int64)
        self._codes, self._values = array("q"), array("d")


class Row(NamedTuple):
    """Of one item its neighbours, by number, and what each adds up to."""

    other: Any
    sums: Any
    times: Any


class Exact:
    """The recount; items have numbers, a pair is the number of the row's item times 2³² plus that of the other.

    >>> exact = Exact(cut=frozenset("a"), half_life_ms=0)
    >>> for item in "aba":
    ...     exact.take(b'{"item_id": "%s", "user_id": "u", "event_time": 1}' % item.encode())
    >>> exact.settle()
    >>> exact.interactions, exact.row(exact.counts, "a").sums
    ([2, 1], array([1.]))
    """

    def __init__(self, cut: frozenset[str], half_life_ms: float) -> None:
        self.numbers: dict[str, int] = {}
        self.interactions: list[int] = []
        self.counts = Sums()
        """By pair, in both directions."""
        self.weights = Sums()
        """By pair, for the rows of the items in `cut` alone, worth what they were at `landmark_ms`; and how often met."""
        self.landmark_ms = 0
        self._cut = cut
        self._is_cut: list[bool] = []
        self._half_life_ms = half_life_ms
        self._decoder = msgspec.json.Decoder(Told)
        self._sessions: dict[str, tuple[int, str | None, list[int], list[float]]] = {}
        """By user: the time and session of the last interaction, and of the session's interactions in its history, oldest
        first, the items and the strengths."""

    def take(self, value: bytes) -> None:
        """Counts one event."""
        event = self._decoder.decode(value)
        number = self.numbers.get(event.item_id)
        if number is None:
            number = self.numbers[event.item_id] = len(self.numbers)
            self.interactions.append(0)
            self._is_cut.append(event.item_id in self._cut)
        self.interactions[number] += 1
        user = event.user_id or f"anon:{event.anonymous_id}"
        time, session = event.event_time, event.session_id
        self.landmark_ms = self.landmark_ms or time
        before_time, before_session, items, strengths = self._sessions.get(user, (0, None, [], []))
        if before_session is not None and session is not None:
            if before_session != session:
                items, strengths = [], []
        elif abs(time - before_time) > GAP_MS:
            items, strengths = [], []
        strength = STRENGTH.get(event.event_type, 1.0)
        if items:
            self._pair(number, items, strength / min(strength, *strengths), time)
        items.append(number)
        strengths.append(strength)
        del items[:-HISTORY], strengths[:-HISTORY]
        self._sessions[user] = time, session, items, strengths

    def _pair(self, number: int, items: list[int], action: float, time: int) -> None:
        """A new interaction with what the session had before."""
        if number not in items:
            met: list[int] = []
            for other in reversed(items):
                if other not in met:
                    met.append(other)
                    self.counts.add(number << 32 | other, 1)
                    self.counts.add(other << 32 | number, 1)
                    if len(met) == WINDOW:
                        break
        growth = 2.0 ** ((time - self.landmark_ms) / self._half_life_ms) if self._half_life_ms else 1.0
        strength = action * growth * (len(items) + 1.0) ** -0.25
        for distance, other in enumerate(reversed(items[-WINDOW:]), 1):
            weight = strength * distance**-1.5
            if self._is_cut[other]:
                self.weights.add(other << 32 | number, weight)
            if other != number and self._is_cut[number]:
                self.weights.add(number << 32 | other, BACKWARD * weight)

    def settle(self) -> None:
        self.counts.settle()
        self.weights.settle()

    def row(self, sums: Sums, item: str) -> Row:
        """What `sums` has of the row of one item."""
        number = self.numbers[item]
        begin, end = np.searchsorted(sums.codes, (number << 32, (number + 1) << 32))
        return Row(sums.codes[begin:end] & 0xFFFFFFFF, sums.sums[begin:end], sums.times[begin:end])


def recount(values: Iterable[bytes], cut: frozenset[str], half_life_ms: float) -> Exact:
    """The recount of all records of a topic, each partition's in its order."""
    exact = Exact(cut, half_life_ms)
    for value in values:
        exact.take(value)
    exact.settle()
    return exact
