"""Strategies: the ways to recommend, each by its name, alone. A module for each; here is what a running state answers by.

A strategy of `STRATEGIES` says what of a user it goes by, by which rules, and what leads on from there. Where that is rows or
descriptions `recsys.ranker` does the rest, so a strategy that is asked for alone ranks as the worker does with that part of it;
where it is other users, `recsys.users_alike`. `recsys.evaluation.strategies` measures them on files.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from recsys.ranker import Asked
from recsys.recommendation import Strategy
from recsys.rules import Rules
from recsys.strategies import content_based, item_based, personal, trending

__all__ = ["STRATEGIES", "Alone", "named"]

By = Literal["rows", "descriptions", "users"]


class Alone(NamedTuple):
    """A strategy that can be asked for by its name."""

    part: Callable[[Asked], Asked]
    """What of the users it goes by."""
    rules: Callable[[Rules], Rules]
    by: frozenset[By]
    """What leads from the user's items to others."""


STRATEGIES: dict[Strategy, Alone] = {
    "item-based": Alone(item_based.part, item_based.rules, frozenset({"rows"})),
    "user-based": Alone(item_based.part, item_based.rules, frozenset({"users"})),
    "content-based": Alone(content_based.part, content_based.rules, frozenset({"descriptions"})),
    "collaborative": Alone(personal.part, personal.rules, frozenset({"rows"})),
    "trending": Alone(trending.part, trending.rules, frozenset({"rows"})),
    "personal": Alone(personal.part, personal.rules, frozenset({"rows", "descriptions"})),
    "hybrid": Alone(personal.part, personal.rules, frozenset({"rows", "descriptions"})),
}
"""`personal` and `hybrid` are one: what a worker publishes."""


def named(name: str) -> tuple[Strategy, Alone]:
    """A strategy and its name.

    Raises `ValueError` for a name that none has.

    >>> named("nightly")
    Traceback (most recent call last):
    ValueError: strategy 'nightly' is none of item-based, user-based, content-based, collaborative, trending, personal, hybrid
    """
    for known, strategy in STRATEGIES.items():
        if known == name:
            return known, strategy
    raise ValueError(f"strategy {name!r} is none of {', '.join(STRATEGIES)}")
