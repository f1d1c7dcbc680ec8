"""The topics: their names, their cleanup policies, and who makes them when they are missing."""

from collections.abc import Collection

from kafka import errors
from kafka.admin import KafkaAdminClient

from streams.access import Refused
from streams.settings import Settings

EVENTS = "events"
ITEMS = "items"
USERS = "users"
RECOMMENDATIONS = "recommendations"
CUSTOMERS = "customers"
REJECTED = "rejected"

CLEANUP = {
    EVENTS: "delete",
    ITEMS: "compact",
    USERS: "compact",
    RECOMMENDATIONS: "compact",
    CUSTOMERS: "compact",
    REJECTED: "delete",
}
"""Every topic of this version with its `cleanup.policy`."""

ANSWER_MS = 10_000
"""A broker that does not answer within this is absent."""


def needed(settings: Settings) -> frozenset[str]:
    """The topics that a worker uses under these settings.

    >>> sorted(needed(Settings(customers=False, catalogue=False)))
    ['events', 'recommendations', 'rejected', 'users']
    """
    unused = {CUSTOMERS: not settings.customers, ITEMS: not settings.catalogue}
    return frozenset(name for name in CLEANUP if not unused.get(name))


def create_missing(settings: Settings, names: Collection[str] | None = None) -> list[str]:
    """Creates the topics that are missing and returns their names; returns when every one of them has its leaders.

    Without `names` they are those that a worker needs.

    New topics have `settings.partitions` partitions and the broker's default replication factor. Topics that exist are
    taken as they are; one that somebody else creates meanwhile is as good. Raises `kafka.errors.KafkaError`:
    `KafkaTimeoutError` where no broker answers, else the broker's own reason why a topic cannot be made.
    """
    names = needed(settings) if names is None else names
    policies = {settings.topic(name): policy for name, policy in CLEANUP.items() if name in names}
    with KafkaAdminClient(**settings.brokers.connection(), bootstrap_timeout_ms=ANSWER_MS) as admin:
        missing = {
            topic["name"]
            for topic in admin.describe_topics(list(policies))
            if errors.for_code(topic["error_code"]) is errors.UnknownTopicOrPartitionError
        }
        wanted = {
            topic: {"num_partitions": settings.partitions, "configs": {"cleanup.policy": policies[topic]}}
            for topic in policies
            if topic in missing
        }
        if not wanted:
            return []
        created = [
            answer["name"]
            for answer in admin.create_topics(wanted, raise_errors=False)["topics"]
            if _is_new(answer["name"], answer["error_code"], answer["error_message"])
        ]
        admin.wait_for_topics(list(wanted))
    return created


def _is_new(topic: str, code: int, message: str | None) -> bool:
    error = errors.for_code(code)
    if error is errors.TopicAlreadyExistsError:
        return False
    if error in (errors.TopicAuthorizationFailedError, errors.ClusterAuthorizationFailedError):
        raise Refused(f"there is no topic {topic}, and we lack Create on it", "create it, or give that right")
    if error is not errors.NoError:
        raise error(f"the topic {topic} cannot be created: {message or error.description}")
    return True
