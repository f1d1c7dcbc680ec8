"""Terms: what an item's text consists of, weighted by where it stands.

A term is the 64-bit hash of its text (`recsys.hashing`): of ten million different ones, two share a hash with a chance of
3 in a million.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from math import log
from typing import NamedTuple

import numpy as np

from recsys.catalogue.item import Attribute, CatalogueItem, prefixes
from recsys.compiled import F32, U64
from recsys.hashing import hash_id

MOST_TERMS = 64
"""Terms of an item; of more the weightiest are kept, of equal ones those that come first in the text."""
LONGEST = 64
"""Characters of a word that count: what is longer is an address or a code."""

TITLE, CATEGORY, BRAND, ATTRIBUTE, DESCRIPTION = 1.0, 1.0, 1.0, 0.5, 0.5

_UNSPACED = (
    "\u3005\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1000-\u1049\u1780-\u17d3"  # Thai, Lao, Burmese, Khmer
)
"""Characters of scripts that are written without spaces."""
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc"
    "\u06df-\u06e8\u06ea-\u06ed\u0711\u0730-\u074a\u0900-\u0963\u0966-\u096f\u0971-\u0df3"
)
"""What `\\w` lacks: the signs around letters in Indic and Semitic scripts, and those that NFKC leaves apart."""
_WORD = re.compile(f"([{_UNSPACED}]+)|([^\\W_{_UNSPACED}](?:[^\\W_{_UNSPACED}]|[{_MARKS}])*)")
_UNREAD = re.compile("[\u0640\u064b-\u0652\u0670\u0591-\u05bd\u05bf-\u05c7\u00ad\u200b-\u200d\u2060\ufe00-\ufe0f]")
"""Characters that the same word is written with or without: Arabic and Hebrew vowel points, the Arabic stretcher, joiners."""


class Terms(NamedTuple):
    """The terms of one item, by rising hash, none twice; their weights are above 0."""

    term: U64
    weight: F32


def terms(item: CatalogueItem) -> Terms:
    """The terms of an item's title, description, categories, brand and attributes.

    A term weighs, for each field it stands in, the field's weight times 1 + ln(how often it stands there). Words of title and
    description are the same terms. A category with each of its prefixes, a brand and an attribute's value are one term each,
    which no word equals: the brand Apple is not the fruit. Emojis, and the price, say nothing here.

    Salton, Buckley, 1988, "Term-weighting approaches in automatic text retrieval".

    >>> len(terms(CatalogueItem("i1", title="The red mug", brand="Mug", categories=("Home > Kitchen",))).term)
    6
    """
    weights: dict[str, float] = defaultdict(float)
    for of_field, texts in (
        (TITLE, words(item.title)),
        (CATEGORY, _categories(item.categories)),
        (BRAND, _named("brand", item.brand)),
        (ATTRIBUTE, _attributes(item)),
        (DESCRIPTION, words(item.description)),
    ):
        counts: dict[str, int] = defaultdict(int)
        for text in texts:
            counts[text] += 1
        for text, count in counts.items():
            weights[text] += of_field * (1 + log(count))
    strongest = sorted(weights.items(), key=_falling)[:MOST_TERMS]  # the sort is stable: equal ones keep the text's order
    hashes = (_hash(text) if len(text) <= LONGEST else hash_id(text) for text, _ in strongest)  # the cache holds no long texts
    term = np.fromiter(hashes, np.uint64, len(strongest))
    weight = np.fromiter((weight for _, weight in strongest), np.float32, len(strongest))
    _, first = np.unique(term, return_index=True)
    return Terms(term[first], weight[first])


def words(text: str) -> Iterator[str]:
    """The words of a text in any script, folded so that case, width and vowel points make no difference.

    Runs of scripts that are written without spaces (Han, kana, Thai, Lao, Burmese, Khmer) come as pairs of characters.

    >>> list(words("Straße STRASSE, 12-teilig"))
    ['strasse', 'strasse', '12', 'teilig']
    >>> list(words("日本茶 tea"))
    ['日本', '本茶', 'tea']
    """
    for match in _WORD.finditer(folded(text)):
        run, word = match.groups()
        if word:
            yield word[:LONGEST]
        elif len(run) == 1:
            yield run
        else:
            yield from map("".join, pairwise(run))


def folded(text: str) -> str:
    """A text without what makes no difference: Unicode's NFKC and case folding.

    >>> folded("ＴＥＡ ﬁne Ü") == folded("tea FINE u\u0308")
    True
    """
    if text.isascii():
        return text.lower()
    return _UNREAD.sub("", unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()))


def _falling(term: tuple[str, float]) -> float:
    return -term[1]


_hash = lru_cache(maxsize=1 << 16)(hash_id)


def _categories(paths: tuple[str, ...]) -> Iterator[str]:
    for path in paths:
        for prefix in prefixes(path):
            yield from _named("category", prefix)


def _attributes(item: CatalogueItem) -> Iterator[str]:
    for name, content in item.attributes.items():
        for value in content if isinstance(content, tuple) else (_text(content),):
            yield from _named(f"attribute:{folded(name).strip()}", value)


def _text(content: Attribute) -> str:
    """A value as text; equal numbers are the same text, whether they were written as 5 or as 5.0."""
    if isinstance(content, bool):
        return str(content)
    return str(int(content) if isinstance(content, float) and content.is_integer() else content)


def _named(field: str, text: str) -> Iterator[str]:
    """The one term of a field's value; no word has a colon."""
    value = " ".join(folded(text).split())
    if value:
        yield f"{field}:{value}"
