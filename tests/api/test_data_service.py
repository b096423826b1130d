"""The data port over real connections: the table of reference/dmd-wire.md, section 11."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from dmd.data.data_service import ServiceOptions
from shared.blob_files import directory_number, is_blob_key
from tests.api.data_server import DEADLINE_SECONDS, LOOPS, RunningServer, servers_on
from tests.faults.disk import FailingDisk, failing_disk
from tests.unit.dmd.data.harness import files_in

LARGE = os.urandom(1 << 20) * 24
ABSENT = "/DataFile/" + "0" * 40
TEN = b"0123456789"


@pytest.fixture(scope="session")
def data_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data-port")


@pytest.fixture
def disk() -> FailingDisk:
    return failing_disk()


@pytest.fixture(params=LOOPS)
def server(
    request: pytest.FixtureRequest, data_directory: Path, disk: FailingDisk
) -> Iterator[RunningServer]:
    with servers_on(data_directory, disk, request.param) as start:
        yield start(ServiceOptions())


def error_body(code: str, message: str) -> bytes:
    return b'{"errorType":"%s","errorMessage":"%s"}\n' % (code.encode(), message.encode())


# PUT


@pytest.mark.parametrize("path", ["/DataFile", "/DataFile/"])
def test_put_answers_with_the_location_of_the_blob(server: RunningServer, path: str) -> None:
    response = requests.put(server.url + path, data=TEN, timeout=DEADLINE_SECONDS)
    service, key = response.headers["Location"].rsplit("/", 1)
    assert (response.status_code, service) == (201, "/DataFile")
    assert is_blob_key(key)


def test_put_answers_with_an_empty_body_of_length_zero(server: RunningServer) -> None:
    response = requests.put(f"{server.url}/DataFile/", data=TEN, timeout=DEADLINE_SECONDS)
    assert (response.headers["Content-Length"], response.content) == ("0", b"")


def test_put_stores_the_file_where_the_original_does(
    server: RunningServer, data_directory: Path
) -> None:
    key = server.put(TEN).rsplit("/", 1)[1]
    assert (data_directory / str(directory_number(key)) / key).read_bytes() == TEN


def test_put_stores_a_compressed_body_as_it_is_sent(server: RunningServer) -> None:
    headers = {"Content-Encoding": "gzip"}
    url = f"{server.url}/DataFile/"
    response = requests.put(url, data=b"\x1f\x8b...", headers=headers, timeout=DEADLINE_SECONDS)
    assert requests.get(server.url + response.headers["Location"], timeout=9).content == (
        b"\x1f\x8b..."
    )


def test_put_without_a_length_is_refused(server: RunningServer) -> None:
    with server.connect() as client:
        client.send("PUT /DataFile/ HTTP/1.1")
        response = client.response()
    assert (response.status, response.body) == (
        411,
        error_body("MissingContentLength", "You must provide the Content-Length HTTP header."),
    )


def test_chunked_put_is_refused(server: RunningServer) -> None:
    with server.connect() as client:
        client.send("PUT /DataFile/ HTTP/1.1", "Transfer-Encoding: chunked", body=b"2\r\nxx\r\n")
        response = client.response()
    assert (response.status, response.headers["connection"]) == (411, "close")


@pytest.mark.parametrize("length", ["x", "-1", "1.5", "0x10", "1 2"])
def test_put_with_a_length_that_is_no_number_is_refused(server: RunningServer, length: str) -> None:
    with server.connect() as client:
        client.send("PUT /DataFile/ HTTP/1.1", f"Content-Length: {length}")
        response = client.response()
    assert (response.status, response.body) == (
        400,
        error_body("InvalidInput", "bad Content-Length"),
    )


def test_put_to_a_key_is_refused(server: RunningServer) -> None:
    response = server.ask("PUT", ABSENT)
    assert (response.status_code, response.content) == (
        400,
        error_body("InvalidURI", "PUT url cannot contain a key"),
    )


def test_continue_is_sent_for_an_accepted_upload(server: RunningServer) -> None:
    with server.connect() as client:
        client.send("PUT /DataFile/ HTTP/1.1", "Content-Length: 10", "Expect: 100-continue")
        invited, _ = client.head()
        client.connection.sendall(TEN)
        stored = client.response()
    assert (invited, stored.status) == (100, 201)


def test_continue_is_not_sent_for_a_refused_upload(server: RunningServer) -> None:
    with server.connect() as client:
        client.send(f"PUT {ABSENT} HTTP/1.1", "Content-Length: 10", "Expect: 100-continue")
        status, headers = client.head()
    assert (status, headers["connection"]) == (400, "close")


def test_a_refused_upload_reads_its_answer_although_it_sends_on(server: RunningServer) -> None:
    with server.connect() as client:
        client.send(f"PUT {ABSENT} HTTP/1.1", f"Content-Length: {len(LARGE)}", body=LARGE)
        response = client.response()
        client.rest()
    assert response.status == 400


def test_a_hundred_uploads_at_once_are_all_stored(server: RunningServer) -> None:
    contents = [b"%d " % number * 1000 for number in range(100)]
    with ThreadPoolExecutor(100) as pool:
        urls = list(pool.map(server.put, contents))
    assert [requests.get(url, timeout=DEADLINE_SECONDS).content for url in urls] == contents


def test_an_empty_blob_can_be_stored_and_read(server: RunningServer) -> None:
    response = requests.get(server.put(b""), timeout=DEADLINE_SECONDS)
    assert (response.status_code, response.headers["Content-Length"]) == (200, "0")


# GET


@pytest.mark.parametrize("content", [TEN, LARGE], ids=["small", "large"])
def test_get_returns_the_blob(server: RunningServer, content: bytes) -> None:
    response = requests.get(server.put(content), timeout=DEADLINE_SECONDS)
    assert (response.status_code, response.content == content) == (200, True)


@pytest.mark.parametrize("content", [TEN, LARGE], ids=["small", "large"])
def test_get_sends_only_the_headers_of_the_original(server: RunningServer, content: bytes) -> None:
    with server.connect() as client:
        path = server.put(content).removeprefix(server.url)
        client.send(f"GET {path} HTTP/1.1")
        _, headers = client.head()
    assert set(headers) == {"content-length", "accept-ranges", "date"}


@pytest.mark.parametrize(
    ("header", "status", "content_range", "body"),
    [
        ("bytes=2-5", 206, "bytes 2-5/10", b"2345"),
        ("bytes=7-", 206, "bytes 7-9/10", b"789"),
        ("bytes=-4", 206, "bytes 6-9/10", b"6789"),
        ("bytes=-40", 206, "bytes 0-9/10", TEN),
        ("bytes=8-40", 206, "bytes 8-9/10", b"89"),
        ("bytes=5-2", 200, None, TEN),
        ("bytes=0-1,3-4", 200, None, TEN),
        ("bytes=", 200, None, TEN),
        ("rows=0-1", 200, None, TEN),
    ],
)
def test_get_range_of_ten_bytes(
    server: RunningServer, header: str, status: int, content_range: str | None, body: bytes
) -> None:
    path = server.put(TEN).removeprefix(server.url)
    response = server.ask("GET", path, Range=header)
    seen = (response.status_code, response.headers.get("Content-Range"), response.content)
    assert seen == (status, content_range, body)


def test_get_range_of_a_large_blob(server: RunningServer) -> None:
    path = server.put(LARGE).removeprefix(server.url)
    response = server.ask("GET", path, Range=f"bytes=1000000-{len(LARGE) - 2}")
    assert response.content == LARGE[1000000:-1]


@pytest.mark.parametrize(
    ("content", "header"), [(TEN, "bytes=10-"), (TEN, "bytes=-0"), (b"", "bytes=0-")]
)
def test_get_range_without_a_byte_is_not_satisfiable(
    server: RunningServer, content: bytes, header: str
) -> None:
    response = server.ask("GET", server.put(content).removeprefix(server.url), Range=header)
    assert (response.status_code, response.json()["errorType"]) == (416, "InvalidRange")


def test_last_byte_of_an_empty_blob_is_all_of_it(server: RunningServer) -> None:
    response = server.ask("GET", server.put(b"").removeprefix(server.url), Range="bytes=-1")
    assert (response.status_code, response.content) == (200, b"")


def test_disk_usage_has_the_figures_of_the_file_system(
    server: RunningServer, data_directory: Path
) -> None:
    figures = server.ask("GET", "/DataFile?diskUsage").json()
    system = os.statvfs(data_directory)
    assert figures["total"] == system.f_blocks * system.f_frsize
    assert 0 < figures["available"] <= figures["free"] <= figures["total"]


def test_a_blob_deleted_while_it_is_read_is_read_to_its_end(server: RunningServer) -> None:
    url = server.put(LARGE)
    with requests.get(url, stream=True, timeout=DEADLINE_SECONDS) as reading:
        first = reading.raw.read(1000)
        deleted = requests.delete(url, timeout=DEADLINE_SECONDS)
        rest = reading.raw.read()
    assert (deleted.status_code, first + rest == LARGE) == (204, True)


# DELETE


def test_delete_answers_without_a_body(server: RunningServer) -> None:
    response = requests.delete(server.put(TEN), timeout=DEADLINE_SECONDS)
    assert (response.status_code, response.content) == (204, b"")


def test_delete_removes_the_file(server: RunningServer, data_directory: Path) -> None:
    requests.delete(server.put(TEN), timeout=DEADLINE_SECONDS)
    assert files_in(data_directory) == set()


# Errors


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_absent_blob_is_not_found(server: RunningServer, method: str) -> None:
    response = server.ask(method, ABSENT)
    assert (response.status_code, response.content) == (
        404,
        error_body("ObjNotFound", "This object does not exist"),
    )


def test_a_key_too_long_for_any_file_is_not_found(server: RunningServer) -> None:
    assert server.ask("GET", "/DataFile/" + "a" * 3000).status_code == 404


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("path", ["/DataFile", "/DataFile/"])
def test_a_missing_key_is_named(server: RunningServer, method: str, path: str) -> None:
    response = server.ask(method, path)
    assert (response.status_code, response.content) == (
        400,
        error_body("MissingParameter", "URL is missing key"),
    )


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/DataFile/xyz", "/DataFile/../lock", "/DataFile?x", "//a"])
def test_a_malformed_path_is_refused(server: RunningServer, method: str, path: str) -> None:
    response = server.ask(method, path)
    assert (response.status_code, response.content) == (
        400,
        error_body("InvalidURI", "malformed URI"),
    )


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_disk_usage_can_only_be_read(server: RunningServer, method: str) -> None:
    assert server.ask(method, "/DataFile?diskUsage").json()["errorType"] == "InvalidURI"


def test_another_service_is_not_supported(server: RunningServer) -> None:
    response = server.ask("GET", "/Other/00")
    assert (response.status_code, response.content) == (
        400,
        error_body("InvalidAction", "unsupported service '/Other'"),
    )


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS", "PATCH", "TRACE"])
def test_other_methods_are_not_allowed(server: RunningServer, method: str) -> None:
    assert server.ask(method, ABSENT).status_code == 405


def test_an_error_has_no_content_type(server: RunningServer) -> None:
    assert "Content-Type" not in server.ask("GET", ABSENT).headers


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not HTTP\r\n\r\n",
        b"GET /DataFile/00 HTTP/9.9\r\n\r\n",
        b"GET /DataFile/00 HTTP/1.1\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 300 + b"\r\n",
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["tls", "version", "no-host", "long-path", "long-header", "many-headers", "two-lengths"],
)
def test_what_is_not_http_gets_a_json_error(server: RunningServer, sent: bytes) -> None:
    with server.connect() as client:
        client.connection.sendall(sent)
        response = client.response()
    assert response.status == 400
    assert json.loads(response.body).keys() == {"errorType", "errorMessage"}


def test_an_unexpected_failure_is_a_json_error(server: RunningServer, disk: FailingDisk) -> None:
    url = server.put(TEN)
    disk.read = None  # type: ignore[assignment,method-assign]  # a defect, for once wanted
    response = requests.get(url, timeout=DEADLINE_SECONDS)
    assert (response.status_code, response.json()["errorType"]) == (500, "InternalError")


@pytest.mark.parametrize("content", [TEN, LARGE], ids=["small", "large"])
def test_a_full_disk_is_a_filesystem_error(
    server: RunningServer, disk: FailingDisk, content: bytes
) -> None:
    disk.fail("write", errno.ENOSPC)
    url = f"{server.url}/DataFile/"
    with server.connect() as client:
        client.send(
            f"PUT {url} HTTP/1.1".replace(server.url, ""), f"Content-Length: {len(content)}"
        )
        client.connection.sendall(content)
        response = client.response()
    assert (response.status, response.body) == (
        507,
        error_body("InsufficientStorage", "filesystem error: ENOSPC: No space left on device"),
    )


def test_a_full_disk_is_reported_after_continue_was_sent(
    server: RunningServer, disk: FailingDisk
) -> None:
    disk.fail("write", errno.ENOSPC)
    with server.connect() as client:
        client.send("PUT /DataFile/ HTTP/1.1", "Content-Length: 10", "Expect: 100-continue")
        client.head()
        client.connection.sendall(TEN)
        assert client.response().status == 507


def test_a_full_disk_leaves_nothing(
    server: RunningServer, disk: FailingDisk, data_directory: Path
) -> None:
    disk.fail("write", errno.ENOSPC)
    requests.put(f"{server.url}/DataFile/", data=TEN, timeout=DEADLINE_SECONDS)
    assert files_in(data_directory) == set()


# Administrative calls (docs/data-protocol.md)


def test_an_inventory_is_one_document(server: RunningServer) -> None:
    key = server.put(TEN).rsplit("/", 1)[1]
    response = server.ask("GET", "/DataFile?inventory&count=10000")
    page = response.json()
    assert (response.status_code, page["cursor"]) == (200, None)
    assert [entry[1::2] for entry in page["blobs"] if entry[0] == key] == [[len(TEN), False]]


def test_a_blob_in_quarantine_can_be_purged(server: RunningServer) -> None:
    location = server.put(TEN).removeprefix(server.url)
    answers = [
        server.ask("POST", f"{location}?{name}")
        for name in ("purge", "quarantine", "restore", "quarantine", "purge", "purge")
    ]
    assert [answer.status_code for answer in answers] == [404, 204, 204, 204, 204, 404]
    assert answers[-1].content == error_body("ObjNotFound", "This object does not exist")
    assert server.ask("GET", location).status_code == 404


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/DataFile?inventory&count=0", 400, "InvalidInput"),
        ("GET", "/DataFile?inventory&cursor=nonsense", 400, "InvalidInput"),
        ("POST", "/DataFile?adopt=nonsense", 400, "InvalidInput"),
        # What is no such call is what it always was.
        ("GET", "/DataFile?other", 400, "InvalidURI"),
        ("GET", f"{ABSENT}?inventory", 400, "InvalidURI"),
        ("PUT", "/DataFile?reclaim", 400, "InvalidURI"),
        ("POST", "/DataFile?other", 405, "MethodNotAllowed"),
        ("POST", f"{ABSENT}?reclaim", 405, "MethodNotAllowed"),
        ("POST", ABSENT, 405, "MethodNotAllowed"),
    ],
)
def test_what_is_no_administrative_call(
    server: RunningServer, method: str, target: str, status: int, code: str
) -> None:
    response = server.ask(method, target)
    assert (response.status_code, response.json()["errorType"]) == (status, code)
