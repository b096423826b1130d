"""The data daemon by itself: kills, clients that leave, descriptors that run out.

What was acknowledged is there, whole; what was not is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import random
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.processes import kill_at_once
from tests.servers import Cluster, accepts_connections, wait_for
from tests.unit.dmd.data.harness import keys_in

KILLS = 500 if os.environ.get("TWOFOLD_SOAK") else 12
WRITERS = 6
WRITES_BETWEEN_KILLS_MAX = 60
SIZES = (0, 1, 100, 1000, 4000, 30_000, 65_537, 262_144, 262_145, 2_000_000)
DESCRIPTORS = 96
_SEED_BYTES = 8


def content_of(seed: int, size: int) -> bytes:
    """Bytes that tell whether they are whole: ``size`` and the seed are in their beginning."""
    start = seed.to_bytes(_SEED_BYTES, "big") + size.to_bytes(_SEED_BYTES, "big")
    pattern = hashlib.sha256(start).digest()
    return (start + pattern * (size // len(pattern) + 1))[:size]


def is_whole(content: bytes) -> bool:
    seed = int.from_bytes(content[:_SEED_BYTES], "big")
    size = int.from_bytes(content[_SEED_BYTES : 2 * _SEED_BYTES], "big")
    return len(content) <= 2 * _SEED_BYTES or content == content_of(seed, size)


class DataDaemon:
    """A data daemon without anything around it."""

    def __init__(self, folder: Path) -> None:
        self._servers = Cluster(folder)
        self.process = self._servers.dmd_data
        self.port = self._servers.data_port
        self.folder = folder / "data"

    def start(self) -> None:
        if self.process.handle is None:
            self.process.start()
        wait_for(lambda: accepts_connections(self.port), "the data daemon")

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def get(self, key: str) -> tuple[int, bytes]:
        with closing(self.connect()) as connection:
            connection.request("GET", f"/DataFile/{key}")
            response = connection.getresponse()
            return response.status, response.read()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DataDaemon]:
    made = DataDaemon(tmp_path)
    made.start()
    yield made
    made.process.kill()


def put(connection: http.client.HTTPConnection, content: bytes) -> str:
    """Store a blob and return its key."""
    connection.request("PUT", "/DataFile/", content)
    response = connection.getresponse()
    response.read()
    assert response.status == 201
    location = response.headers["Location"]
    return location.rpartition("/")[2]


@dataclass
class Writers:
    """Threads that store and delete blobs until the end, whatever becomes of the daemon."""

    daemon: DataDaemon
    kept: dict[str, tuple[int, int]] = field(default_factory=dict)
    """What was acknowledged and not given up: seed and size, by key."""
    deleted: set[str] = field(default_factory=set)
    writes: int = 0
    failures: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    mutex: threading.Lock = field(default_factory=threading.Lock)

    def run(self, seed: int) -> None:
        chance = random.Random(seed)
        number = 0
        while not self.ended.is_set():
            try:
                with closing(self.daemon.connect()) as connection:
                    connection.connect()
                    while not self.ended.is_set():
                        number += 1
                        self._step(connection, chance, seed * 10**9 + number)
            except (OSError, http.client.HTTPException):
                self.ended.wait(0.05)  # it is being started again
            except AssertionError as error:
                self.failures.append(repr(error))
                return

    def _step(
        self, connection: http.client.HTTPConnection, chance: random.Random, seed: int
    ) -> None:
        if chance.random() < 0.3 and self.kept:
            with self.mutex:
                key = chance.choice(list(self.kept))
                # Given up now: a deletion without an answer may have happened or not.
                del self.kept[key]
            connection.request("DELETE", f"/DataFile/{key}")
            response = connection.getresponse()
            response.read()
            assert response.status == 204
            self.deleted.add(key)
            return
        size = chance.choice(SIZES)
        key = put(connection, content_of(seed, size))
        with self.mutex:
            self.kept[key] = (seed, size)
            self.writes += 1


@pytest.mark.timeout(60 + 10 * KILLS)
def test_acknowledged_blobs_survive_kills(daemon: DataDaemon) -> None:
    chance = random.Random()
    writers = Writers(daemon)
    threads = [threading.Thread(target=writers.run, args=(n,)) for n in range(1, WRITERS + 1)]
    for thread in threads:
        thread.start()
    for _ in range(KILLS):
        enough = writers.writes + chance.randrange(1, WRITES_BETWEEN_KILLS_MAX)
        wait_for(lambda enough=enough: writers.writes >= enough, "writes")  # type: ignore[misc]
        kill_at_once([daemon.process])
        assert not writers.failures
        daemon.start()
    writers.ended.set()
    for thread in threads:
        thread.join()
    assert not writers.failures
    stored = keys_in(daemon.folder)
    assert set(writers.kept) <= stored
    assert not writers.deleted & stored
    for key, (seed, size) in writers.kept.items():
        assert daemon.get(key) == (200, content_of(seed, size))
    for key in stored - set(writers.kept):
        status, content = daemon.get(key)
        assert status == 200
        assert is_whole(content)
    # A write or a deletion that was interrupted leaves one blob at most.
    assert len(stored - set(writers.kept)) <= KILLS * WRITERS
    assert not list((daemon.folder / "incoming").iterdir())


def test_a_client_may_leave_at_every_byte(daemon: DataDaemon) -> None:
    body = content_of(1, 60)
    head = b"PUT /DataFile/ HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\n"
    request = head + body
    for count in range(len(request)):
        with socket.create_connection(("127.0.0.1", daemon.port)) as client:
            client.sendall(request[:count])
            if count % 2:  # a reset instead of an end
                linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    with closing(daemon.connect()) as connection:
        key = put(connection, body)
    assert keys_in(daemon.folder) == {key}


def test_a_large_upload_may_end_anywhere(daemon: DataDaemon) -> None:
    size = 2_000_000
    head = f"PUT /DataFile/ HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
    for count in (0, 1, 65_536, 300_000, size - 1):
        with socket.create_connection(("127.0.0.1", daemon.port)) as client:
            client.sendall(head + bytes(count))
    wait_for(
        lambda: not keys_in(daemon.folder) and not list((daemon.folder / "incoming").iterdir()),
        "every trace of the uploads to go",
    )


def test_without_descriptors_requests_fail_and_later_ones_succeed(daemon: DataDaemon) -> None:
    with closing(daemon.connect()) as connection:
        small, large = put(connection, b"small"), put(connection, bytes(300_000))
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    with ExitStack() as stack:
        first = stack.enter_context(closing(daemon.connect()))
        put(first, b"accepted")
        for _ in range(2 * DESCRIPTORS):
            stack.enter_context(socket.create_connection(("127.0.0.1", daemon.port)))
        # The one that was accepted is served. What needs a file is refused, or, when a descriptor
        # has just become free, served whole.
        first.request("GET", f"/DataFile/{large}")
        response = first.getresponse()
        content = response.read()
        assert response.status in (200, 500)
        assert content == bytes(300_000) if response.status == 200 else b"EMFILE" in content

    def serves() -> bool:
        # What it still has of the others goes first; a connection that comes meanwhile is reset.
        with suppress(ConnectionError):
            return daemon.get(small) == (200, b"small")
        return False

    wait_for(serves, "the daemon to serve again")
    assert daemon.get(large) == (200, bytes(300_000))
    with closing(daemon.connect()) as connection:
        put(connection, bytes(300_000))
