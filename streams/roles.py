"""The roles: the least rights that each kind of program needs in Kafka and in Redis. docs/security.md is made of this table."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from kafka import errors
from kafka.admin import KafkaAdminClient
from redis.exceptions import NoPermissionError, ResponseError

from recsys.connection import open_client
from recsys.keys import Keys
from streams.access import Refused, knock
from streams.failure import one_line
from streams.settings import Settings
from streams.topics import ANSWER_MS, CUSTOMERS, EVENTS, ITEMS, RECOMMENDATIONS, REJECTED, USERS, needed

GROUP = "freshet"
"""The workers' group where no prefixes are set; `group_id` says what it is where they are."""


class Right(NamedTuple):
    """What may be done to a topic or a group of Kafka."""

    operation: Literal["Read", "Write", "Describe"]
    kind: Literal["topic", "group"]
    name: str

    def __str__(self) -> str:
        return f"{self.operation} on the {self.kind} {self.name}"


class Role(NamedTuple):
    """Who needs what. Names of topics, groups and keys are those without prefixes."""

    name: str
    kafka: tuple[Right, ...]
    keys: tuple[str, ...]
    commands: tuple[str, ...]


WORKER = Role(
    "worker",
    (
        Right("Read", "topic", EVENTS),
        Right("Write", "topic", EVENTS),
        Right("Read", "topic", ITEMS),
        Right("Read", "topic", USERS),
        Right("Write", "topic", RECOMMENDATIONS),
        Right("Write", "topic", CUSTOMERS),
        Right("Write", "topic", REJECTED),
        Right("Read", "group", GROUP),
    ),
    ("freshet:*",),
    ("ping", "info", "get", "mget", "set", "eval", "scan", "del"),
)
READER = Role(
    "reader",
    (Right("Read", "topic", RECOMMENDATIONS),),
    (
        "freshet:recs:*",
        "freshet:similar:*",
        "freshet:together:*",
        "freshet:bought_after:*",
        "freshet:trending",
        "freshet:trending:*",
        "freshet:cold",
        "freshet:cold:*",
        "freshet:item:*",
    ),
    ("get", "mget"),
)
ANALYST = Role(
    "analyst",
    (Right("Read", "topic", CUSTOMERS),),
    (
        "freshet:customer:*",
        "freshet:user:*",
        "freshet:lifetimes",
        "freshet:live",
        "freshet:item:*",
        *(
            f"freshet:{here}{what}"
            for here in ("", "g*:")
            for what in ("state", "{u*}:account:*", "{u*}:ledger:*", "{u*}:spreads")
        ),
    ),
    ("ping", "get", "mget", "scan"),
)
FORECASTER = Role("forecaster", (), ("freshet:live", "freshet:*{u*}:account:*", "freshet:lifetimes"), ("mget", "scan", "set"))
PRODUCER = Role("producer", (Right("Write", "topic", EVENTS),), (), ())
CATALOGUE = Role("catalogue", (Right("Write", "topic", ITEMS),), (), ())
REGISTRY = Role("registry", (Right("Write", "topic", USERS),), (), ())
OPERATOR = Role(
    "operator",
    (
        Right("Write", "topic", EVENTS),
        Right("Read", "topic", ITEMS),
        Right("Describe", "topic", USERS),
        Right("Describe", "topic", RECOMMENDATIONS),
        Right("Describe", "topic", CUSTOMERS),
        Right("Describe", "topic", REJECTED),
        Right("Describe", "group", GROUP),
    ),
    ("freshet:*",),
    ("ping", "mget", "getrange", "scan", "info"),
)
ERASER = Role(
    "eraser",
    (Right("Write", "topic", EVENTS), Right("Write", "topic", USERS)),
    (
        "freshet:live",
        "freshet:recs:*",
        "freshet:customer:*",
        "freshet:user:*",
        "freshet:{p*}:mark",
        *(f"freshet:{here}{{u*}}:{what}" for here in ("", "g*:") for what in ("published", "user:*", "bought:*", "account:*")),
    ),
    ("ping", "mget"),
)
ROLES = (WORKER, READER, ANALYST, FORECASTER, PRODUCER, CATALOGUE, REGISTRY, OPERATOR, ERASER)

IMPLYING = {"Describe": ("Read", "Write", "Describe"), "Read": ("Read",), "Write": ("Write",)}


def demand(settings: Settings, role: Role) -> None:
    """Returns where Kafka lets us in and gives the role all its rights. Raises `Refused`, `kafka.errors.KafkaError`."""
    asyncio.run(knock(settings.brokers))
    missing = lacking(settings, role)
    if missing:
        raise Refused(
            f"{settings.brokers.who} lacks {', '.join(map(str, missing))}",
            f"give it the rights of a {role.name}, docs/security.md lists them",
        )


def lacking(settings: Settings, role: Role) -> list[Right]:
    """The rights of the role that we need under these settings and have not, as far as the brokers tell.

    Raises `kafka.errors.KafkaError`.
    """
    unused = {CUSTOMERS, ITEMS} - needed(settings) if role in (WORKER, OPERATOR) else set()
    wanted = [named(settings, right) for right in role.kafka if right.name not in unused]
    groups = sorted({right.name for right in wanted if right.kind == "group"})
    with KafkaAdminClient(**settings.brokers.connection(), bootstrap_timeout_ms=ANSWER_MS) as admin:
        held = dict(_of_topics(admin, sorted({right.name for right in wanted if right.kind == "topic"})))
        for group in groups:
            held["group", group] = _of_group(admin, group)
    return [right for right in wanted if not _holds(held[right.kind, right.name], right)]


def named(settings: Settings, right: Right) -> Right:
    """The right with the name that the topic or group has under these settings."""
    if right.kind == "topic":
        return right._replace(name=settings.topic(right.name))
    from streams.app import group_id

    return right._replace(name=group_id(settings))


def _holds(held: set[str] | None, right: Right) -> bool:
    return held is None or any(operation.upper() in held for operation in IMPLYING[right.operation])


def _of_topics(admin: KafkaAdminClient, topics: list[str]) -> Iterator[tuple[tuple[str, str], set[str] | None]]:
    """What may be done to each topic, whether it exists or not; None where the broker is too old to tell."""
    for topic in admin.describe_topics(topics):
        if errors.for_code(topic["error_code"]) is errors.TopicAuthorizationFailedError:
            yield ("topic", topic["name"]), set()
        else:
            yield ("topic", topic["name"]), set(topic["authorized_operations"] or ()) or None


def _of_group(admin: KafkaAdminClient, group: str) -> set[str] | None:
    try:
        found = admin.describe_groups([group])[group]
    except errors.GroupAuthorizationFailedError:
        return set()
    except errors.KafkaError:
        return None  # a broker that never had a group makes room for the first one now; joining it will tell
    return set(found["authorized_operations"] or ()) or None


HARMLESS: Mapping[str, Sequence[str | int]] = {
    "ping": ("PING",),
    "info": ("INFO", "server"),
    "get": ("GET", "KEY"),
    "mget": ("MGET", "KEY"),
    "set": ("SET", "KEY", "", "NX", "XX"),
    "eval": ("EVAL", "return 1", 1, "KEY"),
    "scan": ("SCAN", 0, "COUNT", 1),
    "del": ("DEL", "NO_KEY"),
}
"""How to ask whether each command of a worker may be given: to set what is there and is not there fails in any case."""


def demand_commands(settings: Settings, role: Role) -> None:
    """Returns where Redis lets us give every command of the role to our keys. Raises `Refused`, `redis.RedisError`."""
    keys = Keys(settings.key_prefix)
    places: Mapping[str | int, str] = {"KEY": keys.state, "NO_KEY": keys.worker("")}  # no worker is without a name
    with open_client(settings.redis) as client:
        for command in role.commands:
            try:
                client.execute_command(*(places.get(part, part) for part in HARMLESS[command]))  # type: ignore[no-untyped-call]
            except NoPermissionError as error:
                user, reason = urlsplit(settings.redis).username or "default", one_line(str(error))
                refused = re.search(r"the '([\w|]+)' command", reason)
                right = f"+{refused[1]}" if refused else f"~{settings.key_prefix}*"
                raise Refused(
                    f"Redis's user {user!r} lacks {right} ({reason})",
                    f"give it the rights of a {role.name}, docs/security.md lists them",
                ) from None
            except ResponseError as error:
                if "syntax" not in str(error):
                    raise


def kafka_lines(role: Role) -> list[str]:
    """The role's rights as commands of Kafka's own tools.

    >>> kafka_lines(PRODUCER)
    ['kafka-acls.sh $ADMIN --add --allow-principal User:freshet-producer --operation Write --topic events']
    """
    return [
        f"kafka-acls.sh $ADMIN --add --allow-principal User:freshet-{role.name} --operation {right.operation} "
        f"--{right.kind} {right.name}"
        for right in role.kafka
    ]


def redis_line(role: Role) -> str:
    """The role's rights as a command of Redis; without ACL SETUSER and with `user` before it, a line of users.acl.

    >>> redis_line(READER).split(" ~")[-1]
    'freshet:item:* +get +mget'
    """
    return " ".join(
        [
            f"ACL SETUSER freshet-{role.name} on >PASSWORD",
            *(f"~{pattern}" for pattern in role.keys),
            *(f"+{command}" for command in role.commands),
        ]
    )
