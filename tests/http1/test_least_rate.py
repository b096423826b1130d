"""Clients that trickle: given up, however they are read or written to, and slow ones not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from shared.http1.exchange import ClientStalledError, Exchange
from shared.http1.pace import Pace
from shared.limits import LEAST_RATE_BYTES
from tests.http1.serving import DEADLINE_SECONDS, LOOPS, SETTINGS, Peer, run, serving

GRACE_SECONDS = 0.4
HASTY = replace(SETTINGS, body_grace_seconds=GRACE_SECONDS)
LENGTH = 2_000_000
PAUSE_SECONDS = 0.02


def test_a_pace_allows_what_the_bytes_have_earned() -> None:
    pace = Pace(60)
    assert pace.left == 60
    pace.waited = 59
    pace.moved = 10 * LEAST_RATE_BYTES
    assert pace.left == 11
    pace.waited = 80
    assert pace.left < 0


async def in_pieces(exchange: Exchange) -> None:
    while not exchange.body.at_end:
        await exchange.body.read(DEADLINE_SECONDS)


async def in_blocks(exchange: Exchange) -> None:
    exchange.body.hold()
    while exchange.body.buffered:
        await exchange.body.read(DEADLINE_SECONDS)
    while not exchange.body.complete:
        assert await exchange.read_block(LENGTH, DEADLINE_SECONDS)


async def to_a_file(exchange: Exchange) -> None:
    def receive(descriptor: int, length: int) -> int:
        with socket.socket(fileno=descriptor) as connected:
            try:
                return len(connected.recv(length))
            except BlockingIOError:
                return 0
            finally:
                connected.detach()

    async def received(descriptor: int, length: int) -> int:
        return receive(descriptor, length)

    exchange.body.hold()
    while exchange.body.buffered:
        await exchange.body.read(DEADLINE_SECONDS)
    await exchange.read_to_file(received, DEADLINE_SECONDS)


READERS = (in_pieces, in_blocks, to_a_file)


async def trickle(peer: Peer, ended: asyncio.Event) -> None:
    """One byte after the other, for as long as somebody may listen."""
    with contextlib.suppress(ConnectionError):
        while not ended.is_set():
            await peer.send(b"x")
            await asyncio.sleep(PAUSE_SECONDS)  # that is what a trickle is


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("read", READERS)
def test_a_body_that_trickles_is_given_up(
    loop: str, read: Callable[[Exchange], Awaitable[None]]
) -> None:
    async def scenario() -> None:
        ended = asyncio.Event()

        async def handle(exchange: Exchange) -> None:
            try:
                with pytest.raises(TimeoutError):
                    await read(exchange)
            finally:
                ended.set()
            exchange.reply(408, {}, close=True)

        async with serving(handle, settings=HASTY) as running:
            peer = await running.connect()
            await peer.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LENGTH)
            await trickle(peer, ended)
            assert (await peer.response())[0] == 408

    run(loop, scenario())


@pytest.mark.parametrize("read", READERS)
def test_a_slow_body_that_keeps_the_rate_is_read_to_its_end(
    read: Callable[[Exchange], Awaitable[None]],
) -> None:
    async def scenario() -> None:
        async def handle(exchange: Exchange) -> None:
            await read(exchange)
            exchange.reply(200, {})

        async with serving(handle, settings=HASTY) as running:
            peer = await running.connect()
            await peer.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n")
            for _ in range(30):
                await peer.send(bytes(1000))
                await asyncio.sleep(2 * PAUSE_SECONDS)  # it takes more than twice the grace
            assert (await peer.response())[0] == 200

    run("uvloop", scenario())


def test_a_handler_that_does_not_read_costs_its_client_no_time() -> None:
    async def scenario() -> None:
        async def handle(exchange: Exchange) -> None:
            await asyncio.sleep(2 * GRACE_SECONDS)  # as a busy disk has it
            await in_pieces(exchange)
            exchange.reply(200, {})

        async with serving(handle, settings=HASTY) as running:
            peer = await running.connect()
            await peer.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx")
            await asyncio.sleep(3 * GRACE_SECONDS)
            await peer.send(b"x")
            assert (await peer.response())[0] == 200

    run("uvloop", scenario())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("way", ["write", "write_file"])
def test_a_client_that_takes_an_answer_in_drops_is_dropped(
    loop: str, way: str, tmp_path: Path
) -> None:
    data = bytes(40_000_000)
    (tmp_path / "file").write_bytes(data)

    async def scenario() -> None:
        outcome: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

        async def handle(exchange: Exchange) -> None:
            exchange.write_stall_seconds = 2 * GRACE_SECONDS
            exchange.begin(200, {}, len(data))
            try:
                if way == "write":
                    for start in range(0, len(data), 1 << 20):
                        await exchange.write(data[start : start + (1 << 20)])
                else:
                    await exchange.write_file(sent_from(tmp_path / "file"), 0, len(data))
            except ClientStalledError as error:
                outcome.set_result(error)
                raise
            outcome.set_result(None)

        async with serving(handle) as running:
            connected = socket.socket()
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connected.setblocking(False)
            with connected:
                loop = asyncio.get_running_loop()
                await loop.sock_connect(connected, ("127.0.0.1", running.server.port))
                await loop.sock_sendall(connected, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                while not outcome.done():
                    # More often than the stall is long, so that it alone would never end.
                    with contextlib.suppress(BlockingIOError):
                        connected.recv(2)
                    await asyncio.sleep(PAUSE_SECONDS)
            assert isinstance(await outcome, ClientStalledError)

    run(loop, scenario())


def sent_from(path: Path) -> Callable[[int, int, int], Awaitable[int]]:
    data = path.read_bytes()

    async def send(descriptor: int, offset: int, length: int) -> int:
        with socket.socket(fileno=descriptor) as connected:
            try:
                return connected.send(data[offset : offset + length])
            except BlockingIOError:
                return 0
            finally:
                connected.detach()

    return send
