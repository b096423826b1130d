"""A closed-loop HTTP load generator: so many connections, each with one request in flight.

Requests are bytes over raw sockets, signed beforehand where they can be, so that the generator
costs a fraction of what it measures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from s3front.auth import sigv4
from tests.servers import ACCESS_KEY, SECRET_KEY

_KEPT_BYTES_MAX = 64 * 1024
_KEY = sigv4.AccessKey(ACCESS_KEY, SECRET_KEY)


@dataclass(frozen=True)
class Result:
    """What a run did: ``latencies`` in seconds, one a piece of work."""

    requests: int
    bytes_moved: int
    seconds: float
    latencies: Sequence[float]

    def percentile(self, fraction: float) -> float:
        """The latency that this fraction of the requests stayed below, in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * fraction), len(ordered) - 1)] * 1000


@dataclass(frozen=True)
class Answer:
    """A response; ``body`` only when it is small."""

    head: bytes
    body: bytes


def signed(port: int, method: str, path: str, body: bytes = b"") -> bytes:
    """A whole request, signed for the next 15 minutes."""
    host = f"localhost:{port}"
    raw_path, _, raw_query = path.partition("?")
    head = sigv4.RequestHead(method, raw_path, raw_query, {"host": host})
    headers = sigv4.sign_request(head, _KEY, datetime.now(UTC), "UNSIGNED-PAYLOAD").headers
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Client:
    """A connection with at most one request in flight."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.bytes_moved = 0

    async def call(self, payload: bytes) -> Answer:
        """Send a request and read its response. Anything but a success ends the run."""
        self._writer.write(payload)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(header(head, b"content-length") or 0)
        left = length
        body = b""
        while left:
            piece = await self._reader.read(left)
            if not piece:
                raise ConnectionError("the server broke the connection off")
            left -= len(piece)
            # Only small bodies are looked at.
            body = body + piece if length < _KEPT_BYTES_MAX else b""
        if not head[9:12].startswith(b"2"):
            raise RuntimeError(f"the server answered {head[:200]!r} {body[:300]!r}")
        self.bytes_moved += len(payload) + len(head) + length
        return Answer(head, body)

    def close(self) -> None:
        self._writer.close()


def header(head: bytes, name: bytes) -> bytes | None:
    """The value of a response's header; ``name`` is lower-case."""
    for line in head.split(b"\r\n"):
        if line[: len(name) + 1].lower() == name + b":":
            return line[len(name) + 1 :].strip()
    return None


async def run(
    port: int,
    connections: int,
    seconds: float,
    work: Callable[[Client, int], Awaitable[object]],
    count_min: int = 1,
) -> Result:
    """Do ``work(client, 0)``, ``work(client, 1)``, … over so many connections, for at least so
    long and so many times."""
    latencies: list[float] = []
    moved = 0
    number = 0
    started = time.perf_counter()

    async def connection() -> None:
        nonlocal number, moved
        client = Client(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))
        while time.perf_counter() - started < seconds or number < count_min:
            number += 1
            begun = time.perf_counter()
            await work(client, number - 1)
            latencies.append(time.perf_counter() - begun)
        moved += client.bytes_moved
        client.close()

    await asyncio.gather(*(connection() for _ in range(connections)))
    return Result(len(latencies), moved, time.perf_counter() - started, latencies)
