"""An agent to compare with: an app as Faust's documentation sets it up, and a line now and then that says how far it is.

Only what starts and ends it is ours. It runs on uvloop, as a worker does: else the loop would be compared, too.
"""

import asyncio
import os
import signal
import sys
import time
from typing import Any

import faust
import uvloop

from streams.app import group_id
from streams.driver import App
from streams.settings import Settings

TELL_S = 0.1
SEEN = "seen"
"""What the lines begin with; then how many events, and when the newest was done, in ns since 1970."""


class Seen:
    """How many events are done."""

    def __init__(self) -> None:
        self.count = self.at_ns = 0

    def one(self) -> None:
        self.count += 1
        self.at_ns = time.time_ns()


def stock_app(settings: Settings) -> faust.App:
    """An app with Faust's defaults; only what would open a port, or make topics or folders, is off."""
    return App(
        group_id(settings),
        broker=settings.broker,
        broker_credentials=settings.brokers.credentials(),
        store="memory://",
        value_serializer="raw",
        key_serializer="raw",
        autodiscover=False,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
    )


def run(app: faust.App, seen: Seen) -> None:
    """Runs it until SIGTERM."""

    @app.on_rebalance_complete.connect  # type: ignore[untyped-decorator]
    async def ready(*_: Any, **__: Any) -> None:
        say("ready")

    async def tell() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
        await app.start()
        told = -1
        while not app.should_stop:
            await asyncio.sleep(TELL_S)
            if seen.count != told:
                told = seen.count
                say(f"{SEEN} {seen.count} {seen.at_ns}")
        raise app.crash_reason or RuntimeError("the agent ended without a reason")

    uvloop.run(tell())


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def seen_in(line: str) -> tuple[int, int]:
    """What a line says.

    >>> seen_in("seen 12 1700000000000000000"), seen_in("ready")
    ((12, 1700000000000000000), (0, 0))
    """
    if not line.startswith(SEEN):
        return 0, 0
    _, count, at_ns = line.split()
    return int(count), int(at_ns)
