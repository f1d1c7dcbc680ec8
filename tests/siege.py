"""The siege: hostile records through a real Kafka and a real worker, then the whole topic recounted and compared."""

import asyncio
import random
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.record.util import calc_crc32c
from hostile import Sent, records
from kafka.admin import KafkaAdminClient
from oracle import recount
from redis import Redis
from test_laws import KEYS, assert_counts_are
from trial import PARTITIONS, Desk, Outcomes, Topic, compare
from workers import Worker

from recsys.keys import Keys
from recsys.store import MemoryStore
from streams.lag import read_published, read_spans, total_behind
from streams.outbox import Outgoing
from streams.record_batches import use_batches
from streams.settings import Settings
from streams.topics import create_missing

CODECS = (None, "gzip", "lz4", "zstd")
LARGEST_BATCH = 1_000_000
BATCH_BYTES = 100_000
MARKER = b"naXe"
"""A header's name that becomes one which is not UTF-8, after the client has encoded it."""
STANDSTILL_S = 60.0
Told = Callable[[float, int], None]


class Undone(RuntimeError):
    """The worker ended, or does not come to the end of the topic."""


def prepare(settings: Settings) -> None:
    """Makes the topics; that of events takes any timestamp, as older brokers do."""
    configs = {"message.timestamp.after.max.ms": str(2**63 - 1)}
    with KafkaAdminClient(**settings.brokers.connection()) as admin:
        admin.create_topics({settings.topic("events"): {"num_partitions": PARTITIONS, "configs": configs}})
    create_missing(settings)


def besiege(settings: Settings, worker: Worker, seed: int, inputs: int, told: Told) -> Outcomes:
    """Sends so many records to a running worker, and says what became of them."""
    use_batches()
    asyncio.run(send(settings, seed, inputs, told))
    wait_until_done(settings, worker)
    topic, desk = Topic(random.Random(seed)), Desk(Topic(random.Random(seed)))
    for record in asyncio.run(read(settings, "events")):
        topic.partitions[record.partition].append(record)
    for record in asyncio.run(read(settings, "rejected")):
        said = dict(record.headers)
        desk.rejected[int(said["partition"]), int(said["offset"])] = Outgoing(0, record.key, record.value, record.headers)
    for record in sorted(asyncio.run(read(settings, "recommendations")), key=lambda r: r.offset):
        desk.recommend(record.key, record.value)
    truth = recount(topic.as_recounted(), PARTITIONS, topic=settings.topic("events"))
    differences = list(compare(truth, topic, desk))
    if truth.arrived != set(truth.forwarded):
        differences.append(f"{len(truth.arrived ^ set(truth.forwarded))} records were not forwarded once")
    try:
        assert_counts_are(truth, state(settings), PARTITIONS, settings.rules)
    except AssertionError as error:
        differences.append(f"counts differ: {str(error)[:500]}")
    return Outcomes(
        inputs, sum(truth.interactions.values()), len(desk.rejected), len(truth.forwarded), len(truth.repeated),
        len(desk.recommended), differences,
    )  # fmt: skip


async def send(settings: Settings, seed: int, inputs: int, told: Told) -> None:
    """Sends the records, in batches of every compression."""
    producers = [
        AIOKafkaProducer(
            **settings.brokers.connection(),
            max_batch_size=LARGEST_BATCH,
            max_request_size=LARGEST_BATCH,
            compression_type=c,
        )
        for c in CODECS
    ]
    for producer in producers:
        await producer.start()
    rng = random.Random(seed)
    try:
        done = 0
        for batch in in_batches(rng, inputs):
            producer = producers[0] if len(batch) == 1 else rng.choice(producers)
            built = producer.create_batch()
            for sent in batch:
                assert built.append(key=sent.key, value=sent.value, timestamp=sent.timestamp, headers=list(sent.headers))
            built.close()
            if producer is producers[0]:
                spoil(built)
            partition = batch[0].partition
            await (await producer.send_batch(built, settings.topic("events"), partition=partition))
            done += len(batch)
            told(done / inputs, done)
    finally:
        for producer in producers:
            await producer.stop()


def in_batches(rng: random.Random, inputs: int) -> Iterator[list[Sent]]:
    """The records by partition, in batches as producers make them; a few alone, as large as a broker takes."""
    waiting: dict[int, list[Sent]] = {partition: [] for partition in range(PARTITIONS)}
    now_ms = int(time.time() * 1000) - 3_600_000
    for sent in records(rng, inputs, PARTITIONS, now_ms):
        if rng.random() < 0.001:
            yield [enlarged(rng, sent)]
            continue
        if rng.random() < 0.01:
            sent = sent._replace(headers=(*sent.headers, (MARKER.decode(), b"x")))  # noqa: PLW2901
        here = waiting[sent.partition]
        here.append(sent)
        if sum(len(s.value or b"") for s in here[-200:]) > BATCH_BYTES or len(here) >= rng.choice([1, 50, 500]):
            yield here
            waiting[sent.partition] = []
    yield from (batch for batch in waiting.values() if batch)


def enlarged(rng: random.Random, sent: Sent) -> Sent:
    """Just what fits into a batch of a megabyte, in the value, the key, the headers or all of them."""
    return rng.choice(
        [
            sent._replace(value=rng.randbytes(990_000), headers=()),
            sent._replace(key=b"k" * 880_000, value=b"{", headers=()),
            sent._replace(key=b"k", value=None, headers=(("h", b"h" * 950_000),)),
            sent._replace(key=b"k" * 300_000, value=b"{" * 300_000, headers=(("h", b"h" * 300_000),)),
        ]
    )


def spoil(built: Any) -> None:
    """Makes the marked names of headers undecodable."""
    data = bytearray(built._build().replace(MARKER, b"\xffa\xc3e"))
    data[17:21] = struct.pack(">I", calc_crc32c(bytes(data[21:])))
    built._buffer = data


def wait_until_done(settings: Settings, worker: Worker) -> None:
    """Returns when everything is counted and published. Raises `Undone`."""
    least, since = None, time.monotonic()
    with Redis.from_url(settings.redis) as client:
        while True:
            published = read_published(client, Keys(settings.key_prefix), range(PARTITIONS))
            behind = total_behind(read_spans(settings.brokers, settings.topic("events")), published)
            if not behind:
                return
            if least is None or behind < least:
                least, since = behind, time.monotonic()
            if worker.code is not None or time.monotonic() - since > STANDSTILL_S:
                raise Undone(f"{behind} records are left; the worker said: {worker.stderr[-2000:]}")
            time.sleep(0.3)


async def read(settings: Settings, name: str) -> list[ConsumerRecord]:
    """All records that a topic holds."""
    topic, found = settings.topic(name), []
    async with AIOKafkaConsumer(**settings.brokers.connection(), auto_offset_reset="earliest") as consumer:
        partitions = [TopicPartition(topic, number) for number in read_spans(settings.brokers, topic)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for part in (await consumer.getmany(timeout_ms=500)).values():
                found += part
    return found


def state(settings: Settings) -> MemoryStore:
    """All keys of the worker, under the prefix that the laws are tested with."""
    store = MemoryStore()
    with Redis.from_url(settings.redis) as client:
        keys = list(client.scan_iter(f"{settings.key_prefix}*", count=1000))
        for key, value in zip(keys, client.mget(keys), strict=True):
            store.values[KEYS.prefix + key.decode().removeprefix(settings.key_prefix)] = value
    return store
