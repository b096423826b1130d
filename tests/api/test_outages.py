"""A daemon that is away or slow: 503 soon, never a hang or a wrong answer, and it passes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.etags import etag_of
from tests.faults.processes import go_on, stopped
from tests.load_requests import ObjectClient
from tests.raw_http import Response, call, sign
from tests.servers import Cluster, Front, accepts_connections, cluster, wait_for

CALL_TIMEOUT_MS = 500
SOON_SECONDS = 5.0
DATA = b"bytes that lie in the data daemon" * 40_000
"""More than comes with a commit, or is read beside the daemon at once."""


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster for outages alone, whose front-end has a short timeout."""
    with cluster(tmp_path_factory.mktemp("outages"), fronts=0) as started:
        client = {"host": "127.0.0.1", "port": started.metadata_port}
        front = started.add_front(
            settings={"metadataClient": {**client, "callTimeoutMs": CALL_TIMEOUT_MS}}
        )
        assert call(front, "PUT", "/bucket").status == 200
        yield started


@pytest.fixture
def running(own_cluster: Cluster) -> Cluster:
    """The cluster, in order again whatever the test before did to it."""
    own_cluster.start_daemons()
    front = own_cluster.fronts[0]
    wait_for(lambda: works(front), "the cluster to be in order")
    assert put(front, "/bucket/stored", DATA).status == 200
    assert put(front, "/bucket/empty", b"").status == 200
    return own_cluster


@pytest.fixture
def front(running: Cluster) -> Front:
    return running.fronts[0]


def put(front: Front, target: str, data: bytes) -> Response:
    return call(front, "PUT", target, data, {"Content-Length": str(len(data))})


def health(front: Front) -> int:
    """The status of the health check; its document must say the same."""
    reply = call(front, "GET", "/_/healthcheck")
    assert json.loads(reply.body)["metadata"]["code"] == reply.status
    return reply.status


def soon(request: Callable[[], Response]) -> Response:
    """A response that must not take long."""
    started = time.monotonic()
    response = request()
    assert time.monotonic() - started < SOON_SECONDS
    return response


def assert_unavailable(request: Callable[[], Response]) -> None:
    response = soon(request)
    assert response.status == 503, response.body
    assert response.error["Code"] == "ServiceUnavailable"


def works(front: Front) -> bool:
    """Whether a write and a read of real bytes succeed."""
    return (
        put(front, "/bucket/again", DATA).status == 200
        and call(front, "GET", "/bucket/again").body == DATA
        and health(front) == 200
    )


REQUESTS: dict[str, Callable[[Front], Response]] = {
    "ListBuckets": lambda front: call(front, "GET", "/"),
    "CreateBucket": lambda front: call(front, "PUT", "/another"),
    "GetBucketLocation": lambda front: call(front, "GET", "/bucket?location"),
    "ListObjects": lambda front: call(front, "GET", "/bucket"),
    "PutObject": lambda front: put(front, "/bucket/key", DATA),
    "GetObject": lambda front: call(front, "GET", "/bucket/stored"),
    "DeleteObject": lambda front: call(front, "DELETE", "/bucket/stored"),
    "DeleteBucket": lambda front: call(front, "DELETE", "/bucket"),
}


def test_without_the_metadata_daemon_everything_is_unavailable_until_it_returns(
    running: Cluster, front: Front
) -> None:
    assert health(front) == 200
    running.dmd_metadata.kill()
    wait_for(lambda: health(front) == 503, "the health check to notice")
    with ThreadPoolExecutor(len(REQUESTS)) as pool:
        list(pool.map(lambda send: assert_unavailable(lambda: send(front)), REQUESTS.values()))
    running.start_daemons()
    wait_for(lambda: works(front), "recovery")


def test_without_the_data_daemon_only_what_needs_bytes_is_unavailable(
    running: Cluster, front: Front
) -> None:
    running.dmd_data.kill()
    assert_unavailable(lambda: put(front, "/bucket/key", DATA))
    assert_unavailable(lambda: call(front, "GET", "/bucket/stored"))
    assert call(front, "GET", "/bucket/key").status == 404
    assert call(front, "HEAD", "/bucket/stored").headers["ETag"] == etag_of(DATA)
    assert put(front, "/bucket/empty-too", b"").status == 200
    assert call(front, "GET", "/bucket/empty").status == 200
    running.start_daemons()
    wait_for(lambda: works(front), "recovery")


def test_an_object_can_be_replaced_and_deleted_without_the_data_daemon(
    running: Cluster, front: Front
) -> None:
    """Its bytes become garbage; that is no reason to refuse."""
    running.dmd_data.kill()
    assert soon(lambda: put(front, "/bucket/stored", b"")).status == 200
    assert soon(lambda: call(front, "GET", "/bucket/stored")).status == 200
    assert soon(lambda: call(front, "DELETE", "/bucket/stored")).status == 204
    running.start_daemons()
    assert call(front, "GET", "/bucket/stored").status == 404


def test_a_metadata_daemon_that_does_not_answer_costs_the_call_timeout(
    running: Cluster, front: Front
) -> None:
    with stopped(running.dmd_metadata):
        for name in ("GetObject", "PutObject", "ListObjects"):
            send, started = REQUESTS[name], time.monotonic()
            assert_unavailable(lambda send=send: send(front))  # type: ignore[misc]
            assert time.monotonic() - started >= CALL_TIMEOUT_MS / 1000
    wait_for(lambda: works(front), "recovery")


def test_what_was_asked_of_a_stopped_daemon_leaves_nothing_half_done(
    running: Cluster, front: Front
) -> None:
    """The write was answered with 503: it may have taken effect later, but whole, or not at all."""
    client = ObjectClient(front)
    with stopped(running.dmd_metadata):
        assert client.request("PUT", "/bucket/doubtful", DATA).status == 503
    wait_for(lambda: works(front), "recovery")
    found = client.request("GET", "/bucket/doubtful")
    assert (found.status, found.body) == (200, DATA) or found.status == 404


def test_a_front_end_may_start_first(tmp_path: Path) -> None:
    stack = Cluster(tmp_path)
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(stack.stop)
        pool = cleanup.enter_context(ThreadPoolExecutor(1))
        starting = pool.submit(stack.add_front)  # which waits for the daemon
        wait_for(
            lambda: bool(stack.fronts) and accepts_connections(stack.fronts[0].port),
            "the front-end to listen",
        )
        front = stack.fronts[0]
        assert_unavailable(lambda: call(front, "GET", "/"))
        assert health(front) == 503
        stack.start_daemons()
        wait_for(lambda: call(front, "GET", "/").status == 200, "the daemons to be found")
        assert health(front) == 200
        assert starting.result(30) is front


# --- In the middle of a reply --------------------------------------------------------------------

LARGE_BYTES = 48 * 1024 * 1024
"""More than all buffers between the daemon and the client hold."""

STALL_SECONDS = 1.0


class Download:
    """A GET of which the first bytes have arrived, and no more are read yet."""

    def __init__(self, front: Front, target: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", front.port), 30)
        self._socket.sendall(bytes(sign(front, "GET", target)))
        self.body = bytearray()
        received = b""
        while not self.body:  # the head comes before the data daemon has sent any of the body
            more = self._socket.recv(4096)
            assert more, received
            received += more
            self.body[:] = received.partition(b"\r\n\r\n")[2]
        assert received.startswith(b"HTTP/1.1 200 ")

    def read(self, stall_seconds: float) -> bool:
        """Read until the end; returns False when nothing comes for so long."""
        self._socket.settimeout(stall_seconds)
        try:
            while len(self.body) < LARGE_BYTES and (data := self._socket.recv(1 << 20)):
                self.body += data
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def large(front: Front) -> bytes:
    data = random.Random("large").randbytes(LARGE_BYTES)
    assert put(front, "/bucket/large", data).status == 200
    return data


@pytest.fixture
def stalled(running: Cluster, front: Front, large: bytes) -> Iterator[Download]:
    """A download whose data daemon was stopped half-way; what could still come has been read."""
    download = Download(front, "/bucket/large")
    with stopped(running.dmd_data):
        assert not download.read(STALL_SECONDS)
        assert 0 < len(download.body) < LARGE_BYTES
        yield download
    download.close()


def test_a_read_goes_on_when_the_data_daemon_does(
    running: Cluster, stalled: Download, large: bytes
) -> None:
    go_on(running.dmd_data)
    assert stalled.read(30)
    assert stalled.body == large


def test_a_read_breaks_off_when_the_data_daemon_dies(
    running: Cluster, front: Front, stalled: Download, large: bytes
) -> None:
    running.dmd_data.kill()
    assert stalled.read(SOON_SECONDS)
    assert len(stalled.body) < LARGE_BYTES
    assert large.startswith(stalled.body)
    running.start_daemons()
    wait_for(lambda: call(front, "GET", "/bucket/large").body == large, "recovery")


def test_the_access_line_says_how_much_was_read_of_what_was_left(
    front: Front, large: bytes
) -> None:
    def lines() -> list[dict[str, object]]:
        read = [json.loads(line) for line in front.process.output.splitlines() if "GetOb" in line]
        return [line for line in read if line["error"] == "client went away"]

    before = len(lines())
    download = Download(front, "/bucket/large")
    received = len(download.body)
    download.close()
    wait_for(lambda: len(lines()) > before, "the access line")
    sent = lines()[-1]["bytes_sent"]
    assert isinstance(sent, int)
    assert received <= sent < len(large)


@pytest.mark.skipif(not os.environ.get("TWOFOLD_SOAK"), reason="takes half a minute: make soak")
def test_a_read_breaks_off_when_the_data_daemon_stays_stopped(
    stalled: Download, large: bytes
) -> None:
    assert stalled.read(60)
    assert len(stalled.body) < LARGE_BYTES
    assert large.startswith(stalled.body)
