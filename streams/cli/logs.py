"""Logs: to stderr, and never with a secret in them, at no level."""

import logging
import sys
from collections.abc import Sequence

from streams.settings import HIDDEN, Settings, secrets

WIRE = (
    "aiokafka.conn",
    "kafka.admin.client",
    "kafka.consumer",
    "kafka.producer",
    "kafka.protocol.parser",
    "kafka.net.connection",
)
"""What they tell for debugging is every byte that is sent, and what they were built with: passwords and their proofs, cut short
anywhere, where `Discreet` cannot know them."""
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

LIBRARIES = ("kafka", "aiokafka", "faust", "mode", "asyncio", "streams.driver")
"""These tell of every attempt and every heartbeat; what matters our own lines say, the last one how it ended."""


def silence_libraries() -> None:
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)


class Discreet(logging.Formatter):
    """Hides secrets in whatever is logged, tracebacks too.

    >>> Discreet(["s3'cret"], "%(message)s").format(logging.makeLogRecord({"msg": "%r", "args": ("s3'cret",)}))
    '"***"'
    """

    def __init__(self, hidden: Sequence[str], form: str = FORMAT) -> None:
        super().__init__(form)
        self._hidden = sorted({each for text in hidden for each in written(text)}, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for secret in self._hidden:
            text = text.replace(secret, HIDDEN)
        return text


def written(secret: str) -> set[str]:
    r"""A text in the forms in which it may stand in a log.

    >>> sorted(written("a\\b"))
    ['a\\\\b', 'a\\b']
    """
    return {secret, repr(secret)[1:-1], repr(secret.encode())[2:-1]}


def log_to_stderr(level: str, settings: Settings) -> None:
    """Sets up the root logger; for `debug` the libraries tell everything but what is sent."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Discreet(secrets(settings)))
    logging.basicConfig(handlers=[handler], level=level.upper())
    if level == "debug":
        for name in WIRE:
            logging.getLogger(name).setLevel(logging.INFO)
