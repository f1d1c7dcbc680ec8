"""The public messages: recommendations, and lists of neighbours or of what is popular, as the contract describes them."""

from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import Struct

from recsys.calendar import HOUR_MS, MINUTE_MS, hour_name

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
