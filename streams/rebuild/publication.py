"""The publication after a switch: the topic gets the recommendations that Redis now has, so that both are equally fresh."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from redis import Redis

from recsys.keys import Keys, literal
from streams.cli.progress import Progress
from streams.outbox import Headers, Outbox, new_producer
from streams.settings import Settings
from streams.topics import EVENTS, RECOMMENDATIONS

BATCH = 500
SCAN = 5000


class Published(Struct):
    """What of a stored recommendation says which record it answers."""

    recommendation_id: str


def publish(settings: Settings, client: Redis) -> int:
    """Writes every stored recommendation to the topic; how many. Afterwards it is noted that this is done."""
    keys = Keys(settings.key_prefix)
    found = set(client.scan_iter(match=literal(keys.recs("")) + "*", count=SCAN))
    with Progress("publishing", "recommendations") as progress:
        count = asyncio.run(_publish(settings, client, sorted(found), progress))
    client.delete(keys.unpublished)
    return count


async def _publish(settings: Settings, client: Redis, found: list[bytes], progress: Progress) -> int:
    count = 0
    producer = new_producer(settings.brokers)
    await producer.start()
    try:
        outbox = Outbox(producer)
        for at in range(0, len(found), BATCH):
            count += await _publish_batch(settings, client, outbox, found[at : at + BATCH])
            progress.show((at + BATCH) / max(at + BATCH, len(found)), count)
    finally:
        await producer.stop()
    return count


async def _publish_batch(settings: Settings, client: Redis, outbox: Outbox, keys: list[bytes]) -> int:
    """A worker may publish for the same user meanwhile: what has changed by then is written again, so that it is the newest."""
    start = len(Keys(settings.key_prefix).recs("").encode())
    events = settings.topic(EVENTS)
    written: Mapping[bytes, bytes] = {}
    while stored := {key: value for key, value in read(client, keys) if value != written.get(key)}:
        messages = [(key[start:], value, source(value, events)) for key, value in stored.items()]
        await outbox.publish(settings.topic(RECOMMENDATIONS), messages)
        written = {**written, **stored}
    return len(written)


def read(client: Redis, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    values: Any = client.mget(keys)
    return ((key, value) for key, value in zip(keys, values, strict=True) if value is not None)


def source(value: bytes, events: str) -> Headers:
    """The header of a recommendation: the record it answers, which stands in its id.

    >>> source(b'{"recommendation_id": "2-1f-19a"}', "events")
    [('source', b'events/2/31')]
    """
    partition, offset, _ = msgspec.json.decode(value, type=Published).recommendation_id.split("-")
    return [("source", f"{events}/{int(partition, 16)}/{int(offset, 16)}".encode())]
