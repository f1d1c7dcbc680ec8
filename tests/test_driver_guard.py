"""The driver stands on inner methods of Faust and aiokafka: an upgrade that changes them fails here and says where to look."""

import hashlib
import inspect
import textwrap
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.consumer import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher, PartitionRecords
from aiokafka.record.default_records import _DefaultRecordBatchPy
from faust.app.base import App
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer, ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as stock
from mode.threads import QueueServiceThread, ServiceThread

from streams.driver import FAUST_VERSION, ChunkConsumer, ChunkConsumerThread, ChunkTransport

STOOD_ON = {
    Consumer.getmany: "yields to_message(tp, record) for each element of what _fetch_records returns",
    Consumer._wait_next_records: "returns what _getmany fetched",
    Consumer._drain_messages: "drops no message where _read_offset says None; calls _add_gap between messages",
    Consumer.ack: "appends to _acked and _acked_index",
    Consumer._filter_committable_offsets: "asks _new_offset for what may be committed",
    Consumer.perform_seek: "calls seek_to_committed and updates _read_offset in place",
    ThreadDelegateConsumer._getmany: "asks the thread",
    stock.Consumer._to_message: "makes the ConsumerMessage that ours replaces",
    stock.AIOKafkaConsumerThread.__post_init__: "may be extended",
    stock.AIOKafkaConsumerThread._create_worker_consumer: "makes an AIOKafkaConsumer that was not started yet",
    AIOKafkaConsumer.start: "hands _fetch_max_wait_ms to its fetcher",
    App._create_directories: "makes Faust's folders, which we do not need",
    stock.AIOKafkaConsumerThread.getmany: "calls _fetch_records",
    stock.AIOKafkaConsumerThread._fetch_records: "returns a mapping of partition to its records, in order",
    stock.AIOKafkaConsumerThread.assignment: "is not awaited",
    Recovery._resume_streams: "seeks with perform_seek before it resumes the flow, when there are no tables",
    AIOKafkaConsumer.seek: "is synchronous",
    ServiceThread.start: "makes a Worker of the service, starts it, and waits until _serve says that it runs",
    ServiceThread.stop: "stops the service, then its Worker",
    ServiceThread._serve: "is all that runs in the thread: starts, waits until it is stopped, shuts down; tells what ended it",
    ServiceThread._start_thread: "runs _serve, and sets shutdown where it raises",
    ServiceThread._gather_remaining_tasks: "ends every task of the thread's loop",
    QueueServiceThread.call_thread: "runs a function, or awaits it, in the thread, and returns what it returned",
    AIOKafkaConnection.send: "raises KafkaConnectionError where the connection was closed",
    AIOKafkaConnection._send_sasl_token: "raises KafkaConnectionError where the connection was closed",
    AIOKafkaConnection.close: "leaves no _writer",
    AIOKafkaConnection.connected: "is False of a connection that was cut",
    AIOKafkaClient._get_conn: "keeps every connection among the values of _conns",
    Fetcher._proc_fetch_request: "makes the MemoryRecords of its module from the bytes of a partition",
    PartitionRecords._unpack_records: "iterates over the batches and over the records of each, and asks for their properties",
    _DefaultRecordBatchPy._maybe_uncompress: "leaves the records in _buffer from _pos on",
}
"""What the driver calls or overrides, and what it relies on in each."""

DIGESTS = {
    "Consumer.getmany": "e486c434b7928ee8",
    "Consumer._wait_next_records": "ba40cd3671328d3b",
    "Consumer._drain_messages": "8f35dd7a11144daa",
    "Consumer.ack": "5548cf0f75843f73",
    "Consumer._filter_committable_offsets": "4fb75ba687d078b9",
    "Consumer.perform_seek": "2b4ceebd23deb7ee",
    "ThreadDelegateConsumer._getmany": "8dbffeccb0e3267f",
    "Consumer._to_message": "a2a5aefda42d9cd1",
    "AIOKafkaConsumerThread.__post_init__": "21d9b9cc0d165197",
    "AIOKafkaConsumerThread._create_worker_consumer": "c179c0bdb9755c3a",
    "AIOKafkaConsumer.start": "5ba1baa38f6246a0",
    "App._create_directories": "11b6b0b79e317509",
    "AIOKafkaConsumerThread.getmany": "1b1c58046a9b2bb7",
    "AIOKafkaConsumerThread._fetch_records": "9e7369fc572de4d0",
    "AIOKafkaConsumerThread.assignment": "259720cd491412f0",
    "Recovery._resume_streams": "fbe0f747b84c0b27",
    "AIOKafkaConsumer.seek": "fec4e1829687b7a8",
    "ServiceThread.start": "ecd8f1bcf3eadb5d",
    "ServiceThread.stop": "22d5a8dad369a585",
    "ServiceThread._serve": "584d278fb3680da7",
    "ServiceThread._start_thread": "22434db1314bb4a9",
    "ServiceThread._gather_remaining_tasks": "72a184791b6c5837",
    "QueueServiceThread.call_thread": "d1304f73ca65376d",
    "AIOKafkaConnection.send": "360d12e20e646dfb",
    "AIOKafkaConnection._send_sasl_token": "1d7b49df9df275e9",
    "AIOKafkaConnection.close": "7772fd3aee39df02",
    "AIOKafkaConnection.connected": "515f0348b12cdab4",
    "AIOKafkaClient._get_conn": "1eaeaab224047a09",
    "Fetcher._proc_fetch_request": "ace04969424fc674",
    "PartitionRecords._unpack_records": "047f7fc3f005c220",
    "_DefaultRecordBatchPy._maybe_uncompress": "373cfd89b30da68e",
}
"""Digest of each method's source as it was when the driver was written and tested against it."""


def digest(method: Callable[..., Any]) -> str:
    return hashlib.sha256(textwrap.dedent(inspect.getsource(method)).encode()).hexdigest()[:16]


def test_faust_is_the_version_that_the_driver_was_written_for() -> None:
    assert version("faust-streaming") == FAUST_VERSION, (
        "Faust was upgraded: read the changes of every method in STOOD_ON, run `make test`, then set FAUST_VERSION"
    )


@pytest.mark.parametrize("method", STOOD_ON, ids=lambda method: method.__qualname__)
def test_an_inner_method_is_what_it_was(method: Callable[..., Any]) -> None:
    assert digest(method) == DIGESTS[method.__qualname__], (
        f"{method.__qualname__} has changed. The driver relies on this: it {STOOD_ON[method]}. Check that it still holds, "
        f"run the tests with real servers, then note the new digest {digest(method)}"
    )


def test_what_the_driver_overrides_exists() -> None:
    for ours, theirs in ((ChunkConsumer, stock.Consumer), (ChunkConsumerThread, stock.AIOKafkaConsumerThread)):
        overridden = {name for name, value in vars(ours).items() if inspect.isfunction(value) and hasattr(theirs, name)}
        assert overridden, f"{ours.__name__} overrides nothing of {theirs.__name__}"
    assert hasattr(stock.Transport, "Consumer")
    assert ChunkTransport.Consumer is ChunkConsumer
    for name in ("_new_consumer_thread", "_to_message", "seek_to_committed", "_new_offset", "_add_gap"):
        assert hasattr(stock.Consumer, name), f"Faust has no Consumer.{name} any more: the driver's is never called"
