"""Recommendations and neighbour lists: from ranked arrays to the messages that the contract describes."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from recsys.compiled import F64
from recsys.popularity import Popular, decayed
from recsys.ranking.evidence import RECENT
from recsys.ranking.features import ALSO_BOUGHT_TERM, BOUGHT_AGAIN_TERM, REPEAT_TERM, TRENDING_TERM
from recsys.ranking.rank import Ranked
from recsys.rows import Rows, worth
from recsys.rules import Rules

DIGITS = 6
"""Digits of a published score."""
SMALLEST = 1e-200
"""The smallest of them beside 0."""
SHARE_PARTS = 10_000
"""Shares are whole ten-thousandths."""

Places = NDArray[np.intp]
Strategy = Literal["personal", "cold_start"]


class Reason(Struct, omit_defaults=True, gc=False):
    """A term of an item's score: what kind of evidence, from which item of the user's, its share of the score, and how often
    that was met which is behind it (`recsys.ranking.counts`)."""

    kind: Literal["also_viewed", "repeat", "bought_again", "also_bought", "trending"]
    share: float
    item_id: str | None = None
    count: int = 0


class RecommendedItem(Struct, gc=False):
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


class Neighbour(Struct, gc=False):
    item_id: str
    score: float
    count: int


class Neighbours(Struct, omit_defaults=True):
    """The strongest neighbours of an item, or without `item_id` the most popular items of all."""

    updated_at: str
    items: list[Neighbour]
    item_id: str | None = None
    version: int = 0
    """Of the state that it shows; the last field, since a store compares it (`recsys.store.Entry`)."""


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
    return {item for items in (ranked.item, ranked.recent, ranked.source) for item in items.ravel().tolist()} - {0}


def recommended(ranked: Ranked, names: Mapping[int, str]) -> Iterator[list[RecommendedItem]]:
    """The items of each user, by falling score, ties by item id, each with its reasons."""
    order, shares = shares_by_size(ranked)
    counts = np.take_along_axis(ranked.counts, order, axis=2)
    scores = rounded(ranked.score)
    for u in range(len(ranked.item)):
        sources = [names.get(item) for item in ranked.recent[u].tolist()]
        items = [
            RecommendedItem(names[item], score, reasons(names[item], terms, parts, times, sources, names.get(beside)))
            for item, score, terms, parts, times, beside in zip(
                ranked.item[u].tolist(),
                scores[u].tolist(),
                order[u].tolist(),
                shares[u].tolist(),
                counts[u].tolist(),
                ranked.source[u].tolist(),
                strict=True,
            )
            if item in names
        ]
        items.sort(key=lambda found: (-found.score, found.item_id))
        yield items


def rounded(scores: F64) -> F64:
    """Scores with `DIGITS` digits from the first that is not 0: small ones keep their order.

    Those below `SMALLEST`, of items that were popular a thousand half-lives ago, are 0.

    >>> rounded(np.array([0.61234567, 0.0, 1.2345678e-9, 1e-305]))
    array([6.12346e-01, 0.00000e+00, 1.23457e-09, 0.00000e+00])
    """
    scores = np.where(scores < SMALLEST, 0.0, scores)
    scale = 10.0 ** (DIGITS - 1 - np.floor(np.log10(np.where(scores > 0.0, scores, 1.0))))
    found: F64 = np.round(scores * scale) / scale
    return found


def shares_by_size(ranked: Ranked) -> tuple[Places, F64]:
    """For each user and item: the terms of the score, largest first, and their shares, rounded so that they add up to 1.

    What an item's own row says for it is a repeat, like its having been met in this session.
    """
    terms = ranked.terms.copy()
    own = (ranked.recent[:, None, :] == ranked.item[:, :, None]) & (ranked.item != 0)[:, :, None]
    terms[:, :, REPEAT_TERM] += np.where(own, terms[:, :, :RECENT], 0.0).sum(axis=2)
    terms[:, :, :RECENT][own] = 0.0
    total = terms.sum(axis=2, keepdims=True)
    terms[:, :, TRENDING_TERM][total[:, :, 0] <= 0.0] = 1.0  # popular, but so long ago that nothing is left of it
    parts = np.rint(terms / np.where(total > 0.0, total, 1.0) * SHARE_PARTS)
    order = np.argsort(-parts, axis=2, kind="stable")
    parts = np.take_along_axis(parts, order, axis=2)
    parts[:, :, 0] += SHARE_PARTS - parts.sum(axis=2)
    return order, parts / SHARE_PARTS


def reasons(
    name: str,
    terms: list[int],
    shares: list[float],
    counts: list[int],
    sources: list[str | None],
    beside: str | None = None,
) -> list[Reason]:
    """The reasons for one item, the largest share first; terms without a share are left out.

    >>> found = reasons("b", [0, REPEAT_TERM, 1], [0.7, 0.3, 0.0], [37, 2, 5], ["a", "b"])
    >>> [(r.kind, r.item_id, r.share, r.count) for r in found]
    [('also_viewed', 'a', 0.7, 37), ('repeat', 'b', 0.3, 2)]
    """
    found = []
    for term, share, count in zip(terms, shares, counts, strict=True):
        if share == 0.0:
            break
        if term == REPEAT_TERM:
            found.append(Reason("repeat", share, name, count))
        elif term == TRENDING_TERM:
            found.append(Reason("trending", share, count=count))
        elif term == BOUGHT_AGAIN_TERM:
            found.append(Reason("bought_again", share, name, count))
        elif term == ALSO_BOUGHT_TERM:
            found.append(Reason("also_bought", share, beside, count))
        else:
            found.append(Reason("also_viewed", share, sources[term], count))
    return found


def neighbours(rows: Rows, r: int, order: Places, names: Mapping[int, str], rules: Rules, version: int) -> Neighbours:
    """The neighbours in the places `order` of row `r`, by falling score: P(neighbour | item), see `recsys.ranking.evidence`."""
    today = worth(float(rows.landmark[r]), float(rows.updated[r]), rules.half_life_ms)
    strength = today / (float(rows.popularity[r]) * today + 1.0)
    items = [
        Neighbour(names[item], round(weight * strength, DIGITS), count)
        for item, weight, count in zip(
            rows.other[r][order].tolist(),
            rows.weight[r][order].tolist(),
            rows.counts[r][order].tolist(),
            strict=True,
        )
        if item in names
    ]
    items.sort(key=lambda found: (-found.score, found.item_id))
    return Neighbours(instant(int(rows.updated[r])), items, rows.ids[r], version)


def strongest(rows: Rows, r: int, top_n: int) -> Places:
    """The places of the strongest other items in row `r`, ties by hash."""
    others = np.flatnonzero(rows.other[r, : rows.length[r]] != rows.item[r])
    order = np.lexsort((rows.other[r][others], -rows.weight[r][others]))
    return others[order[:top_n]]


def trending(popular: Popular, names: Mapping[int, str], now_ms: float, rules: Rules, version: int) -> Neighbours:
    """The most popular items; the score is the decayed number of interactions, `count` the whole number."""
    top = Popular._make(column[: rules.top_n] for column in popular)
    items = [
        Neighbour(names[item], round(score, DIGITS), count)
        for item, score, count in zip(
            top.item.tolist(), decayed(top, now_ms, rules).tolist(), top.interactions.tolist(), strict=True
        )
        if item in names
    ]
    items.sort(key=lambda found: (-found.score, found.item_id))
    return Neighbours(instant(now_ms), items, None, version)
