"""The listener: the `recommendations` topic, read as an app would read it, and told to the board."""

import json
import threading
from types import TracebackType
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition

from streams.brokers import Brokers
from streams.demo.board import Board
from streams.source import source

POLL_MS = 100


class Listener:
    """A thread that reads all partitions of the topic from their beginning."""

    def __init__(self, brokers: Brokers, topic: str, board: Board) -> None:
        self.board = board
        self.failure: Exception | None = None
        self._consumer: Any = KafkaConsumer(
            **brokers.connection(), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        parts = [TopicPartition(topic, number) for number in sorted(self._consumer.partitions_for_topic(topic) or ())]
        self._consumer.assign(parts)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while True:
                ending = self._end.is_set()
                found = self._consumer.poll(timeout_ms=POLL_MS)
                for records in found.values():
                    for record in records:
                        if record.value:
                            self.board.recommendation(json.loads(record.value), source(record.headers), record.timestamp)
                if ending and not found:
                    return
        except Exception as error:  # noqa: BLE001 (told to whoever stops it)
            self.failure = error
        finally:
            self._consumer.close()

    def close(self) -> None:
        """Reads what is left and ends. Raises what went wrong meanwhile."""
        self._end.set()
        self._thread.join()
        if self.failure:
            raise self.failure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()
