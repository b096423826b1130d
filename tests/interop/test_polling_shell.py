"""The shell of long-polling is loaded when a client needs it, however many come first."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dmd.rpc import polling
from tests.interop.daemons import metadata_process
from tests.interop.raw_client import raw_client
from tests.interop.test_lean_server import local_daemon

HEAD = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\n"
END = b"Connection: close\r\n\r\n"


async def opened(port: int, *pieces: bytes) -> bytes:
    """What answers a request that is sent in pieces."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    return answer


async def test_clients_that_come_first_wait_for_the_same_shell(tmp_path: Path) -> None:
    with metadata_process(tmp_path) as daemon:
        async with raw_client(daemon.port) as websocket:
            _, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
            writer.write(HEAD + END)
            writer.close()  # one that does not wait for its answer
            first = (HEAD, b"X-Long: " + b"x" * 4000 + b"\r\n", END)
            answers = [asyncio.ensure_future(opened(daemon.port, *first)) for _ in range(3)]
            assert await websocket.result(1, "getUUID", [], [])
            for answer in await asyncio.gather(*answers):
                assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
                assert b'\r\n\r\n0{"sid":"' in answer


async def test_a_shell_that_cannot_be_loaded_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise MemoryError

    async with local_daemon() as (daemon, log):
        with monkeypatch.context() as patched:
            patched.setattr(polling, "_server_class", fail)
            for _ in range(2):
                assert await opened(daemon.port, HEAD + END) == b""
        assert log.events.count("long-polling cannot be served") == 2
        assert b'0{"sid":"' in await opened(daemon.port, HEAD + END)
