"""Identified: visitors as of where they are identified, on their way to the customers whom they join."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from recsys import histories
from recsys.batch import Arrival, columns
from recsys.customers.joins import Deeds, Identification
from recsys.fold import fold
from recsys.histories import Histories
from recsys.returning import basket_fold, purchases, repurchase
from recsys.returning.purchases import Purchases
from recsys.rules import Rules

Fresh = Sequence[tuple[int, Arrival]]
"""Arrivals that are not counted yet, each with its partition, in the order of the topic."""


class Visitor(NamedTuple):
    """What one user did and bought, in a place of these."""

    history: Histories
    bought: Purchases
    at: int

    def after(self, uncounted: Fresh, user: str, rules: Rules) -> "Visitor":
        """The same after arrivals, a copy; what they tell of items is told where they are counted."""
        history, bought = Histories._make(one_of(self.history, self.at)), Purchases._make(one_of(self.bought, self.at))
        batch = columns(uncounted, [user])
        lines, nowhere = basket_fold.lines(batch, fold(history, batch, rules).changed), repurchase.empty(1)
        basket_fold.count(bought, nowhere, np.zeros(1, np.int32), lines, float(rules.session_gap_ms))
        return Visitor(history, bought, 0)

    def deeds(self) -> Deeds:
        if not self.history.length[self.at]:
            return Deeds()
        return Deeds(histories.pack(self.history, np.array([self.at]))[0], purchases.pack(self.bought, self.at))


def as_of(
    fresh: Fresh, before: Histories, bought: Purchases, place: Mapping[str, int], rules: Rules
) -> dict[tuple[int, int], Deeds]:
    """By partition and offset of an identification, what the visitor had done by then.

    `before` and `bought` are the histories and purchases before the batch, by `place` of the user.
    """
    asked = {arrival.event.user_id for _, arrival in fresh if isinstance(arrival.message, Identification)}
    visitors = {user: Visitor(before, bought, place[user]) for user in asked}
    uncounted: dict[str, list[tuple[int, Arrival]]] = {user: [] for user in asked}
    found = {}
    for partition, arrival in fresh:
        user = arrival.event.user_id
        if user not in asked:
            continue
        if not isinstance(arrival.message, Identification):
            uncounted[user].append((partition, arrival))
            continue
        if uncounted[user]:
            visitors[user] = visitors[user].after(uncounted[user], user, rules)
            uncounted[user] = []
        found[partition, arrival.offset] = visitors[user].deeds()
    return found


def one_of(found: Histories | Purchases, at: int) -> list[Any]:
    """Copies of the columns in a place."""
    return [column[at : at + 1].copy() for column in found]
