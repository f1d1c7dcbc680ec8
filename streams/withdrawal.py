"""The withdrawal: what was published and kept of users who refuse it is replaced or taken away.

What says that there is something to be taken back goes last, so that a withdrawal that was broken off is made whole by the next
one: on the topics first, then in Redis, and the account after what was told of it.
"""

import time
from collections.abc import Sequence

import msgspec

from recsys.customers.consent import Refusals
from recsys.engine import Engine
from recsys.keys import Keys
from recsys.recommendation import Recommendation, encode, instant
from recsys.store import Entry, Store
from streams import topics
from streams.counting import Counting
from streams.lease import Lease
from streams.outbox import Outbox
from streams.publishing import Publishing, untell
from streams.settings import Settings
from streams.source import source_header_of


class Withdrawal:
    """Takes back what users refuse, in the state under `keys`, between batches."""

    def __init__(
        self, settings: Settings, keys: Keys, refusals: Refusals, engine: Engine, store: Store, outbox: Outbox,
        counting: Counting, publishing: Publishing, lease: Lease,
    ) -> None:  # fmt: skip
        self._keys = keys
        self._refusals = refusals
        self._engine = engine
        self._store = store
        self._outbox = outbox
        self._counting = counting
        self._publishing = publishing
        self._lease = lease
        self._retention_s = settings.retention_s
        self._keeps_accounts = settings.customers
        self._events = settings.topic(topics.EVENTS)
        self._recommendations = settings.topic(topics.RECOMMENDATIONS)
        self._customers = settings.topic(topics.CUSTOMERS)

    async def of(self, partition: int, users: Sequence[str]) -> None:
        """Takes back what these users refuse, whose home is this partition of `events`. From now on they must be among the
        refusals of the engine, which no batch disregards that begins after this one.

        The topics are written whatever Redis has: it may have been emptied since, or a worker that had the partition before
        may have written to the topic alone, and ended.
        """
        personal = [user for user in users if user in self._refusals.personalise]
        if personal:
            async with self._publishing.between_batches():
                await self._replace_recommendations(personal)
        analysed = [user for user in users if user in self._refusals.analyse]
        if analysed and self._keeps_accounts:
            await self._take_accounts(partition, analysed)

    async def _replace_recommendations(self, users: Sequence[str]) -> None:
        """What was recommended to them becomes what would be to anybody; what does already is the newest once more."""
        told = await self._store.read([[self._keys.recs(user)] for user in users])
        values = {user: value for user, [value] in zip(users, told, strict=True) if value is not None}
        found = [(user, msgspec.json.decode(value, type=Recommendation)) for user, value in values.items()]
        personal = [(user, message) for user, message in found if message.strategy != "opted_out"]
        replaced = await self._for_anybody(personal) if personal else {}
        newest = values | replaced
        self._lease.check()
        await self._outbox.publish(
            self._recommendations,
            [(user.encode(), value, source_header_of(value, self._events)) for user, value in newest.items()],
        )
        if replaced:
            await self._store.put([Entry(self._keys.recs(user), value, self._retention_s) for user, value in replaced.items()])

    async def _for_anybody(self, messages: Sequence[tuple[str, Recommendation]]) -> dict[str, bytes]:
        """Messages by user, with what would be recommended to anybody in place of what is."""
        now_ms = int(time.time() * 1000)
        items = await self._engine.for_anybody()
        for _, message in messages:
            message.items, message.strategy, message.generated_at = items, "opted_out", instant(now_ms)
            message.recommendation_id = f"{message.recommendation_id.rpartition('-')[0]}-{now_ms:x}"
        return {user: encode(message) for user, message in messages}

    async def _take_accounts(self, partition: int, users: Sequence[str]) -> None:
        """They are no customers any more."""
        async with self._counting.between_batches():
            pass  # what was begun before they refused is counted, so that it is seen
        async with self._publishing.between_batches():
            self._lease.check()
            await untell(self._outbox, self._store, self._customers, self._keys.customer, users)
        kept = await self._engine.erasure.having_accounts(partition, users)
        if kept:
            async with self._counting.between_batches():
                await self._engine.erasure.erase(partition, sorted(kept))
