"""Strategies, each alone by its name, on the questions of a file."""

from collections.abc import Callable
from typing import TypeAlias

import msgspec
import numpy as np

from recsys.alike import NOTHING_ALIKE
from recsys.compiled import I32
from recsys.evaluation.baselines import Progress, popularity
from recsys.evaluation.events import Events
from recsys.evaluation.next_item import learned
from recsys.evaluation.user_based import user_based
from recsys.rules import Rules

Strategy: TypeAlias = Callable[[Events, Rules, int, Progress], I32]
"""From the events, the rules, the length of an answer and a listener: the answers, questions × length."""

PERSONAL = "personal"


def item_based_answers(events: Events, rules: Rules, at: int, progress: Progress) -> I32:
    """By the rows of the user's recent items alone, over two hops: F of `recsys.ranking.evidence`; nothing is learned."""
    return learned(
        events._replace(alike=NOTHING_ALIKE), msgspec.structs.replace(rules, top_n=at, learner=False), progress
    ).answers


def content_based_answers(events: Events, rules: Rules, at: int, progress: Progress) -> I32:
    """By what is described like the user's recent items alone, and by what the session has met: rows stay empty."""
    uncounted = events._replace(counted=np.zeros_like(events.counted))
    return learned(uncounted, msgspec.structs.replace(rules, top_n=at, learner=False), progress).answers


def collaborative_answers(events: Events, rules: Rules, at: int, progress: Progress) -> I32:
    """All that a worker ranks by but descriptions: what they add is the difference to Freshet."""
    return learned(events._replace(alike=NOTHING_ALIKE), msgspec.structs.replace(rules, top_n=at), progress).answers


def user_based_answers(events: Events, rules: Rules, at: int, progress: Progress) -> I32:
    """By what users met who lately met the same items: `recsys.strategies.user_based`. It hides nothing."""
    return user_based(events.trace, len(events.items), at, progress, rules.history, rules.visitors)


def trending_answers(events: Events, rules: Rules, at: int, progress: Progress) -> I32:
    """The most popular items, decayed as the worker's are (`Rules.half_life_ms`), for everybody. It hides nothing."""
    if not rules.half_life_ms:
        return popularity.most_popular(events.trace, len(events.items), at, progress)
    return popularity.decayed(events.trace, len(events.items), at, progress, rules.half_life_ms)


def personal_answers(events: Events, rules: Rules, at: int, progress: Progress) -> I32:
    """All that a worker ranks by: what `recsys.evaluation.evaluate` measures as Freshet."""
    return learned(events, msgspec.structs.replace(rules, top_n=at), progress).answers


DESCRIBED = ("content-based", "collaborative")
"""Strategies that say something of shops with a catalogue only."""
STRATEGIES: dict[str, Strategy] = {
    "item-based": item_based_answers,
    "user-based": user_based_answers,
    "content-based": content_based_answers,
    "collaborative": collaborative_answers,
    "trending": trending_answers,
    PERSONAL: personal_answers,
}
