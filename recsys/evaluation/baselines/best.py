"""The best items so far, sorted by falling score: an item joins, the most popular fill up what is left."""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I32, I64, compiled_maker


class Leaders(NamedTuple):
    """What each item counts, and the items that count most; ties by the smaller number. Counts only ever grow."""

    counts: F64
    """Of each item."""
    item: I32
    score: F64
    """The counts of these."""
    found: I64
    """One number: how many there are in `item`."""


def leaders(items: int, at: int) -> Leaders:
    """Leaders of `items` items, none of which has been met."""
    return Leaders(np.zeros(items), np.zeros(at, np.int32), np.zeros(at), np.zeros(1, np.int64))


@compiled_maker
def offer(best: I32, score: F64, found: int, item: int, value: float) -> int:
    """Puts an item among the sorted best, where it belongs there; ties by the smaller number. Returns how many there are.

    It is not compiled into the caller's loop, so a loop over many items first looks whether the best are full and better.
    """
    last = len(best) - 1
    if found > last and (value < score[last] or (value == score[last] and item > best[last])):
        return found
    place = min(found, last)
    while place > 0 and (score[place - 1] < value or (score[place - 1] == value and best[place - 1] > item)):
        best[place], score[place] = best[place - 1], score[place - 1]
        place -= 1
    best[place], score[place] = item, value
    return min(found + 1, last + 1)


@compiled_maker
def offer_by_count(best: I32, score: F64, found: int, item: int, value: float, counts: F64) -> int:
    """The same, but ties go first by the larger of the items' `counts`."""
    last = len(best) - 1
    place = found
    while place > 0:
        other = best[place - 1]
        if score[place - 1] > value:
            break
        if score[place - 1] == value and (counts[other] > counts[item] or (counts[other] == counts[item] and other < item)):
            break
        if place <= last:
            best[place], score[place] = other, score[place - 1]
        place -= 1
    if place > last:
        return found
    best[place], score[place] = item, value
    return min(found + 1, last + 1)


@compiled_maker
def count(lead: Leaders, item: int, amount: float) -> None:
    """Counts an item and lets it rise among the leaders."""
    lead.counts[item] += amount
    value = lead.counts[item]
    found = lead.found[0]
    if value == 0.0 or (found == len(lead.item) and value < lead.score[found - 1]):
        return
    place = 0
    while place < found and lead.item[place] != item:
        place += 1
    if place < found:
        found -= 1
        for i in range(place, found):
            lead.item[i], lead.score[i] = lead.item[i + 1], lead.score[i + 1]
    lead.found[0] = offer(lead.item, lead.score, found, item, value)


@compiled_maker
def fill(best: I32, found: int, lead: Leaders) -> None:
    """Fills up the best with those leaders that are not among them."""
    chosen = found
    for i in range(lead.found[0]):
        if chosen == len(best):
            return
        item = lead.item[i]
        known = False
        for j in range(found):
            if best[j] == item:
                known = True
        if not known:
            best[chosen] = item
            chosen += 1
