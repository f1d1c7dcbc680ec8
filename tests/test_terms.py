"""The terms of an item's text, in many languages, and what they weigh."""

import math

import numpy as np
import pytest

from recsys.catalogue.item import CatalogueItem
from recsys.catalogue.terms import LONGEST, MOST_TERMS, Terms, terms, words
from recsys.hashing import hash_id


def weight(found: Terms, text: str) -> float:
    """What a term weighs, 0 where it is none of the item's."""
    return float(found.weight[found.term == hash_id(text)].sum())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The Women's T-Shirt, 100% cotton", ["the", "women", "s", "t", "shirt", "100", "cotton"]),
        ("snake_case", ["snake", "case"]),
        ("GRÖSSE größe Gro\u0308ße", ["grösse", "grösse", "grösse"]),
        ("Äpfel ÄPFEL", ["äpfel", "äpfel"]),
        ("crème brûlée", ["crème", "brûlée"]),
        ("中国绿茶", ["中国", "国绿", "绿茶"]),
        ("茶", ["茶"]),
        ("红 茶 iPhone手机壳", ["红", "茶", "iphone", "手机", "机壳"]),
        ("コーヒーカップ", ["コー", "ーヒ", "ヒー", "ーカ", "カッ", "ップ"]),
        ("ｺｰﾋｰ", ["コー", "ーヒ", "ヒー"]),
        ("日本のお茶", ["日本", "本の", "のお", "お茶"]),
        ("ティー・カップ", ["ティ", "ィー", "カッ", "ップ"]),
        ("커피 머그잔", ["커피", "머그잔"]),
        ("كِتَابٌ كتاب كتــاب", ["كتاب", "كتاب", "كتاب"]),
        ("שָׁלוֹם שלום", ["שלום", "שלום"]),
        ("हिन्दी किताब", ["हिन्दी", "किताब"]),
        ("แก้ว", ["แก", "ก้", "้ว"]),
        ("ΣΟΦΟΣ σοφός", ["σοφοσ", "σοφόσ"]),
        ("🍎 mug🎁set ❤️", ["mug", "set"]),
        ("₤ -- !", []),
        ("", []),
        ("x" * 100, ["x" * LONGEST]),
    ],
)
def test_words_are_those_of_the_language(text: str, found: list[str]) -> None:
    assert list(words(text)) == found


def test_what_is_written_in_another_way_is_the_same_item() -> None:
    one = CatalogueItem(
        "i1", "ＴＥＡ Straße", brand=" Ünlü  Tee", categories=("Home>Tea",), attributes={"Size": 5, "For": ("A", "B")}
    )
    other = CatalogueItem(
        "i2",
        "tea STRASSE",
        brand="U\u0308NLU\u0308 TEE",
        categories=("home > tea",),
        attributes={"size": 5.0, "for": ("b", "a")},
    )
    assert np.array_equal(terms(one).term, terms(other).term)
    assert np.array_equal(terms(one).weight, terms(other).weight)


def test_a_brand_a_category_and_an_attribute_are_no_words() -> None:
    texts = [
        CatalogueItem("a", "Apple"),
        CatalogueItem("a", brand="Apple"),
        CatalogueItem("a", categories=("Apple",)),
        CatalogueItem("a", attributes={"kind": "Apple"}),
        CatalogueItem("a", attributes={"taste": "Apple"}),
    ]
    assert len(np.unique(np.concatenate([terms(item).term for item in texts]))) == len(texts)
    assert np.array_equal(terms(CatalogueItem("a", description="Apple")).term, terms(texts[0]).term)


def test_a_term_weighs_its_field_and_how_often_it_stands_there() -> None:
    found = terms(
        CatalogueItem("a", "mug mug mug", "mug of tea", "Tea", categories=("Home > Mugs", "Home > Tea"), attributes={"a": True})
    )
    assert weight(found, "mug") == pytest.approx(1 + math.log(3) + 0.5)
    assert weight(found, "tea") == 0.5
    assert weight(found, "brand:tea") == 1
    assert weight(found, "category:home") == pytest.approx(1 + math.log(2))
    assert weight(found, "category:home > mugs") == weight(found, "category:home > tea") == 1
    assert weight(found, "attribute:a:true") == 0.5
    assert len(found.term) == 8


def test_terms_come_by_rising_hash_without_repeats() -> None:
    found = terms(CatalogueItem("a", " ".join(map(str, range(50)))))
    assert np.all(np.diff(found.term) > 0)


def test_of_many_terms_the_weightiest_are_kept_and_then_the_first() -> None:
    written = [f"w{n}" for n in range(200)]
    found = terms(CatalogueItem("a", "title", " ".join([*written, "w199", "w199"]), brand="b"))
    assert len(found.term) == MOST_TERMS
    kept = ["title", "brand:b", "w199", *written[: MOST_TERMS - 3]]
    assert set(found.term.tolist()) == set(map(hash_id, kept))


def test_an_item_without_text_has_no_terms() -> None:
    found = terms(CatalogueItem("a", "🍎", brand=" ", attributes={"a": (), "b": ""}))
    assert len(found.term) == len(found.weight) == 0


def test_numbers_of_any_size_are_values() -> None:
    assert len(terms(CatalogueItem("a", attributes={"a": 10**18, "b": 1e308, "c": -0.5})).term) == 3
