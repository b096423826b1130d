"""The HTTP client against servers that cut, close, stall, lie, and go away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from s3front.locations.http_call import SourceError
from s3front.locations.http_client import HttpClient, StaleConnectionError
from s3front.locations.origin import Origin
from shared.http1.exchange import Exchange
from tests.http1.serving import DEADLINE_SECONDS, LOOPS, echo, run, serving, until

MIB = 1024 * 1024
STALL_SECONDS = 10.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

Script = Callable[[int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""What a server does with its connections, which are numbered from 1."""

pytestmark = pytest.mark.parametrize("loop", LOOPS)


class Scripted:
    """A server that follows a script; counts connections and requests."""

    def __init__(self, script: Script) -> None:
        self.connections = 0
        self._script = script

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._script(self.connections, reader, writer)
        writer.close()


@contextlib.asynccontextmanager
async def scripted(
    script: Script, stall_seconds: float = STALL_SECONDS
) -> AsyncIterator[tuple[HttpClient, Scripted]]:
    """A client, and the server that follows a script."""
    server = Scripted(script)
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    client = HttpClient(Origin("127.0.0.1", port), stall_seconds=stall_seconds)
    try:
        yield client, server
    finally:
        await client.close()
        listening.close()


async def head_of(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def get(client: HttpClient) -> tuple[int, bytes]:
    response = await client.request("GET", "/", {})
    return response.status, await response.read_all(1 << 30)


def always(answer: bytes) -> Script:
    """Every request gets this answer."""

    async def script(
        _number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            await head_of(reader)
            writer.write(answer)

    return script


CHUNKED = b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" + OK


@pytest.mark.parametrize("answer", [OK, CHUNKED, INTERIM], ids=["length", "chunked", "interim"])
def test_a_response_of_single_bytes(loop: str, answer: bytes) -> None:
    async def script(
        _number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            await head_of(reader)
            for byte in answer:
                writer.write(bytes([byte]))
                await asyncio.sleep(0)

    async def scenario() -> None:
        async with scripted(script) as (client, server):
            for _ in range(20):
                assert (await get(client))[1] == b"hello"
            assert server.connections == 1

    run(loop, scenario())


@pytest.mark.parametrize("answer", [OK, CHUNKED, b"HTTP/1.1 204 No Content\r\n\r\n"])
def test_a_connection_is_used_again(loop: str, answer: bytes) -> None:
    async def scenario() -> None:
        async with scripted(always(answer)) as (client, server):
            for _ in range(5):
                await get(client)
            assert server.connections == 1

    run(loop, scenario())


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        OK.replace(b"1.1", b"1.0"),
        OK + b"surplus",
        OK + OK,
    ],
    ids=["close", "1.0", "surplus", "answers"],
)
def test_a_connection_is_not_used_again(loop: str, answer: bytes) -> None:
    async def scenario() -> None:
        async with scripted(always(answer)) as (client, server):
            for _ in range(3):
                with contextlib.suppress(ConnectionError):
                    await get(client)
            assert server.connections == 3

    run(loop, scenario())


def test_the_end_of_the_connection_ends_a_body_without_length(loop: str) -> None:
    async def script(
        _number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")

    async def scenario() -> None:
        async with scripted(script) as (client, server):
            assert [await get(client) for _ in range(2)] == [(200, b"hello")] * 2
            assert server.connections == 2

    run(loop, scenario())


@pytest.mark.parametrize("closes", [False, True])
def test_a_response_that_nobody_reads_to_its_end(loop: str, closes: bool) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.reply(200, {}, bytes(4 * MIB))

    async def scenario() -> None:
        async with serving(handler) as running:
            client = HttpClient(Origin("127.0.0.1", running.server.port), stall_seconds=9)
            response = await client.request("GET", "/", {})
            if closes:
                response.close()
            assert len((await get(client))[1]) == 4 * MIB
            await client.close()

    run(loop, scenario())


# -- Connections that end --------------------------------------------------------------------------


async def ends_after_one(
    number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """The first connection ends when its second request comes, without an answer."""
    while True:
        head = await head_of(reader)
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        await reader.readexactly(length)
        writer.write(OK)
        if number == 1:
            await head_of(reader)
            return


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_a_kept_connection_that_ended_costs_a_repetition(loop: str, method: str) -> None:
    async def scenario() -> None:
        async with scripted(ends_after_one) as (client, server):
            for _ in range(2):
                response = await client.request(method, "/", {"Content-Length": "4"}, b"body")
                assert await response.read_all(9) == b"hello"
            assert server.connections == 2

    run(loop, scenario())


def test_what_is_to_be_done_once_is_not_repeated(loop: str) -> None:
    async def scenario() -> None:
        async with scripted(ends_after_one) as (client, server):
            await get(client)
            with pytest.raises(StaleConnectionError):
                await client.request("PUT", "/", {"Content-Length": "4"}, b"body", once=True)
            assert server.connections == 1
            response = await client.request("PUT", "/", {"Content-Length": "4"}, b"body", once=True)
            assert await response.read_all(9) == b"hello"
            assert server.connections == 2

    run(loop, scenario())


def test_when_one_had_ended_the_others_are_not_used_either(loop: str) -> None:
    async def script(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            await head_of(reader)
            writer.write(OK)
            if number < 3:
                await head_of(reader)
                return

    async def scenario() -> None:
        async with scripted(script) as (client, server):
            responses = await asyncio.gather(*(client.request("GET", "/", {}) for _ in range(2)))
            for response in responses:
                await response.read_all(9)
            with pytest.raises(StaleConnectionError):
                await client.request("PUT", "/", {}, once=True)
            assert (await get(client))[1] == b"hello"
            assert server.connections == 3

    run(loop, scenario())


def test_an_upload_that_streams_is_not_repeated(loop: str) -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        yield b"body"

    async def scenario() -> None:
        async with scripted(ends_after_one) as (client, server):
            await get(client)
            with pytest.raises(ConnectionError):
                await client.request("PUT", "/", {"Content-Length": "4"}, body())
            assert server.connections == 1

    run(loop, scenario())


def test_an_upload_that_is_to_be_asked_for_is_repeated(loop: str) -> None:
    begun = 0

    async def body() -> AsyncGenerator[bytes, None]:
        nonlocal begun
        begun += 1
        yield b"body"

    async def scenario() -> None:
        async with scripted(ends_after_one) as (client, server):
            await get(client)
            length = {"Content-Length": "4"}
            response = await client.request("PUT", "/", length, body(), expects=True)
            assert await response.read_all(9) == b"hello"
            assert (server.connections, begun) == (2, 1)

    run(loop, scenario())


@pytest.mark.parametrize("invites", [True, False])
def test_a_body_that_the_server_wants_and_one_that_it_does_not(loop: str, invites: bool) -> None:
    begun = False

    async def body() -> AsyncGenerator[bytes, None]:
        nonlocal begun
        begun = True
        yield b"body"

    async def script(
        _number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        assert b"Expect: 100-continue" in await head_of(reader)
        if invites:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert await reader.readexactly(4) == b"body"
        writer.write(OK)

    async def scenario() -> None:
        async with scripted(script) as (client, _):
            length = {"Content-Length": "4"}
            response = await client.request("PUT", "/", length, body(), expects=True)
            assert await response.read_all(9) == b"hello"
            assert begun == invites

    run(loop, scenario())


def test_a_server_that_says_nothing_of_a_body_gets_it(loop: str) -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        yield b"body"

    async def script(
        _number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await head_of(reader)
        assert await reader.readexactly(4) == b"body"
        writer.write(OK)

    async def scenario() -> None:
        async with scripted(script) as (client, _):
            length = {"Content-Length": "4"}
            response = await client.request("PUT", "/", length, body(), expects=True)
            assert await response.read_all(9) == b"hello"

    run(loop, scenario())


def test_a_new_connection_that_ends_is_an_error_at_once(loop: str) -> None:
    async def script(
        _number: int, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
    ) -> None:
        await head_of(reader)

    async def scenario() -> None:
        async with scripted(script) as (client, server):
            with pytest.raises(ConnectionError):
                await get(client)
            assert server.connections == 1

    run(loop, scenario())


@pytest.mark.parametrize("part", [1, 20, len(OK) - 1])
def test_a_response_that_breaks_off_is_not_asked_for_again(loop: str, part: int) -> None:
    async def script(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await head_of(reader)
        writer.write(OK)
        await head_of(reader)
        writer.write(OK[:part])

    async def scenario() -> None:
        async with scripted(script) as (client, server):
            await get(client)
            with pytest.raises(ConnectionError):
                await get(client)
            assert server.connections == 1

    run(loop, scenario())


@pytest.mark.parametrize("answer", [b"hello\r\n\r\n", CHUNKED.replace(b"2\r\n", b"zz\r\n")])
def test_what_is_not_http(loop: str, answer: bytes) -> None:
    async def scenario() -> None:
        async with scripted(always(answer)) as (client, _):
            with pytest.raises(ConnectionError):
                await get(client)

    run(loop, scenario())


# -- Uploads and downloads -------------------------------------------------------------------------


def test_an_answer_before_the_end_of_an_upload(loop: str) -> None:
    """No more of the body is asked for, nor is the connection used again."""
    taken = 0
    answered = asyncio.Event()

    async def refuse(
        _number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await head_of(reader)
        writer.write(OK.replace(b"200", b"500"))
        await writer.drain()
        answered.set()
        while await reader.read(MIB):
            pass

    async def endless() -> AsyncGenerator[bytes, None]:
        nonlocal taken
        while True:
            taken += 1
            yield bytes(1024)
            if taken == 3:
                await answered.wait()
            await asyncio.sleep(0)

    async def scenario() -> None:
        async with scripted(refuse) as (client, server):
            response = await client.request("PUT", "/", {"Content-Length": str(1 << 40)}, endless())
            assert (response.status, await response.read_all(9)) == (500, b"hello")
            with contextlib.suppress(ConnectionError):
                await get(client)
            assert server.connections == 2

    run(loop, scenario())


def test_the_error_of_a_source_is_told(loop: str) -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        yield b"bo"
        raise OSError("the source")

    async def scenario() -> None:
        async with serving(echo) as running:
            client = HttpClient(Origin("127.0.0.1", running.server.port), stall_seconds=9)
            with pytest.raises(SourceError) as caught:
                await client.request("PUT", "/", {"Content-Length": "4"}, body())
            assert isinstance(caught.value.error, OSError)
            await client.close()

    run(loop, scenario())


def test_a_server_that_takes_nothing(loop: str) -> None:
    async def script(
        _number: int, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
    ) -> None:
        await head_of(reader)
        await asyncio.Event().wait()

    async def endless() -> AsyncGenerator[bytes, None]:
        while True:
            yield bytes(MIB)

    async def scenario() -> None:
        async with scripted(script, stall_seconds=0.1) as (client, _):
            headers = {"Content-Length": str(1 << 40)}
            for body in (b"", endless()):
                with pytest.raises(TimeoutError):
                    await client.request("PUT", "/", headers, body)

    run(loop, scenario())


def test_a_download_is_not_read_ahead_of_its_reader(loop: str) -> None:
    sent = 0

    async def handler(exchange: Exchange) -> None:
        nonlocal sent
        exchange.begin(200, {}, 64 * MIB)
        for _ in range(64):
            await exchange.write(bytes(MIB))
            sent += MIB
        exchange.finish()

    async def scenario() -> None:
        async with serving(handler) as running:
            client = HttpClient(Origin("127.0.0.1", running.server.port), stall_seconds=9)
            response = await client.request("GET", "/", {})
            (connection,) = client._connections
            await until(lambda: not connection.wants_more())
            assert sent < 32 * MIB
            assert len(await response.read_all(1 << 30)) == 64 * MIB
            await client.close()

    run(loop, scenario())


def test_many_at_once_never_get_each_others_answers(loop: str) -> None:
    async def scenario() -> None:
        async with serving(echo) as running:
            client = HttpClient(Origin("127.0.0.1", running.server.port), stall_seconds=9)

            async def ask(number: int) -> None:
                for round_ in range(20):
                    body = b"%d-%d" % (number, round_)
                    headers = {"Content-Length": str(len(body))}
                    response = await client.request("PUT", "/", headers, body)
                    assert await response.read_all(99) == b"PUT / " + body

            await asyncio.gather(*(ask(number) for number in range(64)))
            await client.close()

    run(loop, scenario())


# -- Unix sockets ----------------------------------------------------------------------------------


def test_a_unix_socket_is_preferred_while_it_connects(loop: str, tmp_path: Path) -> None:
    async def local(exchange: Exchange) -> None:
        exchange.reply(200, {}, b"unix", close=True)

    async def scenario() -> None:
        async with serving(echo) as remote:
            origin = Origin("127.0.0.1", remote.server.port, tmp_path / "socket")
            client = HttpClient(origin, stall_seconds=9)
            assert (await get(client))[1] == b"GET / "
            await client.close()
            async with serving(local, "unix", tmp_path) as near:
                client = HttpClient(origin, stall_seconds=9)
                assert (await get(client))[1] == b"unix"
                await near.server.close(DEADLINE_SECONDS)
            assert (await get(client))[1] == b"GET / "
            await client.close()

    run(loop, scenario())
