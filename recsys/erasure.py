"""Erasure: accounts of customers who refuse them are taken away, and they out of how all stand; and keys of the forgotten."""

from collections.abc import Mapping, Sequence

from recsys import marks
from recsys.customers.accounts import erase
from recsys.keys import Keys
from recsys.shards import Shards
from recsys.store import NO_VALUE, Replacement, Store, Swap


class Erasure:
    """Takes accounts away in a state that others count into, over what a worker remembers of its shards."""

    def __init__(self, store: Store, shards: Shards, keys: Keys, rates: Mapping[str, float], retention_s: int) -> None:
        self._store = store
        self._shards = shards
        self._keys = keys
        self._rates = rates
        self._retention_s = retention_s

    async def having_accounts(self, partition: int, users: Sequence[str]) -> set[str]:
        """Those of the users, whose home is the partition, who have an account, or the remains of one."""
        [values] = await self._store.read([[self._keys.account(partition, user) for user in users]])
        return {user for user, value in zip(users, values, strict=True) if value is not None}

    async def erase(self, partition: int, users: Sequence[str]) -> None:
        """Takes away the accounts of these users, whose home is the partition. Figures of all customers stay as they are.

        To be called while this worker counts nothing. Where another one has the partition by now, nothing is done: that one
        will do it. Broken off between, an account is empty, and the next call takes its key away.
        """
        accounts = [self._keys.account(partition, user) for user in users]
        mark_key, spreads_key = self._keys.user_mark(partition), self._keys.spreads(partition)
        [[mark, spreads, *values]] = await self._store.read([[mark_key, spreads_key, *accounts]])
        there = {key: value for key, value in zip(accounts, values, strict=True) if value is not None}
        full = {key: value for key, value in there.items() if value != NO_VALUE}
        if full:
            moved = marks.user_mark(mark)
            moved.version += 1
            swap = Swap(
                mark_key, mark, marks.encode(moved), dict.fromkeys(full, NO_VALUE), self._retention_s,
                {spreads_key: erase(full.values(), spreads, self._rates)},
            )  # fmt: skip
            [done] = await self._shards.swap([swap])
            self._shards.forget([mark_key])
            if not done:
                return
        await self._store.replace([Replacement(key, NO_VALUE, None) for key in there])

    async def sweep(self, partition: int, users: Sequence[str]) -> None:
        """Takes away the keys of users who were forgotten, and not heard of again since."""
        keys = [
            of_user(partition, user) for user in users for of_user in (self._keys.user, self._keys.bought, self._keys.account)
        ]
        await self._store.replace([Replacement(key, NO_VALUE, None) for key in keys])
