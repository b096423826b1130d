"""One behaviour for every client of the data port, over both stores and both transports.

Clients: requests, curl, and our own over TCP; curl and our own over the Unix socket. Blobs: of
every size that is stored in its own way, with packing and without.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from s3front.locations.http_client import HttpClient
from s3front.locations.origin import Origin
from tests.servers import Cluster, accepts_connections, wait_for
from tests.unit.dmd.data.harness import keys_in

SIZES = (0, 1, 1000, 65_537, 262_144, 262_145, 3_000_000)
CONTENT = os.urandom(max(SIZES))
SECONDS_MAX = 30


@dataclass(frozen=True)
class Answer:
    """A response: ``headers`` by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes


Client = Callable[..., Answer]
"""``client(method, target, body, headers)``."""


@dataclass(frozen=True)
class Daemon:
    """A data daemon with a Unix socket."""

    servers: Cluster
    socket_path: Path

    @property
    def port(self) -> int:
        return self.servers.data_port

    def requests(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        response = requests.request(
            method,
            f"http://127.0.0.1:{self.port}{target}",
            data=body if method == "PUT" else None,
            headers=headers,
            timeout=SECONDS_MAX,
        )
        found = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, found, response.content)

    def curl(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        return self._curl([], method, target, body, headers)

    def curl_unix(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        option = ["--unix-socket", str(self.socket_path)]
        return self._curl(option, method, target, body, headers)

    def lean(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        return asyncio.run(self._lean(None, method, target, body, headers))

    def lean_unix(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        return asyncio.run(self._lean(self.socket_path, method, target, body, headers))

    def _curl(
        self, options: list[str], method: str, target: str, body: bytes, headers: dict[str, str]
    ) -> Answer:
        options = [*options, "--silent", "--show-error", "--include", "--max-time", "30"]
        for name, value in headers.items():
            options += ["--header", f"{name}: {value}"]
        if method == "PUT":
            options += ["--data-binary", "@-", "--header", "Content-Type:"]
        command = ["curl", *options, "--request", method, f"http://127.0.0.1:{self.port}{target}"]
        done = subprocess.run(command, input=body, capture_output=True, check=True)
        output = done.stdout
        while output.startswith(b"HTTP/1.1 100 "):
            output = output.partition(b"\r\n\r\n")[2]
        head, _, content = output.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        fields = (line.partition(":") for line in lines)
        found = {name.lower(): value.strip() for name, _, value in fields}
        return Answer(int(status.split()[1]), found, content)

    async def _lean(
        self, path: Path | None, method: str, target: str, body: bytes, headers: dict[str, str]
    ) -> Answer:
        # A port where nobody listens: over the Unix socket, or not at all.
        origin = Origin("127.0.0.1", 1 if path else self.port, path)
        client = HttpClient(origin, stall_seconds=SECONDS_MAX)
        length = {"Content-Length": str(len(body))} if method == "PUT" else {}
        response = await client.request(method, target, {**headers, **length}, body)
        content = await response.read_all(10 * len(CONTENT))
        found = {name.lower(): value for name, value in response.headers.items()}
        await client.close()
        return Answer(response.status, found, content)


@pytest.fixture(scope="module", params=[262_144, 0], ids=["packed", "files"])
def daemon(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    # The path of a Unix socket is short.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.sock"
        section = {"socketPath": str(path), "packedSizeMaxBytes": request.param}
        servers = Cluster(tmp_path_factory.mktemp("clients"), settings={"dataDaemon": section})
        servers.dmd_data.start()
        wait_for(lambda: path.exists() and accepts_connections(servers.data_port), "the daemon")
        yield Daemon(servers, path)
        servers.stop()


@pytest.fixture(params=["requests", "curl", "curl_unix", "lean", "lean_unix"])
def client(request: pytest.FixtureRequest, daemon: Daemon) -> Client:
    method: Client = getattr(daemon, request.param)
    return method


def put(client: Client, size: int) -> str:
    """Store a blob; where it is."""
    answer = client("PUT", "/DataFile/", CONTENT[:size])
    assert (answer.status, answer.body) == (201, b"")
    return answer.headers["location"]


@pytest.mark.parametrize("size", SIZES)
def test_a_blob_can_be_stored_read_and_deleted(daemon: Daemon, client: Client, size: int) -> None:
    place = put(client, size)
    answer = client("GET", place)
    assert (answer.status, answer.headers["content-length"]) == (200, str(size))
    assert answer.body == CONTENT[:size]
    assert client("DELETE", place).status == 204
    gone = client("GET", place)
    assert (gone.status, json.loads(gone.body)["errorType"]) == (404, "ObjNotFound")
    assert client("DELETE", place).status == 404
    assert place.rpartition("/")[2] not in keys_in(daemon.servers.folder / "data")


@pytest.mark.parametrize("size", SIZES[2:])
def test_a_part_of_a_blob_can_be_read(client: Client, size: int) -> None:
    place, content = put(client, size), CONTENT[:size]
    for text, start, end in (
        ("0-0", 0, 1),
        ("10-99", 10, 100),
        (f"{size - 5}-", size - 5, size),
        ("-7", size - 7, size),
        (f"500-{10 * size}", 500, size),
    ):
        answer = client("GET", place, Range=f"bytes={text}")
        assert (answer.status, answer.body) == (206, content[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    assert client("GET", place, Range=f"bytes={size}-").status == 416


def test_errors_are_json(client: Client) -> None:
    for method, target, status, code in (
        ("GET", "/DataFile/" + "0" * 40, 404, "ObjNotFound"),
        ("GET", "/DataFile/", 400, "MissingParameter"),
        ("PUT", "/DataFile/" + "0" * 40, 400, "InvalidURI"),
        ("DELETE", "/DataFile/x/y", 400, "InvalidURI"),
        ("POST", "/DataFile/", 405, "MethodNotAllowed"),
    ):
        answer = client(method, target)
        assert (answer.status, json.loads(answer.body)["errorType"]) == (status, code)


def test_the_disk_usage_is_told(client: Client) -> None:
    answer = client("GET", "/DataFile?diskUsage")
    assert (answer.status, set(json.loads(answer.body))) == (200, {"available", "free", "total"})
