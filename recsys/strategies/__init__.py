"""Strategies: the ways to recommend, each by its name, alone. A module for each; here is what a running state answers by.

A strategy of `STRATEGIES` says what of a user it goes by, and by which rules; `recsys.ranker` does the rest, so a strategy that
is asked for alone ranks as the worker does with that part of it. `recsys.evaluation.strategies` measures them on files.
"""

from collections.abc import Callable
from typing import NamedTuple

from recsys.ranker import Asked
from recsys.recommendation import Strategy
from recsys.rules import Rules
from recsys.strategies import item_based, personal, trending

__all__ = ["STRATEGIES", "Alone", "named"]


class Alone(NamedTuple):
    """A strategy that ranks from the rows and what is known of the user."""

    part: Callable[[Asked], Asked]
    """What of the users it goes by."""
    rules: Callable[[Rules], Rules]


STRATEGIES: dict[Strategy, Alone] = {
    "item-based": Alone(item_based.part, item_based.rules),
    "trending": Alone(trending.part, trending.rules),
    "personal": Alone(personal.part, personal.rules),
}


def named(name: str) -> tuple[Strategy, Alone]:
    """A strategy and its name.

    Raises `ValueError` for a name that none has.

    >>> named("nightly")
    Traceback (most recent call last):
    ValueError: strategy 'nightly' is none of item-based, trending, personal
    """
    for known, strategy in STRATEGIES.items():
        if known == name:
            return known, strategy
    raise ValueError(f"strategy {name!r} is none of {', '.join(STRATEGIES)}")
