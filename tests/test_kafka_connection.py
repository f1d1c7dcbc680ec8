"""A connection to Kafka that was cut is told as such, on uvloop as on asyncio's own loop."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop
from aiokafka import conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from streams.kafka_connection import Connection

[THEIRS] = Connection.__bases__
"""What `conn.AIOKafkaConnection` was before it was replaced, perhaps by another test."""


async def write_to_a_cut_connection(kind: type[conn.AIOKafkaConnection], broker: str) -> None:
    """Writes when the transport is closed and the task that reads has not noticed yet."""
    host, port = broker.removeprefix("kafka://").split(":")
    connection = kind(host, int(port))
    await connection.connect()
    await connection.send(ApiVersionRequest())
    connection._writer.transport.abort()
    await asyncio.sleep(0)
    try:
        await connection.send(ApiVersionRequest())
    finally:
        assert not connection.connected()
        connection.close()


@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.SelectorEventLoop], ids=["uvloop", "asyncio"])
def test_to_write_to_a_cut_connection_is_an_error_of_kafka(loop: Callable[[], asyncio.AbstractEventLoop], broker: str) -> None:
    with asyncio.Runner(loop_factory=loop) as runner, pytest.raises(KafkaConnectionError):
        runner.run(write_to_a_cut_connection(Connection, broker))


def test_on_uvloop_aiokafkas_own_connection_raises_what_aiokafka_does_not_know(broker: str) -> None:
    """When this fails, `streams/kafka_connection.py` can go."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, pytest.raises(RuntimeError, match="TCPTransport closed"):
        runner.run(write_to_a_cut_connection(THEIRS, broker))
