"""A closed-loop HTTP load generator: so many connections, each with one request in flight.

Requests are signed beforehand and sent as bytes over raw sockets, so that the generator costs a
fraction of what it measures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared import sigv4
from tests.servers import ACCESS_KEY, SECRET_KEY

_KEY = sigv4.AccessKey(ACCESS_KEY, SECRET_KEY)


@dataclass(frozen=True)
class Result:
    """What a run did: ``latencies`` in seconds, one a request."""

    requests: int
    bytes_moved: int
    seconds: float
    latencies: Sequence[float]

    def percentile(self, fraction: float) -> float:
        """The latency that this fraction of the requests stayed below, in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * fraction), len(ordered) - 1)] * 1000


def signed(port: int, method: str, path: str, body: bytes = b"") -> bytes:
    """A whole request, signed for the next 15 minutes."""
    host = f"localhost:{port}"
    raw_path, _, raw_query = path.partition("?")
    head = sigv4.RequestHead(method, raw_path, raw_query, {"host": host})
    headers = sigv4.sign_request(head, _KEY, datetime.now(UTC), "UNSIGNED-PAYLOAD").headers
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def run(
    port: int,
    connections: int,
    seconds: float,
    request: Callable[[int], bytes],
    requests_min: int = 1,
) -> Result:
    """Send ``request(0)``, ``request(1)``, … over so many connections, for at least so long and
    so many requests."""
    latencies: list[float] = []
    moved = 0
    number = 0
    started = time.perf_counter()

    async def connection() -> None:
        nonlocal number, moved
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        while time.perf_counter() - started < seconds or number < requests_min:
            payload = request(number)
            number += 1
            begun = time.perf_counter()
            writer.write(payload)
            received = await _read_response(reader)
            moved += len(payload) + received
            latencies.append(time.perf_counter() - begun)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(connections)))
    return Result(len(latencies), moved, time.perf_counter() - started, latencies)


async def _read_response(reader: asyncio.StreamReader) -> int:
    """Read one response; its length in bytes. Anything but a success ends the run."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = head[9:12]
    length = 0
    for line in head.split(b"\r\n"):
        if line[:15].lower() == b"content-length:":
            length = int(line[15:])
    left = length
    body = b""
    while left:
        piece = await reader.read(left)
        if not piece:
            raise ConnectionError("the server broke the connection off")
        left -= len(piece)
        body = piece
    if not status.startswith(b"2"):
        raise RuntimeError(f"the server answered {head[:200]!r} {body[:300]!r}")
    return len(head) + length
