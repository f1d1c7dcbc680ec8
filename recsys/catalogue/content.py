"""Content: which items are alike by their text, as cosines of TF-IDF vectors that follow every change at once."""

import math
from typing import NamedTuple

import numpy as np

from recsys.catalogue import columns, postings
from recsys.catalogue.columns import BLOCK, ITEMS, Postings
from recsys.catalogue.posting_lists import list_of
from recsys.catalogue.terms import MOST_TERMS, Terms
from recsys.compiled import F64, I32, I64, U64, Bools, compiled
from recsys.index import NOWHERE, find

SIEVE = 4096
"""Marks for the asking item's terms; so few are set that hardly any other term's weight is looked up in vain."""
REACH = 512
"""Entries of lists that are looked through for one item: a list, or its part, that would exceed it is left out."""


class Scratch(NamedTuple):
    """What a search writes into; `wanted` is 0 everywhere between searches."""

    wanted: F64
    """Of each row the asking item's weight of the term."""
    sieve: Bools
    """Whether a row of that remainder by `SIEVE` may be one of the asking item's; False everywhere between searches."""
    met: I64
    """Of each place the number of the search that met it last."""
    place: I32
    """The places found."""
    cosine: F64
    order: I32
    number: I64
    """How many searches there were."""


class Content:
    """TF-IDF vectors of items, and their inverted index.

    Of a term that an item gives the weight w, the vector has w · idf, idf = ln((1 + N) / (1 + df)) + 1, where N counts the
    items and df those that have the term (the smoothed form that scikit-learn uses). N and df are those of the present: after
    any puts and removes, everything is as if only what there is now had been put.

    Salton, Buckley, 1988, "Term-weighting approaches in automatic text retrieval".

    >>> from recsys.catalogue.item import CatalogueItem
    >>> from recsys.catalogue.terms import terms
    >>> content = Content()
    >>> for number, title in enumerate(["red mug", "blue mug", "green tea"], 1):
    ...     _ = content.put(number, terms(CatalogueItem(str(number), title)))
    >>> items, cosines = content.alike(1, 10)
    >>> items, cosines.round(2)
    (array([2], dtype=uint64), array([0.37]))
    """

    def __init__(self) -> None:
        self.postings = columns.empty()
        self.scratch = Scratch(
            np.zeros(0), np.zeros(SIEVE, np.bool_), np.zeros(0, np.int64), np.zeros(REACH, np.int32), np.zeros(REACH),
            np.zeros(MOST_TERMS, np.int32), np.zeros(1, np.int64),
        )  # fmt: skip

    def __len__(self) -> int:
        return int(self.postings.counter[ITEMS])

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return columns.size(self.postings) + sum(column.nbytes for column in self.scratch)

    def put(self, item: int, terms: Terms) -> bool:
        """Gives an item (hash) these terms instead of those it had. Returns whether that changes anything."""
        if len(terms.term) > MOST_TERMS:
            raise ValueError(f"{len(terms.term)} terms: an item has at most {MOST_TERMS}")
        self._make_room()
        return postings.put(self.postings, np.uint64(item), terms.term, terms.weight)

    def remove(self, item: int) -> bool:
        """Takes an item out. Returns whether it was there."""
        self._make_room()
        return postings.remove(self.postings, np.uint64(item))

    def hide(self, item: int) -> bool:
        """Lets an item be in no result; it still counts, and can be asked for. Returns whether it was there, and shown."""
        return postings.show(self.postings, np.uint64(item), False)

    def show(self, item: int) -> bool:
        """Lets a hidden item be in results again. Returns whether it was there, and hidden."""
        return postings.show(self.postings, np.uint64(item), True)

    def alike(self, item: int, room: int) -> tuple[U64, F64]:
        """The items (hashes) that are most alike to an item, `room` of them at most, and their cosines, which are above 0.

        By falling cosine; equals by the distance of their hashes from the item's, as XOR, so that of many items with the same
        text each has others for neighbours. Of a term that more than `PART` items have, those are looked at that stand in
        the same part of its list as the item (see `recsys.catalogue.posting_lists`). The lists are looked through by falling
        share of the item's vector, up to `REACH` items in all, those that would exceed it are left out. So an item that shares
        only frequent terms may be missing; cosines are exact, and where all terms are rare nothing is missing.
        """
        found, cosine = np.zeros(room, np.uint64), np.zeros(room)
        count = _alike(self.postings, self.scratch, np.uint64(item), found, cosine)
        return found[:count], cosine[:count]

    def cosine(self, a: int, b: int) -> float:
        """The cosine of two items' vectors, 0 where one is not there or has no terms."""
        return _cosine_of(self.postings, np.uint64(a), np.uint64(b))

    def _make_room(self) -> None:
        self.postings = found = columns.with_room(self.postings)
        if len(self.scratch.wanted) < len(found.key) or len(self.scratch.met) < len(found.item):
            wanted, met = np.zeros(len(found.key)), np.zeros(len(found.item), np.int64)
            self.scratch = self.scratch._replace(wanted=wanted, met=met)


@compiled
def candidates(held: Postings, scratch: Scratch, place: int) -> int:
    """Finds items that share terms with the one in a place, hidden ones too: how many. The scratch has places and cosines."""
    start, end = held.start[place], held.start[place] + held.terms[place]
    base = math.log(1.0 + held.counter[ITEMS]) + 1.0
    norm = 0.0
    for e in range(start, end):
        wanted = held.weight[e] * (base - held.log[held.row[e]])
        scratch.wanted[held.row[e]], scratch.sieve[held.row[e] % SIEVE] = wanted, True
        norm += wanted * wanted
    count = _meet(held, scratch, place)
    for i in range(count):
        scratch.cosine[i] = _cosine(held, scratch, norm, scratch.place[i], base)
    for e in range(start, end):
        scratch.wanted[held.row[e]], scratch.sieve[held.row[e] % SIEVE] = 0.0, False
    return count


@compiled
def _meet(held: Postings, scratch: Scratch, place: int) -> int:
    """The items in the lists of an item's terms, those of the greatest share of its vector first."""
    scratch.number[0] += 1
    now, left, count = scratch.number[0], REACH, 0
    start, terms = held.start[place], held.terms[place]
    _by_share(held, scratch, start, terms)
    for t in range(terms):
        row = list_of(held, held.row[start + scratch.order[t]], held.item[place])
        if held.length[row] > left:
            continue
        left -= held.length[row]
        block, k = held.head[row], (held.length[row] - 1) % BLOCK
        for _ in range(held.length[row]):
            other = held.place[block * BLOCK + k]
            if scratch.met[other] != now and other != place:
                scratch.met[other] = now
                scratch.place[count] = other
                count += 1
            k -= 1
            if k < 0:
                block, k = held.below[block], BLOCK - 1
    return count


@compiled
def _by_share(held: Postings, scratch: Scratch, start: int, terms: int) -> None:
    """Orders an item's terms by falling weight in its vector; equals keep the order of their hashes."""
    order = scratch.order
    for t in range(terms):
        share = scratch.wanted[held.row[start + t]]
        at = t
        while at > 0 and scratch.wanted[held.row[start + order[at - 1]]] < share:
            order[at] = order[at - 1]
            at -= 1
        order[at] = t


@compiled
def _cosine(held: Postings, scratch: Scratch, norm: float, other: int, base: float) -> float:
    dot, other_norm = 0.0, 0.0
    for e in range(held.start[other], held.start[other] + held.terms[other]):
        row = held.row[e]
        weight = held.weight[e] * (base - held.log[row])
        if scratch.sieve[row % SIEVE]:
            dot += scratch.wanted[row] * weight
        other_norm += weight * weight
    return min(1.0, dot / (math.sqrt(norm) * math.sqrt(other_norm)))


@compiled
def closer(cosine: float, other: int, than_cosine: float, than: int, item: int) -> bool:
    """Whether one neighbour of an item comes before another one."""
    if cosine != than_cosine:
        return cosine > than_cosine
    return (other ^ item) < (than ^ item)


@compiled
def _alike(held: Postings, scratch: Scratch, item: int, found: U64, cosine: F64) -> int:
    place = find(held.where, item)
    if place == NOWHERE or len(found) == 0:
        return 0
    count = 0
    for i in range(candidates(held, scratch, place)):
        if not held.shown[scratch.place[i]]:
            continue
        other, new = held.item[scratch.place[i]], scratch.cosine[i]
        if count == len(found):
            if not closer(new, other, cosine[count - 1], found[count - 1], item):
                continue
            count -= 1
        at = count
        while at > 0 and closer(new, other, cosine[at - 1], found[at - 1], item):
            found[at], cosine[at] = found[at - 1], cosine[at - 1]
            at -= 1
        found[at], cosine[at] = other, new
        count += 1
    return count


@compiled
def _cosine_of(held: Postings, a: int, b: int) -> float:
    place_a, place_b = find(held.where, a), find(held.where, b)
    if min(place_a, place_b) == NOWHERE or min(held.terms[place_a], held.terms[place_b]) == 0:
        return 0.0
    base = math.log(1.0 + held.counter[ITEMS]) + 1.0
    dot, norm_a, norm_b = 0.0, 0.0, 0.0
    end = held.start[place_b] + held.terms[place_b]
    for e in range(held.start[place_a], held.start[place_a] + held.terms[place_a]):
        weight = held.weight[e] * (base - held.log[held.row[e]])
        norm_a += weight * weight
    for e in range(held.start[place_b], end):
        weight = held.weight[e] * (base - held.log[held.row[e]])
        norm_b += weight * weight
        dot += weight * _weight(held, place_a, held.row[e], base)
    return min(1.0, dot / (math.sqrt(norm_a) * math.sqrt(norm_b)))


@compiled
def _weight(held: Postings, place: int, row: int, base: float) -> float:
    """What a term weighs in an item's vector."""
    for e in range(held.start[place], held.start[place] + held.terms[place]):
        if held.row[e] == row:
            return held.weight[e] * (base - held.log[row])  # type: ignore[no-any-return]
    return 0.0
