"""Recommendations and neighbour lists: from ranked arrays to the messages that the contract describes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from recsys.popularity import Popular, decayed
from recsys.rank import RECENT, REPEAT_TERM, Ranked
from recsys.rows import Rows, worth
from recsys.rules import Rules

DIGITS = 6
"""Decimals of a published score."""

Places = NDArray[np.intp]
Strategy = Literal["personal", "cold_start"]


class Reason(Struct, omit_defaults=True):
    """A term of an item's score: what kind of evidence, from which item of the user's, and its share of the score."""

    kind: Literal["also_viewed", "repeat", "trending"]
    share: float
    item_id: str | None = None


class RecommendedItem(Struct):
    item_id: str
    score: float
    reasons: list[Reason]


class Recommendation(Struct, omit_defaults=True):
    """What the topic and Redis hold for a user: see the contract."""

    user_id: str
    recommendation_id: str
    generated_at: str
    event_time: str
    strategy: Strategy
    items: list[RecommendedItem]
    event_id: str | None = None


class Neighbour(Struct):
    item_id: str
    score: float
    count: int


class Neighbours(Struct, omit_defaults=True):
    """The strongest neighbours of an item, or without `item_id` the most popular items of all."""

    updated_at: str
    items: list[Neighbour]
    item_id: str | None = None


def encode(message: Recommendation | Neighbours) -> bytes:
    return msgspec.json.encode(message)


def instant(time_ms: float) -> str:
    """A time as the messages write it.

    >>> instant(1_700_000_000_123)
    '2023-11-14T22:13:20.123Z'
    """
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def hashes_to_name(ranked: Ranked) -> set[int]:
    """The hashes of all items that stand in these recommendations and their reasons."""
    return {*ranked.item.ravel().tolist(), *ranked.recent.ravel().tolist()} - {0}


def recommended(ranked: Ranked, user: int, names: Mapping[int, str]) -> list[RecommendedItem]:
    """The items of one user, by falling score, ties by item id, each with its reasons."""
    items = []
    recent = [names.get(item) for item in ranked.recent[user].tolist()]
    terms = ranked.terms[user].tolist()
    for place, item in enumerate(ranked.item[user].tolist()):
        if not item:
            break
        name = names[item]
        items.append(RecommendedItem(name, round(float(ranked.score[user, place]), DIGITS), reasons(name, terms[place], recent)))
    items.sort(key=lambda found: (-found.score, found.item_id))
    return items


def reasons(name: str, terms: list[float], recent: list[str | None]) -> list[Reason]:
    """The terms of a score as shares that add up to 1, the largest first.

    The share that an item has of itself, from having been met before, is a repeat whether its row or this session says so.

    >>> [(r.kind, r.item_id, r.share) for r in reasons("b", [0.5, 0.25, 0, 0, 0, 0.25, 0], ["a", "b", None, None, None])]
    [('also_viewed', 'a', 0.5), ('repeat', 'b', 0.5)]
    """
    repeat = terms[REPEAT_TERM]
    evidence: list[tuple[Literal["also_viewed", "repeat", "trending"], float, str | None]] = []
    for term, source in zip(terms[:RECENT], recent, strict=True):
        if source == name:
            repeat += term
        elif term > 0:
            evidence.append(("also_viewed", term, source))
    if repeat > 0:
        evidence.append(("repeat", repeat, name))
    if terms[-1] > 0:
        evidence.append(("trending", terms[-1], None))
    if not evidence:
        return [Reason("trending", 1.0)]
    evidence.sort(key=lambda one: -one[1])
    total = sum(term for _, term, _ in evidence)
    found = [Reason(kind, round(term / total, 4), source) for kind, term, source in evidence]
    found[0].share = round(1.0 - sum(reason.share for reason in found[1:]), 4)
    return found


def neighbours(rows: Rows, r: int, order: Places, names: Mapping[int, str], rules: Rules) -> Neighbours:
    """The neighbours in the places `order` of row `r`, by falling score: P(neighbour | item), see `recsys.rank`."""
    today = worth(float(rows.landmark[r]), float(rows.updated[r]), rules.half_life_ms)
    strength = today / (float(rows.popularity[r]) * today + 1.0)
    items = [
        Neighbour(names[item], round(weight * strength, DIGITS), count)
        for item, weight, count in zip(
            rows.other[r][order].tolist(),
            rows.weight[r][order].tolist(),
            rows.count[r][order].tolist(),
            strict=True,
        )
    ]
    items.sort(key=lambda found: (-found.score, found.item_id))
    return Neighbours(instant(int(rows.updated[r])), items, rows.ids[r])


def strongest(rows: Rows, r: int, top_n: int) -> Places:
    """The places of the strongest other items in row `r`, ties by hash."""
    others = np.flatnonzero(rows.other[r, : rows.length[r]] != rows.item[r])
    order = np.lexsort((rows.other[r][others], -rows.weight[r][others]))
    return others[order[:top_n]]


def trending(popular: Popular, names: Mapping[int, str], now_ms: float, rules: Rules) -> Neighbours:
    """The most popular items; the score is the decayed number of interactions, `count` the whole number."""
    top = Popular(*(column[: rules.top_n] for column in popular))
    items = [
        Neighbour(names[item], round(score, DIGITS), count)
        for item, score, count in zip(
            top.item.tolist(), decayed(top, now_ms, rules).tolist(), top.interactions.tolist(), strict=True
        )
    ]
    items.sort(key=lambda found: (-found.score, found.item_id))
    return Neighbours(instant(now_ms), items)
