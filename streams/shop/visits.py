"""A visit to the simulated shop: one session of one shopper, a step at a time."""

from random import Random
from typing import Any

from msgspec import Struct, field

from streams.shop.catalogue import Catalogue, Product
from streams.shop.shoppers import Shopper, whim

CURRENCY = "EUR"
STEPS = (4, 24)
"""Steps of the shortest and of the longest visit."""
CHECKOUT = 0.7
"""Share of the filled carts that are bought."""
NEWEST = 4
"""Products that the front page shows as new."""

Fields = dict[str, Any]


class Visit(Struct):
    """One session: where the shopper stands, what she saw and what is in her cart."""

    shopper: Shopper
    session_id: str
    left: int
    """Steps before she leaves."""
    current: Product | None = None
    seen: list[Product] = field(default_factory=list)
    cart: list[Product] = field(default_factory=list)
    over: bool = False


def begin(rng: Random, shopper: Shopper, session_id: str) -> Visit:
    """A visit of a random length that begins near what she looked at last, if she has been here."""
    return Visit(shopper, session_id, rng.randint(*STEPS), current=shopper.last if rng.random() < 0.5 else None)


def step(rng: Random, visit: Visit, catalogue: Catalogue, on_sale: int) -> Fields:
    """The next thing she does, as the fields of an event that are hers alone to choose; it changes the visit."""
    visit.left -= 1
    if visit.left <= 0:
        return _leave(rng, visit)
    if visit.current is not None and visit.seen:
        chance = rng.random()
        if chance < 0.09:
            return _take(visit, visit.current)
        if chance < 0.11:
            return _about("wishlist", visit.current)
        if chance < 0.15:
            shown = _near(rng, visit.current, catalogue, on_sale)
            return _about("impression", shown) | {"position": rng.randrange(1, 9)}
        if chance < 0.16 and visit.cart:
            return _about("remove_from_cart", visit.cart.pop())
        if chance < 0.17 and visit.shopper.bought:
            return _about("rating", rng.choice(visit.shopper.bought)) | {"rating": rng.choice((2, 3, 4, 4, 5, 5))}
        if chance < 0.175 and visit.shopper.bought:
            return _send_back(rng, visit)
        if chance < 0.20:
            return _search(rng, visit, catalogue, on_sale)
    return _move(rng, visit, catalogue, on_sale)


def _move(rng: Random, visit: Visit, catalogue: Catalogue, on_sale: int) -> Fields:
    """She opens a product page: mostly one that stands near the page she is on."""
    chance, here = rng.random(), visit.current
    if here is None or chance < 0.07:
        found, kind = whim(rng, visit.shopper, catalogue, on_sale), "browse"
    elif chance < 0.85:
        found, kind = _near(rng, here, catalogue, on_sale), "click"
    elif chance < 0.93 and visit.seen:
        found, kind = rng.choice(visit.seen), "browse"
    elif chance < 0.95:
        found, kind = catalogue.products[on_sale - 1 - rng.randrange(NEWEST)], "click"
    else:
        found, kind = whim(rng, visit.shopper, catalogue, on_sale), "browse"
    if found is here:
        kind = "browse"
    visit.current = visit.shopper.last = found
    if found not in visit.seen:
        visit.seen.append(found)
    return _about(kind, found)


def _near(rng: Random, here: Product, catalogue: Catalogue, on_sale: int) -> Product:
    """A product beside this one: similar, or something that goes with it; the closest most often."""
    nearby = catalogue.similar[here.number] if rng.random() < 0.62 else catalogue.goes_with[here.number]
    there = [product for product in nearby if product.number < on_sale]
    if not there:
        return here
    place = min(int(rng.expovariate(0.5)), len(there) - 1)
    return there[place]


def _take(visit: Visit, product: Product) -> Fields:
    if product not in visit.cart:
        visit.cart.append(product)
    return _about("add_to_cart", product) | {"quantity": 1, "price": product.price, "currency": CURRENCY}


def _search(rng: Random, visit: Visit, catalogue: Catalogue, on_sale: int) -> Fields:
    """She types what she looks for; what she opens next is near it."""
    visit.current = whim(rng, visit.shopper, catalogue, on_sale)
    return {"event_type": "search", "query": visit.current.category.replace("-", " ")}


def _send_back(rng: Random, visit: Visit) -> Fields:
    product = visit.shopper.bought.pop(rng.randrange(len(visit.shopper.bought)))
    return _about("refund", product) | {"quantity": 1, "price": product.price, "currency": CURRENCY}


def _leave(rng: Random, visit: Visit) -> Fields:
    """The last step: she buys what is in her cart, all at once, or has a last look."""
    visit.over = True
    cart, visit.cart = visit.cart, []
    if not cart or rng.random() > CHECKOUT:
        return _about("browse", visit.current) if visit.current else {"event_type": "search", "query": "opening hours"}
    visit.shopper.bought = (visit.shopper.bought + cart)[-20:]
    value = round(sum(product.price for product in cart), 2)
    bought: Fields = {"event_type": "purchase", "value": value, "currency": CURRENCY}
    if len(cart) == 1:
        return bought | {"item_id": cart[0].item_id, "quantity": 1, "price": cart[0].price}
    return bought | {"items": [{"item_id": p.item_id, "quantity": 1, "price": p.price} for p in cart]}


def _about(kind: str, product: Product) -> Fields:
    return {"event_type": kind, "item_id": product.item_id}
