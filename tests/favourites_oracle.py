"""What a customer likes, told once more: of the recounted history and purchases, with dicts and sorted prices."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from math import exp2
from typing import NamedTuple

from oracle import INTERACTIONS, Interaction
from returning_oracle import DAY, Holding, faded

WEIGHTS = {"browse": 1, "click": 1, "add_to_cart": 3, "wishlist": 2, "purchase": 4, "rating": 4}
HALF_LIFE_DAYS = 60
LEAST_PRICED = 20


class Described(NamedTuple):
    """An item of the catalogue; categories as lists of names, the widest first."""

    categories: list[list[str]]
    brand: str
    price: float | None


class Liked(NamedTuple):
    """Shares of all categories and brands, and the bands that may be the median: two where half lies in each."""

    categories: dict[str, float]
    brands: dict[str, float]
    price_bands: list[int]


def liked(
    history: Collection[Interaction], held: Mapping[str, Holding], newest_ms: int, catalogue: Mapping[str, Described]
) -> Liked:
    """The favourites of a customer, by item id."""
    weights = [
        (entry.item, WEIGHTS[entry.kind] * exp2((entry.time_ms - newest_ms) / (HALF_LIFE_DAYS * DAY)))
        for entry in history
        if entry.kind in INTERACTIONS and entry.kind != "purchase"
    ]
    weights += [(item, WEIGHTS["purchase"] * faded(each.times, newest_ms, HALF_LIFE_DAYS)) for item, each in held.items()]
    known = [(catalogue[item], weight) for item, weight in weights if item in catalogue]
    categories: dict[str, list[float]] = defaultdict(list)
    brands: dict[str, list[float]] = defaultdict(list)
    bands: dict[int, list[float]] = defaultdict(list)
    for item, weight in known:
        for path in {" > ".join(names) for names in item.categories}:
            categories[path].append(weight)
        if item.brand:
            brands[item.brand].append(weight)
        band = price_band(item, catalogue)
        if band:
            bands[band].append(weight)
    return Liked(
        shares(categories, sum(weight for item, weight in known if item.categories)),
        shares(brands, sum(weight for item, weight in known if item.brand)),
        medians(bands),
    )


def shares(weights: Mapping[str, list[float]], whole: float) -> dict[str, float]:
    return {name: sum(each) / whole for name, each in weights.items()}


def medians(bands: Mapping[int, list[float]]) -> list[int]:
    half = sum(map(sum, bands.values())) / 2
    under = {n: sum(sum(weights) for band, weights in bands.items() if band < n) for n in range(1, 7)}
    return [n for n in bands if under[n] < half * (1 + 1e-6) and under[n + 1] >= half * (1 - 1e-6)]


def price_band(item: Described, catalogue: Mapping[str, Described]) -> int | None:
    """By whole numbers: a fifth ends at the place j (n − 1) / 5 of the sorted prices."""
    if not item.price:
        return None
    path = item.categories[0] if item.categories else []
    for depth in range(len(path), -1, -1):
        prices = sorted(
            other.price for other in catalogue.values() if other.price and (other.categories or [[]])[0][:depth] == path[:depth]
        )
        if len(prices) >= LEAST_PRICED:
            first, last = prices.index(item.price), len(prices) - 1 - prices[::-1].index(item.price)
            ends = [j * (len(prices) - 1) for j in range(1, 5)]
            return 1 + (sum(end < 5 * first for end in ends) + sum(end <= 5 * last for end in ends)) // 2
    return None
