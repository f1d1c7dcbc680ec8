"""The diagnosis: of an error that the user can do something about, the one line that says what is wrong and what to do."""

import errno
import sys

from streams.failure import one_line


def explained(error: Exception) -> str | None:
    """The one line for an error that the user can do something about; None for a defect, which keeps its traceback.

    Looks only at libraries that are loaded already: another one cannot have raised the error.
    """
    from streams.local.errors import LocalError
    from streams.settings import SettingsError

    if isinstance(error, (SettingsError, LocalError, *(kind for each in OWN.items() for kind in loaded(*each)))):
        return str(error)
    if isinstance(error, loaded("redis.exceptions", "AuthenticationError", "AuthorizationError", "NoPermissionError")):
        return no_right(error)
    if isinstance(error, loaded("redis.exceptions", "ConnectionError", "TimeoutError")):
        return no_tls(error) or no_answer("Redis", "redis", error)
    if isinstance(error, loaded("redis.exceptions", "MovedError")):
        return f"Redis at {address_of('redis')} is a node of a cluster: set FRESHET_REDIS to redis+cluster://host:port"
    if isinstance(error, loaded("redis.exceptions", "OutOfMemoryError")):
        return (
            f"Redis at {address_of('redis')} is full: give it more memory (maxmemory). Nothing is lost: what could not be "
            "written is counted after the next start"
        )
    if isinstance(error, loaded("redis.exceptions", "RedisError")):
        return f"Redis at {address_of('redis')} refuses: {one_line(str(error))[:200]}: see FRESHET_REDIS and freshet doctor"
    if isinstance(error, RuntimeError) and "TCPTransport closed" in str(error):  # uvloop's word for a connection that was cut
        return f"a connection was cut while it was used, most likely that to Redis at {address_of('redis')}: start again"
    if isinstance(error, UnicodeError):
        return f"a text cannot be encoded here: {error.reason if isinstance(error, UnicodeEncodeError) else error}; use UTF-8"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EIO):
        return f"{error.filename or 'the output'} cannot be written: {error.strerror}"
    for library in ("kafka.errors", "aiokafka.errors"):
        if isinstance(error, loaded(library, *UNAUTHORISED)):
            return no_kafka_right(error)
    if isinstance(error, loaded("kafka.errors", "KafkaConnectionError", "KafkaTimeoutError", "NodeNotReadyError")):
        return no_answer("Kafka", "broker", error)
    if isinstance(error, loaded("aiokafka.errors", "KafkaConnectionError", "KafkaTimeoutError", "NodeNotReadyError")):
        return no_answer("Kafka", "broker", error)
    return None


OWN = {
    "recsys.engine": "LostPartition",
    "recsys.generations": "StateReplaced",
    "recsys.layout": "LayoutChanged",
    "recsys.damage": "DamagedState",
    "streams.access": "Refused",
    "streams.lease": "Overslept",
    "streams.positions": "LostRecords",
    "streams.watchdog": "NoProgress",
}
"""Our own errors that say in words what is wrong and what to do, by module."""

UNAUTHORISED = {
    "TopicAuthorizationFailedError": "a right on the topic",
    "GroupAuthorizationFailedError": "Read on the group",
    "ClusterAuthorizationFailedError": "a right on the cluster",
}
"""What both libraries call the errors of rights, and what is missing then."""


def no_kafka_right(error: Exception) -> str:
    """For a right that is missing while something runs; at its start `streams.roles` says it more exactly."""
    from streams.settings import read_settings

    where = " ".join(str(each) for each in error.args)
    who = read_settings().brokers.who
    return one_line(f"{who} lacks {UNAUTHORISED[type(error).__name__]} {where}: docs/security.md lists the rights")


def no_right(error: Exception) -> str:
    """For a Redis that answers and refuses who we are or what we ask."""
    address, reason = address_of("redis"), one_line(str(error))[:200]
    if isinstance(error, loaded("redis.exceptions", "NoPermissionError")):
        return f"Redis at {address}: {reason}: docs/security.md lists the rights that its user needs"
    return f"Redis at {address} does not let us in ({reason}): see user and password in FRESHET_REDIS"


def no_tls(error: Exception) -> str | None:
    """For a Redis with which TLS does not come about, or that wants TLS and does not get it."""
    reason = one_line(str(error))[:200].rstrip(".")
    address = address_of("redis")
    if "SSL" in reason:
        todo = "?ssl_ca_certs= in FRESHET_REDIS must name the file of the CA that signed its certificate, and the host be in it"
        return f"Redis at {address} cannot be trusted ({reason}): {todo}"
    if "closed by server" in reason and not address.startswith("rediss:"):
        return (
            f"Redis at {address} ends the connection at once ({reason}): if it speaks TLS, FRESHET_REDIS begins with rediss://"
        )
    return None


def loaded(module: str, *names: str) -> tuple[type[Exception], ...]:
    """Exception types of a module, none if it was not imported so far.

    >>> loaded("nowhere", "Error")
    ()
    """
    found = (getattr(sys.modules.get(module), name, None) for name in names)
    return tuple(kind for kind in found if isinstance(kind, type))


def address_of(setting: str) -> str:
    from streams.settings import read_settings, without_password

    return without_password(str(getattr(read_settings(), setting)))


def no_answer(what: str, setting: str, error: Exception) -> str:
    from streams.settings import PREFIX

    address = address_of(setting)
    reason = one_line(str(error))[:200] or type(error).__name__
    variable = PREFIX + setting.upper()
    return f"{what} at {address} does not answer ({reason}): start it (freshet up) or set {variable}"
