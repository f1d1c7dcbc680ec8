"""The followed shopper: one person's events, and her recommendations with what has moved in them."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field

from streams.shop.visits import Fields

REMEMBERED = 12
"""Her latest events that are kept to be shown."""
PATIENCE_S = 8.0
"""Without an event of hers for so long, somebody else is followed."""


class Did(Struct, frozen=True):
    """One thing she did, at a second of the demo."""

    at: float
    kind: str
    what: tuple[str, ...]
    """Item ids, or the words of a search."""


class Shown(Struct, frozen=True):
    """One recommended item: its rank, the rank it had before (None: it is new), and the first of its reasons."""

    item_id: str
    rank: int
    before: int | None
    reasons: list[dict[str, Any]]


class Followed(Struct):
    """Who is followed, and what is known of her."""

    user: str | None = None
    did: deque[Did] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    shown: list[Shown] = field(default_factory=list)
    answered: float | None = None
    """The second of the demo at which her newest recommendation came."""

    def event(self, at: float, user: str, fields: Fields) -> bool:
        """Something happened in the shop; True if it is hers. She is chosen here: who acts while nobody is followed."""
        if fields["event_type"] == "impression":
            return False
        if "user_id" in fields and (self.user is None or (self.did and at - self.did[-1].at > PATIENCE_S)):
            self.follow(user)
        if user != self.user:
            return False
        if "query" in fields:
            what: tuple[str, ...] = (fields["query"],)
        elif "items" in fields:
            what = tuple(line["item_id"] for line in fields["items"])
        else:
            what = (fields["item_id"],)
        self.did.append(Did(at, fields["event_type"], what))
        return True

    def follow(self, user: str) -> None:
        """Somebody else, from the beginning."""
        self.user, self.answered = user, None
        self.did.clear()
        self.shown = []

    def recommendation(self, at: float, user: str, items: Sequence[dict[str, Any]]) -> bool:
        """A recommendation was published; True if it is hers."""
        if user != self.user:
            return False
        before = {shown.item_id: shown.rank for shown in self.shown}
        self.shown = [
            Shown(item["item_id"], rank, before.get(item["item_id"]), item["reasons"]) for rank, item in enumerate(items, 1)
        ]
        self.answered = at
        return True

    @property
    def moved(self) -> int:
        """Items of the newest recommendation that are new or stand elsewhere than before."""
        return sum(shown.rank != shown.before for shown in self.shown)
