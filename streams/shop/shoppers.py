"""The simulated shop's shoppers: who they are, what they like, and what they did on earlier visits."""

from random import Random

from msgspec import Struct, field

from streams.shop.catalogue import Catalogue, Product, dearness
from streams.shop.words import BRANDS, CATEGORIES, NAMES

DEVICES = ("web", "ios", "android")
ANONYMOUS = 0.15
"""Share of the visits by people who are not known."""
TRIES = 8
"""Products looked at for one that fits a shopper's purse and brands; then anything does."""


class Shopper(Struct):
    """A person: fixed tastes, and what is remembered from visit to visit."""

    name: str
    known: bool
    """Whether the shop knows her: else her events carry an `anonymous_id`."""
    categories: tuple[str, ...]
    """What she looks for, her favourite first."""
    brands: frozenset[str]
    purse: tuple[float, float]
    """The part of a category's price range that she looks at, from 0 to 1."""
    device: str
    last: Product | None = None
    """What she looked at last."""
    bought: list[Product] = field(default_factory=list)
    """What she bought and has not sent back."""

    @property
    def identity(self) -> dict[str, str]:
        """Her id as it stands in an event.

        >>> newcomer(Random(1), 7, known=True).identity
        {'user_id': 'elif-0007'}
        """
        return {"user_id" if self.known else "anonymous_id": self.name}


def newcomer(rng: Random, number: int, *, known: bool) -> Shopper:
    """A new person with tastes of her own."""
    first = rng.choice(CATEGORIES)
    second = rng.choice(first.goes_with)
    third = rng.choice(CATEGORIES).slug
    low = rng.random() * 0.6
    name = rng.choice(NAMES)
    return Shopper(
        name=f"{name}-{number:04d}" if known else f"visitor-{number:04d}-{rng.getrandbits(24):06x}",
        known=known,
        categories=tuple(dict.fromkeys((first.slug, second, third))),
        brands=frozenset(rng.sample(BRANDS, 4)),
        purse=(low, low + 0.4),
        device=rng.choices(DEVICES, (5, 3, 2))[0],
    )


def crowd(rng: Random, count: int, catalogue: Catalogue) -> list[Shopper]:
    """So many known shoppers, who bought a thing or two before anybody kept a record of it.

    >>> from streams.shop.catalogue import build_catalogue
    >>> [shopper.name for shopper in crowd(Random(3), 3, build_catalogue(Random(3)))]
    ['malik-0001', 'mira-0002', 'hana-0003']
    """
    shoppers = [newcomer(rng, number, known=True) for number in range(1, count + 1)]
    for shopper in shoppers:
        shopper.bought = [whim(rng, shopper, catalogue, catalogue.opening) for _ in range(rng.randrange(3))]
    return shoppers


def whim(rng: Random, shopper: Shopper, catalogue: Catalogue, on_sale: int) -> Product:
    """A product that she would look up by herself: of her categories, brands and purse where there is one."""
    category = rng.choices(shopper.categories, (6, 3, 1)[: len(shopper.categories)])[0]
    shelf = catalogue.shelves[category]
    found = shelf.draw(rng)
    for _ in range(TRIES):
        affordable = shopper.purse[0] <= dearness(found) <= shopper.purse[1]
        if found.number < on_sale and (affordable or found.brand in shopper.brands):
            return found
        found = shelf.draw(rng)
    return found if found.number < on_sale else catalogue.products[rng.randrange(on_sale)]
