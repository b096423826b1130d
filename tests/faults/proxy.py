"""A TCP proxy on the way between two servers, which can lose what it carries.

It runs in a thread with an event loop of its own; its methods are called from tests and return when
their effect is there. ``heal`` ends all of them but ``cut``, whose effect is over at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tests.servers import Cluster, Front

_BLOCK_BYTES = 1 << 16
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for no time. What is closed then is reset (socket(7))."""


class TcpProxy:
    """Forwards connections on ``port`` to ``target_port``, both on loopback."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._links: set[_Link] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._refuses = False
        self._resets = True
        self._left: dict[str, int] = {}
        self._held_text = b""
        self.held_bytes = 0
        """What arrived since ``stall`` and was not forwarded."""
        self.broken = 0
        """How many connections were cut so far."""

    def __enter__(self) -> TcpProxy:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._links)

    def cut(self, *, reset: bool = True) -> None:
        """End all connections: with a reset, or as if both sides had closed them."""
        self._run(self._cut(reset))

    def refuse(self) -> None:
        """Reset every new connection."""
        self._run(self._set(lambda: setattr(self, "_refuses", True)))

    def stall(self) -> None:
        """Forward nothing more."""
        self._run(self._set(self._flows.clear))

    def hold_answers(self, text: str) -> None:
        """Forward everything up to the next answer to a client that contains ``text``."""
        self._run(self._set(lambda: setattr(self, "_held_text", text.encode())))

    def cut_after(
        self, *, to_server: int | None = None, to_client: int | None = None, reset: bool = True
    ) -> None:
        """End the connection in which so many more bytes, over all connections, have been
        forwarded in that direction, and every later one that forwards any."""
        left = {"server": to_server, "client": to_client}

        def change() -> None:
            self._left = {side: count for side, count in left.items() if count is not None}
            self._resets = reset

        self._run(self._set(change))

    def heal(self) -> None:
        """Forward everything again, what was held back first."""

        def change() -> None:
            self._refuses = False
            self._left = {}
            self._held_text = b""
            self.held_bytes = 0
            self._flows.set()

        self._run(self._set(change))

    # --- In the loop's thread ------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _set(self, change: Callable[[], object]) -> None:
        change()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        await self._cut(reset=True)

    async def _cut(self, reset: bool) -> None:
        links = list(self._links)
        self.broken += len(links)
        for link in links:
            link.end(reset)
            link.task.cancel()
        for link in links:
            await link.ended.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Side(reader, writer)
        if self._refuses:
            client.close(reset=True)
            return
        try:
            server = Side(*await asyncio.open_connection("127.0.0.1", self.target_port))
        except OSError:
            client.close(reset=True)
            return
        pumps = [
            asyncio.ensure_future(self._pump(client, server, "server")),
            asyncio.ensure_future(self._pump(server, client, "client")),
        ]
        task = asyncio.current_task()
        assert task is not None
        link = _Link(client, server, task)
        self._links.add(link)
        try:
            # ``cut`` cancels this task; asyncio would report that as an error.
            with contextlib.suppress(asyncio.CancelledError):
                done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                link.end(reset=any(pump.result() for pump in done))
        finally:
            for pump in pumps:
                pump.cancel()
            self._links.discard(link)
            link.ended.set()

    async def _pump(self, source: Side, sink: Side, to: str) -> bool:
        """Forward until the end; whether that is to be a reset."""
        try:
            return await self._forward(source, sink, to)
        except OSError:
            return True

    async def _forward(self, source: Side, sink: Side, to: str) -> bool:
        while data := await source.reader.read(_BLOCK_BYTES):
            if self._held_text and to == "client" and self._held_text in data:
                self._flows.clear()
            if not self._flows.is_set():
                self.held_bytes += len(data)
                await self._flows.wait()
            left = self._left.get(to)
            if left is not None:
                data = data[:left]
                self._left[to] = left - len(data)
            await sink.send(data)
            if left is not None and not self._left.get(to):
                self.broken += 1
                return self._resets
        await self._flows.wait()
        return False


@dataclass(frozen=True, slots=True)
class Side:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send, and return when the kernel has it."""
        self.writer.transport.set_write_buffer_limits(0)
        self.writer.write(data)
        await self.writer.drain()

    def close(self, reset: bool) -> None:
        if self.writer.is_closing():
            return
        if reset:
            connection: socket.socket = self.writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.writer.transport.abort()
        else:
            self.writer.close()


class _Link:
    """A connection through the proxy. The end of one direction is that of both."""

    def __init__(self, client: Side, server: Side, task: asyncio.Task[None]) -> None:
        self._sides = (client, server)
        self.task = task
        self.ended = asyncio.Event()

    def end(self, reset: bool) -> None:
        for side in self._sides:
            side.close(reset)


@dataclass(frozen=True)
class ProxiedFront:
    """A front-end, and the proxies between it and the daemons."""

    front: Front
    metadata: TcpProxy
    data: TcpProxy

    def heal(self) -> None:
        """Let everything through again."""
        self.metadata.heal()
        self.data.heal()


@contextlib.contextmanager
def front_behind_proxies(
    running: Cluster, *, call_timeout_ms: int = 30_000
) -> Iterator[ProxiedFront]:
    """One more front-end of a cluster, which reaches the daemons through proxies."""
    with TcpProxy(running.metadata_port) as metadata, TcpProxy(running.data_port) as data:
        host = {"host": "127.0.0.1"}
        client = {**host, "port": metadata.port, "callTimeoutMs": call_timeout_ms}
        settings = {"metadataClient": client, "dataClient": {**host, "port": data.port}}
        front = running.add_front(settings=settings, beside=False)
        yield ProxiedFront(front, metadata, data)
