"""Item cosine: what a user will rate an item, by the user's ratings of items that are rated alike.

    cos(a, b) = Σ_u r_ua · r_ub / √(Σ_u r_ua² · Σ_u r_ub²)          a rating that is not there counts as 0

The sums are kept as ratings come, so what is known after any order of them is the same, to the last bit where ratings are whole
or halves. With μ the mean of all ratings, and b_i and b_u how far the item's and the user's are from what else is known,

    b_i = Σ_u (r_ui − μ) / (5 + n_i)        b_u = Σ_i (r_ui − μ − b_i) / (5 + n_u)        b_ui = μ + b_i + b_u
    plain    r̂_ui = Σ_j cos(i, j) · r_uj / Σ_j cos(i, j)
    centred  r̂_ui = b_ui + Σ_j cos(i, j) · (r_uj − b_uj) / Σ_j cos(i, j)

over the 30 items j of those that the user rated whose cosine with i is largest, ties by id. Where there is none, b_ui.

Sarwar, Karypis, Konstan, Riedl, 2001, "Item-based collaborative filtering recommendation algorithms"; the centred form and the
shrunk b: Koren, 2008, "Factorization meets the neighborhood".
"""

import heapq
import math
from collections import defaultdict
from typing import NamedTuple

NEIGHBOURS = 30
SHRINK = 5.0
"""So many ratings at the mean are taken to be there of each item and each user."""
LOWEST, HIGHEST = 1.0, 5.0


class Liked(NamedTuple):
    """An item and what it is expected to be rated."""

    item: str
    score: float
    because: dict[str, float]
    """The user's own rated items that say so, with their shares, which add up to 1; empty where none does."""


class Ratings:
    """The ratings so far; the newest of a user for an item holds.

    >>> ratings = Ratings()
    >>> for user, item, rating in (("u", "a", 4), ("u", "b", 5), ("v", "a", 2), ("w", "b", 1)):
    ...     ratings.learn(user, item, rating)
    >>> round(ratings.similarity("a", "b"), 4), ratings.plain("v", "b")
    (0.8771, 2.0)
    """

    def __init__(self) -> None:
        self._of_user: dict[str, dict[str, float]] = {}
        self._products: dict[str, dict[str, float]] = defaultdict(dict)
        self._squares: dict[str, float] = defaultdict(float)
        self._sum: dict[str, float] = defaultdict(float)
        self._count: dict[str, int] = defaultdict(int)
        self._total = 0.0
        self._ratings = 0

    def learn(self, user: str, item: str, rating: float) -> None:
        """Counts a rating, from 1 to 5, in place of the one that the user gave the item before."""
        theirs = self._of_user.setdefault(user, {})
        before = theirs.pop(item, 0.0)
        row = self._products[item]
        for other, given in theirs.items():
            self._products[other][item] = row[other] = row.get(other, 0.0) + (rating - before) * given
        theirs[item] = rating
        self._squares[item] += rating * rating - before * before
        self._sum[item] += rating - before
        self._total += rating - before
        if not before:
            self._count[item] += 1
            self._ratings += 1

    def similarity(self, a: str, b: str) -> float:
        """Cosine of two items' ratings: from 0, where nobody rated both, to 1."""
        if a == b:
            return 1.0 if self._count.get(a) else 0.0
        product = self._products[a].get(b) if a in self._products else None
        return product / math.sqrt(self._squares[a] * self._squares[b]) if product else 0.0

    @property
    def mean(self) -> float:
        """The mean of all ratings; the middle of the scale while there are none."""
        return self._total / self._ratings if self._ratings else (LOWEST + HIGHEST) / 2

    def mean_of_user(self, user: str) -> float:
        """The mean of a user's ratings; of all ratings while there are none of the user."""
        theirs = self._of_user.get(user)
        return sum(theirs.values()) / len(theirs) if theirs else self.mean

    def of_item(self, item: str) -> float:
        """μ + b_i."""
        count = self._count.get(item, 0)
        return self.mean + (self._sum[item] - count * self.mean) / (SHRINK + count) if count else self.mean

    def of_user(self, user: str) -> float:
        """b_u."""
        theirs = self._of_user.get(user, {})
        return sum(rating - self.of_item(item) for item, rating in theirs.items()) / (SHRINK + len(theirs))

    def expected(self, user: str, item: str) -> float:
        """b_ui: by the item's and the user's means alone."""
        return within(self.of_item(item) + self.of_user(user))

    def plain(self, user: str, item: str) -> float:
        """The weighted mean of the user's ratings."""
        near, theirs = self._nearest(user, item), self._of_user.get(user, {})
        weight = sum(near.values())
        if not weight:
            return self.expected(user, item)
        return within(sum(alike * theirs[other] for other, alike in near.items()) / weight)

    def centred(self, user: str, item: str) -> float:
        """The same of how far each rating was from what was to be expected."""
        return self._centred(user, item, self._nearest(user, item), self.of_user(user))

    def recommend(self, user: str, n: int) -> list[Liked]:
        """The `n` items that the user has not rated and will rate highest, by falling score, ties by id.

        A user who has rated nothing gets the items with the highest b_i.
        """
        rated, of_user = self._of_user.get(user, {}), self.of_user(user)
        found = []
        for item in self._count:
            if item not in rated:
                near = self._nearest(user, item)
                weight = sum(near.values())
                because = {other: alike / weight for other, alike in near.items()}
                found.append(Liked(item, self._centred(user, item, near, of_user), because))
        return heapq.nsmallest(n, found, key=lambda liked: (-liked.score, liked.item))

    def _nearest(self, user: str, item: str) -> dict[str, float]:
        """The user's rated items most like another, and how much they are."""
        row, square = self._products.get(item, {}), self._squares.get(item, 0.0)
        if not row:
            return {}
        alike = [
            (row[other] / math.sqrt(square * self._squares[other]), other)
            for other in self._of_user.get(user, ())
            if other != item and other in row
        ]
        return {other: cosine for cosine, other in heapq.nsmallest(NEIGHBOURS, alike, key=lambda each: (-each[0], each[1]))}

    def _centred(self, user: str, item: str, near: dict[str, float], of_user: float) -> float:
        found, weight = self.of_item(item) + of_user, sum(near.values())
        if weight:
            theirs = self._of_user[user]
            found += sum(a * (theirs[other] - self.of_item(other) - of_user) for other, a in near.items()) / weight
        return within(found)


def within(rating: float) -> float:
    """A rating as it can be given.

    >>> within(5.3)
    5.0
    """
    return min(max(rating, LOWEST), HIGHEST)
