"""How many clients a process takes, and what the next one is told."""

from __future__ import annotations

import json
import resource
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.raw_http import call
from tests.servers import DEADLINE_SECONDS, Cluster, cluster, wait_for

MOST = 6


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    settings = {"requests": {"maxConnections": MOST}, "dataDaemon": {"maxConnections": MOST}}
    with cluster(tmp_path_factory.mktemp("many"), settings=settings) as started:
        yield started


def whole_answer(connection: socket.socket) -> bytes:
    """What comes until the server sends no more."""
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    return answer


def turned_away(port: int, opened: ExitStack) -> bytes:
    """The answer to the first client too many, which has not asked for anything."""
    connections = [
        opened.enter_context(socket.create_connection(("127.0.0.1", port), DEADLINE_SECONDS))
        for _ in range(MOST + 1)
    ]
    answered, _, _ = select.select(connections, [], [], DEADLINE_SECONDS)
    assert answered, f"more than {MOST} clients are served"
    return whole_answer(answered[0])


def test_the_s3_port_tells_one_client_too_many_to_slow_down(running: Cluster) -> None:
    front = running.fronts[0]
    with ExitStack() as opened:
        head, _, body = turned_away(front.port, opened).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nConnection: close" in head
    assert b"\r\nx-amz-request-id: " in head
    assert b"<Code>SlowDown</Code>" in body
    wait_for(lambda: call(front, "GET", "/").status == 200, "room for a client")


def test_the_data_port_tells_one_client_too_many_that_it_is_unavailable(running: Cluster) -> None:
    with ExitStack() as opened:
        head, _, body = turned_away(running.data_port, opened).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert json.loads(body)["errorType"] == "ServiceUnavailable"


def test_a_process_may_open_as_many_files_as_it_is_let(running: Cluster) -> None:
    for process in (running.fronts[0].process, running.dmd_data, running.dmd_metadata):
        soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        assert soft == min(hard, 1 << 20)
