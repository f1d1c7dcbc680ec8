"""The fold: histories and a batch → new histories and deltas. Pure; where batches begin and end does not matter.

What is counted is the contract's; the weights are those of sequential co-occurrence with distance decay: of the user's earlier
interactions s₁ … sⱼ in this session, each of the last `window`, at distance d from the new item y, adds
w = (j + 1)^−0.25 · d^−1.5 to sᵢ → y and 0.8 w to y → sᵢ.
"""

from typing import NamedTuple

import numpy as np

from recsys.batch import Batch
from recsys.compiled import F32, I32, I64, U8, U32, U64, Bools, compiled
from recsys.events import Kind
from recsys.hashing import NONE
from recsys.histories import REFUNDED_PURCHASE, Histories
from recsys.rules import Rules

PURCHASE = int(Kind.PURCHASE)
REFUND = int(Kind.REFUND)
BACKWARD = 0.8
"""What a pair weighs against the direction in which it was met."""


class Deltas(NamedTuple):
    """What a batch adds to the rows of items, in the order of the topic; with `other` `NONE`, an interaction with `item`."""

    partition: I32
    offset: I64
    time: I64
    item: U64
    other: U64
    weight: F32
    counts: U32


def fold(histories: Histories, batch: Batch, rules: Rules) -> tuple[Deltas, Bools]:
    """Counts a batch: changes `histories` in place; returns the deltas, and for each line whether it changed its history."""
    # A line pairs with at most `window` items that count and `window` that only have weight, each in both directions.
    room = len(batch.item) * (1 + 4 * rules.window)
    deltas = Deltas(
        np.empty(room, np.int32),
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.empty(room, np.uint64),
        np.empty(room, np.uint64),
        np.empty(room, np.float32),
        np.empty(room, np.uint32),
    )
    changed = np.zeros(len(batch.item), np.bool_)
    used = _fold(*histories, *batch[1:], *deltas, changed, rules.window, rules.session_gap_ms)
    return Deltas._make(column[:used] for column in deltas), changed


@compiled
def in_one_session(session: int, time: int, next_session: int, next_time: int, gap: float) -> bool:
    """Whether two interactions, one after the other, are of one session: by session id, or where one has none by time."""
    if session != NONE and next_session != NONE:  # noqa: PLR1714 (compiled)
        return session == next_session
    return abs(next_time - time) <= gap


@compiled
def _fold(
    h_item: U64,
    h_event: U64,
    h_session: U64,
    h_time: I64,
    h_kind: U8,
    h_length: I32,
    user: I32,
    item: U64,
    event: U64,
    session: U64,
    time: I64,
    kind: U8,
    partition: I32,
    offset: I64,
    opens: Bools,
    d_partition: I32,
    d_offset: I64,
    d_time: I64,
    d_item: U64,
    d_other: U64,
    d_weight: F32,
    d_count: U32,
    changed: Bools,
    window: int,
    gap: int,
) -> int:
    room = h_item.shape[1]
    used = 0
    repeat = False
    for k in range(len(item)):
        u = user[k]
        y = item[k]
        end = h_length[u]
        if opens[k]:
            repeat = False
            if event[k] != NONE:
                for i in range(end):
                    if h_event[u, i] == event[k]:
                        repeat = True
        if repeat:
            continue
        if kind[k] == REFUND:
            for i in range(end):
                if h_item[u, i] == y and h_kind[u, i] == PURCHASE:
                    h_kind[u, i] = REFUNDED_PURCHASE
                    changed[k] = True
            continue

        # The session's part of the history: back to the first pair of neighbours that a new session parts.
        start = end
        s, t = session[k], time[k]
        while start > 0:
            before_s, before_t = h_session[u, start - 1], h_time[u, start - 1]
            if not in_one_session(before_s, before_t, s, t, gap):
                break
            start -= 1
            s, t = before_s, before_t
        met_first = True
        for i in range(start, end):
            if h_item[u, i] == y:
                met_first = False

        d_partition[used], d_offset[used], d_time[used] = partition[k], offset[k], time[k]
        d_item[used], d_other[used] = y, NONE
        d_weight[used], d_count[used] = 1.0, 1
        used += 1
        length_norm = (end - start + 1.0) ** -0.25
        distinct = 0
        for i in range(end - 1, start - 1, -1):
            distance = end - i
            if distance > window and (not met_first or distinct == window):
                break
            other = h_item[u, i]
            counts = 0
            if met_first and distinct < window:
                counts = 1
                for later in range(i + 1, end):
                    if h_item[u, later] == other:
                        counts = 0
                distinct += counts
            weight = 0.0
            if distance <= window:
                weight = length_norm * distance**-1.5
            if counts == 0 and weight == 0.0:
                continue
            d_partition[used], d_offset[used], d_time[used] = partition[k], offset[k], time[k]
            d_item[used], d_other[used] = other, y
            d_weight[used], d_count[used] = weight, counts
            used += 1
            if other != y:
                d_partition[used], d_offset[used], d_time[used] = partition[k], offset[k], time[k]
                d_item[used], d_other[used] = y, other
                d_weight[used], d_count[used] = BACKWARD * weight, counts
                used += 1

        if end == room:
            for i in range(room - 1):
                h_item[u, i] = h_item[u, i + 1]
                h_event[u, i] = h_event[u, i + 1]
                h_session[u, i] = h_session[u, i + 1]
                h_time[u, i] = h_time[u, i + 1]
                h_kind[u, i] = h_kind[u, i + 1]
            end -= 1
        h_item[u, end], h_event[u, end], h_session[u, end] = y, event[k], session[k]
        h_time[u, end], h_kind[u, end] = time[k], kind[k]
        h_length[u] = end + 1
        changed[k] = True
    return used
