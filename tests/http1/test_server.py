"""What clients of the HTTP server do: cut, pipeline, stall, leave, lie."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from shared.http1.body import BodyError
from shared.http1.exchange import ClientStalledError, Exchange
from shared.http1.server import HttpSettings
from tests.http1.serving import (
    DEADLINE_SECONDS,
    KINDS,
    LOOPS,
    SETTINGS,
    Serving,
    echo,
    run,
    serving,
    until,
)

MIB = 1024 * 1024
GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
LAST_GET = b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
MIXED = (
    GET
    + b"PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
    + b"PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    + b"\r\n"
    + LAST_GET
)
MIXED_BODIES = [b"GET /a ", b"PUT /b hello", b"PUT /c abc", b"GET /last "]

pytestmark = pytest.mark.parametrize("loop", LOOPS)


async def bodies(serving_: Serving, pieces: list[bytes]) -> list[bytes]:
    """The bodies of the answers to MIXED, received in these pieces."""
    connection, peer = await serving_.pair()
    for piece in pieces:
        connection.data_received(piece)
    found = [(await peer.response())[2] for _ in MIXED_BODIES]
    assert await peer.rest() == b""
    return found


def test_requests_cut_at_every_byte(loop: str) -> None:
    async def scenario() -> None:
        async with serving(echo) as running:
            for cut in range(1, len(MIXED)):
                assert await bodies(running, [MIXED[:cut], MIXED[cut:]]) == MIXED_BODIES

    run(loop, scenario())


def test_requests_of_single_bytes(loop: str) -> None:
    async def scenario() -> None:
        async with serving(echo) as running:
            pieces = [MIXED[n : n + 1] for n in range(len(MIXED))]
            assert await bodies(running, pieces) == MIXED_BODIES

    run(loop, scenario())


@pytest.mark.parametrize("kind", KINDS)
def test_pipelined_requests_are_answered_in_order(loop: str, kind: str, tmp_path: Path) -> None:
    async def slower_first(exchange: Exchange) -> None:
        if exchange.target.endswith("0"):
            await asyncio.sleep(0.001)
        await echo(exchange)

    async def scenario() -> None:
        async with serving(slower_first, kind, tmp_path) as running:
            peer = await running.connect()
            requests = [b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % n for n in range(200)]
            await peer.send(b"".join(requests))
            for number in range(200):
                assert (await peer.response())[2] == b"GET /%d " % number

    run(loop, scenario())


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_body_both_ways(loop: str, kind: str, tmp_path: Path) -> None:
    body = random.Random(1).randbytes(8 * MIB)

    async def mirror(exchange: Exchange) -> None:
        exchange.begin(200, {}, exchange.body.length)
        while not exchange.body.at_end:
            await exchange.write(await exchange.body.read(DEADLINE_SECONDS))
        exchange.finish()

    async def scenario() -> None:
        async with serving(mirror, kind, tmp_path) as running:
            peer = await running.connect()
            head = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body)
            sending = asyncio.ensure_future(peer.send(head + body))
            assert (await peer.response())[2] == body
            await sending

    run(loop, scenario())


# -- Memory ----------------------------------------------------------------------------------------


def test_a_sender_is_not_read_ahead_of_the_handler(loop: str) -> None:
    async def scenario() -> None:
        go_on = asyncio.Event()
        seen: list[Exchange] = []

        async def handler(exchange: Exchange) -> None:
            seen.append(exchange)
            await go_on.wait()
            await echo(exchange)

        async with serving(handler) as running:
            connection, peer = await running.pair()
            peer.writer.transport.set_write_buffer_limits(0)
            peer.writer.write(
                b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (8 * MIB)
            )
            sending = asyncio.ensure_future(peer.send(bytes(8 * MIB)))
            await until(lambda: bool(seen) and not connection.wants_more())
            assert seen[0].body.buffered <= SETTINGS.receive_buffer_bytes + MIB
            assert not sending.done()
            go_on.set()
            assert len((await peer.response())[2]) == 8 * MIB + len(b"PUT / ")
            await sending

    run(loop, scenario())


def test_pipelined_requests_wait_unread(loop: str) -> None:
    async def scenario() -> None:
        go_on = asyncio.Event()

        async def handler(exchange: Exchange) -> None:
            await go_on.wait()
            await echo(exchange)

        async with serving(handler) as running:
            connection, peer = await running.pair()
            sending = asyncio.ensure_future(peer.send(GET * 200_000))
            await until(lambda: not connection.wants_more())
            assert not sending.done()
            go_on.set()
            for _ in range(1000):
                await peer.response()
            sending.cancel()

    run(loop, scenario())


def test_a_reader_that_takes_nothing_is_not_written_to_and_dropped(loop: str) -> None:
    async def scenario() -> None:
        written = 0
        failures: list[BaseException] = []

        async def handler(exchange: Exchange) -> None:
            nonlocal written
            exchange.write_stall_seconds = 0.1
            exchange.begin(200, {}, 1 << 40)
            try:
                while True:
                    await exchange.write(bytes(MIB))
                    written += MIB
            except ConnectionError as error:
                failures.append(error)
                raise

        async with serving(handler) as running:
            _, peer = await running.pair()
            await peer.send(GET)
            await until(lambda: bool(failures))
            assert isinstance(failures[0], ClientStalledError)
            assert written < 64 * MIB

    run(loop, scenario())


def test_a_thousand_idle_connections(loop: str) -> None:
    async def scenario() -> None:
        async with serving(echo) as running:
            peers = [await running.connect() for _ in range(1000)]
            for peer in (peers[0], peers[500], peers[999]):
                await peer.send(GET)
                assert (await peer.response())[0] == 200
            started = asyncio.get_running_loop().time()
            await running.server.close(DEADLINE_SECONDS)
            assert asyncio.get_running_loop().time() - started < DEADLINE_SECONDS / 2
            assert await peers[7].rest() == b""

    run(loop, scenario())


# -- How connections end ---------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", GET, GET + b"GET / HTTP/1.1\r\nHost"])
def test_no_further_request_in_time(loop: str, sent: bytes) -> None:
    async def scenario() -> None:
        settings = HttpSettings(keep_alive_seconds=0.1, receive_buffer_bytes=1024)
        async with serving(echo, settings=settings) as running:
            peer = await running.connect()
            await peer.send(sent)
            assert (await peer.rest()).count(b"HTTP/1.1 200") == (1 if sent else 0)

    run(loop, scenario())


def test_a_client_that_sends_no_more_gets_all_its_answers(loop: str) -> None:
    async def later(exchange: Exchange) -> None:
        await asyncio.sleep(0)
        await echo(exchange)

    async def scenario() -> None:
        async with serving(later) as running:
            peer = await running.connect()
            await peer.send(GET * 3)
            peer.writer.write_eof()
            assert (await peer.rest()).count(b"HTTP/1.1 200") == 3

    run(loop, scenario())


def test_a_client_that_sends_no_more_and_reads_late_gets_all_its_answers(loop: str) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.reply(200, {}, bytes(MIB))

    async def scenario() -> None:
        async with serving(handler) as running:
            connection, peer = await running.pair()
            peer.writer.write(GET * 20)
            peer.writer.write_eof()
            await until(lambda: not connection.writable)
            assert (await peer.rest()).count(b"HTTP/1.1 200") == 20

    run(loop, scenario())


@pytest.mark.parametrize("framing", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
def test_a_body_that_ends_early(loop: str, framing: bytes) -> None:
    async def handler(exchange: Exchange) -> None:
        try:
            await echo(exchange)
        except BodyError as error:
            exchange.reply(400, {}, str(error).encode())

    async def scenario() -> None:
        async with serving(handler) as running:
            peer = await running.connect()
            await peer.send(b"PUT / HTTP/1.1\r\nHost: h\r\n%b\r\n\r\n4\r\nab" % framing)
            peer.writer.write_eof()
            assert (await peer.response())[2] == b"the body ends early"
            assert await peer.rest() == b""

    run(loop, scenario())


def test_a_sender_that_pauses_too_long(loop: str) -> None:
    async def handler(exchange: Exchange) -> None:
        with pytest.raises(TimeoutError):
            await exchange.body.read(0.1)
        exchange.reply(408, {}, close=True)

    async def scenario() -> None:
        async with serving(handler) as running:
            peer = await running.connect()
            await peer.send(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n")
            assert (await peer.response())[0] == 408
            assert await peer.rest() == b""

    run(loop, scenario())


@pytest.mark.parametrize("close", [False, True])
def test_the_rest_of_a_refused_upload_is_dropped(loop: str, close: bool) -> None:
    async def refuse(exchange: Exchange) -> None:
        if exchange.method == "PUT":
            exchange.reply(403, {}, b"no", close=close)
        else:
            await echo(exchange)

    async def scenario() -> None:
        async with serving(refuse) as running:
            peer = await running.connect()
            await peer.send(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (8 * MIB))
            status, headers, body = await peer.response()
            assert (status, body, headers.get("connection")) == (
                403,
                b"no",
                "close" if close else None,
            )
            await peer.send(bytes(8 * MIB))
            if close:
                assert await peer.rest() == b""
            else:
                await peer.send(GET)
                assert (await peer.response())[2] == b"GET /a "

    run(loop, scenario())


def test_a_malformed_body_ends_the_connection(loop: str) -> None:
    async def scenario() -> None:
        async with serving(echo) as running:
            connection, peer = await running.pair()
            head = b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            connection.data_received(head)
            connection.data_received(b"zz\r\n" + GET)
            assert await peer.rest() == b""

    run(loop, scenario())


def test_requests_under_way_end_before_the_server(loop: str) -> None:
    async def scenario() -> None:
        go_on = asyncio.Event()
        begun = asyncio.Event()

        async def handler(exchange: Exchange) -> None:
            begun.set()
            await go_on.wait()
            await echo(exchange)

        async with serving(handler) as running:
            peer, idle = await running.connect(), await running.connect()
            await peer.send(GET)
            await begun.wait()
            closing = asyncio.ensure_future(running.server.close(DEADLINE_SECONDS))
            assert await idle.rest() == b""
            go_on.set()
            status, headers, _ = await peer.response()
            assert (status, headers["connection"]) == (200, "close")
            await closing

    run(loop, scenario())


# -- Answers ---------------------------------------------------------------------------------------


def test_a_body_of_unknown_length(loop: str) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.begin(200, {}, None)
        await exchange.write(b"abc")
        await exchange.write(b"")
        await exchange.write(b"d" * 17)
        exchange.finish()

    async def scenario() -> None:
        async with serving(handler) as running:
            peer = await running.connect()
            await peer.send(GET + b"GET / HTTP/1.0\r\n\r\n")
            head, _, body = (await peer.rest()).partition(b"\r\n\r\n")
            assert b"Transfer-Encoding: chunked" in head
            assert body.startswith(b"3\r\nabc\r\n11\r\n" + b"d" * 17 + b"\r\n0\r\n\r\nHTTP/1.1 200")
            # HTTP/1.0 knows no chunks: the end of the connection is that of the body.
            assert body.endswith(b"\r\n\r\nabc" + b"d" * 17)

    run(loop, scenario())


def test_an_old_client_keeps_its_connection_when_it_asks_for_it(loop: str) -> None:
    async def scenario() -> None:
        async with serving(echo) as running:
            peer = await running.connect()
            for _ in range(2):
                await peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                assert (await peer.response())[1]["connection"] == "keep-alive"

    run(loop, scenario())


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_answers_without_a_body(loop: str, method: str, status: int) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.reply(status, {}, b"dropped")

    async def scenario() -> None:
        async with serving(handler) as running:
            peer = await running.connect()
            for _ in range(2):
                await peer.send(f"{method} / HTTP/1.1\r\nHost: h\r\n\r\n".encode())
                assert (await peer.response("HEAD"))[0] == status

    run(loop, scenario())


def test_a_handler_that_fails(loop: str) -> None:
    async def handler(exchange: Exchange) -> None:
        if exchange.target == "/late":
            exchange.begin(200, {}, 5)
            await exchange.write(b"he")
        raise ValueError("a defect")

    async def scenario() -> None:
        async with serving(handler) as running:
            peer = await running.connect()
            await peer.send(GET)
            status, headers, body = await peer.response()
            assert (status, headers["target"], body) == (500, "/a", b"ValueError")
            assert await peer.rest() == b""
            late = await running.connect()
            await late.send(GET.replace(b"/a", b"/late"))
            assert not (await late.rest()).endswith(b"hello")
            assert len(running.log.fields_of("unexpected error")) == 2

    run(loop, scenario())


def test_a_header_that_would_add_a_line_is_an_error(loop: str) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.reply(200, {"A": "b\r\nSet-Cookie: c"})

    async def scenario() -> None:
        async with serving(handler) as running:
            peer = await running.connect()
            await peer.send(GET)
            answer = await peer.rest()
            assert answer.startswith(b"HTTP/1.1 500 ")
            assert b"Set-Cookie" not in answer

    run(loop, scenario())


@pytest.mark.parametrize("seed", range(4))
def test_nonsense_disturbs_nobody(loop: str, seed: int) -> None:
    """Requests with random bytes changed, removed and added, cut at random."""
    chance = random.Random(seed)

    def nonsense() -> bytes:
        sent = bytearray(MIXED)
        for _ in range(chance.randrange(1, 6)):
            place = chance.randrange(len(sent))
            action = chance.randrange(3)
            if action == 0:
                sent[place] = chance.randrange(256)
            elif action == 1:
                del sent[place : place + chance.randrange(1, 9)]
            else:
                sent[place:place] = chance.choice(
                    [b"\r\n", b"\0", b" ", b":", b"9", b"\xff", b"\n"]
                )
        return bytes(sent)

    async def scenario() -> None:
        async with serving(echo) as running:
            for _ in range(150):
                sent = nonsense()
                connection, peer = await running.pair()
                cut = chance.randrange(len(sent))
                connection.data_received(sent[:cut])
                connection.data_received(sent[cut:])
                peer.writer.write_eof()
                answer = await peer.rest()
                assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
            assert running.log.fields_of("unexpected error") == []
            peer = await running.connect()
            await peer.send(GET)
            assert (await peer.response())[2] == b"GET /a "

    run(loop, scenario())
