"""Pace: events when they are due, whatever the sending takes."""

import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

SHORTEST_S = 0.005
"""A shorter wait is not worth a sleep: an event may be sent so much too early."""


def on_time(stream: Iterable[tuple[float, T]], start: float, stop: threading.Event) -> Iterator[tuple[float, T]]:
    """What the stream holds, each at its own second after `start` (of `time.monotonic`), until `stop` is set.

    An open loop: the schedule does not wait for whoever takes the events, so a slow broker shows as a
    delay and never as a lower rate.
    """
    for due, content in stream:
        wait = start + due - time.monotonic()
        if stop.wait(wait) if wait > SHORTEST_S else stop.is_set():
            return
        yield due, content
