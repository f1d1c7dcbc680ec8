"""A space: topics and keys of one measurement, that nobody else has and that are gone after it."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from kafka.admin import KafkaAdminClient
from msgspec import Struct

from recsys.connection import Client, open_client
from recsys.keys import Keys, literal
from streams.bench.servers import Servers
from streams.settings import Settings, read_settings
from streams.topics import CLEANUP, CUSTOMERS, RECOMMENDATIONS, create_missing

TIMED = (RECOMMENDATIONS, CUSTOMERS)
"""Topics with the broker's time: when something was published is then what the broker says, not the worker."""
BATCH = 5_000


class Space(Struct, frozen=True):
    """Where one measurement takes place."""

    servers: Servers
    variables: dict[str, str]
    settings: Settings
    client: Client

    @property
    def keys(self) -> Keys:
        return Keys(self.settings.key_prefix)


@contextmanager
def space(servers: Servers, partitions: int, more: Mapping[str, str] = MappingProxyType({})) -> Iterator[Space]:
    """A new one, with `more` settings. Raises `kafka.errors.KafkaError`, `redis.exceptions.RedisError`."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    variables = {
        **servers.variables,
        **more,
        "FRESHET_TOPIC_PREFIX": f"{name}.",
        "FRESHET_KEY_PREFIX": f"{name}:",
        "FRESHET_PARTITIONS": str(partitions),
    }
    settings = read_settings(variables)
    with open_client(settings.redis) as client:
        client.ping()
        create_topics(settings)
        try:
            yield Space(servers, variables, settings, client)
        finally:
            delete(settings, client)


def create_topics(settings: Settings) -> None:
    with KafkaAdminClient(**settings.brokers.connection()) as admin:
        brokers_time = {"message.timestamp.type": "LogAppendTime"}
        admin.create_topics(
            {
                settings.topic(name): {
                    "num_partitions": settings.partitions,
                    "configs": brokers_time | {"cleanup.policy": CLEANUP[name]},
                }
                for name in TIMED
            }
        )
    create_missing(settings)


def delete(settings: Settings, client: Client) -> None:
    with KafkaAdminClient(**settings.brokers.connection()) as admin:
        there: Any = admin.list_topics()
        admin.delete_topics([topic for topic in map(settings.topic, CLEANUP) if topic in there])
    batch: list[bytes] = []
    for key in client.scan_iter(match=f"{literal(settings.key_prefix)}*", count=BATCH):
        batch.append(key)
        if len(batch) == BATCH:
            client.unlink(*batch)
            batch = []
    if batch:
        client.unlink(*batch)
