"""The fold: histories and a batch → new histories and deltas. Pure; where batches begin and end does not matter.

What is counted is the contract's; the weights are those of sequential co-occurrence with distance decay: of the user's earlier
interactions s₁ … sⱼ in this session, each of the last `window`, at distance d from the new item y, adds
w = a · (j + 1)^−0.25 · d^−1.5 to sᵢ → y and 0.8 w to y → sᵢ. By its kind an interaction has a weight
(`recsys.rules.ActionWeights`), and a is that of the new one over the least in the session up to it: a session of one kind
weighs the same whichever it is, so a shop that knows purchases alone, or views alone, ranks as if there were no such weights.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from recsys import baskets, deltas, keys
from recsys.baskets import Baskets, put_in_basket
from recsys.batch import Batch
from recsys.compiled import F64, I32, I64, U8, U64, Bools, compiled
from recsys.deltas import Deltas
from recsys.events import FIRST_OTHER, Kind
from recsys.hashing import NONE
from recsys.histories import REFUNDED_PURCHASE, Histories
from recsys.rules import ActionWeights, Rules

PURCHASE = int(Kind.PURCHASE)
REFUND = int(Kind.REFUND)
FORGET = int(Kind.FORGET)
BACKWARD = 0.8
"""What a pair weighs against the direction in which it was met."""


@cache
def by_kind(weights: ActionWeights) -> F64:
    """What an interaction weighs, by the number of its kind as it stands in histories.

    A purchase that was taken back weighed as one.

    >>> by_kind(ActionWeights(purchase=2.5))[[Kind.CLICK, Kind.PURCHASE, REFUNDED_PURCHASE]]
    array([1. , 2.5, 2.5])
    """
    weight = np.ones(256)
    for name, value in weights._asdict().items():
        weight[Kind[name.upper()]] = value
    weight[REFUNDED_PURCHASE] = weights.purchase
    return weight


class Fold(NamedTuple):
    """What a batch comes to."""

    deltas: dict[str, Deltas]
    """By table of rows (`recsys.keys`): of the viewed ones, and of those of baskets that have any."""
    changed: Bools
    """For each line whether it changed its user's history."""
    opened: Bools
    """For each line whether it opened a basket."""
    repeats: Bools
    """For each line whether its event's id was in the history."""


class Lines(NamedTuple):
    """The columns of a batch that are counted; see `recsys.batch.Batch`."""

    user: I32
    item: U64
    event: U64
    session: U64
    time: I64
    kind: U8
    partition: I32
    offset: I64
    opens: Bools


def fold(histories: Histories, batch: Batch, rules: Rules) -> Fold:
    """Counts a batch: changes `histories` in place."""
    viewed = no_deltas(len(batch.item), rules)
    changed, repeats = np.zeros((2, len(batch.item)), np.bool_)
    kept = no_baskets(histories, batch, rules)
    lines = Lines(*batch[1:])
    action = by_kind(rules.action_weights)
    used = count_lines(
        histories, lines, 0, len(batch.item), viewed, changed, repeats, kept, rules.window, float(rules.session_gap_ms), action
    )
    of_baskets = {keys.TOGETHER: kept.together, keys.AFTER: kept.after}
    found = {name: deltas.first(each, n) for (name, each), n in zip(of_baskets.items(), kept.used.tolist(), strict=True) if n}
    return Fold({keys.VIEWED: deltas.first(viewed, used)} | found, changed, kept.opened, repeats)


def no_deltas(lines: int, rules: Rules) -> Deltas:
    """Room for the deltas of so many lines."""
    # A line pairs with at most `window` items that count and `window` that only have weight, each in both directions.
    return deltas.room_for(lines * (1 + 4 * rules.window))


def no_baskets(histories: Histories, batch: Batch, rules: Rules) -> Baskets:
    """Room for what the baskets of a batch come to: a purchase meets no more than its user's history."""
    bought = batch.user[batch.kind == PURCHASE]
    if not rules.baskets or not len(bought):
        return baskets.none_kept()
    longest = histories.length + np.bincount(batch.user, minlength=len(histories.length))
    return baskets.room(np.minimum(longest, rules.history)[bought], len(batch.item))


@compiled
def in_one_session(session: int, time: int, next_session: int, next_time: int, gap: float) -> bool:
    """Whether two interactions, one after the other, are of one session: by session id, or where one has none by time."""
    if session != NONE and next_session != NONE:  # noqa: PLR1714 (compiled)
        return session == next_session
    return abs(next_time - time) <= gap


@compiled
def pair_weight(action: float, earlier: int, distance: int) -> float:
    """What a new item and the one `distance` before it weigh in a session that has `earlier` interactions before the new.

    `action` is a, what the new interaction weighs by its kind.
    """
    return action * (earlier + 1.0) ** -0.25 * distance**-1.5  # type: ignore[no-any-return]


@compiled
def count_lines(
    h: Histories, lines: Lines, begin: int, stop: int, d: Deltas, changed: Bools, repeats: Bools, kept: Baskets, window: int,
    gap_ms: float, action: F64,
) -> int:  # fmt: skip
    """Counts the lines from `begin` to `stop`; returns how many deltas there are. `changed` and `repeats` are of these lines.

    `action` is what an interaction weighs, by its kind; baskets are counted into `kept`.
    """
    room = h.item.shape[1]
    used = 0
    repeat = False
    for k in range(begin, stop):
        u = lines.user[k]
        y = lines.item[k]
        end = h.length[u]
        if lines.opens[k]:
            repeat = False
            if lines.event[k] != NONE:
                for i in range(end):
                    if h.event[u, i] == lines.event[k]:
                        repeat = True
        if repeat:
            repeats[k - begin] = True
            continue
        if lines.kind[k] == REFUND:
            for i in range(end):
                if h.item[u, i] == y and h.kind[u, i] == PURCHASE:
                    h.kind[u, i] = REFUNDED_PURCHASE
                    changed[k - begin] = True
        if lines.kind[k] >= FIRST_OTHER:
            if lines.kind[k] == FORGET and end > 0:
                _forget(h, u)
                changed[k - begin] = True
            continue

        # The session's part of the history: back to the first pair of neighbours that a new session parts.
        start = end
        s, t = lines.session[k], lines.time[k]
        least = action[lines.kind[k]]
        while start > 0:
            before_s, before_t = h.session[u, start - 1], h.time[u, start - 1]
            if not in_one_session(before_s, before_t, s, t, gap_ms):
                break
            start -= 1
            s, t = before_s, before_t
            least = min(least, action[h.kind[u, start]])
        met_first = True
        for i in range(start, end):
            if h.item[u, i] == y:
                met_first = False
        if kept.kept and lines.kind[k] == PURCHASE:
            opened = put_in_basket(kept, h, u, start, end, lines.partition[k], lines.offset[k], lines.time[k], y)
            kept.opened[k - begin] = opened

        d.partition[used], d.offset[used], d.time[used] = lines.partition[k], lines.offset[k], lines.time[k]
        d.item[used], d.other[used] = y, NONE
        d.weight[used], d.counts[used] = 1.0, 1
        used += 1
        distinct = 0
        for i in range(end - 1, start - 1, -1):
            distance = end - i
            if distance > window and (not met_first or distinct == window):
                break
            other = h.item[u, i]
            counts = 0
            if met_first and distinct < window:
                counts = 1
                for later in range(i + 1, end):
                    if h.item[u, later] == other:
                        counts = 0
                distinct += counts
            weight = 0.0
            if distance <= window:
                weight = pair_weight(action[lines.kind[k]] / least, end - start, distance)
            if counts == 0 and weight == 0.0:
                continue
            d.partition[used], d.offset[used], d.time[used] = lines.partition[k], lines.offset[k], lines.time[k]
            d.item[used], d.other[used] = other, y
            d.weight[used], d.counts[used] = weight, counts
            used += 1
            if other != y:
                d.partition[used], d.offset[used], d.time[used] = lines.partition[k], lines.offset[k], lines.time[k]
                d.item[used], d.other[used] = y, other
                d.weight[used], d.counts[used] = BACKWARD * weight, counts
                used += 1

        if end == room:
            for i in range(room - 1):
                h.item[u, i] = h.item[u, i + 1]
                h.event[u, i] = h.event[u, i + 1]
                h.session[u, i] = h.session[u, i + 1]
                h.time[u, i] = h.time[u, i + 1]
                h.kind[u, i] = h.kind[u, i + 1]
            end -= 1
        h.item[u, end], h.event[u, end], h.session[u, end] = y, lines.event[k], lines.session[k]
        h.time[u, end], h.kind[u, end] = lines.time[k], lines.kind[k]
        h.length[u] = end + 1
        changed[k - begin] = True
    return used


@compiled
def _forget(h: Histories, u: int) -> None:
    """Empties a history, to the last place: columns are also read without their length."""
    for i in range(h.item.shape[1]):
        h.item[u, i], h.event[u, i], h.session[u, i], h.time[u, i], h.kind[u, i] = NONE, NONE, NONE, 0, 0
    h.length[u] = 0
