"""An HTTP proxy for tests: opens tunnels, forwards plain requests, and asks for a password.

Whatever name it is asked for, it connects to one port of this machine.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator

_BLOCK_BYTES = 1 << 16


class ForwardProxy:
    """``targets`` are the requests that it has had: ``CONNECT there:443``, ``GET http://…``. Those
    that ``refuses`` says yes to are answered as by an S3 service that does not allow them."""

    refuses: Callable[[str], bool] = staticmethod(lambda _request: False)

    def __init__(self, target_port: int, user: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.target_port = target_port
        self.port = 0
        self.targets: list[str] = []
        self._wanted = f"Basic {base64.b64encode(user.encode()).decode()}" if user else None
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._forward(reader, writer)
        self._tasks.discard(task)
        writer.close()

    async def close(self) -> None:
        """End all connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        method, target, _ = lines[0].split(" ")
        self.targets.append(f"{method} {target}")
        if self.refuses(self.targets[-1]):
            body = b"" if method == "HEAD" else b"<Error><Code>AccessDenied</Code></Error>"
            length = f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(f"HTTP/1.1 403 Forbidden\r\n{length}".encode() + body)
            return
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        if self._wanted is not None and headers.pop("Proxy-Authorization", "") != self._wanted:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        there, to_there = await asyncio.open_connection("127.0.0.1", self.target_port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
        else:
            path = "/" + target.removeprefix("http://").partition("/")[2]
            kept = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            # One request for each connection, as the next one may be for another server.
            to_there.write(f"{method} {path} HTTP/1.1\r\n{kept}Connection: close\r\n\r\n".encode())
        sending = asyncio.ensure_future(_pump(reader, to_there))
        try:
            await _pump(there, writer)
        finally:
            sending.cancel()
            await asyncio.wait([sending])
            to_there.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_BLOCK_BYTES):
            sink.write(data)
            await sink.drain()


@contextlib.contextmanager
def forward_proxy(
    target_port: int, user: str = "", tls: ssl.SSLContext | None = None
) -> Iterator[ForwardProxy]:
    """A proxy in a thread, until the block ends."""
    proxy, loop = ForwardProxy(target_port, user, tls), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(proxy.listen(), loop).result(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(proxy.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
