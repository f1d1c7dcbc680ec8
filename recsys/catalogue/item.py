"""An item: from the bytes of a record of the topic `items` to a checked `CatalogueItem`, or to the reason why not."""

import re
from collections.abc import Mapping

from msgspec import Raw, Struct, field

from recsys.record import Amount, Currency, Form, Id, id_text, key_id, quoted

MAX_NAME = 256
"""Characters of a brand, and of an attribute's name."""
MAX_TITLE = 1024
MAX_ADDRESS = 2048
"""Characters of `image` and `url`."""
MAX_PATH = 750
"""Characters of a category path: the longest that Google's product data allow."""
MAX_CATEGORIES = 50
MAX_ATTRIBUTES = 200

Attribute = str | int | float | bool | tuple[str, ...]

AVAILABILITY = {
    **dict.fromkeys(("instock", "limitedavailability", "onlineonly", "instoreonly", "preorder", "presale", "backorder"), True),
    **dict.fromkeys(("madetoorder", "availablefororder"), True),
    **dict.fromkeys(("outofstock", "soldout", "discontinued", "reserved"), False),
}
"""The values of schema.org's ItemAvailability, and those of the product data of Google and Meta: whether one can buy."""
_PREFIX = re.compile(r"^https?://schema\.org/")
_ARROW = re.compile(r"\s*>\s*")


class BadItem(ValueError):
    """An item that goes to `rejected`; the message is the reason, and begins with the field where one is at fault."""


class CatalogueItem(Struct, frozen=True):
    """A checked item. `categories` are paths as the shop wrote them, see `prefixes`; text that is missing is empty."""

    item_id: str
    title: str = ""
    description: str = ""
    brand: str = ""
    currency: str = ""
    image: str = ""
    url: str = ""
    categories: tuple[str, ...] = ()
    price: float | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    available: bool = True


class _Wire(Struct):
    """The JSON object as it stands in a record; lengths are checked apart, so that reasons can name the value."""

    item_id: Id | None = None
    title: str | None = None
    description: str | None = None
    brand: str | None = None
    currency: Currency | None = None
    image: str | None = None
    url: str | None = None
    categories: str | list[str] | None = None
    price: Amount | None = None
    attributes: dict[str, str | int | float | bool | list[str] | None] | None = None
    available: bool | None = None
    availability: str | bool | None = None


FIELDS = frozenset(_Wire.__struct_fields__)
"""All that anything is made of; others are kept in the record, and nothing is made of them."""
_form = Form(_Wire, "an item", BadItem, {"attributes": dict[str, Raw]})


def decode(key: bytes | None, value: bytes) -> CatalogueItem:
    """The item in a record: its key is the item id, its value the Item JSON.

    Raises `BadItem` with the reason. An empty value, which deletes the item, is no item: ask `item_id` for what it deletes.

    >>> decode(b"i1", b'{"title": "Red mug", "categories": "Home > Kitchen", "price": 4.5, "availability": "in_stock"}').title
    'Red mug'
    >>> decode(b"i1", b'{"title": "Red mug", "price": [4.5]}')
    Traceback (most recent call last):
    ...
    recsys.catalogue.item.BadItem: price: expected a number, got a list
    """
    name = item_id(key)
    wire = _form.read(value)
    if wire.item_id is not None:
        given = id_text("item_id", wire.item_id, BadItem)
        if given != name:
            raise BadItem(f"item_id: {quoted(given)} is not the record's key, {quoted(name)}: they must be equal")
    return CatalogueItem(
        item_id=name,
        title=_short("title", wire.title, MAX_TITLE),
        description=wire.description or "",
        brand=_short("brand", wire.brand, MAX_NAME),
        currency=wire.currency or "",
        image=_short("image", wire.image, MAX_ADDRESS),
        url=_short("url", wire.url, MAX_ADDRESS),
        categories=_categories(wire.categories),
        price=wire.price,
        attributes=_attributes(wire.attributes or {}),
        available=_available(wire.available, wire.availability),
    )


def item_id(key: bytes | None) -> str:
    """The item id that a record's key is: 1 to 128 characters of UTF-8. Raises `BadItem`.

    >>> item_id(b"i1")
    'i1'
    """
    return key_id(key, "item", BadItem)


def prefixes(path: str) -> tuple[str, ...]:
    """The categories that a category path stands in, the widest first, itself the last.

    `>` separates, with or without spaces; where there is none and no white space either, dots do, as in REES46's codes.
    Anything else is one name. The shop's own spelling is kept, for its keys are looked up by it.

    >>> prefixes("Home > Kitchen>Mugs")
    ('Home', 'Home > Kitchen', 'Home > Kitchen > Mugs')
    >>> prefixes("home.kitchen"), prefixes("Dr. Martens"), prefixes("Sci-Fi")
    (('home', 'home.kitchen'), ('Dr. Martens',), ('Sci-Fi',))
    """
    bare = path.strip()
    if ">" in bare:
        parts, separator = _ARROW.split(bare), " > "
    elif len(bare.split()) == 1:
        parts, separator = bare.split("."), "."
    else:
        parts, separator = [bare], ""
    parts = [part for part in parts if part]
    return tuple(separator.join(parts[:n]) for n in range(1, len(parts) + 1))


def _short(name: str, text: str | None, most: int) -> str:
    if text is not None and len(text) > most:
        raise BadItem(f"{name}: {quoted(text)} has {len(text)} characters: at most {most} are allowed")
    return text or ""


def _categories(given: str | list[str] | None) -> tuple[str, ...]:
    paths = [given] if isinstance(given, str) else given or []
    if len(paths) > MAX_CATEGORIES:
        raise BadItem(f"categories: {len(paths)} of them: at most {MAX_CATEGORIES} are allowed")
    checked = (_short("categories", path, MAX_PATH).strip() for path in paths)
    return tuple(dict.fromkeys(path for path in checked if path))


def _attributes(given: Mapping[str, str | int | float | bool | list[str] | None]) -> dict[str, Attribute]:
    if len(given) > MAX_ATTRIBUTES:
        raise BadItem(f"attributes: {len(given)} of them: at most {MAX_ATTRIBUTES} are allowed")
    return {
        _short("attributes", name, MAX_NAME): tuple(content) if isinstance(content, list) else content
        for name, content in given.items()
        if content is not None
    }


def _available(available: bool | None, availability: str | bool | None) -> bool:
    said = _can_be_bought(availability) if isinstance(availability, str) else availability
    if available is not None and said is not None and available is not said:
        raise BadItem(f"availability: {quoted(str(availability))} contradicts available={available}: give one of them")
    told = said if available is None else available
    return told is not False


def _can_be_bought(availability: str) -> bool:
    bare = _PREFIX.sub("", availability[:64].strip()).lower()
    said = AVAILABILITY.get(bare.replace("_", "").replace("-", "").replace(" ", ""))
    if said is None:
        raise BadItem(
            f"availability: {quoted(availability)} is unknown: in_stock, out_of_stock, preorder, backorder, discontinued, "
            "and the other values of schema.org's ItemAvailability are allowed"
        )
    return said
