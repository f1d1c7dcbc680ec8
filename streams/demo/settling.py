"""Settling: waiting until the worker has counted and published everything, and what then is in Redis."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from recsys.connection import open_client, read_values
from recsys.export import export_items
from recsys.marks import UserMark, user_mark
from streams.lag import read_published, read_spans, total_behind
from streams.live import live_keys
from streams.settings import Settings
from streams.topics import EVENTS

PATIENCE_S = 60.0
POLL_S = 0.1


class NotSettled(RuntimeError):
    """The workers did not count everything in time."""


def settle(settings: Settings, check: Callable[[], None], patience_s: float = PATIENCE_S) -> list[UserMark]:
    """Returns the partitions' marks once everything that is in `events` was counted and published.

    The ends are asked for last: a record that is sent on stands in its home partition before the original is done with,
    so nothing can be missing then. Calls `check` while it waits. Raises `NotSettled`.
    """
    topic = settings.topic(EVENTS)
    until = time.monotonic() + patience_s
    partitions = list(read_spans(settings.brokers, topic))
    with open_client(settings.redis) as client:
        while True:
            keys = live_keys(client, settings.key_prefix)
            published = read_published(client, keys, partitions)
            left = total_behind(read_spans(settings.brokers, topic), published)
            if not left:
                return [user_mark(mark) for mark in read_values(client, [keys.user_mark(p) for p in partitions])]
            check()
            if time.monotonic() > until:
                raise NotSettled(f"the last {left:,} records were not counted and published within {patience_s:.0f} s")
            time.sleep(POLL_S)


def exported(settings: Settings) -> Iterator[dict[str, Any]]:
    """The counted state, as `freshet export` gives it."""
    with open_client(settings.redis) as client:
        for item in export_items(client, live_keys(client, settings.key_prefix), settings.rules.half_life_ms):
            yield msgspec.to_builtins(item)
