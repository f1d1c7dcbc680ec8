"""The catalogue's lists have a new item at once, and a removed or hidden one nowhere; its answers are of the present."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.catalogue.catalogue import Catalogue
from recsys.catalogue.item import CatalogueItem
from recsys.compiled import U64
from recsys.hashing import NONE, hash_item

WORDS = ["red", "green", "blue", "tea", "mug", "cup", "pot", "set"]


def hashes(*ids: str) -> U64:
    return np.array([hash_item(text) for text in ids], np.uint64)


def lists(catalogue: Catalogue, *ids: str, room: int = 5) -> list[list[str]]:
    """The ids in the lines of some items."""
    found, _ = catalogue.alike(hashes(*ids), room)
    return [[catalogue.names[item] for item in line if item != NONE] for line in found.tolist()]


def catalogue_of(**titles: str) -> Catalogue:
    catalogue = Catalogue()
    for name, title in titles.items():
        catalogue.put(CatalogueItem(name, title))
    return catalogue


def test_alike_answers_for_several_items_in_lines() -> None:
    catalogue = catalogue_of(a="red mug", b="red mug set", c="green tea", d="green pot", e="spoon")
    found, cosines = catalogue.alike(hashes("a", "e", "unknown", "d"), 3)
    assert found.shape == cosines.shape == (4, 3)
    assert found.dtype == np.uint64
    assert cosines.dtype == np.float64
    assert [[catalogue.names.get(item) for item in line] for line in found.tolist()] == [
        ["b", None, None], [None] * 3, [None] * 3, ["c", None, None],
    ]  # fmt: skip
    assert cosines[0, 0] == pytest.approx(catalogue.content.cosine(hash_item("a"), hash_item("b")))
    assert not cosines[found == NONE].any()
    assert catalogue.alike(hashes(), 3)[0].shape == (0, 3)


def test_a_new_item_is_in_kept_lists_at_once() -> None:
    catalogue = catalogue_of(a="red mug", b="mug", c="tea")
    assert lists(catalogue, "a", "c") == [["b"], []]
    catalogue.put(CatalogueItem("new", "red mug"))
    assert lists(catalogue, "a", "c") == [["new", "b"], []]
    assert sorted(lists(catalogue, "b")[0]) == ["a", "new"]
    assert lists(catalogue, "new") == [["a", "b"]]


def test_a_removed_item_is_nowhere_and_hidden_until_it_comes_back() -> None:
    catalogue = catalogue_of(a="red mug", b="mug")
    assert lists(catalogue, "a", "b") == [["b"], ["a"]]
    assert catalogue.remove("b")
    assert not catalogue.remove("b")
    assert lists(catalogue, "a", "b") == [[], []]
    assert catalogue.hidden.tolist() == [hash_item("b")]
    assert (len(catalogue), hash_item("b") in catalogue.names, catalogue.category(hash_item("b"))) == (1, False, ())
    assert catalogue.put(CatalogueItem("b", "mug"))
    assert lists(catalogue, "a", "b") == [["b"], ["a"]]
    assert catalogue.hidden.tolist() == []


def test_an_item_that_was_never_known_is_hidden_when_it_is_removed() -> None:
    catalogue = Catalogue()
    assert catalogue.remove("a")
    assert catalogue.hidden.tolist() == [hash_item("a")]


def test_an_item_that_is_not_available_is_in_no_list_and_has_one() -> None:
    catalogue = catalogue_of(a="red mug", b="mug")
    assert lists(catalogue, "a", "b") == [["b"], ["a"]]
    assert catalogue.put(CatalogueItem("b", "mug", available=False))
    assert not catalogue.put(CatalogueItem("b", "mug", available=False))
    assert lists(catalogue, "a", "b") == [[], ["a"]]
    assert catalogue.hidden.tolist() == [hash_item("b")]
    assert catalogue.put(CatalogueItem("b", "mug"))
    assert lists(catalogue, "a", "b") == [["b"], ["a"]]
    catalogue.put(CatalogueItem("c", "red mug", available=False))
    assert lists(catalogue, "a", "c") == [["b"], ["a", "b"]]
    assert catalogue.hidden.tolist() == [hash_item("c")]


def test_hidden_items_are_sorted() -> None:
    catalogue = Catalogue()
    names = [f"i{n}" for n in range(50)]
    for name in names:
        catalogue.put(CatalogueItem(name, available=name < "i3"))
    for name in names[::7]:
        catalogue.remove(name)
    gone = {*names[::7], *(name for name in names if name >= "i3")}
    assert catalogue.hidden.tolist() == sorted(map(hash_item, gone))
    assert catalogue.hidden.dtype == np.uint64


def test_put_says_whether_ranking_sees_a_change() -> None:
    catalogue = Catalogue()
    assert catalogue.put(CatalogueItem("a", "Red mug", categories=("Home > Mugs",)))
    assert not catalogue.put(CatalogueItem("a", "RED MUG!", price=3.0, image="x", url="y", categories=("Home > Mugs",)))
    assert catalogue.put(CatalogueItem("a", "Red cup", categories=("Home > Mugs",)))
    assert catalogue.put(CatalogueItem("a", "Red cup", categories=("home > mugs",)))
    assert catalogue.category(hash_item("a")) == ("home", "home > mugs")
    assert catalogue.put(CatalogueItem("a", "Red cup"))
    assert catalogue.category(hash_item("a")) == ()


def test_the_categories_of_an_item_are_its_paths_prefixes_once() -> None:
    catalogue = Catalogue()
    catalogue.put(CatalogueItem("a", categories=("Home > Mugs", "Home > Gifts", "Sale")))
    assert catalogue.category(hash_item("a")) == ("Home", "Home > Mugs", "Home > Gifts", "Sale")
    assert catalogue.category(hash_item("b")) == ()


def test_more_room_than_before_may_be_asked_for() -> None:
    catalogue = catalogue_of(**{f"i{n}": f"mug {n}" for n in range(20)})
    few = lists(catalogue, "i3", room=2)[0]
    many = lists(catalogue, "i3", room=10)[0]
    assert (len(few), len(many), many[:2]) == (2, 10, few)
    assert lists(catalogue, "i3", room=2)[0] == few


def test_a_full_list_lets_the_more_alike_in_and_the_least_alike_out() -> None:
    catalogue = catalogue_of(a="red tea mug", b="red pot", c="red tea cup", d="blue sky")
    before = lists(catalogue, "a", room=2)[0]
    assert before == ["c", "b"]
    catalogue.put(CatalogueItem("e", "red tea mug"))
    assert lists(catalogue, "a", room=2)[0] == ["e", "c"]
    catalogue.remove("e")
    assert lists(catalogue, "a", room=2)[0] == before


changes = st.lists(
    st.tuples(st.sampled_from("abcdefghij"), st.none() | st.lists(st.sampled_from(WORDS), max_size=4), st.booleans()),
    max_size=40,
)


@settings(deadline=None)
@given(changes, st.integers(0, 3))
def test_kept_lists_have_those_that_lists_made_anew_have(
    changed: list[tuple[str, list[str] | None, bool]], between: int
) -> None:
    """All that share a word, and nothing else, whenever it was asked for."""
    catalogue = Catalogue()
    texts: dict[str, set[str]] = {}
    shown: dict[str, bool] = {}
    for n, (name, title, available) in enumerate(changed):
        if title is None:
            catalogue.remove(name)
            texts.pop(name, None)
        else:
            catalogue.put(CatalogueItem(name, " ".join(title), available=available))
            texts[name], shown[name] = set(title), available
        if n % (between + 1) == 0:
            found = lists(catalogue, *"abcdefghij", room=10)
            for asked, line in zip("abcdefghij", found, strict=True):
                alike = {other for other in texts if shown[other] and other != asked and texts[other] & texts.get(asked, set())}
                assert sorted(line) == sorted(alike)
    assert len(catalogue) == len(texts)
