"""The sweep: items that are to be shown to nobody any more are taken out of all that is published.

Every recommendation and every neighbour list is looked at, beside the events and with pauses. One that names such an item is
written anew without it, if it still is the one that was looked at: a newer one is never overwritten.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence, Set

import msgspec
from msgspec import Struct

from recsys.keys import Keys
from recsys.store import Replacement, Store
from streams import topics
from streams.outbox import Outbox
from streams.settings import Settings
from streams.source import source_header_of

BATCH = 500
"""Keys that are looked at together."""
AT_ONCE = 2
"""Batches that are under way together, so that Redis has work while the worker has."""
FEW = 16
"""Items that Redis itself looks for in the values, 0.3 µs for each in each. Of more the values are read: it would be busy for
too long at a time."""
BURST_S = 2.0
"""For so long it is swept at full speed: two sweeps of a few hundred thousand keys."""
SHARE = 0.5
"""Of the time that sweeps may take when there is always something to be swept: they sleep for the rest."""
TELLING = 20
"""Batches whose recommendations may be on their way to the topic while it is swept on: 30 MB at most."""
SETTLED_S = 0.02
"""A recommendation that was ranked meanwhile is in Redis this long after it is on the topic, nearly always."""


class Swept(Struct):
    """What a sweep did."""

    looked: int = 0
    """Keys."""
    changed: int = 0
    seconds: float = 0.0


class Named(Struct, gc=False):
    """An item in a published message."""

    item_id: str


class Naming(Struct):
    """Of a published message, the items."""

    items: list[Named]
    explored: list[Named] = []
    """New items of which a cold list tells what was learned (`recsys.cold.lists`)."""


_decoder = msgspec.json.Decoder(Naming)


def names_any(value: bytes, gone: Set[str]) -> bool:
    """Whether a message lists one of these items, or tells what was learned of one.

    >>> names_any(b'{"items":[{"item_id":"a","reasons":[{"item_id":"b"}]}]}', {"b"})
    False
    >>> names_any(b'{"items":[],"explored":[{"item_id":"b","shown":7,"clicked":1}]}', {"b"})
    True
    """
    message = _decoder.decode(value)
    return any(item.item_id in gone for items in (message.items, message.explored) for item in items)


def without(value: bytes, gone: Set[str]) -> bytes:
    """The message without these items; all else, also what this version does not know, stays as it is.

    >>> without(b'{"item_id":"x","items":[{"item_id":"a"},{"item_id":"b"}],"version":7}', {"a"})
    b'{"item_id":"x","items":[{"item_id":"b"}],"version":7}'
    """
    message = msgspec.json.decode(value)
    for name in message.keys() & {"items", "explored"}:
        message[name] = [item for item in message[name] if item["item_id"] not in gone]
    return msgspec.json.encode(message)


def naming(item: str) -> bytes:
    """What stands in a message that lists this item or tells what was learned of it, and not where it only gives a reason.

    It begins with the brace that it has since Lua stops at every byte that could be the first one of what it looks for: there
    are ten times as many quotes in a message, and looking for `"i1"` takes Redis longer than all else in a sweep.

    >>> naming("i1")
    b'{"item_id":"i1"'
    """
    return b'{"item_id":' + msgspec.json.encode(item)


class Pace:
    """Lets work go at full speed for `BURST_S`, and beyond that for `SHARE` of the time: a leaky bucket (Turner, 1986, "New
    directions in communications")."""

    def __init__(self) -> None:
        self._owed_s = 0.0
        self._at_s = time.monotonic()

    def begin(self) -> None:
        """After a while in which nothing was done."""
        idle_s = self._since()
        self._owed_s = max(0.0, self._owed_s - idle_s * SHARE / (1.0 - SHARE))

    async def rest(self) -> None:
        """After some work: sleeps for as long as it was too much."""
        self._owed_s += self._since()
        if self._owed_s > BURST_S:
            await asyncio.sleep((self._owed_s - BURST_S) * (1.0 - SHARE) / SHARE)
            self.begin()

    def _since(self) -> float:
        before, self._at_s = self._at_s, time.monotonic()
        return self._at_s - before


class Sweep:
    """Sweeps what is published under a prefix."""

    def __init__(self, settings: Settings, keys: Keys, store: Store, outbox: Outbox) -> None:
        self._keys = keys
        self._store = store
        self._outbox = outbox
        self._pace = Pace()
        self._events = settings.topic(topics.EVENTS)
        self._recommendations = settings.topic(topics.RECOMMENDATIONS)
        self._of_user = keys.recs("")
        self._of_item = (keys.similar(""), keys.together(""), keys.bought_after(""))
        self._published = (self._of_user, *self._of_item, keys.trending_in(""), keys.cold())

    async def once(self, gone: Set[str]) -> Swept:
        """Takes these items (ids), while they are in `gone`, out of everything that is published when it begins."""
        swept, begun = Swept(), time.monotonic()
        looking: deque[asyncio.Task[list[Replacement]]] = deque()
        telling: deque[asyncio.Task[None]] = deque()

        async def finish() -> None:
            changed = await looking.popleft()
            swept.changed += len(changed)
            told = {each.key: each.value for each in changed if each.value and each.key.startswith(self._of_user)}
            if told:
                telling.append(asyncio.create_task(self._tell(told)))
            if len(telling) > TELLING:
                await telling.popleft()
            await self._pace.rest()

        self._pace.begin()
        try:
            looking.append(asyncio.create_task(self._take_out([kind + item for item in gone for kind in self._of_item], gone)))
            async for keys in self._published_keys():
                swept.looked += len(keys)
                looking.append(asyncio.create_task(self._batch(keys, gone)))
                if len(looking) == AT_ONCE:
                    await finish()
            while looking:
                await finish()
            while telling:
                await telling.popleft()
        finally:
            for task in (*looking, *telling):
                task.cancel()
        swept.seconds = time.monotonic() - begun
        return swept

    async def _published_keys(self) -> AsyncIterator[list[str]]:
        """All keys of published messages, in batches."""
        found = [self._keys.trending]
        async for key in self._store.scan(self._keys.published_lists):
            if key.startswith(self._published):
                found.append(key)
            if len(found) == BATCH:
                yield found
                found = []
        yield found

    async def _batch(self, keys: Sequence[str], gone: Set[str]) -> list[Replacement]:
        """What was changed."""
        if len(gone) <= FEW:
            keys = await self._store.find(keys, [naming(item) for item in gone])
        return await self._take_out(keys, gone)

    async def _take_out(self, keys: Sequence[str], gone: Set[str]) -> list[Replacement]:
        """Writes the values without these items; what was changed."""
        changed = []
        while keys:
            values = await self._store.read([[key] for key in keys])
            changes = [
                change
                for key, [value] in zip(keys, values, strict=True)
                if value is not None and (change := self._change(key, value, gone))
            ]
            done = await self._store.replace(changes) if changes else []
            changed += [change for change, held in zip(changes, done, strict=True) if held]
            keys = [change.key for change, held in zip(changes, done, strict=True) if not held]
        return changed

    def _change(self, key: str, value: bytes, gone: Set[str]) -> Replacement | None:
        if any(key.startswith(kind) and key.removeprefix(kind) in gone for kind in self._of_item):
            return Replacement(key, value, None)
        return Replacement(key, value, without(value, gone)) if names_any(value, gone) else None

    async def _tell(self, messages: dict[str, bytes]) -> None:
        """Writes recommendations to the topic; where another took the place of one meanwhile, that one after it, so that on the
        topic, too, it is the newest."""
        written = messages
        while messages:
            await self._outbox.publish(
                self._recommendations,
                [
                    (key.removeprefix(self._of_user).encode(), value, source_header_of(value, self._events))
                    for key, value in messages.items()
                ],
            )
            await asyncio.sleep(SETTLED_S)
            values = await self._store.read([[key] for key in messages])
            messages = {
                key: value for key, [value] in zip(messages, values, strict=True) if value is not None and value != written[key]
            }
            written = {**written, **messages}
