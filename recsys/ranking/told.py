"""What is told of scores: the terms of each, the largest first, as whole parts that add up to a whole."""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I32, I64, U64, compiled
from recsys.hashing import NONE
from recsys.ranking.evidence import RECENT
from recsys.ranking.features import ALIKE_TERMS, ALSO_BOUGHT_TERM, BOUGHT_AGAIN_TERM, REPEAT_TERM, TERMS, TRENDING_TERM
from recsys.ranking.rank import Ranked

WHOLE = 1000
"""Shares are whole thousandths."""
KIND_SHARE = 0.3
"""Kinds of the user's own are told from so much less on than one recent item among others; that an item is popular says least,
and is told like these."""


class Told(NamedTuple):
    """The terms of some items' scores, one after the other."""

    terms: I32
    """Users × items: how many terms are told of each item."""
    term: I32
    part: I32
    """Of `WHOLE`."""
    behind: I64
    """How often that was met which is behind it."""
    source: U64
    """The item that each comes from, `NONE` where it comes from none."""


def told(ranked: Ranked, least: float) -> Told:
    """The terms of each item.

    What an item's own row says for it is a repeat, like its having been met in this session. Recent items that add less
    than `least` of the score are told together with the one that adds most, and so is popularity with what adds most of all;
    then the same with all terms and `KIND_SHARE` of `least`.
    """
    room = ranked.item.size * TERMS
    found = Told(
        np.zeros(ranked.item.shape, np.int32),
        np.zeros(room, np.int32),
        np.zeros(room, np.int32),
        np.zeros(room, np.int64),
        np.zeros(room, np.uint64),
    )
    n = _tell(ranked, least, np.zeros(TERMS), np.zeros(TERMS, np.int64), found)
    return Told(found.terms, found.term[:n], found.part[:n], found.behind[:n], found.source[:n])


@compiled
def _tell(ranked: Ranked, least: float, share: F64, part: I64, found: Told) -> int:
    n = 0
    for u in range(ranked.item.shape[0]):
        for i in range(ranked.item.shape[1]):
            item = ranked.item[u, i]
            if item == NONE:
                break
            _shares(ranked, u, i, least, share)
            _parts(share, part)
            first = n
            for _ in range(TERMS):
                t = np.argmax(part)
                if part[t] == 0:
                    break
                found.term[n], found.part[n], found.behind[n] = t, part[t], ranked.counts[u, i, t]
                if t < RECENT or t >= ALIKE_TERMS:
                    found.source[n] = ranked.recent[u, t % ALIKE_TERMS]
                elif t == ALSO_BOUGHT_TERM:
                    found.source[n] = ranked.source[u, i]
                elif t in (REPEAT_TERM, BOUGHT_AGAIN_TERM):
                    found.source[n] = item
                part[t] = 0
                n += 1
            found.terms[u, i] = n - first
    return n


@compiled
def _shares(ranked: Ranked, u: int, i: int, least: float, share: F64) -> None:
    together = 0.0
    for t in range(TERMS):
        share[t] = ranked.terms[u, i, t]
        together += share[t]
    if together <= 0.0:  # popular, but so long ago that nothing is left of it
        share[TRENDING_TERM] = together = 1.0
    for d in range(RECENT):
        if ranked.recent[u, d] == ranked.item[u, i]:
            share[REPEAT_TERM] += share[d]
            share[d] = 0.0
    for t in range(TERMS):
        share[t] /= together
    _tell_together(share[:RECENT], least)
    _tell_together(share[ALIKE_TERMS:], least)
    if share[TRENDING_TERM] < least:
        _tell_with(share, TRENDING_TERM, np.argmax(share))
    _tell_together(share, least * KIND_SHARE)


@compiled
def _tell_together(share: F64, least: float) -> None:
    """Adds those of these that are small to the largest of them."""
    most = np.argmax(share)
    for t in range(len(share)):
        if share[t] < least:
            _tell_with(share, t, most)


@compiled
def _tell_with(share: F64, t: int, most: int) -> None:
    """Adds one of these to the largest of them, if that is another."""
    if t != most:
        share[most] += share[t]
        share[t] = 0.0


@compiled
def _parts(share: F64, part: I64) -> None:
    """Rounds shares; the largest takes what is missing."""
    left = WHOLE
    for t in range(TERMS):
        part[t] = np.int64(np.rint(share[t] * WHOLE))
        left -= part[t]
    part[np.argmax(part)] += left
