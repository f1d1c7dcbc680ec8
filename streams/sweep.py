"""The sweep: items that are to be shown to nobody any more are taken out of all that is published.

Every recommendation and every neighbour list is looked at, beside the events and with pauses. One that names such an item is
written anew without it, if it still is the one that was looked at: a newer one is never overwritten.
"""

import asyncio
import time
from collections.abc import Sequence, Set

import msgspec
from msgspec import Struct

from recsys.keys import Keys
from recsys.store import Replacement, Store
from streams import topics
from streams.outbox import Outbox
from streams.rebuild.publication import source
from streams.settings import Settings

BATCH = 500
"""Keys that are looked at together."""
SHARE = 0.5
"""Of the time that a sweep may take: it sleeps for the rest."""
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


class Sweep:
    """Sweeps what is published under a prefix."""

    def __init__(self, settings: Settings, keys: Keys, store: Store, outbox: Outbox) -> None:
        self._keys = keys
        self._store = store
        self._outbox = outbox
        self._events = settings.topic(topics.EVENTS)
        self._recommendations = settings.topic(topics.RECOMMENDATIONS)
        self._of_user = keys.recs("")
        self._of_item = (keys.similar(""), keys.together(""), keys.bought_after(""))
        self._published = (self._of_user, *self._of_item, keys.trending_in(""), keys.cold())

    async def once(self, gone: Set[str]) -> Swept:
        """Takes these items (ids), while they are in `gone`, out of everything that is published when it begins."""
        swept, begun = Swept(), time.monotonic()
        await self._batch([self._keys.trending], gone, swept)
        waiting: list[str] = []
        async for key in self._store.scan(self._keys.published_lists):
            if key.startswith(self._published):
                waiting.append(key)
            if len(waiting) == BATCH:
                await self._batch(waiting, gone, swept)
                waiting = []
        await self._batch(waiting, gone, swept)
        swept.seconds = time.monotonic() - begun
        return swept

    async def _batch(self, keys: Sequence[str], gone: Set[str], swept: Swept) -> None:
        begun = time.monotonic()
        swept.looked += len(keys)
        while keys:
            values = await self._store.read([[key] for key in keys])
            changes = [
                change
                for key, [value] in zip(keys, values, strict=True)
                if value is not None and (change := self._change(key, value, gone))
            ]
            done = await self._store.replace(changes) if changes else []
            changed = [change for change, held in zip(changes, done, strict=True) if held]
            swept.changed += len(changed)
            await self._tell({each.key: each.value for each in changed if each.value and each.key.startswith(self._of_user)})
            keys = [change.key for change, held in zip(changes, done, strict=True) if not held]
        await asyncio.sleep((time.monotonic() - begun) * (1.0 / SHARE - 1.0))

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
                    (key.removeprefix(self._of_user).encode(), value, source(value, self._events))
                    for key, value in messages.items()
                ],
            )
            await asyncio.sleep(SETTLED_S)
            values = await self._store.read([[key] for key in messages])
            messages = {
                key: value for key, [value] in zip(messages, values, strict=True) if value is not None and value != written[key]
            }
            written = {**written, **messages}
