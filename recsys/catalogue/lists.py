"""Lists: for each item the items that are most alike to it, kept between questions."""

from typing import Any, NamedTuple

import numpy as np

from recsys.catalogue.columns import ITEMS, Postings
from recsys.catalogue.content import Content, Scratch, candidates, closer
from recsys.compiled import F32, F64, I32, I64, U64, compiled
from recsys.index import NOWHERE, find


class Kept(NamedTuple):
    """Lists in the places of the items that they belong to."""

    version: I64
    """The item's version when its list was made; 0 where none is kept."""
    items: I32
    """How many items there were then."""
    length: I32
    other: I32
    """The places of the alike, a line for each list."""
    other_version: I64
    """Their versions: one that has changed since is not what the list says."""
    cosine: F32


class Lists:
    """The lists of items of a `Content` that were asked for, `room` items long.

    >>> from recsys.catalogue.item import CatalogueItem
    >>> from recsys.catalogue.terms import terms
    >>> content = Content()
    >>> lists = Lists(content, 2)
    >>> for number, title in enumerate(["red mug", "blue mug"], 1):
    ...     _ = content.put(number, terms(CatalogueItem(str(number), title)))
    >>> lists.of(np.array([1, 3], np.uint64))[0]
    array([[2, 0],
           [0, 0]], dtype=uint64)
    """

    def __init__(self, content: Content, room: int) -> None:
        self.room = room
        self._content = content
        self._kept = _empty(0, room)

    @property
    def nbytes(self) -> int:
        """Bytes of all lists."""
        return sum(column.nbytes for column in self._kept)

    def of(self, items: U64) -> tuple[U64, F64]:
        """A line for each item (hash): the alike, `NONE` behind the last, and their cosines.

        A list is made when it is asked for and none is kept, when its item or one of those in it has changed or gone, and when
        there are twice or half as many items as when it was made. Between these its cosines may lag behind the idf.
        """
        self._make_room()
        found, cosine = np.zeros((len(items), self.room), np.uint64), np.zeros((len(items), self.room))
        _fill(self._content.postings, self._content.scratch, self._kept, items, found, cosine)
        return found, cosine

    def spread(self, item: int) -> None:
        """Enters an item that came or changed into the kept lists of those it is alike to."""
        if len(self._kept.version):
            self._make_room()
            _spread(self._content.postings, self._content.scratch, self._kept, np.uint64(item))

    def _make_room(self) -> None:
        places = len(self._content.postings.item)
        if len(self._kept.version) < places:
            longer = _empty(places, self.room)
            columns: list[tuple[Any, Any]] = list(zip(self._kept, longer, strict=True))
            for old, new in columns:
                new[: len(old)] = old
            self._kept = longer


def _empty(places: int, room: int) -> Kept:
    return Kept(
        np.zeros(places, np.int64), np.zeros(places, np.int32), np.zeros(places, np.int32),
        np.zeros((places, room), np.int32), np.zeros((places, room), np.int64), np.zeros((places, room), np.float32),
    )  # fmt: skip


@compiled
def _fill(held: Postings, scratch: Scratch, kept: Kept, items: U64, found: U64, cosine: F64) -> None:
    for i in range(len(items)):
        place = find(held.where, items[i])
        if place == NOWHERE:
            continue
        if not _right(held, kept, place):
            _make(held, scratch, kept, place)
        for n in range(kept.length[place]):
            found[i, n], cosine[i, n] = held.item[kept.other[place, n]], kept.cosine[place, n]


@compiled
def _right(held: Postings, kept: Kept, place: int) -> bool:
    """Whether the list that is kept of an item still holds."""
    items = held.counter[ITEMS]
    if kept.version[place] != held.version[place] or not kept.items[place] <= 2 * items <= 4 * kept.items[place]:
        return False
    stale = 0
    for n in range(kept.length[place]):
        stale += kept.other_version[place, n] != held.version[kept.other[place, n]]
    return stale == 0


@compiled
def _make(held: Postings, scratch: Scratch, kept: Kept, place: int) -> None:
    kept.version[place], kept.items[place], kept.length[place] = held.version[place], held.counter[ITEMS], 0
    for i in range(candidates(held, scratch, place)):
        if held.shown[scratch.place[i]]:
            _enter(held, kept, place, scratch.place[i], scratch.cosine[i])


@compiled
def _spread(held: Postings, scratch: Scratch, kept: Kept, item: int) -> None:
    place = find(held.where, item)
    if place == NOWHERE or not held.shown[place]:
        return
    for i in range(candidates(held, scratch, place)):
        other = scratch.place[i]
        if kept.version[other] == held.version[other]:
            _enter(held, kept, other, place, scratch.cosine[i])


@compiled
def _enter(held: Postings, kept: Kept, place: int, other: int, cosine: float) -> None:
    """Enters an item into a list, where it is alike enough."""
    room, count, item, new = kept.other.shape[1], kept.length[place], held.item[place], np.float32(cosine)
    if count == room:
        if not _before(held, kept, place, count - 1, new, held.item[other], item):
            return
        count -= 1
    at = count
    while at > 0 and _before(held, kept, place, at - 1, new, held.item[other], item):
        kept.other[place, at], kept.other_version[place, at] = kept.other[place, at - 1], kept.other_version[place, at - 1]
        kept.cosine[place, at] = kept.cosine[place, at - 1]
        at -= 1
    kept.other[place, at], kept.other_version[place, at], kept.cosine[place, at] = other, held.version[other], new
    kept.length[place] = count + 1


@compiled
def _before(held: Postings, kept: Kept, place: int, n: int, cosine: float, other: int, item: int) -> bool:
    """Whether a new one comes before the n-th of a list."""
    return closer(cosine, other, kept.cosine[place, n], held.item[kept.other[place, n]], item)
