"""The sender: events to the topic, with the key that Freshet wants, and nothing lost in silence."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from kafka import KafkaProducer
from kafka.errors import KafkaError

from recsys.events import decode
from streams.brokers import Brokers

LINGER_MS = 2
CLOSE_S = 10.0
ABANDON_S = 1.0

Acknowledged = Callable[[int, int, int], None]
"""Called with a record's partition, offset and timestamp in ms when the broker has it."""


class Sender:
    """A producer of events. Close it: that waits until everything has arrived."""

    def __init__(self, brokers: Brokers, topic: str) -> None:
        self.producer: Any = KafkaProducer(**brokers.connection(), linger_ms=LINGER_MS)
        self.topic = topic
        self.sent = 0
        self.failure: BaseException | None = None
        """The first failed send."""

    def send(self, event: Mapping[str, Any], acknowledged: Acknowledged | None = None) -> None:
        """Sends an event under its user's id, which makes it arrive at the user's home partition."""
        value = msgspec.json.encode(event)
        self.send_as(value, home_key(value), acknowledged)

    def send_as(
        self,
        value: bytes | None,
        key: bytes | None,
        acknowledged: Acknowledged | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Sends bytes under whatever key."""
        future = self.producer.send(self.topic, value=value, key=key, headers=list(headers))
        future.add_errback(self._failed)
        if acknowledged is not None:
            future.add_callback(lambda record: acknowledged(record.partition, record.offset, record.timestamp))
        self.sent += 1

    def _failed(self, error: BaseException) -> None:
        self.failure = self.failure or error

    def close(self) -> None:
        """Waits for what is under way. Raises the first failure there was."""
        try:
            self.producer.flush(timeout=CLOSE_S)
        finally:
            self.producer.close(timeout=CLOSE_S)
        if self.failure is not None:
            raise self.failure

    def abandon(self) -> None:
        """Ends without minding what did not arrive. Does nothing after `close`."""
        with suppress(KafkaError):
            self.producer.close(timeout=ABANDON_S)


def send_all(brokers: Brokers, topic: str, records: Iterable[tuple[str, bytes]]) -> None:
    """Sends records (key and value), and returns when all have arrived. Raises the first failure there was."""
    sender = Sender(brokers, topic)
    try:
        for key, value in records:
            sender.send_as(value, key.encode())
        sender.close()
    finally:
        sender.abandon()


def home_key(value: bytes) -> bytes:
    """The key under which an event belongs: the id whose hash is its user's home partition.

    >>> home_key(b'{"event_type": "browse", "anonymous_id": "v1", "item_id": "tent-001"}')
    b'v1'
    """
    return decode(value, round(time.time() * 1000)).home_id.encode()
