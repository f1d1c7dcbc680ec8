"""Recommendations and neighbour lists: from ranked arrays to the messages that the contract describes."""

from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from recsys.calendar import HOUR_MS, MINUTE_MS, hour_name
from recsys.compiled import F32, F64, I32, I64, U32, U64, compiled
from recsys.hashing import NONE
from recsys.index import distinct
from recsys.popularity import Popular, decayed, first
from recsys.ranking.rank import Ranked
from recsys.rows import Rows, worth
from recsys.rules import Rules

DIGITS = 6
"""Digits of a published score."""
SMALLEST = 1e-200
"""The smallest of them beside 0."""
Strategy = Literal[
    "personal", "cold_start", "opted_out",
    "item-based", "user-based", "content-based", "collaborative", "trending", "hybrid",
]  # fmt: skip
"""Those of the first line are what a worker publishes; the others are asked for by name (`recsys.strategies`)."""


class Reason(Struct, omit_defaults=True, gc=False):
    """A term of an item's score: what kind of evidence, from which item of the user's, its share of the score, and how often
    that was met which is behind it (`recsys.ranking.counts`)."""

    kind: Literal[
        "also_viewed", "repeat", "bought_again", "also_bought", "trending", "similar_content", "similar_users", "exploration"
    ]
    share: float
    item_id: str | None = None
    count: int = 0
    context: str | None = None
    """Of what a visitor is shown first: in which context it is popular, or explored (`recsys.cold.contexts`)."""


class RecommendedItem(Struct, gc=False):
    item_id: str
    score: float
    reasons: list[Reason]


class Answer(Struct, omit_defaults=True):
    """What the topic and Redis hold for a user beside the items: see the contract."""

    user_id: str
    recommendation_id: str
    generated_at: str
    event_time: str
    strategy: Strategy


class Recommendation(Answer, omit_defaults=True):
    """What the topic and Redis hold for a user."""

    items: list[RecommendedItem]
    event_id: str | None = None


class Written(Answer, omit_defaults=True):
    """The same with its items as JSON, as they come from `recsys.listing`: most are written and never looked at."""

    items: msgspec.Raw
    event_id: str | None = None

    def keep(self, wanted: Callable[[RecommendedItem], bool]) -> None:
        """Keeps those of the items that are wanted."""
        self.items = msgspec.Raw(msgspec.json.encode([item for item in self.read().items if wanted(item)]))

    def shorten(self) -> None:
        """Keeps the first half of the items."""
        items = self.read().items
        self.items = msgspec.Raw(msgspec.json.encode(items[: len(items) // 2]))

    def read(self) -> Recommendation:
        """The same as objects."""
        return msgspec.json.decode(encode(self), type=Recommendation)


class Neighbour(Struct, omit_defaults=True, gc=False):
    item_id: str
    score: float
    count: int
    lift: float | None = None
    """Of what is bought together: see `recsys.baskets.lift`."""


class Neighbours(Struct, omit_defaults=True):
    """The strongest neighbours of an item, or without `item_id` the most popular items of all."""

    updated_at: str
    items: list[Neighbour]
    item_id: str | None = None
    version: int = 0
    """Of the state that it shows; the last field, since a store compares it (`recsys.store.Entry`)."""

    def keep(self, wanted: Callable[[Neighbour], bool]) -> None:
        """Keeps those of the items that are wanted."""
        self.items = [item for item in self.items if wanted(item)]


def encode(message: Recommendation | Written | Neighbours) -> bytes:
    return msgspec.json.encode(message)


def instant(time_ms: float) -> str:
    """A time as the messages write it.

    >>> instant(1_700_000_000_123)
    '2023-11-14T22:13:20.123Z'
    """
    hour, rest = divmod(int(time_ms), HOUR_MS)
    minute, rest = divmod(rest, MINUTE_MS)
    return f"{hour_name(hour)}:{minute:02}:{rest // 1000:02}.{rest % 1000:03}Z"


def hashes_to_name(ranked: Ranked) -> set[int]:
    """The hashes of all items that stand in these recommendations and their reasons."""
    return set(distinct(np.concatenate((ranked.item, ranked.recent, ranked.source), axis=None)).tolist()) - {NONE}


class Digits(NamedTuple):
    """Scores as they are published: `DIGITS` digits from the first that is not 0, so that small ones keep their order.

    Those below `SMALLEST`, of items that were popular a thousand half-lives ago, are 0.
    """

    digits: I64
    """A whole number of `DIGITS` digits, or 0."""
    exponent: I32
    """The power of ten of the first digit."""


def in_digits(scores: F64) -> Digits:
    """The digits of scores (any array).

    >>> in_digits(np.array([12.0, 0.61234567, 1.2345678e-9])).digits
    array([120000, 612346, 123457])
    """
    found = Digits(np.zeros(scores.size, np.int64), np.zeros(scores.size, np.int32))
    _round(scores.ravel(), found)
    return Digits._make(column.reshape(scores.shape) for column in found)


def rounded(scores: F64) -> F64:
    """Scores with their digits only.

    >>> rounded(np.array([0.61234567, 0.0, 1.2345678e-9, 1e-305]))
    array([6.12346e-01, 0.00000e+00, 1.23457e-09, 0.00000e+00])
    """
    digits, exponent = in_digits(scores)
    found: F64 = digits / 10.0 ** (DIGITS - 1.0 - exponent)
    return found


@compiled
def _round(scores: F64, found: Digits) -> None:
    for n in range(len(scores)):
        score = scores[n] if scores[n] >= SMALLEST else SMALLEST
        exponent = int(np.floor(np.log10(score)))
        digits = int(np.rint(score * 10.0 ** (DIGITS - 1 - exponent)))
        if digits >= 10**DIGITS:
            digits //= 10
            exponent += 1
        found.digits[n], found.exponent[n] = digits if scores[n] >= SMALLEST else 0, exponent


class Strongest(NamedTuple):
    """The strongest other items in some rows, by falling weight, ties by hash; `NONE` where there are fewer."""

    other: U64
    weight: F32
    counts: U32


def strongest(rows: Rows, top_n: int) -> Strongest:
    """The `top_n` strongest of each row."""
    shape = (len(rows.item), top_n)
    found = Strongest(np.zeros(shape, np.uint64), np.zeros(shape, np.float32), np.zeros(shape, np.uint32))
    _strongest(rows.item, rows.length, rows.other, rows.weight, rows.counts, found)
    return found


@compiled
def _strongest(item: U64, length: I32, other: U64, weight: F32, count: U32, found: Strongest) -> None:
    room = found.other.shape[1]
    for r in range(len(item)):
        n = 0
        best, best_weight, best_count = found.other[r], found.weight[r], found.counts[r]
        for k in range(length[r]):
            if other[r, k] == item[r]:
                continue
            i = n
            if n == room:
                i -= 1
                if best_weight[i] > weight[r, k] or (best_weight[i] == weight[r, k] and best[i] < other[r, k]):
                    continue
            while i > 0 and (
                best_weight[i - 1] < weight[r, k] or (best_weight[i - 1] == weight[r, k] and best[i - 1] > other[r, k])
            ):
                best[i], best_weight[i], best_count[i] = best[i - 1], best_weight[i - 1], best_count[i - 1]
                i -= 1
            best[i], best_weight[i], best_count[i] = other[r, k], weight[r, k], count[r, k]
            n = min(n + 1, room)


def neighbours(rows: Rows, shown: Strongest, names: Mapping[int, str], rules: Rules, versions: I64) -> Iterator[Neighbours]:
    """The neighbours of each row, by falling score: P(neighbour | item), see `recsys.ranking.evidence`; ties by item id."""
    return listed(rows, shown, strength(rows, rules), names, versions)


def strength(rows: Rows, rules: Rules) -> F64:
    """What turns a weight of each row into P(neighbour | item)."""
    today = worth(rows.landmark, rows.updated, rules.half_life_ms)
    found: F64 = today / (rows.popularity * today + 1.0)
    return found


def listed(
    rows: Rows, shown: Strongest, factor: F64, names: Mapping[int, str], versions: I64, lifts: F64 | None = None
) -> Iterator[Neighbours]:
    """The neighbours of each row, by falling score, ties by item id; the score is the weight times the row's `factor`.

    Those without a name are left out.
    """
    fallen = -np.round(shown.weight * factor[:, None], DIGITS)
    raised = repeat(repeat(None)) if lifts is None else np.round(lifts, DIGITS).tolist()
    columns = zip(rows.ids, rows.updated.tolist(), versions.tolist(), strict=True)
    lists = zip(shown.other.tolist(), fallen.tolist(), shown.counts.tolist(), strict=True)
    for (item_id, updated, version), (others, row, counts), lift in zip(columns, lists, raised, strict=False):
        ordered = sorted(zip(row, map(names.get, others, repeat("")), counts, lift, strict=False))
        found = [Neighbour(name, -score, count, above) for score, name, count, above in ordered if name]
        yield Neighbours(instant(updated), found, item_id, version)


def _place(found: Neighbour) -> tuple[float, str]:
    return -found.score, found.item_id


def trending(popular: Popular, names: Mapping[int, str], now_ms: float, rules: Rules, version: int) -> Neighbours:
    """The most popular items; the score is the decayed number of interactions, `count` the whole number."""
    top = first(popular, rules.top_n)
    items = [
        Neighbour(names[item], round(score, DIGITS), count)
        for item, score, count in zip(
            top.item.tolist(), decayed(top, now_ms, rules).tolist(), top.interactions.tolist(), strict=True
        )
        if item in names
    ]
    items.sort(key=_place)
    return Neighbours(instant(now_ms), items, None, version)
