"""The watcher: reads `recommendations` all the while, as an app would, and remembers the newest record of each user."""

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from streams.brokers import Brokers
from streams.source import source

POLL_MS = 100
AGAIN_S = 0.5

log = logging.getLogger(__name__)


class Newest(NamedTuple):
    """A user's newest record: where it stands, and the newest event that it covers."""

    partition: int
    offset: int
    at_ms: int
    source: tuple[int, int] | None
    """The event's partition and offset."""
    value: bytes | None = None


class Watcher:
    """A thread that reads the whole topic. `served` is called with the event's partition and the record's time in seconds."""

    def __init__(self, brokers: Brokers, topic: str, partitions: int, served: Callable[[int, float], None]) -> None:
        self.newest: dict[str, Newest] = {}
        self.read = 0
        self.served_at = dict.fromkeys(range(partitions), 0.0)
        """By partition of `events`, the time of the newest recommendation, in seconds since 1970."""
        self.failure: Exception | None = None
        self._brokers = brokers
        self._served = served
        self._positions = {TopicPartition(topic, number): 0 for number in range(partitions)}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._end.is_set():
                try:
                    self._follow()
                except KafkaError as error:  # the broker is down: read on from there when it is back
                    log.info("the watcher begins again: %r", error)
                    self._end.wait(AGAIN_S)
        except Exception as error:  # noqa: BLE001 (told to whoever finishes it)
            self.failure = error

    def _follow(self) -> None:
        consumer = self._consumer()
        try:
            while not self._end.is_set():
                self._take(consumer.poll(timeout_ms=POLL_MS))
        finally:
            consumer.close()

    def _consumer(self) -> Any:
        consumer: Any = KafkaConsumer(**self._brokers.connection(), group_id=None, enable_auto_commit=False)
        try:
            consumer.assign(list(self._positions))
            for part, position in self._positions.items():
                consumer.seek(part, position)
        except BaseException:
            consumer.close()
            raise
        return consumer

    def _take(self, found: dict[Any, list[Any]]) -> None:
        for part, records in found.items():
            for record in records:
                self.read += 1
                covered = source(record.headers)
                place = record.partition, record.offset
                self.newest[record.key.decode()] = Newest(*place, record.timestamp, covered, record.value)
                if covered:
                    self.served_at[covered[0]] = record.timestamp / 1000
                    self._served(covered[0], record.timestamp / 1000)
                self._positions[part] = record.offset + 1

    def finish(self, patience_s: float) -> None:
        """Reads up to the topic's present end, and ends. Raises what went wrong meanwhile."""
        self.close()
        if self.failure:
            raise self.failure
        until = time.monotonic() + patience_s
        consumer = self._consumer()
        try:
            ends = consumer.end_offsets(list(self._positions))
            while any(consumer.position(part) < end for part, end in ends.items()):
                if time.monotonic() > until:
                    raise TimeoutError(f"the recommendations could not be read within {patience_s:.0f} s")
                self._take(consumer.poll(timeout_ms=POLL_MS))
        finally:
            consumer.close()

    def close(self) -> None:
        """Ends it as it stands."""
        self._end.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()
