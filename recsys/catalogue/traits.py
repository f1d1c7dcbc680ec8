"""Traits: what an item tells of who meets it: its categories, its brand, and how dear it is among its like."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from recsys.catalogue.item import CatalogueItem, prefixes
from recsys.compiled import F64, I32, U64, compiled
from recsys.customers.money import MICROS, MOST
from recsys.customers.spread import Spread, bucket_of_amount, move, quantiles
from recsys.hashing import hash_id
from recsys.index import NOWHERE, Index, enter, find, forget, with_room
from recsys.index import move as move_index

LEAST_PRICED = 20
"""Items with a price that a category must have to part dear from cheap; of one with fewer, the category above it is asked."""
EDGES = 4
"""Between the fifths of prices."""
NOTHING = 0
"""The code of no brand, and of the whole shop among the categories."""
NO_PRICE = 0
SHELF, BRAND, PRICE = range(3)


class Traits(NamedTuple):
    """The items in places, their categories and brands as codes, which are each worker's own."""

    where: Index
    item: I32
    """Items × 3, beside each other for they are read together: `SHELF`, which set of categories an item has; `BRAND`; and
    `PRICE`, the bucket of its price (`recsys.customers.spread`), `NO_PRICE` where it has none."""
    start: I32
    """Where the categories of a shelf begin in `category`; those of the next begin where they end."""
    category: I32
    """Those of all shelves, each path as the shop wrote it, without its prefixes."""
    parent: I32
    """By category, the one above it; of the widest ones, and of the whole shop itself, the whole shop."""
    priced: I32
    """By category, its items with a price, those below it among them: those whose first path it is in."""
    edge: F64
    """Categories × `EDGES`: the buckets between the fifths of their prices."""
    category_hash: U64
    brand_hash: U64
    """Of the names, by code: the same on every worker, so ties break by them."""


class Shelves:
    """Keeps the traits of the items of a catalogue. `rates` say what a unit of a currency is worth in the shop's; with none at
    all every unit is worth 1, else a price in a currency without a rate is none.

    >>> shelves = Shelves({})
    >>> shelves.put(7, CatalogueItem("a", categories=("Home > Mugs", "Gifts"), brand="Acme", price=4.5))
    >>> found = shelves.known()
    >>> [shelves.categories[code] for code in found.category[:2]], shelves.brands[found.item[0, BRAND]]
    (['Home > Mugs', 'Gifts'], 'Acme')
    """

    def __init__(self, rates: Mapping[str, float]) -> None:
        self._rates = rates
        self.categories: list[str] = [""]
        self.brands: list[str] = [""]
        """The names, by code."""
        self._category_codes: dict[str, int] = {"": NOTHING}
        self._brand_codes: dict[str, int] = {"": NOTHING}
        self._shelf_codes: dict[tuple[str, ...], int] = {}
        self._prices: list[Spread] = [{}]
        """By category."""
        self._moved: set[int] = set()
        """Categories whose prices changed since they were parted."""
        self._free: list[int] = []
        self._items = 0
        self._used = 0
        self._traits = Traits(
            with_room(0), np.zeros((0, 3), np.int32), np.zeros(1, np.int32), np.zeros(0, np.int32), np.zeros(1, np.int32),
            np.zeros(1, np.int32), np.zeros((1, EDGES)), np.zeros(1, np.uint64), np.zeros(1, np.uint64),
        )  # fmt: skip

    def put(self, item: int, told: CatalogueItem) -> None:
        """Takes in an item (hash), in place of what was known of it."""
        shelf, brand, price = self._shelf(told.categories), self._brand(told.brand), self._price(told)
        place = find(self._traits.where, np.uint64(item))
        if place == NOWHERE:
            place = self._place(item)
        elif self._traits.item[place, SHELF] != shelf:
            self._move_price(place, NO_PRICE)
        self._traits.item[place, SHELF], self._traits.item[place, BRAND] = shelf, brand
        self._move_price(place, price)

    def remove(self, item: int) -> None:
        """Takes an item (hash) out, if it is there."""
        place = find(self._traits.where, np.uint64(item))
        if place == NOWHERE:
            return
        self._move_price(place, NO_PRICE)
        forget(self._traits.where, np.uint64(item))
        self._free.append(place)
        self._items -= 1

    def known(self) -> Traits:
        """The traits as they are; prices are parted as they were at the last `part_prices`."""
        return self._traits

    def part_prices(self) -> None:
        """Parts the prices of all categories that changed into fifths."""
        for code in self._moved:
            prices = self._prices[code]
            self._traits.edge[code] = quantiles(prices)
            self._traits.priced[code] = sum(prices.values())
        self._moved = set()

    def __len__(self) -> int:
        return self._items

    @property
    def nbytes(self) -> int:
        """Bytes of all columns."""
        return sum(part.nbytes for column in self._traits for part in (column if isinstance(column, Index) else (column,)))

    def _place(self, item: int) -> int:
        self._items += 1
        if self._free:
            place = self._free.pop()
        else:
            place, self._used = self._used, self._used + 1
            if place == len(self._traits.item):
                self._make_room()
        enter(self._traits.where, np.uint64(item), place)
        return place

    def _make_room(self) -> None:
        kept = self._traits
        room = 64 + len(kept.item) * 3 // 2
        where = with_room(room)
        move_index(kept.where, where)
        self._traits = kept._replace(where=where, item=_longer(kept.item, room))

    def _shelf(self, paths: tuple[str, ...]) -> int:
        code = self._shelf_codes.get(paths)
        if code is None:
            code = self._shelf_codes[paths] = len(self._shelf_codes)
            codes = list(dict.fromkeys(self._category(prefixes(path)) for path in paths))
            kept = self._traits
            begins, ends = kept.start[code], kept.start[code] + len(codes)
            if code + 1 == len(kept.start):
                kept = kept._replace(start=_longer(kept.start, 64 + 2 * code))
            if ends > len(kept.category):
                kept = kept._replace(category=_longer(kept.category, 64 + 2 * ends))
            kept.start[code + 1], kept.category[begins:ends] = ends, codes
            self._traits = kept
        return code

    def _category(self, names: tuple[str, ...]) -> int:
        """The code of the last of these categories, each of which is in the one before it."""
        code = NOTHING
        for name in names:
            above, code = code, self._category_codes.setdefault(name, len(self.categories))
            if code == len(self.categories):
                self.categories.append(name)
                self._prices.append({})
                kept = self._traits
                if code == len(kept.parent):
                    room = 64 + 2 * code
                    kept = kept._replace(
                        parent=_longer(kept.parent, room), priced=_longer(kept.priced, room), edge=_longer(kept.edge, room),
                        category_hash=_longer(kept.category_hash, room),
                    )  # fmt: skip
                kept.parent[code], kept.category_hash[code] = above, hash_id(name)
                self._traits = kept
        return code

    def _brand(self, name: str) -> int:
        name = name.strip()
        code = self._brand_codes.setdefault(name, len(self.brands))
        if code == len(self.brands):
            self.brands.append(name)
            if code == len(self._traits.brand_hash):
                self._traits = self._traits._replace(brand_hash=_longer(self._traits.brand_hash, 64 + 2 * code))
            self._traits.brand_hash[code] = hash_id(name)
        return code

    def _price(self, told: CatalogueItem) -> int:
        """The bucket of a price in the shop's currency; an item that costs nothing has none."""
        rate = self._rates.get(told.currency, 0.0) if self._rates else 1.0
        return NO_PRICE if told.price is None else bucket_of_amount(min(told.price * rate, MOST / MICROS))

    def _move_price(self, place: int, price: int) -> None:
        """The item in a place has another price: notes it there, in the first of its categories, and in all above that."""
        kept = self._traits
        before = int(kept.item[place, PRICE])
        if before == price:
            return
        code = first_category(kept, place)
        while True:
            move(self._prices[code], before or None, price or None)
            self._moved.add(code)
            if code == NOTHING:
                break
            code = int(kept.parent[code])
        kept.item[place, PRICE] = price


@compiled
def first_category(traits: Traits, place: int) -> int:
    """The first category of the item in a place, by which its price is judged; the whole shop where it has none."""
    shelf = traits.item[place, SHELF]
    return traits.category[traits.start[shelf]] if traits.start[shelf] < traits.start[shelf + 1] else NOTHING


@compiled
def band(traits: Traits, place: int) -> int:
    """Among which fifth of the prices of its like an item's stands, 1 (cheapest) to 5; 0 where that cannot be told.

    Its like are the items in its first category, or in the narrowest one above it with `LEAST_PRICED` prices. A price that
    many have stands in the middle of the fifths that it fills.
    """
    price = traits.item[place, PRICE]
    if price == NO_PRICE:
        return 0
    code = first_category(traits, place)
    while traits.priced[code] < LEAST_PRICED and code != NOTHING:
        code = traits.parent[code]
    if traits.priced[code] < LEAST_PRICED:
        return 0
    under = upto = 0
    for n in range(EDGES):
        under += traits.edge[code, n] < price
        upto += traits.edge[code, n] <= price
    return 1 + (under + upto) // 2


def _longer(column: Any, room: int) -> Any:
    longer = np.zeros((room, *column.shape[1:]), column.dtype)
    longer[: len(column)] = column
    return longer
