"""An item is taken or rejected with a reason; its key is its id, and its category paths have prefixes."""

import json
from typing import Any

import pytest

from recsys.catalogue.item import (
    AVAILABILITY,
    MAX_ADDRESS,
    MAX_ATTRIBUTES,
    MAX_CATEGORIES,
    MAX_NAME,
    MAX_PATH,
    MAX_TITLE,
    BadItem,
    CatalogueItem,
    decode,
    item_id,
    prefixes,
)
from recsys.record import DEEPEST, MAX_BYTES


def encoded(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def taken(**fields: Any) -> CatalogueItem:
    return decode(b"i1", encoded(**fields))


def reason(value: bytes, key: bytes | None = b"i1") -> str:
    with pytest.raises(BadItem) as caught:
        decode(key, value)
    return str(caught.value)


def test_an_item_has_what_its_record_says() -> None:
    item = decode(
        "größe".encode(),
        encoded(
            item_id="größe", title="Red mug", description="Holds tea", brand="Emsa", currency="EUR", price=4.5,
            image="https://shop/i.jpg", url="https://shop/i", categories=["Home > Kitchen", "Gifts"],
            attributes={"colour": "red", "litres": 0.3, "pieces": 6, "handle": True, "for": ["tea", "coffee"]}, available=False,
        ),
    )  # fmt: skip
    assert item == CatalogueItem(
        "größe", "Red mug", "Holds tea", "Emsa", "EUR", "https://shop/i.jpg", "https://shop/i", ("Home > Kitchen", "Gifts"),
        4.5, {"colour": "red", "litres": 0.3, "pieces": 6, "handle": True, "for": ("tea", "coffee")}, False,
    )  # fmt: skip


def test_nothing_but_the_key_is_needed() -> None:
    assert taken() == CatalogueItem("i1")


def test_null_is_as_if_the_field_were_missing() -> None:
    fields = [name for name in CatalogueItem.__struct_fields__ if name != "item_id"]
    assert taken(item_id=None, availability=None, **dict.fromkeys(fields)) == CatalogueItem("i1")
    assert taken(attributes={"colour": None}) == CatalogueItem("i1")


def test_unknown_fields_are_passed_over() -> None:
    assert taken(title="Mug", weight={"kg": [1]}) == CatalogueItem("i1", "Mug")


def test_an_integer_id_is_its_decimal_text() -> None:
    assert decode(b"17", encoded(item_id=17)).item_id == "17"


def test_of_a_field_that_stands_twice_the_last_counts() -> None:
    assert decode(b"i1", b'{"title": 7, "attributes": {"a": {}, "a": "x"}, "title": "Mug"}').attributes == {"a": "x"}


@pytest.mark.parametrize("path", ["Home > Kitchen", "home.kitchen"])
def test_one_text_is_one_category_path(path: str) -> None:
    assert taken(categories=path) == taken(categories=[path, "", f" {path} "])
    assert taken(categories=path).categories == (path,)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("Home>Kitchen > Mugs", ("Home", "Home > Kitchen", "Home > Kitchen > Mugs")),
        (" > Home > > Mugs > ", ("Home", "Home > Mugs")),
        ("appliances.kitchen.washer", ("appliances", "appliances.kitchen", "appliances.kitchen.washer")),
        ("Dr. Martens", ("Dr. Martens",)),
        ("3.5 mm > Jacks", ("3.5 mm", "3.5 mm > Jacks")),
        ("Sci-Fi/Fantasy", ("Sci-Fi/Fantasy",)),
        ("家 > 厨房", ("家", "家 > 厨房")),
        (" . ", ()),
        ("", ()),
    ],
)
def test_the_prefixes_of_a_category_path_are_categories_too(path: str, found: tuple[str, ...]) -> None:
    assert prefixes(path) == found


@pytest.mark.parametrize(
    ("text", "available"),
    [
        *(("in_stock", True), ("out_of_stock", False), ("preorder", True), ("backorder", True), ("discontinued", False)),
        *(("In Stock", True), ("https://schema.org/OutOfStock", False), ("http://schema.org/PreOrder", True)),
        *((" sold-out ", False), (True, True), (False, False), *AVAILABILITY.items()),
    ],
)
def test_availability_is_said_in_the_words_of_schema_org_and_google(text: str | bool, available: bool) -> None:
    assert taken(availability=text).available is available
    assert taken(availability=text, available=available).available is available
    assert reason(encoded(availability=text, available=not available)).startswith("availability: ")


def test_sizes_at_the_limit_are_taken() -> None:
    item = taken(
        title="é" * MAX_TITLE, brand="b" * MAX_NAME, image="i" * MAX_ADDRESS, url="u" * MAX_ADDRESS,
        categories=["c" * MAX_PATH, *map(str, range(MAX_CATEGORIES - 1))],
        attributes={f"{n:0256}": n for n in range(MAX_ATTRIBUTES)},
    )  # fmt: skip
    assert len(item.categories) == MAX_CATEGORIES
    assert len(item.attributes) == MAX_ATTRIBUTES
    assert decode(b"k" * 128, b"{}").item_id == "k" * 128
    assert decode(b"i1", encoded(description="")[:-2] + b"x" * (MAX_BYTES - 19) + b'"}').description.endswith("x")


BAD: list[tuple[str, bytes, str]] = [
    ("", b"", "the record has no value"),
    ("", b"{", "not JSON: "),
    ("", b"[]", "not an item: expected an object, got a list"),
    ("", b"null", "not an item: expected an object, got null"),
    ("", b'{"title": "\xff"}', "not UTF-8: byte 11"),
    ("", encoded(description="x" * MAX_BYTES), f"the record has {MAX_BYTES + 19} bytes: at most {MAX_BYTES}"),
    ("unknown", b'{"unknown": ' + b"[" * DEEPEST + b"]" * DEEPEST + b"}", f"nested deeper than {DEEPEST}"),
    ("unknown", b'{"unknown": NaN}', "NaN and Infinity are not allowed"),
    ("price", b'{"price": NaN}', "NaN and Infinity are not allowed"),
    ("price", b'{"price": 1e999}', ""),
    ("price", encoded(price=-0.01), "expected a number of at least 0"),
    ("price", encoded(price="4.50"), "got a text"),
    ("price", encoded(price=True), "got true or false"),
    ("title", b'{"title": "\\ud800"}', "a lone surrogate is not a character"),
    ("title", encoded(title=7), "got a whole number"),
    ("title", encoded(title="t" * (MAX_TITLE + 1)), f"'{'t' * 40}...' has {MAX_TITLE + 1} characters: at most {MAX_TITLE}"),
    ("brand", encoded(brand="b" * (MAX_NAME + 1)), f"has {MAX_NAME + 1} characters: at most {MAX_NAME}"),
    ("image", encoded(image="i" * (MAX_ADDRESS + 1)), f"at most {MAX_ADDRESS}"),
    ("url", encoded(url="u" * (MAX_ADDRESS + 1)), f"at most {MAX_ADDRESS}"),
    ("description", encoded(description=["x"]), "got a list"),
    ("currency", encoded(currency="euro"), "three capital letters"),
    ("categories", encoded(categories=7), "got a whole number"),
    ("categories[1]", encoded(categories=["a", 7]), "got a whole number"),
    ("categories", encoded(categories=["c" * (MAX_PATH + 1)]), f"at most {MAX_PATH}"),
    ("categories", encoded(categories=list(map(str, range(51)))), "51 of them: at most 50"),
    ("attributes", encoded(attributes=["red"]), "got a list"),
    ("attributes[...]", encoded(attributes={"size": {"cm": 3}}), "got an object"),
    ("attributes[...][0]", encoded(attributes={"size": [3]}), "got a whole number"),
    ("attributes", encoded(attributes={"a" * (MAX_NAME + 1): 1}), f"at most {MAX_NAME}"),
    ("attributes", encoded(attributes={str(n): n for n in range(MAX_ATTRIBUTES + 1)}), f"at most {MAX_ATTRIBUTES}"),
    ("available", encoded(available="yes"), "got a text"),
    ("availability", encoded(availability="maybe"), "'maybe' is unknown: in_stock, out_of_stock, preorder"),
    ("availability", encoded(availability=1), "got a whole number"),
    ("item_id", encoded(item_id="i2"), "'i2' is not the record's key, 'i1'"),
    ("item_id", encoded(item_id=""), "not empty"),
    ("item_id", encoded(item_id="x" * 129), "at most 128 characters"),
    ("item_id", encoded(item_id=10**128), "longer than 128 characters"),
    ("item_id", encoded(item_id=1.5), "got a number"),
]


@pytest.mark.parametrize(("field", "value", "said"), BAD)
def test_a_bad_item_is_rejected_with_a_reason_that_names_the_field(field: str, value: bytes, said: str) -> None:
    found = reason(value)
    assert found.startswith(f"{field}: " if field else "")
    assert said in found
    assert len(found) < 300


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (None, "the record has no key"),
        (b"", "the record has no key"),
        (b"\xff", "the record's key is not UTF-8: byte 0"),
        (b"k" * 129, f"the record's key '{'k' * 40}...' is no item id: longer than 128 characters"),
    ],
)
def test_a_key_that_is_no_item_id_is_rejected(key: bytes | None, said: str) -> None:
    assert reason(encoded(item_id="i1"), key).startswith(said)
    with pytest.raises(BadItem):
        item_id(key)
