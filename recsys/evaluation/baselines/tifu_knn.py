"""TIFU-KNN: what this customer and the customers like them buy, the newest baskets weighing most."""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I32, I64, Bools, compiled_maker
from recsys.evaluation.baselines.answers import Progress, sheet, slices
from recsys.evaluation.baselines.best import Leaders, count, fill, leaders, offer, offer_by_count
from recsys.evaluation.baselines.chains import NONE, chain, size
from recsys.evaluation.trace import Baskets

NEIGHBOURS = 300
GROUPS = 7
BASKET_DECAY = 0.9
GROUP_DECAY = 0.7
OWN = 0.7
"""α, what the customer's own vector weighs beside the mean of the neighbours'."""
DAY_MS = 86_400_000


class History(NamedTuple):
    """The baskets, each with a way back to the customer's one before it."""

    start: I64
    item: I32
    before: I32


class Vectors(NamedTuple):
    """The vectors of all customers as of a midnight, by customer and by item."""

    newest: I32
    """Of each customer the last basket before midnight, `NONE` without one."""
    square: F64
    """Of each customer the squared length of the vector."""
    begin: I64
    """Of each customer where the vector begins in `item` and `value`."""
    item: I32
    value: F64
    item_begin: I64
    """Of each item where the customers that have it begin in `user` and `user_value`."""
    user: I32
    user_value: F64


class Scratch(NamedTuple):
    """Room for one question. What is indexed by item or customer is 0 between two."""

    value: F64
    """Of each item, in the customer's vector, later its score."""
    met: I32
    """The items of which it is not 0."""
    own: I32
    """Baskets of one customer, newest first."""
    product: F64
    """Of each customer, the scalar product with the vector."""
    neighbour: I32
    nearness: F64
    score: F64


def tifu_knn(baskets: Baskets, items: int, at: int, progress: Progress) -> I32:
    """The score is α v(u) + (1 − α) · the mean of v over the 300 customers nearest to u.

    The baskets of a customer, in order, are parted into (at most) 7 groups of the same size; where they do not go into them
    evenly, the newer groups have one more. In a group's vector a basket counts 0.9^(baskets of the group after it), divided
    by their number; in v a group counts 0.7^(groups after it), divided by their number. Nearest is by Euclidean distance, ties
    by the smaller number of the customer. As a batch method it knows others by their baskets before the last midnight (UTC),
    the customer by all earlier ones. Who has none gets the most popular.

    Hu, He, Gao, Zhang, 2020, "Modeling personalized item frequency information for next-basket recommendation".
    """
    answers, row = sheet(baskets.asked, at)
    users, lines = size(baskets.user), len(baskets.item)
    history = History(baskets.start, baskets.item, chain(baskets.user, np.ones(len(baskets.user), np.bool_)))
    vectors = Vectors(
        np.full(users, NONE, np.int32),
        np.zeros(users),
        np.zeros(users + 1, np.int64),
        np.empty(lines, np.int32),
        np.empty(lines),
        np.zeros(items + 1, np.int64),
        np.empty(lines, np.int32),
        np.empty(lines),
    )
    most = int(np.bincount(baskets.user).max()) if users else 0
    scratch = Scratch(
        np.zeros(items),
        np.empty(items, np.int32),
        np.empty(most, np.int32),
        np.zeros(users),
        np.empty(NEIGHBOURS, np.int32),
        np.empty(NEIGHBOURS),
        np.empty(at),
    )
    popular, newest, state = leaders(items, at), np.full(users, NONE, np.int32), np.zeros(2, np.int64)
    for start, stop in slices(len(baskets.user), progress):
        columns = (baskets.user, baskets.time, baskets.asked, row)
        _tifu_knn(start, stop, *columns, history, newest, state, vectors, popular, scratch, answers)
    return answers


@compiled_maker
def _tifu_knn(
    start: int, stop: int, user: I32, time: I64, asked: Bools, row: I64, history: History, newest: I32, state: I64,
    vectors: Vectors, popular: Leaders, scratch: Scratch, answers: I32,
) -> None:  # fmt: skip
    # `state` is the day of the newest basket, and whether the vectors have still to be made for it.
    for basket in range(start, stop):
        u = user[basket]
        day = time[basket] // DAY_MS
        if day != state[0]:
            state[0], state[1] = day, 1
            vectors.newest[:] = newest
        if asked[basket]:
            best = answers[row[basket]]
            found = 0
            if newest[u] != NONE:
                if state[1] == 1:
                    _build(vectors, history, scratch)
                    state[1] = 0
                found = _rank(best, u, newest[u], vectors, history, popular, scratch)
            fill(best, found, popular)
        for line in range(history.start[basket], history.start[basket + 1]):
            count(popular, history.item[line], 1.0)
        newest[u] = basket


@compiled_maker
def _rank(best: I32, u: int, newest: int, vectors: Vectors, history: History, popular: Leaders, scratch: Scratch) -> int:
    """Puts the items with the largest score among the best; returns how many they are."""
    met = _vector(newest, history, scratch)
    for i in range(met):
        x = scratch.met[i]
        for entry in range(vectors.item_begin[x], vectors.item_begin[x + 1]):
            scratch.product[vectors.user[entry]] += scratch.value[x] * vectors.user_value[entry]
    near = 0
    for other in range(len(vectors.newest)):
        # |v − w|² is |v|² + |w|² − 2 v·w, of which |v|² is the same for all.
        nearness = 2.0 * scratch.product[other] - vectors.square[other]
        scratch.product[other] = 0.0
        if other == u or vectors.newest[other] == NONE:
            continue
        if near < NEIGHBOURS or nearness >= scratch.nearness[near - 1]:
            near = offer(scratch.neighbour, scratch.nearness, near, other, nearness)
    for i in range(met):
        scratch.value[scratch.met[i]] *= OWN
    for n in range(near):
        other = scratch.neighbour[n]
        for entry in range(vectors.begin[other], vectors.begin[other + 1]):
            x = vectors.item[entry]
            if scratch.value[x] == 0.0:
                scratch.met[met] = x
                met += 1
            scratch.value[x] += (1.0 - OWN) / near * vectors.value[entry]
    found = 0
    for i in range(met):
        x = scratch.met[i]
        value = scratch.value[x]
        scratch.value[x] = 0.0
        if found < len(best) or value >= scratch.score[found - 1]:
            found = offer_by_count(best, scratch.score, found, x, value, popular.counts)
    return found


@compiled_maker
def _vector(newest: int, history: History, scratch: Scratch) -> int:
    """Makes the vector of the customer whose last basket this is; returns how many items it has."""
    baskets = 0
    basket = newest
    while basket != NONE:
        scratch.own[baskets] = basket
        baskets += 1
        basket = history.before[basket]
    groups = min(baskets, GROUPS)
    smaller = groups - baskets % groups
    place = baskets
    met = 0
    for group in range(groups):
        members = baskets // groups + (0 if group < smaller else 1)
        for member in range(members):
            place -= 1
            basket = scratch.own[place]
            worth = BASKET_DECAY ** (members - 1 - member) / members * (GROUP_DECAY ** (groups - 1 - group) / groups)
            for line in range(history.start[basket], history.start[basket + 1]):
                x = history.item[line]
                if scratch.value[x] == 0.0:
                    scratch.met[met] = x
                    met += 1
                scratch.value[x] += worth
    return met


@compiled_maker
def _build(vectors: Vectors, history: History, scratch: Scratch) -> None:
    """Makes all vectors anew, from the baskets before midnight."""
    vectors.item_begin[:] = 0
    entries = 0
    for user in range(len(vectors.newest)):
        vectors.begin[user] = entries
        vectors.square[user] = 0.0
        met = _vector(vectors.newest[user], history, scratch) if vectors.newest[user] != NONE else 0
        for i in range(met):
            x = scratch.met[i]
            vectors.item[entries], vectors.value[entries] = x, scratch.value[x]
            vectors.square[user] += scratch.value[x] * scratch.value[x]
            vectors.item_begin[x + 1] += 1
            scratch.value[x] = 0.0
            entries += 1
    vectors.begin[-1] = entries
    for x in range(len(vectors.item_begin) - 1):
        vectors.item_begin[x + 1] += vectors.item_begin[x]
    # From the last to the first, each entry goes to the end of its item's part; so the ends become the begins.
    for user in range(len(vectors.newest) - 1, -1, -1):
        for entry in range(vectors.begin[user + 1] - 1, vectors.begin[user] - 1, -1):
            end = vectors.item_begin[vectors.item[entry] + 1] - 1
            vectors.item_begin[vectors.item[entry] + 1] = end
            vectors.user[end], vectors.user_value[end] = user, vectors.value[entry]
    for x in range(len(vectors.item_begin) - 1):
        vectors.item_begin[x] = vectors.item_begin[x + 1]
    vectors.item_begin[-1] = entries
