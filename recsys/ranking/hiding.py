"""Hiding: what is left out of a user's recommendations, whatever its score."""

from collections.abc import Sequence

import numpy as np

from recsys.compiled import U64, compiled
from recsys.fold import PURCHASE
from recsys.histories import Histories
from recsys.ranking.past import Past
from recsys.rules import Rules


def hidden(histories: Histories, past: Past, current: Sequence[Sequence[int]], rules: Rules) -> U64:
    """Users × items to be left out, `NONE` where there are fewer; `current` gives the hashes of the items of each user's newest
    event, of which the history may hold a part only."""
    users, room = histories.item.shape
    shown = current if "current" in rules.hide else [()] * users
    width = max((len(items) for items in shown), default=0)
    left_out = np.zeros((users, width + room), np.uint64)
    for user, items in enumerate(shown):
        left_out[user, : len(items)] = items
        _of_history(past, user, histories.length[user], "purchased" in rules.hide, "seen" in rules.hide, left_out[user, width:])
    return left_out


@compiled
def _of_history(past: Past, u: int, end: int, purchased: bool, seen: bool, left_out: U64) -> None:
    for i in range(end):
        if seen or (purchased and past.kind[u, i] == PURCHASE):
            left_out[i] = past.item[u, i]


@compiled
def hide(past: Past, u: int, end: int, event: U64, current: bool, purchased: bool, seen: bool, left_out: U64) -> None:
    """The same for one user after `end` interactions; `left_out` has twice as many places as the history."""
    left_out[:] = 0
    room = len(left_out) // 2
    _of_history(past, u, end, purchased, seen, left_out[:room])
    i = end - 1
    while current and i >= 0 and _one_event(past, u, i, end - 1, event):
        left_out[room + i] = past.item[u, i]
        i -= 1


@compiled
def _one_event(past: Past, u: int, i: int, last: int, event: U64) -> bool:
    """Whether two interactions are of one event, as far as a history tells; see `recsys.histories.newest_items`."""
    return (  # type: ignore[no-any-return]
        event[i] == event[last]
        and past.session[u, i] == past.session[u, last]
        and past.time[u, i] == past.time[u, last]
        and past.kind[u, i] == past.kind[u, last]
    )
