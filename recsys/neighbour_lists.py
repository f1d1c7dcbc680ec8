"""Neighbour lists: from the rows of items, and from what is popular, to messages."""

from collections.abc import Iterator, Mapping
from itertools import repeat
from typing import NamedTuple

import numpy as np

from recsys.compiled import F32, F64, I32, I64, U32, U64, compiled
from recsys.digits import DIGITS
from recsys.popularity import Popular, decayed, first
from recsys.recommendation import Neighbour, Neighbours, instant
from recsys.rows import Rows, worth
from recsys.rules import Rules


class Strongest(NamedTuple):
    """The strongest other items in some rows, by falling weight, ties by hash; `NONE` where there are fewer."""

    other: U64
    weight: F32
    counts: U32


def strongest(rows: Rows, top_n: int) -> Strongest:
    """The `top_n` strongest of each row."""
    shape = (len(rows.item), top_n)
    found = Strongest(np.zeros(shape, np.uint64), np.zeros(shape, np.float32), np.zeros(shape, np.uint32))
    _strongest(rows.item, rows.length, rows.other, rows.weight, rows.counts, found)
    return found


@compiled
def _strongest(item: U64, length: I32, other: U64, weight: F32, count: U32, found: Strongest) -> None:
    room = found.other.shape[1]
    for r in range(len(item)):
        n = 0
        best, best_weight, best_count = found.other[r], found.weight[r], found.counts[r]
        for k in range(length[r]):
            if other[r, k] == item[r]:
                continue
            i = n
            if n == room:
                i -= 1
                if best_weight[i] > weight[r, k] or (best_weight[i] == weight[r, k] and best[i] < other[r, k]):
                    continue
            while i > 0 and (
                best_weight[i - 1] < weight[r, k] or (best_weight[i - 1] == weight[r, k] and best[i - 1] > other[r, k])
            ):
                best[i], best_weight[i], best_count[i] = best[i - 1], best_weight[i - 1], best_count[i - 1]
                i -= 1
            best[i], best_weight[i], best_count[i] = other[r, k], weight[r, k], count[r, k]
            n = min(n + 1, room)


def neighbours(rows: Rows, shown: Strongest, names: Mapping[int, str], rules: Rules, versions: I64) -> Iterator[Neighbours]:
    """The neighbours of each row, by falling score: P(neighbour | item), see `recsys.ranking.evidence`; ties by item id."""
    return lists_of(rows, shown, strength(rows, rules), names, versions)


def strength(rows: Rows, rules: Rules) -> F64:
    """What turns a weight of each row into P(neighbour | item)."""
    today = worth(rows.landmark, rows.updated, rules.half_life_ms)
    found: F64 = today / (rows.popularity * today + 1.0)
    return found


def lists_of(
    rows: Rows, shown: Strongest, factor: F64, names: Mapping[int, str], versions: I64, lifts: F64 | None = None
) -> Iterator[Neighbours]:
    """The neighbours of each row, by falling score, ties by item id; the score is the weight times the row's `factor`.

    Those without a name are left out.
    """
    fallen = -np.round(shown.weight * factor[:, None], DIGITS)
    raised = repeat(repeat(None)) if lifts is None else np.round(lifts, DIGITS).tolist()
    columns = zip(rows.ids, rows.updated.tolist(), versions.tolist(), strict=True)
    lists = zip(shown.other.tolist(), fallen.tolist(), shown.counts.tolist(), strict=True)
    for (item_id, updated, version), (others, row, counts), lift in zip(columns, lists, raised, strict=False):
        ordered = sorted(zip(row, map(names.get, others, repeat("")), counts, lift, strict=False))
        found = [Neighbour(name, -score, count, above) for score, name, count, above in ordered if name]
        yield Neighbours(instant(updated), found, item_id, version)


def _place(found: Neighbour) -> tuple[float, str]:
    return -found.score, found.item_id


def trending(popular: Popular, names: Mapping[int, str], now_ms: float, rules: Rules, version: int) -> Neighbours:
    """The most popular items; the score is the decayed number of interactions, `count` the whole number."""
    top = first(popular, rules.top_n)
    items = [
        Neighbour(names[item], round(score, DIGITS), count)
        for item, score, count in zip(
            top.item.tolist(), decayed(top, now_ms, rules).tolist(), top.interactions.tolist(), strict=True
        )
        if item in names
    ]
    items.sort(key=_place)
    return Neighbours(instant(now_ms), items, None, version)
