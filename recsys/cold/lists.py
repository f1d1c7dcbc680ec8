"""Cold lists: what to show in a context to a visitor of whom there is no event, as messages. Pure."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from recsys.cold.exploration import Candidates, explored_places, take, thompson
from recsys.cold.trials import NO_TRIALS, Trials
from recsys.compiled import F64, I64, U64
from recsys.digits import rounded
from recsys.hashing import hash_id
from recsys.index import among
from recsys.popularity import Popular, first, without
from recsys.ranking.rank import FILL, level_of
from recsys.recommendation import Reason, RecommendedItem, instant
from recsys.rules import Rules

TOLD = 20
"""Explored items of which a list tells what was learned, beside those that it shows."""


class ColdItem(Struct, omit_defaults=True, gc=False):
    item_id: str
    score: float
    reasons: list[Reason]
    shown: int = 0
    clicked: int = 0
    """Of an item that is new; see `recsys.cold.trials`."""


class Learned(Struct, gc=False):
    """What was learned of a new item so far."""

    item_id: str
    shown: int
    clicked: int


class ColdList(Struct, omit_defaults=True):
    """What to show first, best first, and what was learned of the context's new items, the most shown first."""

    strategy: Literal["cold_start"]
    recommendation_id: str
    """For the impressions and clicks that answer it."""
    generated_at: str
    items: list[ColdItem]
    explored: list[Learned] = []
    context: str | None = None
    """None: that of a visitor of whom nothing is known."""
    version: int = 0
    """Of the state that it shows; the last field, since a store compares it (`recsys.store.Entry`)."""


def stripped(message: ColdList, gone: U64) -> ColdList:
    """The list without these items (sorted hashes).

    >>> message = ColdList("cold_start", "r", "", [ColdItem("a", 1.0, []), ColdItem("b", 0.5, [])], [Learned("b", 2, 1)])
    >>> left = stripped(message, np.array([hash_id("b")], np.uint64))
    >>> [item.item_id for item in left.items], left.explored
    (['a'], [])
    """
    if not len(gone):
        return message
    hidden = set(gone.tolist())
    message.items = [item for item in message.items if hash_id(item.item_id) not in hidden]
    message.explored = [each for each in message.explored if hash_id(each.item_id) not in hidden]
    return message


class Trending(NamedTuple):
    """What is popular, by falling level: columns of one length."""

    item: U64
    level: F64
    """The popularity beside the most popular's: at most 1."""
    interactions: I64
    own: int
    """The first so many are popular in the context; the others, who fill up, with everybody."""


class Drawn(NamedTuple):
    """The items of a list."""

    item: list[int]
    score: list[float]
    interactions: list[int]
    """Of a popular one."""
    is_new: list[bool]
    is_own: list[bool]
    """Whether it belongs to the context: it is new, or popular there."""
    candidates: Candidates
    """All that were drawn from."""


def generator(context: str, version: int) -> np.random.Generator:
    """What draws for a list of this state: always the same."""
    return np.random.default_rng([hash_id(context or " "), version])


def filled_up(popular: Popular, everything: Popular, top_n: int) -> Trending:
    """What is popular in a context, and, where that is too little, with everybody: at `FILL` of the last one's level."""
    own = first(popular, top_n)
    lacking = top_n - len(own.item)
    others = first(everything, top_n if lacking else 0)  # of so many, those that are not its own are enough
    wide = first(without(others, np.sort(own.item)), lacking)
    level = level_of(own)
    scale = FILL * level[-1] if len(level) else 1.0
    return Trending(
        np.concatenate((own.item, wide.item)),
        np.concatenate((level, scale * level_of(wide))),
        np.concatenate((own.interactions, wide.interactions)),
        len(own.item),
    )


def draw(popular: Trending, candidates: Candidates, rules: Rules, rng: np.random.Generator) -> Drawn:
    """Mixes what is popular with new items that are not popular enough to be there by themselves.

    Where nothing is popular in the context, its new items come first. The score of a popular item is its level; that of a new
    one lies between its neighbours', and says no more than where it stands.
    """
    may = ~among(candidates.item, np.sort(popular.item[: rules.top_n]))
    candidates = take(candidates, may if rules.explore else np.zeros(len(may), np.bool_))
    if popular.own:
        places = explored_places(len(popular.item), len(candidates.item), rules.top_n, rules.explore, rng)
    else:
        places = np.arange(min(len(candidates.item), rules.top_n))
    chosen = thompson(candidates, len(places), rng)
    length = min(rules.top_n, len(popular.item) + len(places))
    is_new = np.zeros(length, np.bool_)
    is_new[places] = True
    known = length - len(places)
    item, count, level = np.zeros(length, np.uint64), np.zeros(length, np.int64), np.zeros(length)
    item[is_new], item[~is_new] = candidates.item[chosen], popular.item[:known]
    count[~is_new], level[~is_new] = popular.interactions[:known], popular.level[:known]
    is_own = is_new.copy()
    is_own[~is_new] = np.arange(known) < popular.own
    score = [1.0, *level.tolist(), 0.0]
    for place in places.tolist():
        after = next(score[p + 1] for p in range(place + 1, length + 1) if p == length or not is_new[p])
        score[place + 1] = (score[place] + after) / 2.0
    scores = rounded(np.array(score[1:-1])).tolist()
    return Drawn(item.tolist(), scores, count.tolist(), is_new.tolist(), is_own.tolist(), candidates)


def cold_list(
    context: str, drawn: Drawn, tried: Mapping[int, Trials], names: Mapping[int, str], now_ms: float, version: int
) -> ColdList:
    """The message, by falling score, ties by item id."""
    name = context or None
    items = [
        ColdItem(
            names[item],
            score,
            [Reason("exploration" if is_new else "trending", 1.0, count=count, context=name if is_own else None)],
            *tried.get(item, NO_TRIALS),
        )
        for item, score, count, is_new, is_own in zip(*drawn[:5], strict=True)
        if item in names
    ]
    items.sort(key=lambda item: (-item.score, item.item_id))
    explored = [
        Learned(names[item], shown, clicked)
        for item, shown, clicked in zip(*(column.tolist() for column in drawn.candidates[:3]), strict=True)
        if item in names and (shown or clicked)
    ]
    explored.sort(key=lambda each: (-each.shown, -each.clicked, each.item_id))
    number = f"cold-{hash_id(context or ' '):016x}-{version:x}"
    return ColdList("cold_start", number, instant(now_ms), items, explored[:TOLD], name, version)


def encode(message: ColdList) -> bytes:
    return msgspec.json.encode(message)


def decode(value: bytes) -> ColdList:
    return msgspec.json.decode(value, type=ColdList)


def filled(lists: Sequence[ColdList], hidden: Collection[str], top_n: int) -> list[RecommendedItem]:
    """The items that one visitor is shown: those of the first list's context, and where these are too few of the next.

    What fills a list up is left to the next ones, and the scores of a list are `FILL` of the last one before it, as in ranking.
    """
    found: dict[str, RecommendedItem] = {}
    scale = 1.0
    for each in lists:
        for item in each.items:
            if len(found) == top_n:
                return list(found.values())
            if item.item_id not in found and item.item_id not in hidden and item.reasons[0].context == each.context:
                found[item.item_id] = RecommendedItem(item.item_id, scale * item.score, item.reasons)
        if found:
            scale = FILL * next(reversed(found.values())).score
    return list(found.values())
