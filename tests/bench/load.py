"""A closed-loop HTTP load generator: so many connections, each with one request in flight.

Requests are bytes over raw sockets, signed beforehand where they can be, so that the generator
costs a fraction of what it measures.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from s3front.auth import sigv4
from tests.servers import ACCESS_KEY, REGION, SECRET_KEY

_KEPT_BYTES_MAX: Final = 64 * 1024
_READ_BYTES: Final = 1 << 20
_NO_BODY: Final = (204, 304)


class FailedRequestError(Exception):
    """A request was not answered with a success."""

    def __init__(self, status: int, answer: str) -> None:
        self.status = status
        super().__init__(f"{status}: {answer}")


@dataclass(frozen=True)
class Result:
    """What a run did: ``latencies`` in seconds, one a piece of work that succeeded; ``errors``
    counts the others, by what happened to them."""

    requests: int
    bytes_moved: int
    seconds: float
    latencies: Sequence[float]
    errors: Mapping[str, int] = field(default_factory=dict)

    def percentile(self, fraction: float) -> float:
        """The latency that this fraction of the requests stayed below, in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * fraction), len(ordered) - 1)] * 1000


@dataclass(frozen=True)
class Answer:
    """A response; ``body`` only when it is small."""

    status: int
    head: bytes
    body: bytes


@dataclass(frozen=True)
class S3Endpoint:
    """Where an S3 service listens, and who asks it for something."""

    host: str
    port: int
    tls: bool = False
    key: sigv4.AccessKey = field(default=sigv4.AccessKey(ACCESS_KEY, SECRET_KEY, REGION))

    @classmethod
    def of_url(cls, url: str, key: sigv4.AccessKey) -> S3Endpoint:
        """Raises ValueError for what is no URL of an endpoint."""
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise ValueError(f"not http(s)://host[:port]: {url}")
        if parts.path not in ("", "/") or parts.query:
            raise ValueError(f"an endpoint has no path: {url}")
        return cls(parts.hostname, parts.port or (443 if tls else 80), tls, key)

    def signed(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> bytes:
        """A whole request, signed for the next 15 minutes. Names of headers are lower-case."""
        raw_path, _, raw_query = path.partition("?")
        sent = {"host": f"{self.host}:{self.port}", **(headers or {})}
        head = sigv4.RequestHead(method, raw_path, raw_query, sent)
        added = sigv4.sign_request(head, self.key, datetime.now(UTC), "UNSIGNED-PAYLOAD").headers
        lines = [f"{method} {path} HTTP/1.1", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in {**sent, **added}.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body


def signed(port: int, method: str, path: str, body: bytes = b"") -> bytes:
    """A request to a server of ours on this machine; otherwise as ``S3Endpoint.signed``."""
    return S3Endpoint("localhost", port).signed(method, path, body)


@dataclass(frozen=True)
class Address:
    """Where connections go to."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, endpoint: S3Endpoint) -> Address:
        # Ours listen on one of the addresses of this name alone.
        host = "127.0.0.1" if endpoint.host == "localhost" else endpoint.host
        return cls(host, endpoint.port, ssl.create_default_context() if endpoint.tls else None)


class Client:
    """A connection with at most one request in flight; it is opened, and opened again, as it is
    needed."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.bytes_moved = 0

    async def call(self, payload: bytes) -> Answer:
        """Send a request and read its response. Raises FailedRequestError for anything but a
        success; OSError, EOFError."""
        reader, writer = await self._connected()
        writer.write(payload)
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        if payload.startswith(b"HEAD ") or status in _NO_BODY:
            length, body = 0, b""
        else:
            length, body = await _read_body(reader, head)
        if (header(head, b"connection") or b"").lower() == b"close":
            self.close()
        if not 200 <= status < 300:
            raise FailedRequestError(status, f"{head[:200]!r} {body[:300]!r}")
        self.bytes_moved += len(payload) + len(head) + length
        return Answer(status, head, body)

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                self._address.host, self._address.port, ssl=self._address.tls, limit=_READ_BYTES
            )
        return self._streams


async def _read_body(reader: asyncio.StreamReader, head: bytes) -> tuple[int, bytes]:
    """The length of a body, and the body if it is small."""
    if (header(head, b"transfer-encoding") or b"").lower() != b"chunked":
        length = int(header(head, b"content-length") or 0)
        return length, await _read_piece(reader, length)
    total, body = 0, b""
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        piece = await _read_piece(reader, size)
        await reader.readexactly(2)
        total += size
        body = body + piece if total < _KEPT_BYTES_MAX else b""
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailing headers
    return total, body


async def _read_piece(reader: asyncio.StreamReader, length: int) -> bytes:
    """So many bytes; they are returned if they are few."""
    if length < _KEPT_BYTES_MAX:
        return await reader.readexactly(length)
    left = length
    while left:
        piece = await reader.read(left)
        if not piece:
            raise EOFError("the server broke the connection off")
        left -= len(piece)
    return b""


def header(head: bytes, name: bytes) -> bytes | None:
    """The value of a response's header; ``name`` is lower-case."""
    for line in head.split(b"\r\n"):
        if line[: len(name) + 1].lower() == name + b":":
            return line[len(name) + 1 :].strip()
    return None


Step = Callable[[Client, int], Awaitable[object]]
"""Does piece of work number n, by one client."""


async def run(
    address: Address,
    connections: int,
    seconds: float,
    work: Step,
    *,
    count_min: int = 1,
    count_max: int | None = None,
    tolerant: bool = False,
) -> Result:
    """Do ``work(client, 0)``, ``work(client, 1)``, … over so many connections, for at least so
    long and so many times, but not more than ``count_max`` times.

    Work that fails ends the run, or is counted apart if the run is ``tolerant``.
    """
    latencies: list[float] = []
    errors: Counter[str] = Counter()
    moved = 0
    number = 0
    started = time.perf_counter()

    def goes_on() -> bool:
        if count_max is not None and number >= count_max:
            return False
        return time.perf_counter() - started < seconds or number < count_min

    async def connection() -> None:
        nonlocal number, moved
        client = Client(address)
        while goes_on():
            number += 1
            begun = time.perf_counter()
            try:
                await work(client, number - 1)
            except (FailedRequestError, OSError, EOFError) as error:
                if not tolerant:
                    raise
                errors[_kind(error)] += 1
                if not isinstance(error, FailedRequestError):
                    client.close()
            else:
                latencies.append(time.perf_counter() - begun)
        moved += client.bytes_moved
        client.close()

    await asyncio.gather(*(connection() for _ in range(connections)))
    return Result(len(latencies), moved, time.perf_counter() - started, latencies, errors)


def _kind(error: Exception) -> str:
    if isinstance(error, FailedRequestError):
        return str(error.status)
    return type(error).__name__
