"""Trials: how often an item was shown in a recommendation, and clicked there, as one partition counts it."""

import struct
from collections.abc import Iterable
from typing import NamedTuple

from recsys.events import Event, Kind

_PACKED = struct.Struct("<QQ")


class Trials(NamedTuple):
    shown: int = 0
    """Impressions that answer a recommendation."""
    clicked: int = 0
    """Clicks that do; more than were shown where a shop tells of clicks alone."""


NO_TRIALS = Trials()


def answers(event: Event) -> Trials:
    """What an event is for each of its items: a recommendation that was shown, or was clicked, or neither.

    >>> from recsys.events import Line
    >>> event = Event(kind=Kind.CLICK, user_id="u", lines=(Line("a"),), time_ms=0, recommendation_id="r")
    >>> answers(event)
    Trials(shown=0, clicked=1)
    """
    if event.recommendation_id is None:
        return NO_TRIALS
    return Trials(int(event.kind is Kind.IMPRESSION), int(event.kind is Kind.CLICK))


def added(trials: Iterable[Trials]) -> Trials:
    """
    >>> added([Trials(2, 1), Trials(3)])
    Trials(shown=5, clicked=1)
    """
    shown = clicked = 0
    for each in trials:
        shown += each.shown
        clicked += each.clicked
    return Trials(shown, clicked)


def pack(trials: Trials) -> bytes:
    return _PACKED.pack(*trials)


def unpack(stored: bytes | None) -> Trials:
    """
    >>> unpack(pack(Trials(5, 2))), unpack(None)
    (Trials(shown=5, clicked=2), Trials(shown=0, clicked=0))
    """
    return Trials._make(_PACKED.unpack(stored)) if stored else NO_TRIALS
