"""The Faust app: one agent that takes chunks of events, and where it reads on after every rebalance."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import faust
from faust.types import TP
from mode.supervisors import CrashingSupervisor

from recsys.engine import Engine, LostPartition
from recsys.layout import LayoutChanged
from streams import topics
from streams.counting import Counting
from streams.driver import App, ChunkConsumer, Records, use_chunks
from streams.lease import HEARTBEAT_S, SESSION_TIMEOUT_S
from streams.positions import Log, find_positions, in_words
from streams.publishing import Publishing
from streams.settings import Settings

REQUEST_TIMEOUT_S = 20.0
COMMIT_S = 1.0
CHUNK_RECORDS = 1000
FETCH_BYTES = 1 << 16
"""Of a partition at once. With baskets of many items it is the bytes that bound a worker's memory, not the records."""

log = logging.getLogger("freshet.worker")


def build_app(
    settings: Settings, engine: Engine, counting: Counting, publishing: Publishing, when_ready: Callable[[str], None]
) -> faust.App:
    """An app set for quick recovery, without tables or a web server. Calls `when_ready` once, with its partitions in words."""
    app = App(
        group_id(settings),
        broker=settings.broker,
        broker_credentials=settings.brokers.credentials(),
        store="memory://",
        autodiscover=False,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        agent_supervisor=CrashingSupervisor,
        value_serializer="raw",
        key_serializer="raw",
        broker_session_timeout=SESSION_TIMEOUT_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_request_timeout=REQUEST_TIMEOUT_S,
        broker_commit_interval=COMMIT_S,
        broker_max_poll_records=CHUNK_RECORDS,
        consumer_max_fetch_size=FETCH_BYTES,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
    )
    announce = _announcer(when_ready)

    async def positions(consumer: ChunkConsumer, assigned: frozenset[TP]) -> Mapping[TP, int]:
        """Where to read on in partitions that were assigned, just now or earlier."""
        ordered = sorted(assigned)
        check_partitions(ordered, counting.partitions)
        first = await consumer.earliest_offsets(*ordered)
        end = await consumer.highwaters(*ordered)
        logs = {tp.partition: Log(first[tp], end[tp]) for tp in ordered}
        committed = await consumer.committed(ordered)
        told = {tp.partition: offset - 1 for tp, offset in committed.items()}
        found = await find_positions(engine, logs, told, settings.topic(topics.EVENTS), accept_loss=settings.accept_loss)
        back = {tp: found[tp.partition] for tp in ordered if committed.get(tp) != found[tp.partition]}
        if back and not await consumer.commit_back(back):
            raise LostPartition(f"partitions {in_words(tp.partition for tp in back)} were given to another worker meanwhile")
        for partition in found:
            counted, published = await engine.position(partition)
            counting.counted[partition] = counted
            publishing.marks.begin(partition, published)
        # Faust also seeks in the midst of a rebalance: some of these partitions may be another worker's by now, and others may
        # have become ours, which are being sought still. And some of what we have is sought alone, where it is read again.
        mine = {tp.partition for tp in consumer.assignment()}
        publishing.marks.keep(mine)
        if mine and publishing.marks.offsets.keys() == mine:
            announce(in_words(mine))
        return {tp: found[tp.partition] for tp in ordered}

    use_chunks(app, positions, publishing.settle, publishing.marks.offsets)
    channel = app.topic(settings.topic(topics.EVENTS), key_serializer="raw", value_serializer="raw")

    @app.agent(channel, name="count")  # type: ignore[untyped-decorator]
    async def count(chunks: AsyncIterator[Records]) -> None:
        async for chunk in chunks:
            await counting.take(chunk)

    @app.on_rebalance_complete.connect  # type: ignore[untyped-decorator]
    async def without_partitions(*_: Any, **__: Any) -> None:
        """Where others have all partitions there is nothing to seek, so Faust does not ask for positions."""
        if not app.consumer.assignment():
            publishing.marks.keep(())
            announce("none (others have them all)")

    return app


def _announcer(when_ready: Callable[[str], None]) -> Callable[[str], None]:
    """Says which partitions the worker has, where that is news; the first time that is the sign that it is ready."""
    said: str | None = None

    def announce(partitions: str) -> None:
        nonlocal said
        if partitions == said:
            return
        log.info("ready, has partitions: %s", partitions)
        if said is None:
            when_ready(partitions)
        said = partitions

    return announce


def check_partitions(assigned: Sequence[TP], partitions: int) -> None:
    """Raises `LayoutChanged` where partitions were added while the worker ran."""
    added = [tp.partition for tp in assigned if tp.partition >= partitions]
    if added:
        raise LayoutChanged(
            f"the topic {assigned[0].topic} has a partition {max(added)} now, the state was built with {partitions}: "
            "`freshet rebuild` builds it anew from the topic"
        )


def group_id(settings: Settings) -> str:
    """The consumer group: two systems with other prefixes on one broker are two groups.

    >>> group_id(Settings())
    'freshet'
    >>> group_id(Settings(key_prefix="shop:"))
    'freshet-shop-621a1f4d'
    """
    prefixes = settings.topic_prefix, settings.key_prefix
    if prefixes == ("", "freshet:"):
        return "freshet"
    readable = "".join(c if c.isalnum() or c in "._-" else "-" for c in "".join(prefixes)).strip("-")
    return f"freshet-{readable}-{blake2b(repr(prefixes).encode(), digest_size=4).hexdigest()}"
