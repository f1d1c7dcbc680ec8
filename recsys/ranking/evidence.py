"""Evidence: what a user's newest items say, by their rows, for every other item.

With h₀ (the newest), h₁ … h₄ the user's last distinct items, w the row weights and n the decayed interactions, all worth what
they are now:

    P(c|x) = w_xc / (n_x + 1)
    A₁(c)  = Σ_d 0.4^d · P(c|h_d)
    A(c)   = A₁(c) + 4 · Σ_x A₁(x) · P(c|x)         over the 15 items x with the largest A₁(x) · n_x^−0.2
    C(c)   = Σ_d 0.4^d · cos(h_d, c)                of descriptions (`recsys.catalogue`), over the items that are most like h_d
    F(c)   = A(c) · n_c^−0.2 / max + 0.8 · 0.7^r + 0.1 · C(c)
                                                     r: the recency rank of c among the session's items, if it is one

What the user's own session added to the rows is taken out again: it says nothing about others, and so it does not matter
whether the session has been counted yet. What is learned from and what is recommended is judged alike.

Item-to-item co-occurrence: Linden, Smith, York, 2003; distance and recency weights: Ludewig, Jannach, 2018, "Evaluation of
session-based recommendation algorithms".
"""

from typing import NamedTuple

import numpy as np

from recsys.alike import ALIKE
from recsys.compiled import F64, I32, I64, U64, compiled
from recsys.hashing import NONE
from recsys.index import NOWHERE, find, slot
from recsys.known import Known
from recsys.ranking.past import fade

RECENT = 5
"""The newest distinct items of a history that speak for others."""
RECENCY = 0.4
OLDER_RECENCY = 0.7
HOPS = 15
HOP_WEIGHT = 4.0
POPULARITY_NORM = -0.2
RAREST = 0.3
"""Decayed interactions that an item is taken to have at least."""
REPEAT = 0.8
REPEAT_RECENCY = 0.7
ALIKE_WEIGHT = 0.1


class Evidence(NamedTuple):
    """The items that a user's history speaks for, as entries in the order in which they were met; those of the session first.

    Of an entry only what `enter` or `enter_own` has set means anything; the table alone is to be cleared.
    """

    slots: U64
    """An open-addressing table of the items; `NONE` where it is free."""
    entry: I32
    """Of each filled slot the entry."""
    slot: I64
    """Of each entry the slot."""
    item: U64
    place: I32
    """Where the item is known, `NOWHERE` if it is not; set by `weigh`."""
    met: F64
    """The decayed interactions of an item without those of this session; set by `weigh`."""
    norm: F64
    """What its popularity takes off: (n)^−0.2; 0 until `weigh` has set it."""
    terms: F64
    """Entries × `RECENT`: what each recent item adds to A, and once candidates are chosen to F."""
    total: F64
    """A, and once candidates are chosen F without what is added for repeats."""
    newest: F64
    """P(c|h₀)."""
    older: F64
    """Σ 0.7^(d−1) · P(c|h_d) over the older recent items."""
    alike: F64
    """C."""
    alike_terms: F64
    """Entries × `RECENT`: what each recent item adds to C; of entries whose C is 0 it means nothing."""
    support: I32
    """How many recent items have it in their rows."""
    times: I32
    """How often it was met in this session."""
    rank: I32
    """Its recency rank among the session's items."""
    own: F64
    """The session's entries × `RECENT`: what the session itself added to the weight in the recent item's row, worth what it is
    now."""
    own_hop: F64
    """The same of its weight in the row of the item that is hopped through; 0 again after the hop."""
    own_met: F64
    """The same of its interactions."""
    own_trend: F64
    recent: U64
    """The recent items, `NONE` where there are fewer."""
    seen: I64
    """The times from which the rows of these are looked at."""
    hop: I64
    """The entries that are hopped through."""
    hop_worth: F64
    hop_total: F64
    """A₁ of each, as it was before the second hop."""
    hop_terms: F64
    missing: U64
    """Items whose rows or popularity were wanted and are not known."""


class Extent(NamedTuple):
    """How much of an `Evidence` is filled, and of which session it is."""

    filled: int
    own: int
    """How many of these entries are the session's."""
    recent: int
    missing: int
    length: int
    """Interactions in the session."""
    now: int
    """Event time of the newest interaction, in milliseconds."""


def no_evidence(width: int, history: int) -> Evidence:
    """Free evidence, for rows of `width` neighbours and histories of `history` interactions."""
    room = (RECENT + HOPS) * width + RECENT * ALIKE + history
    size = 1 << int(2 * room).bit_length()
    return Evidence(
        np.zeros(size, np.uint64),
        np.zeros(size, np.int32),
        np.zeros(room, np.int64),
        np.zeros(room, np.uint64),
        np.zeros(room, np.int32),
        np.zeros(room),
        np.zeros(room),
        np.zeros((room, RECENT)),
        np.zeros(room),
        np.zeros(room),
        np.zeros(room),
        np.zeros(room),
        np.zeros((room, RECENT)),
        np.zeros(room, np.int32),
        np.zeros(room, np.int32),
        np.zeros(room, np.int32),
        np.zeros((history, RECENT)),
        np.zeros(history),
        np.zeros(history),
        np.zeros(history),
        np.zeros(RECENT, np.uint64),
        np.zeros(RECENT, np.int64),
        np.zeros(HOPS, np.int64),
        np.zeros(HOPS),
        np.zeros(HOPS),
        np.zeros((HOPS, RECENT)),
        np.zeros(RECENT + HOPS + room, np.uint64),
    )


@compiled
def clear(e: Evidence, filled: int) -> None:
    """Makes the table free again."""
    for f in range(filled):
        e.slots[e.slot[f]] = NONE
    e.recent[:] = NONE


@compiled
def enter(e: Evidence, item: int, filled: int) -> tuple[int, int]:
    """The entry of an item, which has one from now on; and how many there are."""
    at = slot(e.slots, item)
    if e.slots[at] != NONE:
        return e.entry[at], filled
    e.slots[at], e.entry[at] = item, filled
    e.slot[filled], e.item[filled] = at, item
    e.norm[filled], e.total[filled], e.newest[filled], e.older[filled] = 0.0, 0.0, 0.0, 0.0
    e.alike[filled], e.support[filled], e.times[filled] = 0.0, 0, 0
    for d in range(RECENT):
        e.terms[filled, d] = 0.0
    return filled, filled + 1


@compiled
def enter_own(e: Evidence, item: int, filled: int) -> tuple[int, int]:
    """The same for an item of the session."""
    at, after = enter(e, item, filled)
    if after > filled:
        e.own_hop[at], e.own_met[at], e.own_trend[at] = 0.0, 0.0, 0.0
        for d in range(RECENT):
            e.own[at, d] = 0.0
    return at, after


@compiled
def entry_of(e: Evidence, item: int) -> int:
    """The entry of an item, `NOWHERE` if it has none."""
    at = slot(e.slots, item)
    return e.entry[at] if e.slots[at] != NONE else NOWHERE


@compiled
def seen_from(known: Known, place: int, now: int) -> int:
    """The time from which an item's row is looked at: `now`, but not before its landmark, lest a factor be without bound."""
    return max(now, known.landmark[place]) if place != NOWHERE else now


@compiled
def weigh(e: Evidence, known: Known, at: int, own: int, now: int, half_life_ms: float) -> None:
    """Finds out how popular the item of an entry is at `now`; the first `own` entries are the session's."""
    place = find(known.where, e.item[at])
    met = 0.0
    if place != NOWHERE:
        met = known.popularity[place] * min(fade(known.landmark[place], now, half_life_ms), 1.0)
        if at < own:
            met = max(met - e.own_met[at], 0.0)
    e.place[at], e.met[at], e.norm[at] = place, met, max(met, RAREST) ** POPULARITY_NORM
