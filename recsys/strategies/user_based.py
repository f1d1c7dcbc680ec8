"""User-based: users who lately met the same items are alike, and what they met beside these is recommended.

With x₁ (the newest), x₂ … the user's last `LINES` interactions, d(x) how many of them ago the user last met x, n_x the
interactions with x, and w(d) = 1 − 0.1 (d − 1):

    sim(v)   = Σ w(d(x)) · n_x^−0.5             over the items x of these that v met, as far as x's newest visitors tell
    score(c) = n_c^−0.1 · Σ_v sim(v) · w(d_v) / (1 + 0.3 · |p_v(c) − p_v(y)|)

over the 100 users v with the largest sim(v) (equal ones by the later visit, then the smaller number). Of the items that v
shares, the user met y = y(v) last, d_v = d(y) ago. p_v(c) is where in v's history c stands last, from 0; y stands at −1 where
the history does not go back to it: then all of it followed.

Each item knows its `VISITORS` newest visitors and no others, so at most a thousand users are looked at. They are the largest
by (time of the user's last meeting, then the smaller user): the first so many of a union are the first so many of the parts'
own, so it does not matter in which order events arrive, nor how often.

Herlocker, Konstan, Borchers, Riedl, 1999, "An algorithmic framework for performing collaborative filtering" (neighbourhoods
of users); Jannach, Ludewig, 2017, "When recurrent neural networks meet the neighborhood for session-based recommendation", and
Ludewig, Jannach, 2018, "Evaluation of session-based recommendation algorithms": V-SKNN, recent sessions found by their items,
with weights that fall with distance. Unlike V-SKNN's, neighbours are users, whose histories go over many sessions; what is
looked at is capped for each item and not for all together, so that an item's part can be kept beside its row; and what a
neighbour met near the shared item counts more. That was chosen on the last tenth of RetailRocket's training clicks, where it
added 1.2 (HR@20, in per cent; 2.2 on MovieLens); to count what came before the shared item for half lost 1.0.
"""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I32, I64, compiled

LINES = 10
"""The user's last interactions that find neighbours."""
NEIGHBOURS = 100
VISITORS = 100
"""Users that are remembered of each item."""
RARITY = -0.5
"""How much less an item that many met says about two users who share it."""
POPULARITY_NORM = -0.1
NEARBY = 0.3
"""How fast what a neighbour met counts less, the further it is from the shared item."""


class VisitorTable(NamedTuple):
    """Of each item its newest visitors, by falling time of their last visit, ties by the smaller user."""

    begin: I64
    """Where an item's visitors begin; one more than there are items. Up to the next item's there is room."""
    length: I32
    user: I32
    time: I64
    """Event time in milliseconds."""


class Near(NamedTuple):
    """Some users' nearest neighbours, by falling similarity."""

    user: I32
    similarity: F64
    nearest: I32
    """How many interactions ago the user met the newest item that both met."""
    time: I64
    """When the neighbour last met one of them."""


class Desk(NamedTuple):
    """Scratch, free between two users."""

    similarity: F64
    """Of each user."""
    nearest: I32
    """Of each user; 0: not found yet."""
    time: I64
    """Of each user."""
    found: I32
    """The users found."""
    value: F64
    """Of each item."""
    counts: I32
    """Of each item, how many neighbours met it."""
    stamp: I32
    """Of each item, the last neighbour of whom it was counted; −1: none."""
    items: I32
    """The items that have a value."""


def visitor_table(room: I64, most: int = VISITORS) -> VisitorTable:
    """Nobody's visits; of item i at most `room[i]` users are ever told, and the `most` newest are kept."""
    begin = np.concatenate((np.zeros(1, np.int64), np.cumsum(np.minimum(room, most))))
    return VisitorTable(begin, np.zeros(len(room), np.int32), np.zeros(begin[-1], np.int32), np.zeros(begin[-1], np.int64))


def desk(users: int, items: int) -> Desk:
    """A free desk."""
    return Desk(
        np.zeros(users),
        np.zeros(users, np.int32),
        np.zeros(users, np.int64),
        np.zeros(users, np.int32),
        np.zeros(items),
        np.zeros(items, np.int32),
        np.full(items, -1, np.int32),
        np.zeros(items, np.int32),
    )


def no_neighbours() -> Near:
    """Room for the neighbours of one user."""
    return Near(
        np.zeros(NEIGHBOURS, np.int32), np.zeros(NEIGHBOURS), np.zeros(NEIGHBOURS, np.int32), np.zeros(NEIGHBOURS, np.int64)
    )


@compiled
def visit(of: VisitorTable, item: int, user: int, time: int) -> None:
    """Notes that a user met an item.

    >>> found = visitor_table(np.array([9]), most=2)
    >>> for user, time in ((7, 30), (8, 50), (7, 40), (6, 40), (8, 10)):
    ...     visit(found, 0, user, time)
    >>> found.user, found.time
    (array([8, 6], dtype=int32), array([50, 40]))
    """
    begin, length = of.begin[item], of.length[item]
    room = of.begin[item + 1] - begin
    place = 0
    while place < length and of.user[begin + place] != user:
        place += 1
    if place < length:
        if time <= of.time[begin + place]:
            return
    elif length < room:
        of.length[item] += 1
    else:
        place = room - 1
        if place < 0 or not _before(time, user, of.time[begin + place], of.user[begin + place]):
            return
    while place > 0 and _before(time, user, of.time[begin + place - 1], of.user[begin + place - 1]):
        of.user[begin + place], of.time[begin + place] = of.user[begin + place - 1], of.time[begin + place - 1]
        place -= 1
    of.user[begin + place], of.time[begin + place] = user, time


@compiled
def _before(time: int, user: int, other_time: int, other: int) -> bool:
    return time > other_time or (time == other_time and user < other)


@compiled
def weight(distance: int) -> float:
    """What an interaction so many ago counts; the last has 1."""
    return 1.0 - 0.1 * (distance - 1.0)


@compiled
def neighbours(own: I32, ago: I32, interactions: F64, of: VisitorTable, me: int, table: Desk, near: Near) -> int:
    """Fills `near` with the users nearest to user `me`; returns how many they are.

    `own` are the distinct items of the user's last `LINES` interactions, the newest first, each met `ago` interactions ago.
    """
    found = 0
    for i in range(len(own)):
        x = own[i]
        amount = weight(ago[i]) * max(interactions[x], 1.0) ** RARITY
        for k in range(of.begin[x], of.begin[x] + of.length[x]):
            v = of.user[k]
            if v == me:
                continue
            if table.nearest[v] == 0:
                table.nearest[v], table.similarity[v], table.time[v] = ago[i], 0.0, of.time[k]
                table.found[found] = v
                found += 1
            table.similarity[v] += amount
            table.time[v] = max(table.time[v], of.time[k])
    n = 0
    for f in range(found):
        v = table.found[f]
        n = _join(near, n, v, table.similarity[v], table.nearest[v], table.time[v])
        table.nearest[v] = 0
    return n


@compiled
def _join(near: Near, n: int, user: int, similarity: float, nearest: int, time: int) -> int:
    """Puts a user among the nearest, if it belongs there; returns how many they are."""
    last = len(near.user) - 1
    place = n
    if n > last:
        if not _nearer(similarity, time, user, near, last):
            return n
        place = last
    while place > 0 and _nearer(similarity, time, user, near, place - 1):
        near.user[place], near.similarity[place] = near.user[place - 1], near.similarity[place - 1]
        near.nearest[place], near.time[place] = near.nearest[place - 1], near.time[place - 1]
        place -= 1
    near.user[place], near.similarity[place], near.nearest[place], near.time[place] = user, similarity, nearest, time
    return min(n + 1, last + 1)


@compiled
def _nearer(similarity: float, time: int, user: int, near: Near, place: int) -> bool:
    other = near.similarity[place]
    return similarity > other or (similarity == other and _before(time, user, near.time[place], near.user[place]))


@compiled
def score(own: I32, ago: I32, history: I32, length: I32, near: Near, n: int, interactions: F64, table: Desk) -> int:
    """Scores what the `n` nearest met; returns how many items have a score.

    `history` has a neighbour's items in each line, oldest first, `length` of them. The items are in `table.items`, their scores
    in `table.value` and how many of the neighbours met them in `table.counts`, by item; `clear` makes room again.
    """
    found = 0
    for k in range(n):
        shared = -1
        for i in range(len(own)):
            if ago[i] == near.nearest[k]:
                shared = own[i]
        anchor = length[k] - 1
        while anchor >= 0 and history[k, anchor] != shared:
            anchor -= 1
        amount = near.similarity[k] * weight(near.nearest[k])
        for i in range(length[k] - 1, -1, -1):
            c = history[k, i]
            if table.stamp[c] == k:
                continue
            if table.stamp[c] < 0:
                table.items[found] = c
                found += 1
            table.stamp[c] = k
            table.value[c] += amount / (1.0 + NEARBY * abs(i - anchor))
            table.counts[c] += 1
    for f in range(found):
        c = table.items[f]
        table.value[c] *= max(interactions[c], 1.0) ** POPULARITY_NORM
    return found


@compiled
def clear(table: Desk, found: int) -> None:
    """Makes the desk free again, where so many items have a score."""
    for f in range(found):
        c = table.items[f]
        table.value[c], table.counts[c], table.stamp[c] = 0.0, 0, -1
