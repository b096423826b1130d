"""The load generator: what it takes for an answer, for a success and for an error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from s3front.auth.sigv4 import AccessKey
from tests.bench.load import Address, Client, FailedRequestError, S3Endpoint, run

_KEY = AccessKey("access", "secret")
_GET = b"GET / HTTP/1.1\r\n\r\n"


@asynccontextmanager
async def answering(answers: Sequence[bytes], *, ends: bool = False) -> AsyncIterator[Address]:
    """A server that gives these answers in turn, on one connection or on several."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while left:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            answer = left.pop(0)
            writer.write(answer)
            if ends or b"close" in answer:
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Address("127.0.0.1", server.sockets[0].getsockname()[1])


def plain(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


async def test_bodies_of_declared_length_in_chunks_and_of_head_follow_one_another() -> None:
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;a=b\r\nabc\r\n5\r\ndefgh\r\n0\r\nTrailer: 1\r\n\r\n"
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n"
    nothing = b"HTTP/1.1 204 No Content\r\n\r\n"
    async with answering([plain(b"first"), chunked, head, nothing, plain(b"last")]) as address:
        client = Client(address)
        bodies = [
            (await client.call(payload)).body
            for payload in (_GET, _GET, _GET.replace(b"GET", b"HEAD"), _GET, _GET)
        ]
        client.close()
    assert bodies == [b"first", b"abcdefgh", b"", b"", b"last"]


async def test_a_large_body_is_counted_and_not_kept() -> None:
    async with answering([plain(bytes(200_000))]) as address:
        client = Client(address)
        answer = await client.call(_GET)
        client.close()
    assert answer.body == b""
    assert client.bytes_moved == len(_GET) + len(answer.head) + 200_000


async def test_a_connection_that_the_server_ends_is_opened_again() -> None:
    async with answering([plain(b"a", more="Connection: close\r\n"), plain(b"b")]) as address:
        client = Client(address)
        assert [(await client.call(_GET)).body for _ in range(2)] == [b"a", b"b"]
        client.close()


async def test_anything_but_a_success_is_an_error() -> None:
    async with answering([plain(b"<Code>SlowDown</Code>", "503 Slow Down")]) as address:
        client = Client(address)
        with pytest.raises(FailedRequestError, match=r"503: .*SlowDown") as failed:
            await client.call(_GET)
        assert failed.value.status == 503
        client.close()


async def test_errors_are_counted_by_kind_and_are_no_work() -> None:
    answers = [plain(b"a"), plain(b"", "503 Slow Down"), plain(b"b"), plain(b"", "404 Not Found")]
    async with answering([*answers, b"", plain(b"c")], ends=True) as address:

        async def work(client: Client, _: int) -> None:
            try:
                await client.call(_GET)
            finally:
                client.close()

        result = await run(address, 1, 0, work, count_min=6, count_max=6, tolerant=True)
    assert result.requests == len(result.latencies) == 3
    assert result.errors == {"503": 1, "404": 1, "IncompleteReadError": 1}


async def test_the_first_error_ends_a_run_that_is_not_tolerant() -> None:
    async with answering([plain(b"", "503 Slow Down")]) as address:
        with pytest.raises(FailedRequestError):
            await run(address, 1, 0, lambda client, _: client.call(_GET))


async def test_work_is_done_as_often_as_it_must_and_may() -> None:
    done: list[int] = []

    async def note(_: Client, number: int) -> None:
        done.append(number)

    nowhere = Address("127.0.0.1", 1)
    await run(nowhere, 4, 0, note, count_min=10)
    assert done == list(range(10))
    done.clear()
    await run(nowhere, 4, 3600, note, count_max=5)
    assert done == list(range(5))


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("http://127.0.0.1:9000", "127.0.0.1", 9000, False),
        ("https://s3.example/", "s3.example", 443, True),
        ("http://[::1]", "::1", 80, False),
    ],
)
def test_an_endpoint_is_read_from_its_url(url: str, host: str, port: int, tls: bool) -> None:
    assert S3Endpoint.of_url(url, _KEY) == S3Endpoint(host, port, tls, _KEY)


@pytest.mark.parametrize("url", ["localhost:9000", "ftp://host", "http://host/path", "http://"])
def test_what_is_no_url_of_an_endpoint_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"endpoint|http"):
        S3Endpoint.of_url(url, _KEY)


def test_a_request_is_signed_with_the_keys_and_headers_that_it_has() -> None:
    endpoint = S3Endpoint("somewhere", 81, key=AccessKey("access", "secret", "eu-north-1"))
    request = endpoint.signed("PUT", "/bucket/key?tagging", b"body", {"if-match": '"1"'}).decode()
    head, body = request.split("\r\n\r\n")
    assert head.startswith("PUT /bucket/key?tagging HTTP/1.1\r\ncontent-length: 4\r\n")
    assert 'host: somewhere:81\r\nif-match: "1"\r\n' in head
    assert "Credential=access/" in head
    assert "/eu-north-1/s3/aws4_request" in head
    assert "SignedHeaders=host;if-match;x-amz-content-sha256;x-amz-date" in head
    assert body == "body"
