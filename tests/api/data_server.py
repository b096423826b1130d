"""A real data server in a thread, and a raw client for what HTTP libraries refuse to send."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import requests
import uvloop

from dmd.data.base import BlobStore
from dmd.data.data_directory import DataDirectory
from dmd.data.data_server import DataServer, serve
from dmd.data.data_service import DataService, ServiceOptions
from dmd.data.disk import Disk
from dmd.data.file_store import FileStore
from tests.unit.dmd.data.harness import files_in

DEADLINE_SECONDS = 20.0
LOOPS = ["uvloop", "asyncio"]


def wait_until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; fail when it does not within the deadline."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        threading.Event().wait(0.005)


@dataclass
class RecordingLog:
    """A logger that keeps its lines as (level, event, fields)."""

    shows_debug: ClassVar[bool] = True

    lines: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)

    def debug(self, event: str, /, **fields: object) -> None:
        self.lines.append(("debug", event, fields))

    def info(self, event: str, /, **fields: object) -> None:
        self.lines.append(("info", event, fields))

    def warning(self, event: str, /, **fields: object) -> None:
        self.lines.append(("warning", event, fields))

    def error(self, event: str, /, **fields: object) -> None:
        self.lines.append(("error", event, fields))

    def fields_of(self, event: str) -> list[dict[str, object]]:
        """The fields of every line of this event."""
        return [fields for _, name, fields in self.lines if name == event]

    def last_request(self) -> dict[str, object]:
        """The fields of the last access line; of none yet, none."""
        return [{}, *self.fields_of("request")][-1]


class RunningServer:
    """A server on a loop of its own ("uvloop" or "asyncio"), in a thread; ``stop`` ends it."""

    def __init__(
        self,
        store: BlobStore,
        options: ServiceOptions,
        loop: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.log = RecordingLog()
        self._store = store
        self._tls = tls
        self._loop = uvloop.new_event_loop() if loop == "uvloop" else asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._start(options), self._loop).result()
        self._stopped = False
        self.port = self._server.port
        self.url = f"http://127.0.0.1:{self.port}"

    async def _start(self, options: ServiceOptions) -> DataServer:
        service = DataService(self._store, self.log, options)
        return await serve(service, "127.0.0.1", 0, self._tls)

    def begin_stop(self, deadline_seconds: float) -> Callable[[], None]:
        """Begin to close; the result waits for the end of it."""
        closing = asyncio.run_coroutine_threadsafe(self._server.close(deadline_seconds), self._loop)

        def finish() -> None:
            closing.result(DEADLINE_SECONDS)
            self.stop()

        return finish

    def stop(self) -> None:
        """Close everything, at once; harmless when repeated."""
        if self._stopped:
            return
        self._stopped = True
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(DEADLINE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_SECONDS)
        self._loop.close()

    async def _close(self) -> None:
        await self._server.close(0)
        await self._store.close()

    def ask(self, method: str, path: str, **headers: str) -> requests.Response:
        """Send a request without a body, whose path is sent as it is given."""
        prepared = requests.Request(method, self.url, headers=headers).prepare()
        prepared.url = self.url + path
        with requests.Session() as session:
            return session.send(prepared, timeout=DEADLINE_SECONDS)

    def put(self, content: bytes) -> str:
        """Store a blob; return its URL."""
        response = requests.put(f"{self.url}/DataFile/", data=content, timeout=DEADLINE_SECONDS)
        assert response.status_code == 201, response.text
        return self.url + response.headers["Location"]

    @contextlib.contextmanager
    def connect(self) -> Iterator[RawClient]:
        """A plain connection."""
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE_SECONDS) as connection:
            yield RawClient(connection)


@contextlib.contextmanager
def servers_on(
    directory: Path, disk: Disk, loop: str
) -> Iterator[Callable[[ServiceOptions], RunningServer]]:
    """Give a function that starts a server on the directory, emptied; stop it at the end."""
    for path in files_in(directory):
        path.unlink()
    started: list[RunningServer] = []

    def start(options: ServiceOptions) -> RunningServer:
        store = FileStore(DataDirectory(directory), disk, RecordingLog())
        started.append(RunningServer(store, options, loop))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@dataclass(frozen=True)
class RawResponse:
    """One response as it came: status, headers with lower-case names, body."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawClient:
    """Sends bytes as they are, and reads responses one after the other."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._received = b""

    def send(self, *lines: str, body: bytes = b"") -> None:
        """Send a request: its lines, an empty line, and these bytes of its body."""
        head = "\r\n".join([*lines, "Host: test", "", ""])
        self.connection.sendall(head.encode("latin-1") + body)

    def response(self) -> RawResponse:
        """Read one response, by its Content-Length."""
        status, headers = self.head()
        length = int(headers.get("content-length", "0"))
        while len(self._received) < length:
            self._receive()
        body, self._received = self._received[:length], self._received[length:]
        return RawResponse(status, headers, body)

    def head(self) -> tuple[int, dict[str, str]]:
        """Read status and headers of one response."""
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in rest)
        return int(first.split()[1]), {name.lower(): value for name, value in pairs}

    def rest(self) -> bytes:
        """Read until the server closes or cuts the connection."""
        with contextlib.suppress(ConnectionError):
            while data := self.connection.recv(1 << 16):
                self._received += data
        return self._received

    def _receive(self) -> None:
        data = self.connection.recv(1 << 16)
        assert data, f"the server closed the connection after {self._received[:200]!r}"
        self._received += data
