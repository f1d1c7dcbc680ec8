"""Settling: waiting until the worker has counted and published everything, and what then is in Redis."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from redis import Redis

from recsys.export import export_items
from recsys.marks import UserMark, user_mark
from streams.lag import read_published, read_spans, total_behind
from streams.live import live_keys
from streams.settings import Settings
from streams.topics import EVENTS

PATIENCE_S = 60.0
POLL_S = 0.1


class NotSettled(RuntimeError):
    """The worker did not count everything in time."""


def settle(settings: Settings, check: Callable[[], None]) -> list[UserMark]:
    """Returns the partitions' marks once everything that is in `events` was counted and published.

    The ends are asked for last: a record that is sent on stands in its home partition before the original is done with,
    so nothing can be missing then. Calls `check` while it waits. Raises `NotSettled`.
    """
    topic = settings.topic(EVENTS)
    until = time.monotonic() + PATIENCE_S
    partitions = list(read_spans(settings.bootstrap, topic))
    with Redis.from_url(settings.redis) as client:
        while True:
            keys = live_keys(client, settings.key_prefix)
            published = read_published(client, keys, partitions)
            left = total_behind(read_spans(settings.bootstrap, topic), published)
            if not left:
                return [user_mark(client.get(keys.user_mark(partition))) for partition in partitions]
            check()
            if time.monotonic() > until:
                raise NotSettled(f"the worker has not counted the last {left:,} records")
            time.sleep(POLL_S)


def exported(settings: Settings) -> Iterator[dict[str, Any]]:
    """The counted state, as `freshet export` gives it."""
    with Redis.from_url(settings.redis) as client:
        for item in export_items(client, live_keys(client, settings.key_prefix), settings.rules.half_life_ms):
            yield msgspec.to_builtins(item)
