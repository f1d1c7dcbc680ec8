"""The publication after a switch: the topics get what Redis now has for users, so that both are equally fresh."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from redis import Redis

from recsys.keys import Keys, literal
from streams.outbox import Headers, Outbox, new_producer
from streams.progress import Progress
from streams.settings import Settings
from streams.source import source_header_of
from streams.topics import CUSTOMERS, EVENTS, RECOMMENDATIONS

BATCH = 500
SCAN = 5000


class Kept(NamedTuple):
    """What Redis keeps for users of one kind, and where it goes."""

    prefix: str
    """Of the keys; the user's id stands behind it."""
    topic: str
    headers: Callable[[bytes], Headers]
    """Of a value's record."""


def publish(settings: Settings, client: Redis) -> int:
    """Writes every stored recommendation and customer to their topics; how many recommendations. Afterwards it is noted that
    this is done."""
    keys = Keys(settings.key_prefix)
    headers = partial(source_header_of, events=settings.topic(EVENTS))
    recommendations = Kept(keys.recs(""), settings.topic(RECOMMENDATIONS), headers)
    count = asyncio.run(_publish(settings, client, recommendations, "recommendations"))
    asyncio.run(_publish(settings, client, Kept(keys.customer(""), settings.topic(CUSTOMERS), no_headers), "customers"))
    client.delete(keys.unpublished)
    return count


async def _publish(settings: Settings, client: Redis, kept: Kept, what: str) -> int:
    found = sorted(set(client.scan_iter(match=literal(kept.prefix) + "*", count=SCAN)))
    with Progress("publishing", what) as progress:
        return await _publish_keys(settings, client, kept, found, progress)


async def _publish_keys(settings: Settings, client: Redis, kept: Kept, found: list[bytes], progress: Progress) -> int:
    count = 0
    producer = new_producer(settings.brokers)
    await producer.start()
    try:
        outbox = Outbox(producer)
        for at in range(0, len(found), BATCH):
            count += await _publish_batch(client, outbox, kept, found[at : at + BATCH])
            progress.show((at + BATCH) / max(at + BATCH, len(found)), count)
    finally:
        await producer.stop()
    return count


async def _publish_batch(client: Redis, outbox: Outbox, kept: Kept, keys: list[bytes]) -> int:
    """A worker may publish for the same user meanwhile: what has changed by then is written again, so that it is the newest."""
    start = len(kept.prefix.encode())
    written: Mapping[bytes, bytes] = {}
    while stored := {key: value for key, value in read(client, keys) if value != written.get(key)}:
        messages = [(key[start:], value, kept.headers(value)) for key, value in stored.items()]
        await outbox.publish(kept.topic, messages)
        written = {**written, **stored}
    return len(written)


def read(client: Redis, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    values: Any = client.mget(keys)
    return ((key, value) for key, value in zip(keys, values, strict=True) if value is not None)


def no_headers(_: bytes) -> Headers:
    return ()
