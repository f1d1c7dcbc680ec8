"""What publishers' files say of items becomes Item JSON as each format's table says."""

from pathlib import Path

import pytest
from reader_samples import MOVIELENS, ONLINE_RETAIL, REES46, file_of

from recsys.catalogue.item import CatalogueItem
from recsys.readers import FORMATS, ITEMS, FormatError, read_items

GENRES = {"Toy Story": "0|0|0|1|1|1" + "|0" * 13, "Four Rooms": "|".join("0" * 16) + "|1|0|0", "None": "|".join("0" * 19)}
FILMS = (
    f"1|Toy Story (1995)|01-Jan-1995||http://films/1|{GENRES['Toy Story']}\n"
    f"3|Fünf Räume (1995)|||http://films/3|{GENRES['Four Rooms']}\n"
    f"|no id|||http://films/3|{GENRES['None']}\n"
    "4|half a film|01-Jan-1995\n"
).encode("iso-8859-1")
SAMPLES: dict[str, str | bytes] = {"movielens": FILMS, "rees46": REES46, "online-retail": ONLINE_RETAIL}


def test_there_is_a_sample_of_every_format_with_items() -> None:
    assert SAMPLES.keys() == ITEMS.keys() < FORMATS.keys()


def test_films_have_their_title_genres_year_and_address(tmp_path: Path) -> None:
    found, bad = read_items(file_of(tmp_path, FILMS), "movielens")
    assert found == [
        CatalogueItem(
            "1",
            "Toy Story (1995)",
            url="http://films/1",
            categories=("Animation", "Children's", "Comedy"),
            attributes={"year": "1995"},
        ),
        CatalogueItem("3", "Fünf Räume (1995)", url="http://films/3", categories=("Thriller",)),
    ]
    assert bad.reasons == {"the record has no key: it must be the item id": 1, "not 24 columns": 1}


@pytest.mark.parametrize("asked", [".", "u.data", "u.item"])
def test_films_are_found_beside_the_ratings(tmp_path: Path, asked: str) -> None:
    file_of(tmp_path, FILMS, "u.item")
    file_of(tmp_path, MOVIELENS, "u.data")
    assert len(read_items(tmp_path / asked, "movielens")[0]) == 2


def test_products_of_rees46_have_category_and_brand_of_their_last_row(tmp_path: Path) -> None:
    row = "2019-10-02 00:00:00 UTC,view,44600062,2103807459595387724,,shiseido,30,541312140,a\n"
    found, bad = read_items(file_of(tmp_path, REES46 + row), "rees46")
    by_id = {item.item_id: item for item in found}
    assert by_id["44600062"] == CatalogueItem(
        "44600062", brand="shiseido", price=30, attributes={"category_id": "2103807459595387724"}
    )
    assert len(by_id) == len(found) > 1
    assert "not 9 columns" in bad.reasons


def test_products_of_online_retail_keep_the_last_description_there_was(tmp_path: Path) -> None:
    lines = [
        "536366,84406B,COAT HANGER,1,2010-12-02T08:26:00,2.95,17850,United Kingdom",
        "536367,84406B,,1,2010-12-03T08:26:00,3.05,17850,United Kingdom",
        "536368,99999,,1,2010-12-03T08:26:00,1,17850,United Kingdom",
    ]
    found, bad = read_items(file_of(tmp_path, ONLINE_RETAIL + "\n".join(lines)), "online-retail")
    by_id = {item.item_id: item for item in found}
    assert by_id["84406B"] == CatalogueItem("84406B", "COAT HANGER", currency="GBP", price=3.05)
    assert by_id["85123A"] == CatalogueItem("85123A", "WHITE HANGING HEART", currency="GBP", price=2.55)
    assert by_id["99999"] == CatalogueItem("99999", currency="GBP", price=1)
    assert not by_id.keys() & {"POST", "22633", "B"}
    assert bad.total


@pytest.mark.parametrize("name", ITEMS)
def test_a_file_of_another_format_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match="expected"):
        read_items(file_of(tmp_path, "session\titems\n0\t1 2 1\n"), name)
