"""What clients of the data port do besides asking politely: pipeline, stall, leave, wait."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import trustme

from dmd.data.data_service import ServiceOptions
from dmd.data.file_store import READER_THREADS
from dmd.data.memory_store import MemoryStore
from shared.daemon_secret import DaemonSecret, Gate
from tests.api.data_server import DEADLINE_SECONDS, LOOPS, RunningServer, servers_on, wait_until
from tests.faults.disk import FailingDisk, failing_disk
from tests.servers import accepts_connections
from tests.unit.dmd.data.harness import files_in

MIB = 1024 * 1024
LARGE = os.urandom(MIB) * 24
ABSENT = "/DataFile/" + "0" * 40
TEN = b"0123456789"


@pytest.fixture(scope="session")
def data_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data-connections")


@pytest.fixture
def disk() -> FailingDisk:
    return failing_disk()


@pytest.fixture(params=LOOPS)
def start(
    request: pytest.FixtureRequest, data_directory: Path, disk: FailingDisk
) -> Iterator[Callable[[ServiceOptions], RunningServer]]:
    """Starts a server with these options on an empty directory."""
    with servers_on(data_directory, disk, request.param) as start_server:
        yield start_server


@pytest.fixture
def server(start: Callable[[ServiceOptions], RunningServer]) -> RunningServer:
    return start(ServiceOptions())


# Readers


def test_stalled_readers_keep_nobody_from_reading(server: RunningServer) -> None:
    url = server.put(LARGE)
    stalled = [
        requests.get(url, stream=True, timeout=DEADLINE_SECONDS) for _ in range(READER_THREADS * 2)
    ]
    assert requests.get(url, timeout=DEADLINE_SECONDS).content == LARGE
    for reading in stalled:
        reading.close()


def test_a_reader_that_takes_nothing_for_too_long_is_dropped(
    start: Callable[[ServiceOptions], RunningServer],
) -> None:
    server = start(ServiceOptions(reader_stall_seconds=0.1))
    path = server.put(LARGE).removeprefix(server.url)
    with server.connect() as client:
        client.send(f"GET {path} HTTP/1.1")
        wait_until(lambda: {"method": "GET"}.items() <= server.log.last_request().items())
        assert len(client.rest()) < len(LARGE)


def test_a_blob_that_cannot_be_read_on_is_cut_short(
    server: RunningServer, disk: FailingDisk
) -> None:
    path = server.put(LARGE).removeprefix(server.url)
    with server.connect() as client:
        client.send(f"GET {path} HTTP/1.1")
        client.head()
        disk.fail("send", errno.EIO)
        assert len(client.rest()) < len(LARGE)


# Connections


def test_pipelined_requests_are_answered_in_order(server: RunningServer) -> None:
    path = server.put(TEN).removeprefix(server.url)
    with server.connect() as client:
        client.connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"
            "PUT /DataFile/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
            f"DELETE {ABSENT} HTTP/1.1\r\nHost: a\r\n\r\n"
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode()
        )
        statuses = [client.response().status for _ in range(4)]
    assert statuses == [200, 201, 404, 405]


def test_a_connection_serves_on_after_an_error(server: RunningServer) -> None:
    with server.connect() as client:
        client.send(f"GET {ABSENT} HTTP/1.1")
        client.response()
        client.send("GET /DataFile?diskUsage HTTP/1.1")
        assert client.response().status == 200


@pytest.mark.parametrize("sent", [10, 3 * MIB], ids=["in memory", "on disk"])
def test_a_client_that_leaves_half_way_leaves_nothing(
    server: RunningServer, data_directory: Path, sent: int
) -> None:
    with server.connect() as client:
        client.send("PUT /DataFile/ HTTP/1.1", f"Content-Length: {4 * MIB}", body=LARGE[:sent])
        if sent > MIB:
            wait_until(lambda: bool(files_in(data_directory)))
    wait_until(lambda: bool(server.log.fields_of("request")))
    assert files_in(data_directory) == set()


def test_an_upload_that_sends_nothing_for_too_long_is_dropped(
    start: Callable[[ServiceOptions], RunningServer], data_directory: Path
) -> None:
    server = start(ServiceOptions(upload_idle_seconds=0.1))
    with server.connect() as client:
        client.send("PUT /DataFile/ HTTP/1.1", f"Content-Length: {4 * MIB}", body=LARGE[: 2 * MIB])
        assert client.rest() == b""
    wait_until(lambda: bool(server.log.fields_of("request")))
    assert files_in(data_directory) == set()


def test_an_upload_under_way_finishes_before_the_server_stops(server: RunningServer) -> None:
    with server.connect() as client:
        client.send("PUT /DataFile/ HTTP/1.1", "Content-Length: 10", "Expect: 100-continue")
        client.head()
        finish = server.begin_stop(DEADLINE_SECONDS)
        wait_until(lambda: not accepts_connections(server.port))
        client.connection.sendall(TEN)
        response = client.response()
    finish()
    assert (response.status, response.headers["connection"]) == (201, "close")


def test_an_upload_past_the_deadline_leaves_nothing(
    server: RunningServer, data_directory: Path
) -> None:
    with server.connect() as client:
        client.send("PUT /DataFile/ HTTP/1.1", f"Content-Length: {4 * MIB}", body=LARGE[: 2 * MIB])
        wait_until(lambda: bool(files_in(data_directory)))
        server.begin_stop(0.05)()
    assert files_in(data_directory) == set()


def test_an_idle_connection_does_not_delay_the_stop(server: RunningServer) -> None:
    with server.connect() as client:
        client.send(f"GET {ABSENT} HTTP/1.1")
        client.response()
        server.begin_stop(DEADLINE_SECONDS)()
        assert client.rest() == b""


# Log, secret, TLS


def test_each_request_is_one_line_with_its_request_ids(server: RunningServer) -> None:
    server.ask("GET", ABSENT, **{"X-Scal-Request-Uids": "a1:b2"})
    wait_until(lambda: bool(server.log.last_request()))
    (fields,) = server.log.fields_of("request")
    assert (fields["method"], fields["path"], fields["status"], fields["req_uids"]) == (
        "GET",
        ABSENT,
        404,
        "a1:b2",
    )


def test_overlong_request_ids_are_ignored(server: RunningServer) -> None:
    server.ask("GET", ABSENT, **{"X-Scal-Request-Uids": "a" * 128})
    wait_until(lambda: bool(server.log.last_request()))
    assert "req_uids" not in server.log.last_request()


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({}, 403),
        ({"Authorization": "Bearer other"}, 403),
        ({"Authorization": "s3"}, 403),
        ({"Authorization": "Bearer s3"}, 404),
        ({"Authorization": "Bearer s4"}, 404),
    ],
)
def test_a_shared_secret_is_required_when_set(
    start: Callable[[ServiceOptions], RunningServer], header: dict[str, str], status: int
) -> None:
    server = start(ServiceOptions(gate=Gate(DaemonSecret(("s3", "s4")))))
    assert server.ask("GET", ABSENT, **header).status_code == status


@pytest.mark.parametrize("loop", LOOPS)
def test_the_port_can_speak_tls(tmp_path: Path, loop: str) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = RunningServer(MemoryStore(), ServiceOptions(), loop, context)
    url = f"https://127.0.0.1:{server.port}/DataFile?diskUsage"
    response = requests.get(url, verify=str(tmp_path / "ca.pem"), timeout=DEADLINE_SECONDS)
    server.stop()
    assert response.status_code == 200
