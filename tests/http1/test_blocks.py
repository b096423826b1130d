"""Bodies that a handler takes from the socket in blocks."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from shared.http1.exchange import Exchange
from tests.http1.serving import DEADLINE_SECONDS, KINDS, LOOPS, Peer, echo, run, serving, until
from tests.http1.test_passage import MIB, descriptors, no_more_descriptors

BODY = os.urandom(MIB) * 12
GET = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

pytestmark = [pytest.mark.parametrize("loop", LOOPS), pytest.mark.parametrize("kind", KINDS)]


def head(size: int = len(BODY)) -> bytes:
    return b"PUT /first HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size


class Uploads:
    """A handler that holds the body of a PUT and takes it in blocks; GET is echoed."""

    def __init__(self, size: int = 4 * MIB, idle_seconds: float = DEADLINE_SECONDS) -> None:
        self.size = size
        self.idle_seconds = idle_seconds
        self.blocks: list[int] = []
        self.received = 0
        self.failures: list[type[Exception]] = []

    async def __call__(self, exchange: Exchange) -> None:
        if exchange.method != "PUT":
            await echo(exchange)
            return
        assert exchange.gives_files
        exchange.body.hold()
        received = bytearray()
        self.received = 0

        def take(data: bytes) -> None:
            received.extend(data)
            self.received = len(received)

        try:
            while exchange.body.buffered:
                take(await exchange.body.read(DEADLINE_SECONDS))
            while not exchange.body.complete:
                block = await exchange.read_block(self.size, self.idle_seconds)
                if block is None:
                    break
                self.blocks.append(len(block))
                take(block)
            while not exchange.body.at_end:
                take(await exchange.body.read(DEADLINE_SECONDS))
        except (ConnectionError, TimeoutError) as error:
            self.failures.append(type(error))
            raise ConnectionError from error
        exchange.reply(200, {}, bytes(received))


async def upload(peer: Peer, body: bytes = BODY) -> bytes:
    sending = asyncio.ensure_future(peer.send(head(len(body)) + body))
    answer = (await peer.response())[2]
    await sending
    return answer


@pytest.mark.parametrize("size", [100_000, 4 * MIB])
def test_it_arrives_and_the_connection_serves_on(
    loop: str, kind: str, tmp_path: Path, size: int
) -> None:
    async def scenario() -> None:
        uploads = Uploads(size)
        async with serving(uploads, kind, tmp_path) as running:
            peer = await running.connect()
            before = descriptors()
            for _ in range(3):
                assert await upload(peer) == BODY
                await peer.send(GET)
                assert (await peer.response())[2] == b"GET /next "
            assert descriptors() == before
            assert uploads.blocks
            assert max(uploads.blocks) <= size

    run(loop, scenario())


def test_what_follows_the_body_is_the_next_request(loop: str, kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(Uploads(), kind, tmp_path) as running:
            peer = await running.connect()
            sending = asyncio.ensure_future(peer.send(head() + BODY + GET))
            assert (await peer.response())[2] == BODY
            assert (await peer.response())[2] == b"GET /next "
            await sending

    run(loop, scenario())


def test_a_body_that_comes_in_bits_with_pauses(loop: str, kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        random_source = random.Random(7)
        body = BODY[: 2 * MIB]
        async with serving(Uploads(), kind, tmp_path) as running:
            peer = await running.connect()
            await peer.send(head(len(body)))
            start = 0
            while start < len(body):
                end = start + random_source.randrange(1, 200_000)
                await peer.send(body[start:end])
                await asyncio.sleep(random_source.choice([0, 0, 0.002]))
                start = end
            assert (await peer.response())[2] == body

    run(loop, scenario())


def test_a_sender_slower_than_a_block_in_the_time_is_not_idle(
    loop: str, kind: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        uploads = Uploads(idle_seconds=0.3)
        body = BODY[:4000]
        async with serving(uploads, kind, tmp_path) as running:
            peer = await running.connect()
            await peer.send(head(len(body)))
            for start in range(0, len(body), 1000):
                await peer.send(body[start : start + 1000])
                await until(lambda end=start + 1000: uploads.received >= end)  # type: ignore[misc]
            assert (await peer.response())[2] == body
            assert len(uploads.blocks) >= 3  # the first 1,000 bytes may come with the head

    run(loop, scenario())


def test_a_sender_that_stops_is_given_up(loop: str, kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        uploads = Uploads(idle_seconds=0.3)
        async with serving(uploads, kind, tmp_path) as running:
            peer = await running.connect()
            await peer.send(head() + BODY[: 5 * MIB])
            assert await peer.rest() == b""
            assert uploads.failures == [TimeoutError]

    run(loop, scenario())


def test_a_client_that_leaves_leaves_nothing(loop: str, kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        uploads = Uploads()
        async with serving(uploads, kind, tmp_path) as running:
            before = descriptors()
            peer = await running.connect()
            await peer.send(head() + BODY[: 5 * MIB])
            peer.close()
            await until(lambda: len(uploads.failures) == 1)
            assert issubclass(uploads.failures[0], ConnectionError)
            await until(lambda: descriptors() == before)

    run(loop, scenario())


def test_the_rest_of_an_upload_that_is_refused_on_the_way_is_dropped(
    loop: str, kind: str, tmp_path: Path
) -> None:
    async def refuse(exchange: Exchange) -> None:
        if exchange.method != "PUT":
            await echo(exchange)
            return
        exchange.body.hold()
        while exchange.body.buffered:
            await exchange.body.read(DEADLINE_SECONDS)
        assert await exchange.read_block(MIB, DEADLINE_SECONDS)
        exchange.reply(400, {}, b"no")

    async def scenario() -> None:
        async with serving(refuse, kind, tmp_path) as running:
            peer = await running.connect()
            await peer.send(head() + BODY)  # to its end, although nobody wants it
            assert (await peer.response())[0] == 400
            await peer.send(GET)
            assert (await peer.response())[2] == b"GET /next "

    run(loop, scenario())


def test_a_cancelled_handler_leaves_a_socket_that_is_read_byte_by_byte(
    loop: str, kind: str, tmp_path: Path
) -> None:
    async def give_up(exchange: Exchange) -> None:
        if exchange.method != "PUT":
            await echo(exchange)
            return
        exchange.body.hold()
        reading = asyncio.ensure_future(exchange.read_block(4 * MIB, DEADLINE_SECONDS))
        await asyncio.sleep(0)  # it waits now
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()
        exchange.reply(408, {}, b"late")

    async def scenario() -> None:
        async with serving(give_up, kind, tmp_path) as running:
            peer = await running.connect()
            await peer.send(head(MIB))
            assert (await peer.response())[0] == 408
            await peer.send(BODY[:MIB] + GET)
            assert (await peer.response())[2] == b"GET /next "

    run(loop, scenario())


def test_without_descriptors_it_is_read_as_any_other(loop: str, kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        uploads = Uploads()
        async with serving(uploads, kind, tmp_path) as running:
            peer = await running.connect()
            await peer.send(GET)
            await peer.response()
            with no_more_descriptors():
                assert await upload(peer) == BODY
            assert not uploads.blocks

    run(loop, scenario())
