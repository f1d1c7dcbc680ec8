"""Baskets: what was bought together in a session, and what was bought after something was met there.

Counted from the session's part of the user's history, as it stood before a purchase, so that exactly these words say it:

- A **basket** is what a user bought in one session, as far as the history reaches. The first purchase of an item in the
  session puts it in the basket; that it is bought again there, or taken back (`refund`), changes nothing.
- `interactions` of item y in the table `together` is in how many baskets y is, n_y. `count` of {x, y} there is in how many
  both are: when y is put in a basket, it is counted with each other item that is in it, in both directions, by 1.
- `count` of x → y in the table `after`: when y is put in a basket, each other item x that was met in the session's part of
  the history by another kind of interaction than a purchase is counted, in this direction alone, by 1.
- N, the number of baskets, grows by 1 with each first purchase of a session (`UserMark.baskets`).

All pairs of a basket are counted as long as its session is no longer than the history. Each weighs 1, and decays as rows do.
"""

from typing import NamedTuple

import numpy as np

from recsys import deltas
from recsys.compiled import F64, I64, Bools, compiled
from recsys.deltas import Deltas, put
from recsys.events import Kind
from recsys.hashing import NONE
from recsys.histories import REFUNDED_PURCHASE, Histories

PURCHASE = int(Kind.PURCHASE)
TOGETHER, AFTER = 0, 1


class Baskets(NamedTuple):
    """What baskets of a batch come to, while it is counted."""

    kept: bool
    """Whether baskets are counted at all (`recsys.rules.Rules.baskets`)."""
    together: Deltas
    after: Deltas
    used: I64
    """How many there are of each."""
    opened: Bools
    """For each line whether it opened a basket."""


def none_kept() -> Baskets:
    """Where baskets are not counted."""
    return Baskets(False, deltas.room_for(0), deltas.room_for(0), np.zeros(2, np.int64), np.zeros(0, np.bool_))


def room(reach: I64, lines: int) -> Baskets:
    """Room for what a batch of `lines` lines comes to; `reach` says of each purchase how long its user's history may be."""
    pairs = int(reach.sum())
    return Baskets(
        True,
        deltas.room_for(len(reach) + 2 * pairs),
        deltas.room_for(pairs),
        np.zeros(2, np.int64),
        np.zeros(lines, np.bool_),
    )


@compiled
def is_purchase(kind: int) -> bool:
    """Whether an interaction of a history is a purchase, taken back or not."""
    return kind == PURCHASE or kind == REFUNDED_PURCHASE  # noqa: PLR1714 (compiled)


@compiled
def put_in_basket(
    b: Baskets, h: Histories, u: int, start: int, end: int, partition: int, offset: int, time: int, item: int
) -> bool:
    """Counts a purchase whose session begins in the history at `start`; returns whether it opens a basket."""
    opens = True
    for i in range(start, end):
        if is_purchase(h.kind[u, i]):
            opens = False
            if h.item[u, i] == item:
                return False
    together = put(b.together, b.used[TOGETHER], partition, offset, time, item, NONE, 1.0, 1)
    after = b.used[AFTER]
    for i in range(start, end):
        other, bought = h.item[u, i], is_purchase(h.kind[u, i])
        if other == item or not _is_first(h, u, start, i, bought):
            continue
        if bought:
            together = put(b.together, together, partition, offset, time, other, item, 1.0, 1)
            together = put(b.together, together, partition, offset, time, item, other, 1.0, 1)
        else:
            after = put(b.after, after, partition, offset, time, other, item, 1.0, 1)
    b.used[TOGETHER], b.used[AFTER] = together, after
    return opens


@compiled
def _is_first(h: Histories, u: int, start: int, i: int, bought: bool) -> bool:
    """Whether the item was not met before in the session: bought, or otherwise."""
    for earlier in range(start, i):
        if h.item[u, earlier] == h.item[u, i] and is_purchase(h.kind[u, earlier]) == bought:
            return False
    return True


def lift(both: F64, baskets: float, one: F64, other: F64) -> F64:
    """How many times as often two items are in one basket as they would be by chance: P(a, b) / (P(a) P(b)).

    All are whole numbers of baskets, never decayed: with both, of all, with the one, with the other. Above 1 the items attract
    each other, at 1 the one says nothing of the other. Brin, Motwani, Ullman, Tsur, 1997, "Dynamic itemset counting and
    implication rules for market basket data" (there "interest").

    >>> lift(np.array([2.0]), 5, np.array([4.0]), np.array([2.0]))
    array([1.25])
    """
    found: F64 = both * baskets / (one * other)
    return found
