"""The simulated shop's catalogue: products, and which of them people look at together."""

import bisect
import itertools
from collections.abc import Iterator
from random import Random

import msgspec
from msgspec import Struct

from streams.shop.words import BRANDS, CATEGORIES, MODELS, Category

ARRIVING = 0.1
"""Share of the products that are not on sale yet when the shop opens."""
CURRENCY = "EUR"
PRICES = {category.slug: (category.low, category.high) for category in CATEGORIES}
SIMILAR = 6
"""Products of its own category that stand next to a product."""


class Product(Struct, frozen=True):
    """One thing the shop sells; `number` is its place in the catalogue, in the order in which products come on sale."""

    number: int
    item_id: str
    title: str
    category: str
    brand: str
    price: float


class Shelf(Struct, frozen=True):
    """Products with the sums of their popularity, from which one is drawn in logarithmic time."""

    products: list[Product]
    sums: list[float]

    def draw(self, rng: Random) -> Product:
        """A product, the popular ones more often."""
        return self.products[bisect.bisect(self.sums, rng.random() * self.sums[-1], hi=len(self.sums) - 1)]


class Catalogue(Struct, frozen=True):
    """All products, by category and by what stands next to each."""

    products: list[Product]
    by_id: dict[str, Product]
    shelves: dict[str, Shelf]
    """A category's products, weighted by popularity."""
    similar: list[list[Product]]
    """For each product's number, the products of its category that people compare it with, closest first."""
    goes_with: list[list[Product]]
    """For each product's number, the products of other categories that people take along with it, closest first."""
    opening: int
    """Products on sale when the shop opens: those with a smaller number."""

    def title(self, item_id: str) -> str:
        """The title of an item, or its id where the shop does not sell it."""
        product = self.by_id.get(item_id)
        return product.title if product else item_id


def build_catalogue(rng: Random, products: int = 400) -> Catalogue:
    """A catalogue of so many products, at least one for each category.

    >>> shop = build_catalogue(Random(1), 280)
    >>> shop.products[0].item_id, shop.products[0].title, shop.products[0].price
    ('down-jacket-006', 'Pellinor Petrel Down Jacket', 149.0)
    """
    if products < len(CATEGORIES):
        raise ValueError(f"the shop has {len(CATEGORIES)} categories: {products} products are too few")
    everything = _products(rng, products)
    popularity = _popularity(rng, products)
    by_category = {category.slug: [p for p in everything if p.category == category.slug] for category in CATEGORIES}
    shelves = {
        slug: Shelf(members, list(itertools.accumulate(popularity[p.number] for p in members)))
        for slug, members in by_category.items()
    }
    complements = {category.slug: category.goes_with for category in CATEGORIES}
    return Catalogue(
        products=everything,
        by_id={p.item_id: p for p in everything},
        shelves=shelves,
        similar=[_closest(rng, p, by_category[p.category], SIMILAR) for p in everything],
        goes_with=[
            [
                other
                for pair in zip(*(_closest(rng, p, by_category[slug], 2) for slug in complements[p.category]), strict=False)
                for other in pair
            ]
            for p in everything
        ],
        opening=products - int(products * ARRIVING),
    )


def in_records(catalogue: Catalogue) -> Iterator[tuple[str, bytes]]:
    """What the shop tells of its products on the topic `items`: of each its id and its Item JSON.

    >>> next(in_records(build_catalogue(Random(1), 280)))[1].decode()  # doctest: +ELLIPSIS
    '{"item_id":"down-jacket-006","title":"Pellinor Petrel Down Jacket","brand":...,"price":149.0,"currency":"EUR"}'
    """
    for product in catalogue.products:
        told = {
            "item_id": product.item_id,
            "title": product.title,
            "brand": product.brand,
            "categories": [product.category],
            "price": product.price,
            "currency": CURRENCY,
        }
        yield product.item_id, msgspec.json.encode(told)


def dearness(product: Product) -> float:
    """Where its price stands among those of its category: 0 is the cheapest, 1 the dearest."""
    low, high = PRICES[product.category]
    return (product.price - low) / (high - low)


def _products(rng: Random, count: int) -> list[Product]:
    """Products in a random order, evenly over the categories."""
    made: list[tuple[Category, int]] = [(CATEGORIES[n % len(CATEGORIES)], n // len(CATEGORIES) + 1) for n in range(count)]
    rng.shuffle(made)
    models = {category.slug: rng.sample(MODELS, len(MODELS)) for category in CATEGORIES}
    brands = {category.slug: rng.sample(BRANDS, 5) for category in CATEGORIES}
    result = []
    for number, (category, serial) in enumerate(made):
        brand = rng.choice(brands[category.slug])
        model = models[category.slug][(serial - 1) % len(MODELS)]
        edition = (serial - 1) // len(MODELS) + 1
        name = model if edition == 1 else f"{model} {edition}"
        price = category.low * (category.high / category.low) ** rng.random()
        result.append(
            Product(
                number=number,
                item_id=f"{category.slug}-{serial:03d}",
                title=f"{brand} {name} {category.noun}",
                category=category.slug,
                brand=brand,
                price=round(price) - 0.05 if rng.random() < 0.5 else float(round(price)),
            )
        )
    return result


def _popularity(rng: Random, count: int) -> list[float]:
    """Zipf: the product of rank r is drawn in proportion to 1 / (r + 2), r from 1."""
    ranks = rng.sample(range(count), count)
    return [1 / (rank + 3) for rank in ranks]


def _closest(rng: Random, product: Product, others: list[Product], count: int) -> list[Product]:
    """The products nearest in price and brand, with some chance in it, as taste has."""

    here = dearness(product)

    def distance(other: Product) -> float:
        return abs(dearness(other) - here) + 0.3 * (other.brand != product.brand) + 0.2 * rng.random()

    near = sorted((distance(other), other.number) for other in others if other is not product)
    by_number = {other.number: other for other in others}
    return [by_number[number] for _, number in near[:count]]
