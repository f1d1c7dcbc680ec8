"""The proxy: a TCP connection's way from client to server, which can be cut, delayed, stopped up, or lose replies."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Self, TypeVar

from streams.local.ports import HOST

T = TypeVar("T")

READ_BYTES = 1 << 16
QUIET_S = 0.2
"""After so long without more of a swallowed reply, the whole request has been carried out."""


Half = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Connection:
    """One connection through the proxy, both halves of it."""

    def __init__(self, client: Half, server: Half) -> None:
        self.client, self.to_client = client
        self.server, self.to_server = server
        self.asked = False
        """Whether the client has sent something since the last reply."""
        self.swallowed = False
        """Whether the next reply is to get lost."""

    def close(self) -> None:
        """The client finds it reset; the server still gets what was passed on to it."""
        if not self.to_client.is_closing():
            self.to_client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.to_client.transport.abort()
        self.to_server.close()


class Proxy:
    """Listens on `port` and passes everything on to another port of this machine, in a thread of its own.

    The methods may be called from any thread, and return when they have taken effect.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        self.target = target
        self.port = port
        self.connections: set[Connection] = set()
        self._delay_s = 0.0
        self._to_swallow = 0
        self._needle = b""
        self._loop = asyncio.new_event_loop()
        self._passable = asyncio.Event()
        self._passable.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        try:
            self._server = self._await(self._listen())
        except BaseException:
            self._end_loop()
            raise

    def cut(self) -> int:
        """Cuts all connections; how many there were."""
        return self._do(self._cut)

    def swallow(self, replies: int, needle: bytes = b"") -> None:
        """So many of the next requests that contain `needle` reach the server and lose their reply, and then the connection."""
        self._do(lambda: self._swallow(replies, needle))

    def delay(self, seconds: float) -> None:
        """From now on every reply comes so much later; 0 ends it."""
        self._do(lambda: setattr(self, "_delay_s", seconds))

    def stop_up(self) -> None:
        """Nothing passes any more in either direction, and nobody is told: a black hole."""
        self._do(self._passable.clear)

    def clear(self) -> None:
        """Everything passes again, also what was sent meanwhile."""
        self._do(self._passable.set)

    def close(self) -> None:
        """Cuts all connections and takes no more. May be called again."""
        if self._thread.is_alive():
            self._do(self._server.close)
            self.cut()
            self._await(self._end_tasks())
            self._end_loop()

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._accept, HOST, self.port)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await asyncio.open_connection(HOST, self.target)
        except OSError:  # it is down: the client finds its connection cut
            await self._passable.wait()
            writer.transport.abort()
            return
        connection = Connection((reader, writer), server)
        self.connections.add(connection)
        pumps = [asyncio.ensure_future(self._requests(connection)), asyncio.ensure_future(self._replies(connection))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            await self._passable.wait()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)  # a connection that breaks is what happens here
            connection.close()
            self.connections.discard(connection)

    async def _requests(self, connection: Connection) -> None:
        while data := await connection.client.read(READ_BYTES):
            await self._passable.wait()
            connection.asked = True
            if self._to_swallow and not connection.swallowed and self._needle in data:
                self._to_swallow -= 1
                connection.swallowed = True
            connection.to_server.write(data)
            await connection.to_server.drain()

    async def _replies(self, connection: Connection) -> None:
        while data := await connection.server.read(READ_BYTES):
            if connection.swallowed:
                await self._drain(connection)
                return
            if connection.asked and self._delay_s:
                await asyncio.sleep(self._delay_s)
            connection.asked = False
            await self._passable.wait()
            connection.to_client.write(data)
            await connection.to_client.drain()

    async def _drain(self, connection: Connection) -> None:
        """Reads what the server still says, for nobody."""
        try:
            while await asyncio.wait_for(connection.server.read(READ_BYTES), QUIET_S):
                pass
        except TimeoutError:
            return

    def _cut(self) -> int:
        connections = list(self.connections)
        for connection in connections:
            connection.close()
        return len(connections)

    def _swallow(self, replies: int, needle: bytes) -> None:
        self._to_swallow, self._needle = replies, needle

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, action: Callable[[], T]) -> T:
        """The result of an action in the loop's thread."""

        async def act() -> T:
            return action()

        return self._await(act())

    def _await(self, coroutine: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()
