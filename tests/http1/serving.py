"""A lean server under a handler of the test's, on every kind of loop and socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from shared.http1.connection import ServerConnection
from shared.http1.exchange import Answer, Exchange
from shared.http1.server import Handler, HttpServer, HttpSettings
from tests.api.data_server import RecordingLog

DEADLINE_SECONDS = 20.0
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
KINDS = ("tcp", "unix")
SETTINGS = HttpSettings(keep_alive_seconds=30, receive_buffer_bytes=64 * 1024)


def run(loop: str, scenario: Awaitable[None]) -> None:
    """Run a scenario to its end, within the deadline."""

    async def within_deadline() -> None:
        async with asyncio.timeout(DEADLINE_SECONDS * 2):
            await scenario

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(within_deadline())


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds; fail when it does not within the deadline."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        await asyncio.sleep(0.001)


@dataclass
class Peer:
    """A client that sends bytes as they are."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def response(self, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Status, headers by lower-case names, and body of the next response."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head[:-4].split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = b""
        if method != "HEAD":
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split()[1]), headers, body

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        with contextlib.suppress(ConnectionError):
            return await self.reader.read()
        return b""

    def close(self) -> None:
        self.writer.close()


@dataclass
class Serving:
    """A running server."""

    server: HttpServer
    path: Path | None
    log: RecordingLog
    peers: list[Peer] = field(default_factory=list)

    async def connect(self) -> Peer:
        if self.path is not None:
            peer = Peer(*await asyncio.open_unix_connection(str(self.path)))
        else:
            peer = Peer(*await asyncio.open_connection("127.0.0.1", self.server.port))
        self.peers.append(peer)
        return peer

    async def pair(self) -> tuple[ServerConnection, Peer]:
        """A connection whose server end takes what it is given, without a socket in between."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        _, protocol = await loop.connect_accepted_socket(
            lambda: ServerConnection(self.server), theirs
        )
        peer = Peer(*await asyncio.open_unix_connection(sock=ours))
        self.peers.append(peer)
        return protocol, peer


@contextlib.asynccontextmanager
async def serving(
    handler: Handler,
    kind: str = "tcp",
    folder: Path | None = None,
    settings: HttpSettings = SETTINGS,
) -> AsyncIterator[Serving]:
    """Serve with a handler until the block ends; then nothing may be left open."""
    log = RecordingLog()
    server = HttpServer(handler, render, log, settings)
    path = None
    if kind == "unix":
        assert folder is not None
        path = folder / "socket"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
    else:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.setblocking(False)
    await server.listen(listener)
    running = Serving(server, path, log)
    try:
        yield running
    finally:
        for peer in running.peers:
            peer.close()
        await server.close(1)


def render(target: str, error: Exception) -> Answer:
    """The answer to an error: its kind, and what was asked for."""
    status = 500 if type(error).__name__ != "MalformedRequestError" else 400
    return Answer(status, {"Target": target}, type(error).__name__.encode())


async def echo(exchange: Exchange) -> None:
    """Answers with method, target and body."""
    exchange.accept()
    pieces = [exchange.method.encode(), b" ", exchange.target.encode(), b" "]
    while not exchange.body.at_end:
        pieces.append(await exchange.body.read(DEADLINE_SECONDS))
    exchange.reply(200, {"Content-Type": "text/plain"}, b"".join(pieces))
