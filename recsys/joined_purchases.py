"""Joined purchases: what visitors bought before they were known, with what the customer did, for ranking and for favourites."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recsys.customers.account import Account
from recsys.returning import purchases
from recsys.returning.pooling import pooled
from recsys.returning.purchases import Purchases


def of_visitors(accounts: Mapping[int, Account]) -> dict[int, list[bytes]]:
    """By place, what the visitors bought who joined these customers, of each packed; of whom that is nothing, is not there."""
    found = {
        at: [part.purchases for part in account.joins.parts.values() if part.purchases]
        for at, account in accounts.items()
        if account.joins is not None
    }
    return {at: bought for at, bought in found.items() if bought}


def join(found: Purchases, bought: Mapping[int, Sequence[bytes]]) -> None:
    """Puts what visitors bought, see `of_visitors`, to what the customers did: changes `found` in their places."""
    if not bought:
        return
    start = np.cumsum([0, *(1 + len(theirs) for theirs in bought.values())])
    several = purchases.unpack([value for theirs in bought.values() for value in (None, *theirs)])
    at = np.array([*bought], np.int64)
    columns: Iterable[tuple[Any, Any]] = zip(several, found, strict=True)
    for column, own in columns:
        column[start[:-1]] = own[at]
    columns = zip(found, pooled(several, start), strict=True)
    for column, of_all in columns:
        column[at] = of_all
