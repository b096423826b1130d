"""Bodies that pass from a server to a client through a relay that never reads them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from s3front.locations.http_client import HttpClient, Response
from s3front.locations.origin import Origin
from shared.http1.exchange import Exchange
from tests.http1.serving import DEADLINE_SECONDS, KINDS, LOOPS, Peer, Serving, run, serving, until

MIB = 1024 * 1024
BODY = os.urandom(MIB) * 24
"""More than all buffers on the way hold."""
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

pytestmark = [pytest.mark.parametrize("loop", LOOPS), pytest.mark.parametrize("kind", KINDS)]


@dataclass
class Relay:
    """A server whose handler asks another one, the source, and passes its answer on."""

    client: HttpClient
    source: Serving
    stall_seconds: float = DEADLINE_SECONDS
    moved: list[int] = field(default_factory=list)
    failures: list[OSError | None] = field(default_factory=list)

    async def handle(self, exchange: Exchange) -> None:
        exchange.write_stall_seconds = self.stall_seconds
        response = await self.client.request("GET", "/", {}, holds=True)
        exchange.begin(200, {}, response.length)
        try:
            await self._pass_on(exchange, response)
        finally:
            response.close()
        exchange.finish()

    async def _pass_on(self, exchange: Exchange, response: Response) -> None:
        while response.buffered:
            await exchange.write(await response.read())
        passage = response.passage()
        if passage is not None:
            try:
                await exchange.write_passage(passage)
            finally:
                self.moved.append(passage.moved)
                self.failures.append(passage.failure)
            if passage.failure is not None:
                raise ConnectionError from passage.failure
        while data := await response.read():
            await exchange.write(data)


async def whole(exchange: Exchange) -> None:
    exchange.reply(200, {}, BODY)


@contextlib.asynccontextmanager
async def relaying(
    kind: str,
    folder: Path,
    source: Callable[[Exchange], object] = whole,
    source_stall_seconds: float = DEADLINE_SECONDS,
) -> AsyncIterator[tuple[Relay, Serving]]:
    """A relay and its source, which stalls for so long at most."""
    async with serving(source, kind, folder) as running:  # type: ignore[arg-type]
        port = running.server.port if kind == "tcp" else 1
        client = HttpClient(
            Origin("127.0.0.1", port, running.path), stall_seconds=source_stall_seconds
        )
        relay = Relay(client, running)
        async with serving(relay.handle) as front:
            yield relay, front
        await client.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def head_only(peer: Peer) -> None:
    await peer.send(GET)
    await peer.reader.readuntil(b"\r\n\r\n")


def test_it_arrives_and_both_connections_serve_on(loop: str, kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with relaying(kind, tmp_path) as (relay, front):
            peer = await front.connect()
            for _ in range(3):
                await peer.send(GET)
                _, _, body = await peer.response()
                assert body == BODY
            assert relay.source.server.connections == 1
            # What did not come with the head was moved.
            assert min(relay.moved) > len(BODY) // 2

    run(loop, scenario())


def test_pipes_are_used_again(loop: str, kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with relaying(kind, tmp_path) as (_, front):
            peer = await front.connect()
            counts = []
            for _ in range(3):
                await peer.send(GET)
                await peer.response()
                counts.append(descriptors())
            assert len(set(counts)) == 1

    run(loop, scenario())


def test_a_client_that_leaves_leaves_nothing(loop: str, kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with relaying(kind, tmp_path) as (relay, front):
            before = descriptors()
            for number in range(1, 9):
                peer = await front.connect()
                await head_only(peer)
                peer.close()
                await until(lambda number=number: len(relay.moved) == number)  # type: ignore[misc]
            assert max(relay.moved) < len(BODY)
            await until(lambda: not front.server.connections)
            # The other half of the first connection's pipe, at most, and no more.
            await until(lambda: descriptors() <= before + 2)

    run(loop, scenario())


def test_a_client_that_takes_nothing_is_dropped(loop: str, kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with relaying(kind, tmp_path) as (relay, front):
            relay.stall_seconds = 0.1
            peer = await front.connect()
            await head_only(peer)
            await until(lambda: not front.server.connections)
            assert len(await peer.rest()) < len(BODY)
            assert relay.failures == [None]

    run(loop, scenario())


def test_a_source_that_ends_early_cuts_the_client_off(loop: str, kind: str, tmp_path: Path) -> None:
    async def half(exchange: Exchange) -> None:
        exchange.begin(200, {}, len(BODY))
        await exchange.write(BODY[: len(BODY) // 2])
        raise ConnectionError("half of it must do")

    async def scenario() -> None:
        async with relaying(kind, tmp_path, half) as (relay, front):
            peer = await front.connect()
            await head_only(peer)
            received = await peer.rest()
            assert len(received) < len(BODY)
            assert BODY.startswith(received)
            assert isinstance(relay.failures[0], ConnectionError)

    run(loop, scenario())


def test_a_source_that_says_nothing_is_given_up(loop: str, kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        ended = asyncio.Event()

        async def half(exchange: Exchange) -> None:
            exchange.begin(200, {}, len(BODY))
            await exchange.write(BODY[: len(BODY) // 2])
            await ended.wait()
            raise ConnectionError

        async with relaying(kind, tmp_path, half, 0.2) as (relay, front):
            peer = await front.connect()
            await head_only(peer)
            assert BODY.startswith(await peer.rest())
            assert isinstance(relay.failures[0], TimeoutError)
            ended.set()

    run(loop, scenario())


def test_a_stop_cuts_off_who_takes_nothing(loop: str, kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with relaying(kind, tmp_path) as (relay, front):
            peer = await front.connect()
            await head_only(peer)
            await front.server.close(0.2)
            await until(lambda: len(relay.moved) == 1)
            assert len(await peer.rest()) < len(BODY)

    run(loop, scenario())


@contextlib.contextmanager
def no_more_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as opened:
        highest = max(map(int, os.listdir("/proc/self/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with contextlib.suppress(OSError):
            while True:
                opened.callback(os.close, os.dup(0))
        yield


def test_without_descriptors_the_bytes_come_through_the_interpreter(
    loop: str, kind: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with relaying(kind, tmp_path) as (relay, front):
            peer = await front.connect()
            await peer.send(GET)
            await peer.response()  # its connection to the source is kept
            await peer.send(GET)
            with no_more_descriptors():
                _, _, body = await peer.response()
            assert body == BODY
            assert relay.moved[1] == 0

    run(loop, scenario())
