"""An HTTP proxy for tests: it connects to one server, whatever host is asked for by CONNECT."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

_BLOCK_BYTES: Final = 64 * 1024


@dataclass
class ConnectProxy:
    """``asked`` are the hosts that were asked for, ``shown`` the credentials that came with it."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)


@contextmanager
def connect_proxy(target_port: int) -> Iterator[ConnectProxy]:
    """A proxy in a thread of its own, as long as the block runs."""
    proxy = ConnectProxy()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            await forward(reader, writer)
        serving.discard(task)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, host, _ = head.split(" ", 2)
        proxy.asked.append(host)
        proxy.shown |= {
            line.partition(": ")[2]
            for line in head.split("\r\n")
            if line.lower().startswith("proxy-authorization: ")
        }
        if method != "CONNECT":
            writer.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target_port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))

    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    serving: set[asyncio.Task[None]] = set()

    async def run() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            proxy.port = server.sockets[0].getsockname()[1]
            started.set()
            await stop.wait()
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving)

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while block := await reader.read(_BLOCK_BYTES):
            writer.write(block)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
