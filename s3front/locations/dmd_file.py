"""The data daemon as a location: the client of REST ``/DataFile``.

Wire: reference/dmd-wire.md, section 11. Works against the original's daemon as well.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Final

import orjson

from s3front.locations.base import Capabilities, DataNotFoundError, ObjectInfo, Stored
from s3front.locations.http_call import SourceError
from s3front.locations.http_client import HttpClient, Response
from s3front.locations.local_blobs import READ_BYTES_MAX, LocalBlobs, LocalReader
from s3front.locations.local_files import LocalFile, LocalFiles, Offer
from s3front.locations.local_pieces import LocalPieces
from s3front.locations.origin import Origin
from s3front.s3_errors import S3Error
from shared.credentials import NO_CREDENTIALS, Credentials
from shared.http1.passage import Passage

_CODES: Final = {503: "ServiceUnavailable", 507: "InsufficientStorage"}
"""What an answer of the daemon is to S3; any other failure is an InternalError."""

_BASE_PATH: Final = "/DataFile/"
_DISK_USAGE_PATH: Final = "/DataFile?diskUsage"
_FILES_PATH: Final = "/DataFile?files"
_PACKED_PATH: Final = "/DataFile?packed"
STALL_SECONDS_MAX: Final = 30.0
"""How long the daemon may say nothing, or take nothing."""

PASSAGE_BYTES_MIN: Final = 1024 * 1024
"""Smaller reads gain nothing: half of 512 KiB comes together with the head."""

_KEY: Final = re.compile("[0-9a-f]{1,200}")
"""Keys of blobs. A record may name anything, and whatever it is must not become a request."""

_CONTENT_TYPE: Final = "application/octet-stream"
_ERROR_BYTES_MAX: Final = 4096


class DmdFileStore:
    """See ``base.DataStore``. Make it inside the event loop; ``close`` it.

    ``credentials`` may be replaced: the next request and the next connection use them.
    """

    type = "file"
    capabilities = Capabilities(ranges=True, collected=True)

    def __init__(
        self,
        origin: Origin,
        stall_seconds: float = STALL_SECONDS_MAX,
        credentials: Credentials = NO_CREDENTIALS,
        data_path: Path | None = None,
    ) -> None:
        """``data_path``: where the daemon's directory is, if it is on this machine."""
        self._client = HttpClient(origin, stall_seconds=stall_seconds)
        self._local = None if data_path is None else LocalBlobs(data_path, self._ask_directory)
        self._files = None if data_path is None else LocalFiles(data_path, self._ask_offer)
        self.credentials = credentials

    @property
    def credentials(self) -> Credentials:
        """The secret that requests show, and the TLS of connections."""
        return self._credentials

    @credentials.setter
    def credentials(self, credentials: Credentials) -> None:
        self._credentials = credentials
        secret = credentials.secret.authorization
        self._client.renew({} if secret is None else {"Authorization": secret}, credentials.tls)

    @property
    def reads_here(self) -> bool:
        """Whether small blobs are read without the daemon, which costs less than any hop."""
        return self._local is not None and self._local.serves

    async def close(self) -> None:
        """Close the connections."""
        if self._local is not None:
            await self._local.close()
        if self._files is not None:
            await self._files.close()
        await self._client.close()

    def new_file(self, size: int) -> LocalFile | None:
        """A file for a blob of ``size`` bytes that this process writes itself, in place of ``put``,
        where it can."""
        return None if self._files is None else self._files.new(size)

    async def put(
        self, size: int, body: bytes | AsyncGenerator[bytes, None], info: ObjectInfo, mark: str = ""
    ) -> Stored:
        headers = {"Content-Length": str(size), "Content-Type": _CONTENT_TYPE}
        try:
            response = await self._client.request("PUT", _BASE_PATH, headers, body)
        except SourceError as error:
            failure = error.error
        except OSError as error:
            raise S3Error("ServiceUnavailable") from error
        else:
            if response.status == 201:
                response.close()
                return Stored(response.headers["Location"].rpartition("/")[2], size)
            raise await _refused(response)
        try:
            # Not where the other error is handled: each would name the other, and what was held
            # of the body would stay until the garbage collector finds them.
            raise failure
        finally:
            del failure

    async def open(self, blob: Stored, start: int, end: int) -> _Reader | LocalReader:
        key = blob.key
        if _KEY.fullmatch(key) is None:
            raise DataNotFoundError(key)
        local = self._local
        if local is not None:
            found = local.read(blob, start, end) or await local.read_from_disk(blob, start, end)
            if found is not None:
                return found
        whole = start == 0 and end == blob.size - 1
        headers = {} if whole else {"Range": f"bytes={start}-{end}"}
        length = end - start + 1
        response = await self._request("GET", key, headers, holds=length >= PASSAGE_BYTES_MIN)
        if response.status == 404:
            await _text(response)
            raise DataNotFoundError(key)
        if response.status != (200 if whole else 206):
            raise await _refused(response)
        if response.length != length or not (whole or _is_part(response, blob)):
            response.close()
            raise S3Error("InternalError")
        return _Reader(response, length)

    async def open_pieces(self, blob: Stored, start: int, end: int) -> LocalPieces | None:
        """The same for many bytes that whoever reads them authenticates, where they can be read
        without the daemon; None when they have to be opened as others."""
        local = self._local
        if local is None or end - start < READ_BYTES_MAX or _KEY.fullmatch(blob.key) is None:
            return None
        return await local.pieces(blob, start, end)

    def content_here(self, key: str, size: int) -> bytes | None:
        """All bytes of a small blob, where they can be read without the daemon and without waiting;
        None when it has to be opened."""
        return None if self._local is None else self._local.content(key, size)

    async def disk_usage(self) -> tuple[int, int]:
        try:
            response = await self._client.request("GET", _DISK_USAGE_PATH, {})
            if response.status != 200:
                raise await _refused(response)
            found = orjson.loads(await _text(response))
            return int(found["available"]), int(found["total"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise S3Error("ServiceUnavailable") from error

    async def packed(self) -> tuple[str | None, int]:
        """The directory in which another process may pack small blobs, which are then found here,
        and up to what size in bytes; None when none may. Raises S3Error."""
        try:
            response = await self._client.request("GET", _PACKED_PATH, {})
            if response.status != 200:
                await _text(response)
                return None, 0  # another daemon, or an older one
            found = orjson.loads(await _text(response))
            return found["directory"], int(found["sizeMaxBytes"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise S3Error("ServiceUnavailable") from error

    async def delete(self, blob: Stored) -> None:
        key = blob.key
        if _KEY.fullmatch(key) is None:
            return
        response = await self._request("DELETE", key, {})
        if response.status not in (200, 204, 404):
            raise await _refused(response)
        await _text(response)

    async def _ask_directory(self) -> str | None:
        """Which directory of files the daemon serves; None when it tells none."""
        told = await self._ask_files()
        return None if told is None else told.directory

    async def _ask_offer(self) -> Offer | None:
        """Which files others may write in that directory; None when none."""
        told = await self._ask_files()
        return None if told is None or told.bytes_min is None else told

    async def _ask_files(self) -> Offer | None:
        try:
            response = await self._client.request("GET", _FILES_PATH, {})
            text = await _text(response)
            found = orjson.loads(text) if response.status == 200 else {}
            directory, bytes_min = found.get("directory"), found.get("writtenBytesMin")
        except (OSError, ValueError, AttributeError):
            return None
        if not isinstance(directory, str):
            return None
        bytes_min = bytes_min if isinstance(bytes_min, int) else None
        return Offer(directory, bytes_min, lambda: response.connected)

    async def _request(
        self, method: str, key: str, headers: Mapping[str, str], *, holds: bool = False
    ) -> Response:
        try:
            return await self._client.request(method, _BASE_PATH + key, headers, holds=holds)
        except OSError as error:
            raise S3Error("ServiceUnavailable") from error


class _Reader:
    def __init__(self, response: Response, length: int) -> None:
        self._response = response
        self._length = length

    async def blocks(self) -> AsyncGenerator[bytes | Passage, None]:
        response = self._response
        try:
            while response.buffered:
                yield await response.read()
            if (passage := response.passage()) is not None:
                yield passage
                if passage.failure is not None:
                    raise passage.failure
            while block := await response.read():
                yield block
        except OSError as error:
            raise S3Error("ServiceUnavailable") from error

    async def read(self) -> bytes:
        try:
            return await self._response.read_all(self._length)
        except OSError as error:
            raise S3Error("ServiceUnavailable") from error

    def close(self) -> None:
        self._response.close()


def _is_part(response: Response, blob: Stored) -> bool:
    """Whether the blob that some bytes are from has the size that the record says: else they would
    be other bytes of the object than those that were asked for."""
    return response.headers.get("Content-Range", "").endswith(f"/{blob.size}")


async def _refused(response: Response) -> S3Error:
    """The daemon's own error: its text goes to the log as the cause, not to the client."""
    text = await _text(response)
    failure = S3Error(_CODES.get(response.status, "InternalError"))
    failure.__cause__ = RuntimeError(f"data daemon: {response.status} {text.strip()}")
    return failure


async def _text(response: Response) -> str:
    """The text of a response, as far as it comes; its connection can be used again."""
    try:
        return (await response.read_all(_ERROR_BYTES_MAX)).decode(errors="replace")
    except OSError:
        return ""
