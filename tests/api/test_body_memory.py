"""What clients make a front-end hold before it can pass anything on: bounded, and given back."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator, Sequence

import pytest

from s3front.auth.sigv4 import PayloadForm
from tests.fuzz.watch import memory_bytes
from tests.raw_http import Connection, call, sign
from tests.servers import Cluster, Front, cluster, wait_for

MIB = 1024 * 1024
BUDGET_BYTES = 16 * MIB
CLIENTS = 60
CHUNK_BYTES = 16 * MIB
SENT_BYTES = 15 * MIB
CONNECTION_BYTES = 3 * MIB // 2
"""What each connection may take besides: what arrived before its chunk was known, and its blocks.
"""

AT_ONCE_BYTES = MIB
"""Objects up to this size are read at once, while half of the budget is free."""

KEPT_BYTES = 40 * MIB
QUIET_SECONDS = 0.5


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    settings = {"requests": {"bodyMemoryBytes": BUDGET_BYTES}}
    with cluster(tmp_path_factory.mktemp("memory"), settings=settings, forked=False) as started:
        assert call(started.fronts[0], "PUT", "/memory").status == 200
        yield started


@pytest.fixture
def front(running: Cluster) -> Front:
    return running.fronts[0]


def memory_of(front: Front) -> int:
    return memory_bytes(front.process.pid)


def in_one_chunk(front: Front, key: str) -> bytes:
    """Most of an upload in one signed chunk."""
    line = f"{CHUNK_BYTES:x};chunk-signature={'0' * 64}\r\n".encode()
    headers = {
        "Content-Encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(CHUNK_BYTES),
        "Content-Length": str(CHUNK_BYTES + 1000),
    }
    payload = PayloadForm.STREAMING_SIGNED.value
    head = sign(front, "PUT", f"/memory/{key}", b"", headers, payload=payload).head
    return head + line + bytes(SENT_BYTES)


def offer(clients: Sequence[socket.socket], data: Sequence[bytes]) -> None:
    """Send to all at once, until nobody takes any more."""
    left = {client: memoryview(each) for client, each in zip(clients, data, strict=True)}
    while left:
        _, takers, _ = select.select([], list(left), [], QUIET_SECONDS)
        if not takers:
            return
        for client in takers:
            left[client] = left[client][client.send(left[client]) :]
            if not left[client]:
                del left[client]


def test_chunks_whose_signatures_are_not_known_yet_share_a_budget(front: Front) -> None:
    before = memory_of(front)
    with contextlib.ExitStack() as opened:
        clients = [
            opened.enter_context(socket.create_connection(front.address)) for _ in range(CLIENTS)
        ]
        for client in clients:
            client.setblocking(False)
        offer(clients, [in_one_chunk(front, str(number)) for number in range(CLIENTS)])
        held = memory_of(front) - before
        # Small requests pass all the same.
        assert call(front, "PUT", "/memory/small", b"small").status == 200
        assert call(front, "GET", "/memory/small").body == b"small"
    assert held < BUDGET_BYTES + CLIENTS * CONNECTION_BYTES
    wait_for(lambda: memory_of(front) < before + KEPT_BYTES, "memory to be given back", 60)


def test_slow_uploads_that_are_read_at_once_leave_half_of_it_to_others(front: Front) -> None:
    """Those beyond it are taken in blocks, and nobody waits for room."""
    body = bytes(AT_ONCE_BYTES)
    requests = [sign(front, "PUT", f"/memory/slow-{number}", body) for number in range(CLIENTS)]
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(Connection(front)) for _ in requests]
        for client, request in zip(clients, requests, strict=True):
            client.send(request.head + request.body[:-1])
        assert call(front, "PUT", "/memory/other", body).status == 200
        for client, request in zip(clients, requests, strict=True):
            client.send(request.body[-1:])
        assert {client.receive().status for client in clients} == {200}
    assert call(front, "GET", "/memory/slow-0").body == body
