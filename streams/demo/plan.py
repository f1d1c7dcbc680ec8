"""The plan: what the demo is to show."""

from msgspec import Struct

from streams.shop.catalogue import Catalogue


class Plan(Struct, frozen=True, kw_only=True):
    """What to show."""

    seconds: float
    """How long the shop is open; 0 is until it is stopped."""
    rate: float
    """Events a second."""
    seed: int
    shoppers: int
    catalogue: Catalogue
