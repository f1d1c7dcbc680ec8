"""The rules of counting and ranking: the few numbers that say what Freshet counts and what it shows."""

from typing import Literal, NamedTuple

from msgspec import Struct

Hideable = Literal["current", "once", "purchased", "seen", "none"]


class ActionWeights(NamedTuple):
    """What each kind of interaction weighs: a pair in the rows weighs by the later of its two, see `recsys.fold`.

    Those of a click, a cart and a purchase are the weights of usage events in Microsoft's SAR (the defaults of
    `sar(allowed_events=…)` in its R package). Of the others only the order of signals is published: a wish is between a click
    and a cart, a rating follows a purchase (Wan, McAuley, 2018, "Item recommendation on monotonic behavior chains"). None was
    measured on this ranking.
    """

    browse: float = 1.0
    click: float = 1.0
    add_to_cart: float = 3.0
    wishlist: float = 2.0
    purchase: float = 4.0
    rating: float = 4.0


class Rules(Struct, frozen=True, kw_only=True):
    """What is counted and what is left out; every pure function takes its numbers from here.

    >>> Rules().row_limit
    125
    """

    history: int = 50
    """Interactions that are remembered of each user."""
    window: int = 5
    """Earlier distinct items of the session that a new item is paired with."""
    session_gap_ms: int = 1_800_000
    """Milliseconds without an event that end a session."""
    neighbours: int = 100
    """Neighbours that a row keeps when it is cut."""
    half_life_ms: float = 90 * 86_400_000.0
    """Milliseconds after which a weight is worth half; 0 is no decay."""
    action_weights: ActionWeights = ActionWeights()
    """Beside each other; they say what is ranked higher, never what is counted."""
    baskets: bool = True
    """Whether it is counted what was bought together, and after what (`recsys.baskets`)."""
    customers: bool = True
    """Whether an account is kept of each customer (`recsys.customers`)."""
    rates: tuple[tuple[str, float], ...] = ()
    """What a unit of each currency is worth in the shop's own; with none at all every unit is worth 1."""
    visitors: int = 100
    """Visitors that are remembered of each item (`recsys.visitors`); 0: none. It changes nothing that is counted."""
    learner: bool = True
    """Whether ranking learns from what users turn to next; otherwise it is by F alone (`recsys.ranking.evidence`)."""
    explore: float = 0.1
    """The share of the places of a cold list that new items get (`recsys.cold`)."""
    top_n: int = 20
    """Items in a recommendation."""
    hide: frozenset[Hideable] = frozenset({"current", "once"})
    """What is left out of recommendations."""

    @property
    def row_limit(self) -> int:
        """The length at which a row is cut back to its strongest `neighbours`: a quarter above it."""
        return self.neighbours + max(1, self.neighbours // 4)
