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
    """Copies of one user's history and purchases, and what is still to be counted into them."""

    history: Histories
    bought: Purchases
    uncounted: list[tuple[int, Arrival]]

    def catch_up(self, user: str, rules: Rules) -> None:
        """Counts, as `recsys.user_shards.fold_batch` does, what is not counted yet; what it tells of items it tells there."""
        batch = columns(self.uncounted, [user])
        changed = fold(self.history, batch, rules).changed
        lines, nowhere = basket_fold.lines(batch, changed), repurchase.empty(1)
        basket_fold.count(self.bought, nowhere, np.zeros(1, np.int32), lines, float(rules.session_gap_ms))
        self.uncounted.clear()

    def deeds(self) -> Deeds:
        if not self.history.length[0]:
            return Deeds()
        return Deeds(histories.pack(self.history, np.zeros(1, np.int64))[0], purchases.pack(self.bought, 0))


def as_of(
    fresh: Fresh, before: Histories, bought: Purchases, place: Mapping[str, int], rules: Rules
) -> dict[tuple[int, int], Deeds]:
    """By partition and offset of an identification, what the visitor had done by then.

    `before` and `bought` are the histories and purchases before the batch, by `place` of the user.
    """
    asked = {arrival.event.user_id for _, arrival in fresh if isinstance(arrival.message, Identification)}
    visitors = {
        user: Visitor(Histories._make(one_of(before, place[user])), Purchases._make(one_of(bought, place[user])), [])
        for user in asked
    }
    found = {}
    for partition, arrival in fresh:
        user = arrival.event.user_id
        if user not in asked:
            continue
        visitor = visitors[user]
        if not isinstance(arrival.message, Identification):
            visitor.uncounted.append((partition, arrival))
            continue
        if visitor.uncounted:
            visitor.catch_up(user, rules)
        found[partition, arrival.offset] = visitor.deeds()
    return found


def one_of(found: Histories | Purchases, at: int) -> list[Any]:
    """Copies of the columns in a place."""
    return [column[at : at + 1].copy() for column in found]
