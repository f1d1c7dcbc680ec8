"""Failures: one line that says what is wrong and what to do, and the exit code 1."""

import errno
import sys
from typing import IO, Any

import click


class Failure(click.ClickException):
    """Ends a command with the exit code 1 and `freshet: <message>` on stderr."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"freshet: {one_line(self.format_message())}", file=file or sys.stderr)


def one_line(text: str) -> str:
    """
    >>> one_line("wrong:\\n  very")
    'wrong: very'
    """
    return " ".join(text.split())


def explained(error: Exception) -> str | None:
    """The one line for an error that the user can do something about; None for a defect, which keeps its traceback.

    Looks only at libraries that are loaded already: another one cannot have raised the error.
    """
    from streams.local.errors import LocalError
    from streams.settings import SettingsError

    if isinstance(error, SettingsError | LocalError):
        return str(error)
    if isinstance(error, loaded("redis.exceptions", "ConnectionError", "TimeoutError")):
        return no_answer("Redis", "redis", error)
    if isinstance(error, loaded("redis.exceptions", "MovedError")):
        return f"Redis at {address_of('redis')} is a node of a cluster: set FRESHET_REDIS to redis+cluster://host:port"
    if isinstance(error, loaded("redis.exceptions", "RedisError")):
        return f"Redis at {address_of('redis')} refuses: {one_line(str(error))[:200]}: see FRESHET_REDIS and freshet doctor"
    if isinstance(error, UnicodeError):
        return f"a text cannot be encoded here: {error.reason if isinstance(error, UnicodeEncodeError) else error}; use UTF-8"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EIO):
        return f"{error.filename or 'the output'} cannot be written: {error.strerror}"
    if isinstance(error, loaded("kafka.errors", "KafkaConnectionError", "KafkaTimeoutError", "NodeNotReadyError")):
        return no_answer("Kafka", "broker", error)
    if isinstance(error, loaded("aiokafka.errors", "KafkaConnectionError", "KafkaTimeoutError", "NodeNotReadyError")):
        return no_answer("Kafka", "broker", error)
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
