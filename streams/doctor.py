"""The doctor's findings: what was looked at, whether it is well, and what to do if not."""

import asyncio
import os
import platform
from collections.abc import Generator, Iterator
from importlib.metadata import version

import msgspec
from kafka import errors
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError
from redis import AuthenticationError, RedisError
from redis.exceptions import NoPermissionError

from recsys.connection import Client, open_client, read_values
from recsys.keys import Keys
from recsys.layout import Layout, layout_of
from recsys.marks import UserMark, user_mark
from recsys.returning.once import HARDLY
from streams import topics
from streams.access import Refused, knock
from streams.app import group_id
from streams.driver import FAUST_VERSION
from streams.failure import one_line
from streams.finding import Finding
from streams.lag import behind, read_published, read_spans
from streams.live import live_keys
from streams.redis_health import examine_redis
from streams.roles import OPERATOR, WORKER, lacking
from streams.settings import PREFIX, Settings, names, unknown, without_password

PACKAGES = ("freshet", "faust-streaming", "aiokafka", "kafka-python", "redis", "msgspec", "numpy", "numba")
LAG_WARNING = 10_000
FORWARDED_WARNING = 0.05
RIGHTS = "give the rights that docs/security.md lists"


def examine(settings: Settings) -> Iterator[Finding]:
    """Looks at everything that a worker depends on, in the order in which it would fail."""
    yield from _settings(settings)
    yield from _versions()
    layout = None
    try:
        layout = yield from _redis(settings)
    except RedisError as error:
        yield _no_redis(settings, error)
    try:
        asyncio.run(knock(settings.brokers))
        yield from _kafka(settings)
        if layout:
            with open_client(settings.redis) as client:
                yield from _counted(settings, client, layout)
    except Refused as error:
        yield Finding("kafka", "access", "failure", error.what, error.todo)
    except KafkaError as error:
        found = f"{settings.broker}: {one_line(str(error))[:200]}"
        yield Finding("kafka", "connection", "failure", found, "start it (freshet up), or set FRESHET_BROKER")
    except RedisError as error:
        yield _no_redis(settings, error)


def _no_redis(settings: Settings, error: RedisError) -> Finding:
    found = f"{without_password(settings.redis)}: {one_line(str(error))[:200]}"
    return Finding("redis", "connection", "failure", found, _todo(error))


def _todo(error: RedisError) -> str:
    if isinstance(error, AuthenticationError):
        return "see user and password in FRESHET_REDIS"
    if isinstance(error, NoPermissionError):
        return "docs/security.md lists the rights that the user needs"
    if "SSL" in str(error) or "Connection closed by server" in str(error):
        return "see FRESHET_REDIS: rediss:// where it speaks TLS, ?ssl_ca_certs= names the CA's file"
    return "start it (freshet up), or set FRESHET_REDIS"


def _settings(settings: Settings) -> Iterator[Finding]:
    for name in names():
        source = "environment" if name in settings.sources else "default"
        yield Finding("settings", PREFIX + name.upper(), "ok", f"{settings.shown(name)} ({source})")

    for variable, wrong in unknown(os.environ).items():
        yield Finding("settings", variable, "warning", wrong, "see the README's table")


def _versions() -> Iterator[Finding]:
    yield Finding("versions", "Python", "ok", platform.python_version())
    for package in PACKAGES:
        found = version(package)
        if package == "faust-streaming" and found != FAUST_VERSION:
            yield Finding("versions", package, "failure", found, f"the driver is written for {FAUST_VERSION}: install that one")
        else:
            yield Finding("versions", package, "ok", found)


def _redis(settings: Settings) -> Generator[Finding, None, Layout | None]:
    with open_client(settings.redis) as client:
        yield from examine_redis(client)
        yield from _generations(client, settings.key_prefix)
        [stored] = read_values(client, [live_keys(client, settings.key_prefix).state])
    if stored is None:
        yield Finding("state", "layout", "ok", f"nothing is counted under {settings.key_prefix} yet")
        return None
    layout = msgspec.json.decode(stored, type=Layout)
    yield Finding("state", "layout", "ok", f"{layout.topic}, {layout.partitions} partitions, form {layout.format}")
    return layout


def _generations(client: Client, prefix: str) -> Iterator[Finding]:
    """Nothing where the state was never rebuilt."""
    keys = Keys(prefix)
    live, before, building = read_values(client, [keys.live, keys.before, keys.building])
    if live:
        kept = f", {before.decode()} is kept until freshet rebuild --drop" if before else ""
        yield Finding("state", "generation", "ok", f"{live.decode()} is live{kept}")
    if building:
        yield Finding(
            "state", "rebuild", "warning", "one is unfinished, or runs",
            "freshet rebuild goes on with it, freshet rebuild --drop frees its memory",
        )  # fmt: skip


def _kafka(settings: Settings) -> Iterator[Finding]:
    with KafkaAdminClient(**settings.brokers.connection(), bootstrap_timeout_ms=topics.ANSWER_MS) as admin:
        found = {
            topic["name"]: topic for topic in admin.describe_topics([settings.topic(name) for name in topics.needed(settings)])
        }
        group = group_id(settings)
        workers = _members(admin, group)
        policies = {name: _cleanup(admin, settings.topic(name)) for name in (topics.ITEMS, topics.USERS)}
    yield Finding("kafka", "connection", "ok", settings.broker)
    yield from _rights(settings)
    yield Finding(
        "kafka", "workers", "ok" if workers else "warning", f"{workers} in the group {group}",
        "" if workers else "start one: freshet worker",
    )  # fmt: skip
    for topic, description in found.items():
        if description["partitions"]:
            yield Finding("topics", topic, "ok", f"{len(description['partitions'])} partitions")
        elif errors.for_code(description["error_code"]) is not errors.TopicAuthorizationFailedError:
            yield Finding("topics", topic, "warning", "missing", "a worker creates it at its start, if it may")
    if settings.catalogue and found[settings.topic(topics.ITEMS)]["partitions"]:
        yield _described(settings, "catalogue", topics.ITEMS, policies[topics.ITEMS])
    if found[settings.topic(topics.USERS)]["partitions"]:
        yield _described(settings, "users", topics.USERS, policies[topics.USERS])


def _cleanup(admin: KafkaAdminClient, topic: str) -> str | None:
    """The topic's `cleanup.policy`; None where we may not see it, or there is no such topic."""
    found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
    policy = found.get("topic", {}).get(topic, {}).get("cleanup.policy")
    return policy["value"] if policy else None


def _described(settings: Settings, area: str, name: str, policy: str | None) -> Finding:
    """How the topic `items` or `users` is."""
    topic = settings.topic(name)
    records = sum(span.end - span.begin for span in read_spans(settings.brokers, topic).values())
    if policy is not None and "compact" not in policy:
        return Finding(
            area, topic, "warning", f"{records:,} records, not compacted: Kafka forgets {name} after its retention",
            f"kafka-configs.sh --alter --topic {topic} --add-config cleanup.policy=compact",
        )  # fmt: skip
    compacted = "compacted" if policy else "whether it is compacted we may not see (DescribeConfigs)"
    return Finding(area, topic, "ok", f"{records:,} records at most, {compacted}")


def _rights(settings: Settings) -> Iterator[Finding]:
    """Whether we see what we look at, and, for information, whether a worker could run as this user."""
    unseen = lacking(settings, OPERATOR)
    for right in unseen:
        yield Finding("kafka", "rights", "failure", f"{settings.brokers.who} lacks {right}", RIGHTS)
    if not unseen:
        more = lacking(settings, WORKER)
        yield Finding(
            "kafka", "rights", "warning" if more else "ok",
            f"a worker of this user would lack {', '.join(map(str, more))}" if more else "all that a worker needs",
            f"let the workers have another user, or {RIGHTS}" if more else "",
        )  # fmt: skip


def _members(admin: KafkaAdminClient, group: str) -> int:
    """How many workers the group has; none also on a broker that never had a group."""
    try:
        return len(admin.describe_groups([group])[group]["members"])
    except KafkaError:
        return 0


def _counted(settings: Settings, client: Client, layout: Layout) -> Iterator[Finding]:
    keys = live_keys(client, settings.key_prefix)
    events = settings.topic(topics.EVENTS)
    spans = read_spans(settings.brokers, events)
    wanted = layout_of(layout.topic, layout.partitions, settings.rules)
    if layout != wanted:
        differences = [
            f"{name} {getattr(layout, name)}, here it is {getattr(wanted, name)}"
            for name in Layout.__struct_fields__
            if getattr(layout, name) != getattr(wanted, name)
        ]
        yield Finding(
            "state", "rules", "failure", f"it was counted by {', '.join(differences)}",
            "set the variables that it was counted by, or count it anew: freshet rebuild",
        )  # fmt: skip
    if layout.log != (events, len(spans)):
        yield Finding(
            "state", "topic", "failure",
            f"the state is that of {layout.topic} with {layout.partitions} partitions; {events} has {len(spans)}",
            "build the state anew from the topic: freshet rebuild",
        )  # fmt: skip
        return
    published = read_published(client, keys, spans)
    total = UserMark()
    stored = read_values(client, [keys.user_mark(partition) for partition in spans])
    for (partition, span), value in zip(spans.items(), stored, strict=True):
        mark = user_mark(value)
        total.interactions += mark.interactions
        total.rejected += mark.rejected
        total.forwarded += mark.forwarded
        total.refused += mark.refused
        total.lost += mark.lost
        total.bought += mark.bought
        total.bought_again += mark.bought_again
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
    if total.refused:
        yield Finding(
            "state", "refused joins", "ok", f"{total.refused:,}: a visitor's id came with a customer's, but another was first"
        )
    if total.bought:
        yield _bought_again(total, settings)
    if total.lost:
        yield Finding(
            "state",
            "lost",
            "warning",
            f"{total.lost:,} offsets were gone from Kafka before they were counted",
            "raise retention",
        )


def _bought_again(total: UserMark, settings: Settings) -> Finding:
    """How much of what is bought is bought again: where that is much, what was bought must not be hidden for good."""
    share = total.bought_again / total.bought
    found = f"{share:.1%} of {total.bought:,} bought lines, by customers who had bought the item before".replace("%", " %")
    if share > HARDLY and "purchased" in settings.rules.hide:
        return Finding(
            "state", "bought again", "warning", found,
            "FRESHET_HIDE has purchased, so none of these is recommended: once hides only what people hardly buy twice",
        )  # fmt: skip
    return Finding("state", "bought again", "ok", found)


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
