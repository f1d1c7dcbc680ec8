"""Sharding: in which shard what is kept of an item lies."""

import numpy as np

from recsys.compiled import I64, U64
from recsys.keys import VIEWED, Keys

ITEM_SHARDS = 32
"""How many shards the items are spread over; part of the state, so a change needs a rebuild."""


def shards_of(items: U64) -> I64:
    """The shard of each item."""
    shards: I64 = (items % np.uint64(ITEM_SHARDS)).astype(np.int64)
    return shards


def row_key(keys: Keys, item: int, table: str = VIEWED) -> str:
    """Where the row of an item (its hash) in a table is kept: in the shard that its hash names.

    >>> row_key(Keys("freshet:"), 33)
    'freshet:{i1}:row:0000000000000021'
    """
    return keys.row(item % ITEM_SHARDS, item, table)


def places_by_shard(items: U64) -> dict[int, I64]:
    """For each shard that holds some of the items, their places.

    >>> places_by_shard(np.array([1, 2, 33], np.uint64))
    {1: array([0, 2]), 2: array([1])}
    """
    shard_of = shards_of(items)
    return {shard: np.flatnonzero(shard_of == shard) for shard in np.unique(shard_of).tolist()}
