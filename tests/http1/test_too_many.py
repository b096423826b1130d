"""One client more than there is room for: it is told so, and others are served as before."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from shared import limits
from tests.http1.serving import KINDS, LOOPS, SETTINGS, Peer, echo, run, serving, until

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
TWO = replace(SETTINGS, connections_max=2)

every_loop = pytest.mark.parametrize("loop", LOOPS)


async def is_served(peer: Peer) -> bool:
    await peer.send(GET)
    return (await peer.response())[2] == b"GET /a "


@every_loop
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_told_so_at_once_and_disconnected(loop: str, kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(echo, kind, tmp_path, TWO) as running:
            served = [await running.connect() for _ in range(2)]
            assert [await is_served(peer) for peer in served] == [True, True]
            turned_away = await running.connect()
            _, headers, body = await turned_away.response()
            assert body == b"TooManyConnectionsError"
            assert headers["connection"] == "close"
            await turned_away.send(GET)
            assert await turned_away.rest() == b""
            assert [await is_served(peer) for peer in served] == [True, True]

    run(loop, scenario())


@every_loop
def test_those_who_are_told_so_take_no_place_of_others(loop: str) -> None:
    async def scenario() -> None:
        async with serving(echo, settings=TWO) as running:
            served = [await running.connect() for _ in range(2)]
            assert [await is_served(peer) for peer in served] == [True, True]
            for _ in range(3):
                await (await running.connect()).response()
            # They are still there: they have not closed.
            assert running.server.connections == 5
            served[0].close()
            await until(lambda: running.server.connections == 4)
            assert await is_served(await running.connect())

    run(loop, scenario())


@every_loop
def test_very_many_are_cut_off_and_it_is_logged_once(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TURNED_AWAY_MAX", 3)

    async def scenario() -> None:
        async with serving(echo, settings=TWO) as running:
            served = [await running.connect() for _ in range(2)]
            assert [await is_served(peer) for peer in served] == [True, True]
            for _ in range(3):
                assert (await (await running.connect()).response())[2]
            for _ in range(5):
                assert await (await running.connect()).rest() == b""
            await until(lambda: running.server.connections == 5)
            assert len(running.log.fields_of("too many connections")) == 1

    run(loop, scenario())


@contextlib.contextmanager
def no_more_descriptors() -> Iterator[None]:
    """Let this process open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_descriptors_no_client_stays_in_the_queue() -> None:
    """One that stayed there would wake the loop again and again. The loop of our processes is this
    one alone."""

    async def scenario() -> None:
        async with serving(echo) as running:
            first = await running.connect()
            assert await is_served(first)
            loop = asyncio.get_running_loop()
            with contextlib.ExitStack() as opened:
                waiting = [opened.enter_context(socket.socket()) for _ in range(20)]
                for client in waiting:
                    client.setblocking(False)
                with no_more_descriptors():
                    for client in waiting:
                        await loop.sock_connect(client, ("127.0.0.1", running.server.port))
                        with contextlib.suppress(ConnectionError):
                            assert await loop.sock_recv(client, 1) == b""
                    assert await is_served(first)
            assert await is_served(await running.connect())

    run("uvloop", scenario())
