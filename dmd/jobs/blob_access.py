"""The blobs, as jobs see them: behind a running daemon's port, or in a directory of their own.

``open_data`` decides. A daemon that answers is asked (docs/data-protocol.md). When nobody listens,
and the port would be this machine's, the job takes possession of the data directory, as a daemon
does, so that none can start meanwhile. Jobs are blocking programs.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
from collections.abc import Coroutine, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlencode

from dmd.belonging import ABOUT_NAME
from dmd.data.administration import administer, parse_command
from dmd.data.base import Blob, BlobNotFoundError, BlobStore, StoreError
from dmd.data.blob_keys import SERVICE_PATH
from dmd.data.both import open_both_stores
from dmd.data.data_directory import DataDirectory
from dmd.data.disk import DiskOptions
from dmd.data.errors import DataError
from dmd.jobs.errors import JobError
from dmd.ownership.owned_directory import Ownership
from shared.config import Config
from shared.credentials import NO_CREDENTIALS, Credentials, data_credentials
from shared.process.logs import EventLog
from shared.tls import explain

_PAGE_BLOBS: Final = 2000
_BLOCK_BYTES: Final = 1024 * 1024
_TIMEOUT_SECONDS: Final = 60.0
_RECLAIM_SECONDS_MAX: Final = 3600.0
_LOOPBACK: Final = ("localhost", "127.", "::1")

_T = TypeVar("_T")


class DamagedError(Exception):
    """A blob is there, and its bytes cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class ListedBlob:
    """A blob of the inventory; ``key`` is its 40 digits as 20 bytes."""

    key: bytes
    size: int
    created_ms: int
    quarantined: bool


class OpenBlob:
    """A blob's size, and its bytes, to be read once from the beginning."""

    def __init__(self, size: int, blocks: Generator[bytes]) -> None:
        self.size = size
        self._blocks = blocks

    def blocks(self) -> Iterator[bytes]:
        """The bytes, in order; raises DamagedError when they end early."""
        return self._blocks

    def close(self) -> None:
        """Release it, read to the end or not."""
        self._blocks.close()


class Transport(Protocol):
    """The way to the blobs. All methods raise JobError when it is closed, or fails."""

    live: bool
    """Whether a daemon serves the blobs."""

    def call(
        self, method: str, target: str, seconds_max: float = _TIMEOUT_SECONDS
    ) -> tuple[int, Any]:
        """An administrative call: status (204, 200 or 404) and document."""

    def open(self, key: str) -> OpenBlob:
        """Raises BlobNotFoundError and DamagedError."""

    def close(self) -> None:
        """End it."""


class Data:
    """What jobs ask of the blobs. Keys are 20 bytes. Every method raises JobError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def live(self) -> bool:
        """Whether a daemon serves the blobs meanwhile."""
        return self._transport.live

    def pages(self) -> Iterator[tuple[int, list[ListedBlob]]]:
        """All blobs; with each page the time, in ms of the daemon's clock, before it was read."""
        cursor: str | None = None
        while True:
            parameters = {"count": str(_PAGE_BLOBS)} | ({"cursor": cursor} if cursor else {})
            target = f"{SERVICE_PATH}?inventory&{urlencode(parameters)}"
            _, page = self._transport.call("GET", target)
            yield (
                page["now"],
                [ListedBlob(bytes.fromhex(key), *rest) for key, *rest in page["blobs"]],
            )
            cursor = page["cursor"]
            if cursor is None:
                return

    def owners(self) -> list[str]:
        """The UUIDs of the metadata stores whose blobs these are."""
        owners: list[str] = self._transport.call("GET", f"{SERVICE_PATH}?owners")[1]["owners"]
        return owners

    def adopt(self, owner: str) -> None:
        """Note one more of them."""
        self._transport.call("POST", f"{SERVICE_PATH}?{urlencode({'adopt': owner})}")

    def disown(self, owner: str) -> None:
        """Forget one of them."""
        self._transport.call("POST", f"{SERVICE_PATH}?{urlencode({'disown': owner})}")

    def quarantine(self, key: bytes) -> bool:
        """Take a blob out of use; False when it is not there."""
        return self._change(key, "quarantine")

    def restore(self, key: bytes) -> bool:
        """Take a blob back into use; False when it is not there."""
        return self._change(key, "restore")

    def purge(self, key: bytes) -> bool:
        """Remove a blob from quarantine; False when it is not, or no longer, there."""
        return self._change(key, "purge")

    def reclaim(self) -> None:
        """Give back the space of deleted blobs."""
        self._transport.call("POST", f"{SERVICE_PATH}?reclaim", _RECLAIM_SECONDS_MAX)

    def open(self, key: bytes) -> OpenBlob:
        """Open a blob; it leaves the quarantine. Raises BlobNotFoundError and DamagedError."""
        return self._transport.open(key.hex())

    def close(self) -> None:
        """End the connection, or give the directory up."""
        self._transport.close()

    def _change(self, key: bytes, name: str) -> bool:
        status, _ = self._transport.call("POST", f"{SERVICE_PATH}/{key.hex()}?{name}")
        return status != 404


@dataclass(frozen=True, slots=True)
class Access:
    """Where the data port is, and what opens it: the one place that knows."""

    host: str
    port: int
    credentials: Credentials = NO_CREDENTIALS

    def connect(self) -> http.client.HTTPConnection:
        """A connection, not yet made."""
        tls = self.credentials.tls
        if tls is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=_TIMEOUT_SECONDS)
        return http.client.HTTPSConnection(
            self.host, self.port, timeout=_TIMEOUT_SECONDS, context=tls
        )

    def headers(self) -> dict[str, str]:
        """What every request carries."""
        shown = self.credentials.secret.authorization
        return {} if shown is None else {"Authorization": shown}

    @property
    def is_local(self) -> bool:
        """Whether it is a port of this machine."""
        return self.host.startswith(_LOOPBACK)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class DataPort:
    """A running daemon (``Transport``). Connects at once; raises OSError."""

    live = True

    def __init__(self, access: Access) -> None:
        self._access = access
        self._connection = access.connect()
        self._connection.connect()

    def call(
        self, method: str, target: str, seconds_max: float = _TIMEOUT_SECONDS
    ) -> tuple[int, Any]:
        response, body = self._whole(method, target, seconds_max)
        if response.status not in (200, 204, 404):
            raise self._problem(f"{response.status} {body.decode(errors='replace').strip()}")
        return response.status, json.loads(body) if response.status == 200 else None

    def open(self, key: str) -> OpenBlob:
        response = self._request("GET", f"{SERVICE_PATH}/{key}", _TIMEOUT_SECONDS)
        if response.status == 200:
            return OpenBlob(int(response.headers["Content-Length"]), self._blocks(response))
        text = response.read().decode(errors="replace").strip()
        if response.status == 404:
            raise BlobNotFoundError(key)
        if response.status == 500:
            with contextlib.suppress(ValueError, KeyError):
                text = json.loads(text)["errorMessage"]
            raise DamagedError(text)
        raise self._problem(f"{response.status} {text}")

    def close(self) -> None:
        self._connection.close()

    def _blocks(self, response: http.client.HTTPResponse) -> Generator[bytes]:
        ended = False
        try:
            while block := response.read(_BLOCK_BYTES):
                yield block
            if response.length:
                raise DamagedError(f"the bytes end {response.length} before their end")
            ended = True
        except (http.client.HTTPException, OSError) as error:
            raise DamagedError(f"the bytes end early: {error}") from error
        finally:
            if not ended:
                self._connection.close()  # what remains would be read as the next answer

    def _whole(
        self, method: str, target: str, seconds_max: float
    ) -> tuple[http.client.HTTPResponse, bytes]:
        try:
            response = self._request(method, target, seconds_max)
            return response, response.read()
        except (http.client.HTTPException, OSError) as error:
            raise self._problem(str(error)) from error

    def _request(self, method: str, target: str, seconds_max: float) -> http.client.HTTPResponse:
        """Send a request; once more over a new connection, when the daemon has closed the one of
        the request before: what jobs ask may be done twice."""
        for attempt in range(2):
            try:
                if self._connection.sock is None:
                    self._connection.connect()
                self._connection.sock.settimeout(seconds_max)
                headers = {"Content-Length": "0"} if method == "POST" else {}
                self._connection.request(method, target, headers=headers | self._access.headers())
                return self._connection.getresponse()
            except (http.client.HTTPException, OSError) as error:
                self._connection.close()
                if attempt or isinstance(error, TimeoutError):
                    raise self._problem(str(error) or type(error).__name__) from error
        raise AssertionError

    def _problem(self, text: str) -> JobError:
        return JobError(f"data daemon at {self._access}: {text}")


class OwnedData:
    """A data directory that no daemon serves (``Transport``). Raises StartupError."""

    live = False

    def __init__(
        self, path: Path, options: DiskOptions, ownership: Ownership, log: EventLog
    ) -> None:
        self._path = path
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="data", daemon=True)
        self._thread.start()

        async def opened() -> BlobStore:
            return open_both_stores(DataDirectory(path, ownership, log), options, log)

        try:
            self._store = self._run(opened())
        except BaseException:
            self._end()
            raise

    def call(
        self, method: str, target: str, seconds_max: float = _TIMEOUT_SECONDS
    ) -> tuple[int, Any]:
        del seconds_max
        command = parse_command(method, target)
        assert command is not None
        try:
            reply = self._run(administer(self._store, command))
        except BlobNotFoundError:
            return 404, None
        except (DataError, StoreError) as error:
            raise JobError(f"{self._path}: {error}") from error
        return reply.status, reply.document

    def open(self, key: str) -> OpenBlob:
        try:
            blob = self._run(self._store.open(key))
        except StoreError as error:
            raise DamagedError(str(error)) from error
        return OpenBlob(blob.size, self._blocks(blob))

    def close(self) -> None:
        self._run(self._store.close())
        self._end()

    def _blocks(self, blob: Blob) -> Generator[bytes]:
        try:
            for offset in range(0, blob.size, _BLOCK_BYTES):
                block = self._run(blob.read(offset, min(_BLOCK_BYTES, blob.size - offset)))
                yield bytes(block)
        except StoreError as error:
            raise DamagedError(str(error)) from error
        finally:
            self._run(blob.close())

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def open_data(config: Config, log: EventLog) -> AbstractContextManager[Data]:
    """The blobs of an installation, for a ``with``. Raises JobError and StartupError."""
    return _closed_at_the_end(Data(_transport(config, log)))


def own_data(path: Path, log: EventLog) -> AbstractContextManager[Data]:
    """The blobs of a directory that no daemon serves, for a ``with``. Raises StartupError."""
    return _closed_at_the_end(Data(OwnedData(path, DiskOptions(), Ownership(), log)))


@contextmanager
def _closed_at_the_end(data: Data) -> Iterator[Data]:
    try:
        data.owners()  # whether we are let in, before a job begins
        yield data
    finally:
        data.close()


def _transport(config: Config, log: EventLog) -> Transport:
    client = config.data_client
    access = Access(client.host, client.port, data_credentials(config))
    try:
        return DataPort(access)
    except ConnectionRefusedError as error:
        if not access.is_local:
            raise JobError(f"data daemon at {access}: {error.strerror}") from error
    except OSError as error:
        raise JobError(f"data daemon at {access}: {explain(error)}") from error
    if not (config.data_path / ABOUT_NAME).exists():
        raise JobError(
            f"no data daemon listens on {access}, and {config.data_path} is no data directory"
        )
    ownership = Ownership.of(config.data_daemon)
    return OwnedData(config.data_path, DiskOptions(), ownership, log)
