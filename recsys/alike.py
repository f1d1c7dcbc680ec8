"""Alike: of some items, which others their own descriptions make like them, and how much."""

from typing import NamedTuple

import numpy as np

from recsys.catalogue.catalogue import Catalogue
from recsys.compiled import F64, U64
from recsys.hashing import NONE
from recsys.index import Index, index

ALIKE = 50
"""Items that are told to be like one."""


class Alike(NamedTuple):
    """Items in places, and for each the items that are like it by falling cosine, `NONE` where there are fewer."""

    where: Index
    other: U64
    """Items × `ALIKE`."""
    cosine: F64
    """The same: between 0 and 1."""


def alike(items: U64, other: U64, cosine: F64) -> Alike:
    """What is told of these items (hashes).

    >>> told = alike(np.array([7], np.uint64), np.full((1, ALIKE), 9, np.uint64), np.full((1, ALIKE), 0.5))
    >>> told.other[0, 0]
    np.uint64(9)
    """
    return Alike(index(items), other, cosine)


def alike_of(recent: U64, catalogue: Catalogue) -> Alike:
    """What the catalogue tells of users' recent items (`NONE` for none)."""
    if not len(catalogue):
        return NOTHING_ALIKE
    items = np.unique(recent[recent != NONE])
    return alike(items, *catalogue.alike(items, ALIKE))


NOTHING_ALIKE = Alike(
    Index(np.zeros(1, np.uint64), np.zeros(1, np.int32)), np.empty((0, ALIKE), np.uint64), np.empty((0, ALIKE))
)
"""No item has a description."""
