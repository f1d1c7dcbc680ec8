"""Favourites: the categories and brands that a customer likes most, and how dear: told from what is stored of the customer by
what items are in the catalogue.

An interaction of the customer's history weighs what its action does (`recsys.rules.ActionWeights`), an item that the customer
holds what a purchase does for each basket with it; each is worth half after `HALF_LIFE_MS`. What an item weighs goes to each of
its categories, to its brand, and to the fifth of prices that its own stands in (`recsys.catalogue.traits.band`).
"""

from collections.abc import Sequence
from math import log
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from recsys.catalogue.traits import BRAND, NOTHING, SHELF, Shelves, Traits, band
from recsys.compiled import F64, I32, I64, U64, compiled
from recsys.events import FIRST_OTHER, Kind
from recsys.histories import Histories
from recsys.index import NOWHERE, find
from recsys.returning.purchases import HALF_LIFE_60_MS, Purchases

HALF_LIFE_MS = HALF_LIFE_60_MS
"""That of purchases as they are stored; views and purchases fade alike."""
DECAY = log(2) / HALF_LIFE_MS
STRONGEST = 5
"""Categories, and brands, that are told."""
FIFTHS = 5
PURCHASE = int(Kind.PURCHASE)


class Favourite(Struct, gc=False):
    """A category or brand."""

    name: str
    share: float
    """Of the weight of all the customer's items that have one; an item in several categories counts in each."""


class Favourites(Struct, omit_defaults=True, gc=False):
    """What a customer likes, the strongest first, equal ones by the hash of the name."""

    categories: list[Favourite] = []
    brands: list[Favourite] = []
    price_band: int | None = None
    """The fifth of its category's prices, 1 (cheapest) to 5, in which the customer's items stand: their weighted median."""


class Tally(NamedTuple):
    """Scratch: what a customer's items weigh, by code, zero between customers; and the codes that weigh something."""

    weight: F64
    met: I32


class Found(NamedTuple):
    """Customers × `STRONGEST` codes, `NOTHING` behind the last, and their shares; the band of each, 0 where there is none."""

    category: I32
    category_share: F64
    brand: I32
    brand_share: F64
    band: I32


def favourites(
    histories: Histories, purchases: Purchases, at: I64, now_ms: I64, shelves: Shelves, action: F64
) -> Sequence[Favourites | None]:
    """The favourites of the customers in the places `at`, None of those of whose items nothing is known.

    `now_ms` is the time of the newest event of each, `action` what an interaction weighs, by its kind.
    """
    if not len(shelves):
        return [None] * len(at)
    n = len(at)
    found = Found(
        np.zeros((n, STRONGEST), np.int32), np.zeros((n, STRONGEST)), np.zeros((n, STRONGEST), np.int32),
        np.zeros((n, STRONGEST)), np.zeros(n, np.int32),
    )  # fmt: skip
    categories, brands = _tally(len(shelves.categories)), _tally(len(shelves.brands))
    _find(histories, purchases, at, now_ms, shelves.known(), action, categories, brands, np.zeros(FIFTHS + 1), found)
    categories_told = _named(shelves.categories, found.category, found.category_share)
    brands_told = _named(shelves.brands, found.brand, found.brand_share)
    return [
        Favourites(category, brand, fifth or None) if category or brand or fifth else None
        for category, brand, fifth in zip(categories_told, brands_told, found.band.tolist(), strict=True)
    ]


def _tally(codes: int) -> Tally:
    return Tally(np.zeros(codes), np.zeros(codes, np.int32))


def _named(names: Sequence[str], codes: I32, shares: F64) -> list[list[Favourite]]:
    """Of each customer the names that these codes have, with their shares."""
    lines = zip(codes.tolist(), np.round(shares, 3).tolist(), strict=True)
    return [[Favourite(names[code], share) for code, share in zip(*line, strict=True) if code] for line in lines]


@compiled
def _find(
    h: Histories, p: Purchases, at: I64, now_ms: I64, traits: Traits, action: F64, categories: Tally, brands: Tally,
    of_band: F64, found: Found,
) -> None:  # fmt: skip
    for n in range(len(at)):
        u = at[n]
        met_categories = met_brands = 0
        in_categories = in_brands = 0.0
        of_band[:] = 0.0
        # A purchase stands in the history and among what is held: it counts there, where it is known how often it was made.
        for i in range(h.length[u] + p.held[u]):
            if i < h.length[u]:
                if h.kind[u, i] == PURCHASE or h.kind[u, i] >= FIRST_OTHER:
                    continue
                item, time, weight = h.item[u, i], h.time[u, i], action[h.kind[u, i]]
            else:
                k = i - h.length[u]
                item, time, weight = p.item[u, k], p.time[u, k], action[PURCHASE] * p.f60[u, k]
            place = find(traits.where, item)
            if place == NOWHERE:
                continue
            weight *= np.exp(float(time - now_ms[n]) * DECAY)
            shelf = traits.item[place, SHELF]
            begins, ends = traits.start[shelf], traits.start[shelf + 1]
            for c in range(begins, ends):
                met_categories = _weigh(categories, met_categories, traits.category[c], weight)
            if ends > begins:
                in_categories += weight
            brand = traits.item[place, BRAND]
            if brand != NOTHING:
                met_brands = _weigh(brands, met_brands, brand, weight)
                in_brands += weight
            of_band[band(traits, place)] += weight
        _strongest(categories, met_categories, traits.category_hash, in_categories, found.category, found.category_share, n)
        _strongest(brands, met_brands, traits.brand_hash, in_brands, found.brand, found.brand_share, n)
        found.band[n] = _median(of_band)


@compiled
def _weigh(tally: Tally, met: int, code: int, weight: float) -> int:
    """Adds to what a code weighs; returns how many codes weigh something."""
    if tally.weight[code] == 0.0 and weight > 0.0:
        tally.met[met] = code
        met += 1
    tally.weight[code] += weight
    return met


@compiled
def _strongest(tally: Tally, met: int, hashes: U64, whole: float, code: I32, share: F64, n: int) -> None:
    """Notes the codes that weigh most and what part of the `whole` they do, and clears the tally."""
    for m in range(met):
        c = tally.met[m]
        rank = STRONGEST
        while rank > 0 and _is_before(tally, hashes, c, code[n, rank - 1]):
            rank -= 1
            if rank + 1 < STRONGEST:
                code[n, rank + 1] = code[n, rank]
        if rank < STRONGEST:
            code[n, rank] = c
    for rank in range(STRONGEST):
        if code[n, rank] != NOTHING:
            share[n, rank] = tally.weight[code[n, rank]] / whole
    for m in range(met):
        tally.weight[tally.met[m]] = 0.0


@compiled
def _is_before(tally: Tally, hashes: U64, code: int, other: int) -> bool:
    """Whether a code that weighs something is told before another, or before nothing."""
    if other == NOTHING or tally.weight[code] > tally.weight[other]:
        return True
    return tally.weight[code] == tally.weight[other] and hashes[code] < hashes[other]  # type: ignore[no-any-return]


@compiled
def _median(of_band: F64) -> int:
    """The first band up to which half of the weight lies; 0 without weight."""
    whole = 0.0
    for each in range(1, FIFTHS + 1):
        whole += of_band[each]
    upto = 0.0
    for each in range(1, FIFTHS + 1):
        upto += of_band[each]
        if whole > 0.0 and 2.0 * upto >= whole:
            return each
    return 0
