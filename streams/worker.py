"""The worker: a Faust app with one agent that takes chunks of events."""

import asyncio
import logging
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
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
from streams.driver import ChunkConsumer, Records, use_chunks
from streams.outbox import Outbox, new_producer
from streams.pipeline import TRENDING_EVERY_S, Pipeline
from streams.positions import Log, find_positions, in_words
from streams.settings import Settings
from streams.warmup import warm_up
from streams.watchdog import watch

SESSION_TIMEOUT_S = 10.0
"""A worker that died without leaving its group holds its partitions this long."""
HEARTBEAT_S = 2.0
STOP_WITHIN_S = 8.0
CHUNK_RECORDS = 1000
CHUNKS_WAITING = 4
FETCH_BYTES = 1 << 20

log = logging.getLogger("freshet.worker")


async def run(settings: Settings) -> None:
    """Runs a worker until SIGTERM or SIGINT. Raises what ended it otherwise."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        redis = connect(settings.redis)
        stack.push_async_callback(redis.aclose)
        await redis.ping()
        await asyncio.to_thread(topics.create_missing, settings)
        producer = new_producer(settings.bootstrap)
        await producer.start()
        stack.push_async_callback(producer.stop)
        outbox = Outbox(producer)

        events = settings.topic(topics.EVENTS)
        store, keys = RedisStore(redis), Keys(settings.key_prefix)
        partitions = await outbox.partitions(events)
        await claim(store, keys, Layout(events, partitions))
        engine = Engine(store, keys, settings.rules, settings.retention_s)
        pipeline = Pipeline(
            settings, engine, store, outbox, partitions, await outbox.partitions(settings.topic(topics.REJECTED))
        )
        await asyncio.to_thread(warm_up, settings.rules)
        await engine.trending()

        app = build_app(settings, pipeline, engine)
        background = [
            asyncio.create_task(coroutine)
            for coroutine in (
                watch(settings.bootstrap, events, lambda: pipeline.counted),
                keep_trending(pipeline),
                stop.wait(),
                app_crash(app),
            )
        ]
        try:
            await app.start()
            done, _ = await asyncio.wait(background, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in background:
                task.cancel()
            log.info("stopping")
            with suppress(TimeoutError):
                await asyncio.wait_for(app.stop(), STOP_WITHIN_S)


async def app_crash(app: faust.App) -> None:
    """Waits until a service of the app crashes, and raises why."""
    await app._crashed.wait()
    raise app.crash_reason or RuntimeError("a service of the worker ended without a reason")


async def keep_trending(pipeline: Pipeline) -> None:
    """Publishes what is popular after the last event of a burst, too."""
    while True:
        await asyncio.sleep(TRENDING_EVERY_S)
        await pipeline.refresh_trending()


def build_app(settings: Settings, pipeline: Pipeline, engine: Engine) -> faust.App:
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
        stream_buffer_maxsize=CHUNKS_WAITING,
        stream_wait_empty=False,
    )

    async def positions(consumer: ChunkConsumer, assigned: frozenset[TP]) -> Mapping[TP, int]:
        ordered = sorted(assigned)
        first = await consumer.earliest_offsets(*ordered)
        end = await consumer.highwaters(*ordered)
        logs = {tp.partition: Log(first[tp], end[tp]) for tp in ordered}
        found = await find_positions(engine, logs, settings.topic(topics.EVENTS), accept_loss=settings.accept_loss)
        pipeline.counted = {partition: (await engine.position(partition))[0] for partition in found}
        log.info("assigned partitions: %s", in_words(found))
        print(f"freshet worker: ready, partitions {in_words(found)}", file=sys.stderr, flush=True)
        return {tp: found[tp.partition] for tp in ordered}

    use_chunks(app, positions)
    channel = app.topic(settings.topic(topics.EVENTS), key_serializer="raw", value_serializer="raw")

    @app.agent(channel, name="count")  # type: ignore[untyped-decorator]
    async def count(chunks: AsyncIterator[Records]) -> None:
        async for chunk in chunks:
            await pipeline.process(app.consumer, chunk)

    return app


def group_id(settings: Settings) -> str:
    """The consumer group: two systems with other prefixes on one broker are two groups.

    >>> group_id(Settings())
    'freshet'
    """
    return settings.topic_prefix + "".join(c if c.isalnum() or c in "._-" else "-" for c in settings.key_prefix).strip("-")
