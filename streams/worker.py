"""The worker: a Faust app with one agent that takes chunks of events."""

import asyncio
import gc
import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import faust
from faust.types import TP
from mode.supervisors import CrashingSupervisor

from recsys.engine import Engine
from recsys.keys import Keys
from recsys.layout import Layout, claim
from recsys.store import RedisStore, connect
from streams import topics
from streams.counting import Counting
from streams.driver import ChunkConsumer, Records, use_chunks
from streams.outbox import Outbox, new_producer
from streams.positions import Log, find_positions, in_words
from streams.publishing import Outcome, Publishing
from streams.settings import Settings
from streams.warmup import warm_up
from streams.watchdog import watch

SESSION_TIMEOUT_S = 10.0
"""A worker that died without leaving its group holds its partitions this long."""
HEARTBEAT_S = 2.0
STOP_S = 9.0
"""After a signal a worker has 10 s."""
DRAIN_S, STOP_APP_S, STOP_PRODUCER_S = 1.0, 5.0, 1.0
"""How long each part may take to end."""
CHUNK_RECORDS = 1000
FETCH_BYTES = 1 << 20

log = logging.getLogger("freshet.worker")


async def run(settings: Settings) -> None:
    """Runs a worker until it is cancelled. Raises what ended it otherwise."""
    async with AsyncExitStack() as stack:
        redis = connect(settings.redis)
        stack.push_async_callback(redis.aclose)
        await redis.ping()
        await asyncio.to_thread(topics.create_missing, settings)
        producer = new_producer(settings.bootstrap)
        await producer.start()
        # An idempotent producer waits for its broker for ever; what it still holds is written again after the next start.
        stack.push_async_callback(within, STOP_PRODUCER_S, producer.stop)
        outbox = Outbox(producer)

        events = settings.topic(topics.EVENTS)
        store, keys = RedisStore(redis), Keys(settings.key_prefix)
        partitions = await outbox.partitions(events)
        await claim(store, keys, Layout(events, partitions))
        engine = Engine(store, keys, settings.rules, settings.retention_s)
        rejected_partitions = await outbox.partitions(settings.topic(topics.REJECTED))
        counting = Counting(settings, engine, outbox, partitions, rejected_partitions)
        publishing = Publishing(settings, engine, store, outbox)
        await asyncio.to_thread(warm_up, settings.rules)
        gc.freeze()  # what is loaded by now stays: collections need not look at it

        app = build_app(settings, engine, counting, publishing)
        background = [
            asyncio.create_task(coroutine)
            for coroutine in (
                publishing.run(),
                publishing.keep_trending(),
                watch(settings.bootstrap, events, lambda: counting.counted),
                serve(app),
            )
        ]
        try:
            done, _ = await asyncio.wait(background, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            log.info("stopping")
            await within(DRAIN_S, publishing.drain)
            await within(STOP_APP_S, app.stop)
            for task in background:
                task.cancel()


async def within(seconds: float, stop: Callable[[], Awaitable[object]]) -> None:
    """Lets something end, but not for longer than `seconds`."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop(), seconds)


def cancel_on_signals(task: "asyncio.Task[None]") -> None:
    """SIGTERM and SIGINT cancel `task`, once; whatever still hangs after that is left behind in time."""

    def cancel() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: None)
        task.cancel()
        last_resort = threading.Timer(STOP_S, os._exit, [0])
        last_resort.daemon = True
        last_resort.start()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, cancel)


async def serve(app: faust.App) -> None:
    """Runs the app until one of its services crashes, and raises why."""
    await app.start()
    await app._crashed.wait()
    raise app.crash_reason or RuntimeError("a service of the worker ended without a reason")


def build_app(settings: Settings, engine: Engine, counting: Counting, publishing: Publishing) -> faust.App:
    """The Faust app: settings for quick recovery, no tables, no web server, one agent."""
    app = faust.App(
        group_id(settings),
        broker=settings.broker,
        store="memory://",
        datadir=Path(tempfile.gettempdir()),
        autodiscover=False,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        agent_supervisor=CrashingSupervisor,
        value_serializer="raw",
        key_serializer="raw",
        broker_session_timeout=SESSION_TIMEOUT_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_request_timeout=20.0,
        broker_commit_interval=1.0,
        broker_max_poll_records=CHUNK_RECORDS,
        consumer_max_fetch_size=FETCH_BYTES,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
    )

    async def positions(consumer: ChunkConsumer, assigned: frozenset[TP]) -> Mapping[TP, int]:
        ordered = sorted(assigned)
        first = await consumer.earliest_offsets(*ordered)
        end = await consumer.highwaters(*ordered)
        logs = {tp.partition: Log(first[tp], end[tp]) for tp in ordered}
        found = await find_positions(engine, logs, settings.topic(topics.EVENTS), accept_loss=settings.accept_loss)
        counting.counted = {partition: (await engine.position(partition))[0] for partition in found}
        log.info("assigned partitions: %s", in_words(found))
        print(f"freshet worker: ready, partitions {in_words(found)}", file=sys.stderr, flush=True)
        return {tp: found[tp.partition] for tp in ordered}

    use_chunks(app, positions)
    channel = app.topic(settings.topic(topics.EVENTS), key_serializer="raw", value_serializer="raw")

    @app.agent(channel, name="count")  # type: ignore[untyped-decorator]
    async def count(chunks: AsyncIterator[Records]) -> None:
        async for chunk in chunks:
            counted = await counting.count(app.consumer, chunk)
            if counted:
                await publishing.take(Outcome(app.consumer, chunk, counted))
            app.consumer.done(chunk)

    return app


def group_id(settings: Settings) -> str:
    """The consumer group: two systems with other prefixes on one broker are two groups.

    >>> group_id(Settings())
    'freshet'
    """
    return settings.topic_prefix + "".join(c if c.isalnum() or c in "._-" else "-" for c in settings.key_prefix).strip("-")
