"""Connections to Kafka as aiokafka has them, but for one thing: on uvloop, too, one that was cut is told as such.

uvloop raises a `RuntimeError` where a connection that was cut is written to, until its reader has noticed, and asyncio's own
loop does not. aiokafka expects an `OSError` there: what it does not know ends its background tasks, and with them a consumer.
"""

from typing import Any

from aiokafka import conn


class Connection(conn.AIOKafkaConnection):  # type: ignore[misc]
    """Takes the place of aiokafka's connection: to write where the connection was cut raises `KafkaConnectionError`."""

    def send(self, request: Any, expect_response: bool = True) -> Any:
        self._close_if_cut()
        return super().send(request, expect_response)

    def _send_sasl_token(self, payload: bytes, expect_response: bool = True) -> Any:
        self._close_if_cut()
        return super()._send_sasl_token(payload, expect_response)

    def _close_if_cut(self) -> None:
        if self._writer is not None and self._writer.is_closing():
            self.close(reason=conn.CloseReason.CONNECTION_BROKEN)  # from here on aiokafka knows


def use_connections() -> None:
    """Makes every consumer and every producer of this process connect so."""
    conn.AIOKafkaConnection = Connection
