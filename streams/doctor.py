"""The doctor's findings: what was looked at, whether it is well, and what to do if not."""

import os
import platform
from collections.abc import Generator, Iterator
from importlib.metadata import version
from typing import Any, Literal

import msgspec
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from msgspec import Struct
from redis import Redis, RedisError

from recsys.keys import Keys
from recsys.layout import Layout
from recsys.marks import UserMark, user_mark
from streams import topics
from streams.app import group_id
from streams.cli.failure import one_line
from streams.driver import FAUST_VERSION
from streams.lag import behind, read_published, read_spans
from streams.live import live_keys
from streams.settings import PREFIX, Settings, names, unknown, without_password

OLDEST_REDIS = (6, 2)
PACKAGES = ("freshet", "faust-streaming", "aiokafka", "kafka-python", "redis", "msgspec", "numpy", "numba")
LAG_WARNING = 10_000
FORWARDED_WARNING = 0.05
MEMORY_WARNING = 0.8


class Finding(Struct, frozen=True):
    """One thing that was looked at. `todo` says what to do; it is empty where all is well."""

    area: str
    what: str
    status: Literal["ok", "warning", "failure"]
    found: str
    todo: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Looks at everything that a worker depends on, in the order in which it would fail."""
    yield from _settings(settings)
    yield from _versions()
    layout = None
    client = Redis.from_url(settings.redis, socket_connect_timeout=5)
    try:
        layout = yield from _redis(settings, client)
    except RedisError as error:
        found = f"{without_password(settings.redis)}: {one_line(str(error))[:200]}"
        yield Finding("redis", "connection", "failure", found, "start it (freshet up), or set FRESHET_REDIS")
        client.close()
    try:
        yield from _kafka(settings)
        if layout:
            yield from _counted(settings, client, layout)
    except KafkaError as error:
        found = f"{settings.broker}: {one_line(str(error))[:200]}"
        yield Finding("kafka", "connection", "failure", found, "start it (freshet up), or set FRESHET_BROKER")
    finally:
        client.close()


def _settings(settings: Settings) -> Iterator[Finding]:
    for name in names():
        source = "environment" if name in settings.sources else "default"
        yield Finding("settings", PREFIX + name.upper(), "ok", f"{without_password(str(getattr(settings, name)))} ({source})")

    for variable in unknown(os.environ):
        yield Finding("settings", variable, "warning", "there is no such setting", "see the README's table; is it a slip?")


def _versions() -> Iterator[Finding]:
    yield Finding("versions", "Python", "ok", platform.python_version())
    for package in PACKAGES:
        found = version(package)
        if package == "faust-streaming" and found != FAUST_VERSION:
            yield Finding("versions", package, "failure", found, f"the driver is written for {FAUST_VERSION}: install that one")
        else:
            yield Finding("versions", package, "ok", found)


def _redis(settings: Settings, client: "Redis") -> Generator[Finding, None, Layout | None]:
    info: dict[str, Any] = client.info()
    number = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    well = number >= OLDEST_REDIS
    yield Finding(
        "redis", "version", "ok" if well else "failure", str(info["redis_version"]), "" if well else "6.2 or later is needed"
    )
    if info.get("aof_enabled"):
        yield Finding("redis", "persistence", "ok", "append-only file on")
    else:
        yield Finding(
            "redis", "persistence", "warning", "append-only file off",
            "set appendonly yes: without it a restart of Redis counts the topic anew from the last snapshot, or from nothing",
        )  # fmt: skip
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy == "noeviction" or not info.get("maxmemory"):
        yield Finding("redis", "eviction", "ok", policy)
    else:
        yield Finding("redis", "eviction", "failure", policy, "set maxmemory-policy noeviction: an evicted key is a lost count")
    used, most = int(info["used_memory"]), int(info.get("maxmemory", 0))
    full = most > 0 and used > MEMORY_WARNING * most
    yield Finding(
        "redis", "memory", "warning" if full else "ok",
        f"{used / 1e6:.0f} MB used" + (f" of {most / 1e6:.0f}" if most else ", no limit"),
        "give Redis more memory: a full one refuses writes, and the workers stop" if full else "",
    )  # fmt: skip
    yield from _generations(client, settings.key_prefix)
    stored: Any = client.get(live_keys(client, settings.key_prefix).state)
    if stored is None:
        yield Finding("state", "layout", "ok", f"nothing is counted under {settings.key_prefix} yet")
        return None
    layout = msgspec.json.decode(stored, type=Layout)
    yield Finding("state", "layout", "ok", f"{layout.topic}, {layout.partitions} partitions, form {layout.format}")
    return layout


def _generations(client: "Redis", prefix: str) -> Iterator[Finding]:
    """Nothing where the state was never rebuilt."""
    keys = Keys(prefix)
    names: Any = client.mget([keys.live, keys.before, keys.building])
    live, before, building = names
    if live:
        kept = f", {before.decode()} is kept until freshet rebuild --drop" if before else ""
        yield Finding("state", "generation", "ok", f"{live.decode()} is live{kept}")
    if building:
        yield Finding(
            "state", "rebuild", "warning", "one is unfinished, or runs",
            "freshet rebuild goes on with it, freshet rebuild --drop frees its memory",
        )  # fmt: skip


def _kafka(settings: Settings) -> Iterator[Finding]:
    with KafkaAdminClient(bootstrap_servers=settings.bootstrap, bootstrap_timeout_ms=topics.ANSWER_MS) as admin:
        existing = set(admin.list_topics())
        group = group_id(settings)
        workers = _members(admin, group)
    yield Finding("kafka", "connection", "ok", settings.broker)
    yield Finding(
        "kafka", "workers", "ok" if workers else "warning", f"{workers} in the group {group}",
        "" if workers else "start one: freshet worker",
    )  # fmt: skip
    for name in topics.CLEANUP:
        topic = settings.topic(name)
        if topic in existing:
            yield Finding("topics", topic, "ok", f"{len(read_spans(settings.bootstrap, topic))} partitions")
        else:
            yield Finding("topics", topic, "warning", "missing", "a worker creates it at its start, if it may")


def _members(admin: KafkaAdminClient, group: str) -> int:
    """How many workers the group has; none also on a broker that never had a group."""
    try:
        return len(admin.describe_groups([group])[group]["members"])
    except KafkaError:
        return 0


def _counted(settings: Settings, client: "Redis", layout: Layout) -> Iterator[Finding]:
    keys = live_keys(client, settings.key_prefix)
    events = settings.topic(topics.EVENTS)
    spans = read_spans(settings.bootstrap, events)
    if (layout.topic, layout.partitions) != (events, len(spans)):
        yield Finding(
            "state", "topic", "failure",
            f"the state is that of {layout.topic} with {layout.partitions} partitions; {events} has {len(spans)}",
            "build the state anew from the topic: freshet rebuild",
        )  # fmt: skip
        return
    published = read_published(client, keys, spans)
    total = UserMark()
    for partition, span in spans.items():
        stored: Any = client.get(keys.user_mark(partition))
        mark = user_mark(stored)
        total.interactions += mark.interactions
        total.rejected += mark.rejected
        total.forwarded += mark.forwarded
        total.lost += mark.lost
        yield _lag(events, partition, behind(span, published[partition]), mark, span.begin, span.end)
    counted = max(1, total.interactions)
    share = total.forwarded / counted
    yield Finding("state", "interactions", "ok", f"{total.interactions:,} counted")
    yield Finding(
        "state", "forwarded", "warning" if share > FORWARDED_WARNING else "ok", f"{total.forwarded:,} records",
        "produce with the user id as key and the default partitioner (librdkafka: partitioner=murmur2_random): "
        "a forwarded record is written twice" if share > FORWARDED_WARNING else "",
    )  # fmt: skip
    yield Finding(
        "state", "rejected", "warning" if total.rejected else "ok", f"{total.rejected:,} records",
        f"read their reasons on {settings.topic(topics.REJECTED)}" if total.rejected else "",
    )  # fmt: skip
    if total.lost:
        yield Finding(
            "state",
            "lost",
            "warning",
            f"{total.lost:,} offsets were gone from Kafka before they were counted",
            "raise retention",
        )


def _lag(events: str, partition: int, waiting: int, mark: UserMark, begin: int, end: int) -> Finding:
    what = f"{events}/{partition}"
    if mark.offset >= end:
        return Finding(
            "lag",
            what,
            "failure",
            f"counted up to {mark.offset}, the topic ends at {end}",
            "the topic was made anew: freshet rebuild --accept-loss counts it as it is now",
        )
    if mark.version and begin > mark.offset + 1:
        return Finding(
            "lag", what, "failure", f"offsets {mark.offset + 1} to {begin - 1} are gone from Kafka and were not counted",
            "FRESHET_ACCEPT_LOSS=true goes on without them; raise the topic's retention",
        )  # fmt: skip
    if waiting > LAG_WARNING:
        return Finding(
            "lag", what, "warning", f"{waiting:,} records wait", "start workers (freshet worker), up to one a partition"
        )
    return Finding("lag", what, "ok", f"{waiting:,} records wait")
