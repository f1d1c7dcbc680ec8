"""Exploration: which places of a list new items get, and which new items. Pure; the generator is passed in.

A new item's chance of being clicked where it is shown has the posterior Beta(1 + clicked, 1 + shown - clicked). Those with the
highest draws from their posteriors are shown: Thompson sampling (Thompson, 1933, "On the likelihood that one unknown
probability exceeds another in view of the evidence of two samples"; Chapelle, Li, 2011, "An empirical evaluation of Thompson
sampling": it stands it well when feedback comes late and many are shown one draw). What was in no list yet has its turn first.
"""

from typing import NamedTuple

import numpy as np

from recsys.compiled import I64, U64, Bools


class Candidates(NamedTuple):
    """New items, in the order in which they came: columns of one length."""

    item: U64
    shown: I64
    clicked: I64
    waiting: Bools
    """Whether it was in no list yet."""


def explored_places(popular: int, new: int, top_n: int, share: float, rng: np.random.Generator) -> I64:
    """The places of new items in a list of at most `top_n`, of so many popular and new items: rising.

    In the mean they are `share` of the list's places, each equally often.

    >>> lists = [explored_places(50, 9, 10, 0.25, np.random.default_rng(seed)) for seed in range(1000)]
    >>> round(sum(map(len, lists)) / 10_000, 2), {len(places) for places in lists} == {2, 3}
    (0.25, True)
    """
    length = min(float(top_n), popular / (1.0 - share))
    wanted = int(share * length + rng.random())
    places = min(wanted, new)
    length = min(top_n, popular + places)
    return np.sort(rng.choice(length, places, replace=False))


def thompson(candidates: Candidates, most: int, rng: np.random.Generator) -> I64:
    """The places of `most` candidates: those that wait for their first turn, the longest first, then by falling draw.

    >>> items = Candidates(np.arange(2, dtype=np.uint64), np.array([900, 900]), np.array([9, 90]), np.zeros(2, bool))
    >>> thompson(items, 1, np.random.default_rng(1))
    array([1])
    """
    draw = rng.beta(1.0 + candidates.clicked, 1.0 + np.maximum(candidates.shown - candidates.clicked, 0))
    order = np.lexsort((candidates.item, np.where(candidates.waiting, 0.0, -draw), ~candidates.waiting))
    waiting = np.flatnonzero(candidates.waiting)
    return np.concatenate((waiting, order[len(waiting) :]))[:most]


def take(candidates: Candidates, some: Bools | I64) -> Candidates:
    """Some of the candidates."""
    return Candidates._make(column[some] for column in candidates)
