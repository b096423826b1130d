"""The data daemon as a location: the client of REST ``/DataFile``.

Wire: reference/dmd-wire.md, section 11. Works against the original's daemon as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
from yarl import URL

from s3front.locations.base import DataNotFoundError
from shared.credentials import NO_CREDENTIALS, Credentials
from shared.errors import ServiceError

_BASE_PATH = "/DataFile"
_CONNECT_SECONDS = 2.0
STALL_SECONDS_MAX = 30.0
"""How long the daemon may say nothing, or take nothing."""

_IDLE_CONNECTION_SECONDS = 55.0
"""Less than the daemon's 60, so that it is we who close an idle connection."""

_READ_BUFFER_BYTES = 512 * 1024
_CONTENT_TYPE = "application/octet-stream"


class DmdFileStore:
    """See ``base.DataStore``. Make it inside the event loop; ``close`` it.

    ``credentials`` may be replaced: the next request uses them.
    """

    type = "file"

    def __init__(
        self,
        host: str,
        port: int,
        stall_seconds: float = STALL_SECONDS_MAX,
        credentials: Credentials = NO_CREDENTIALS,
    ) -> None:
        self.credentials = credentials
        self._stall_seconds = stall_seconds
        self._base = URL.build(scheme=credentials.scheme, host=host, port=port, path=_BASE_PATH)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_CONNECTION_SECONDS),
            # Not sock_read: its timer can be left running on a connection that goes back to the
            # pool, whose next request then fails at once.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
            read_bufsize=_READ_BUFFER_BYTES,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def _options(self, headers: dict[str, str]) -> dict[str, Any]:
        """The options of a request: its headers, and what lets it in."""
        secret, tls = self.credentials.secret.authorization, self.credentials.tls
        shown = {} if secret is None else {"Authorization": secret}
        return {"headers": headers | shown, "ssl": True if tls is None else tls}

    async def put(self, size: int, body: bytes | AsyncGenerator[bytes, None]) -> str:
        failure: BaseException | None = None
        headers = {"Content-Length": str(size), "Content-Type": _CONTENT_TYPE}
        try:
            async with asyncio.timeout(self._stall_seconds) as stall:

                async def watched(
                    blocks: AsyncGenerator[bytes, None],
                ) -> AsyncGenerator[bytes, None]:
                    # The HTTP client reports a failing body as a broken connection, so the reason
                    # is kept. The time that the sender takes is not the daemon's.
                    nonlocal failure
                    try:
                        stall.reschedule(None)
                        async for block in blocks:
                            stall.reschedule(self._deadline())
                            yield block
                            stall.reschedule(None)
                    except BaseException as error:
                        failure = error
                        raise
                    stall.reschedule(self._deadline())

                data = body if isinstance(body, bytes) else watched(body)
                async with self._session.put(
                    self._base / "", data=data, **self._options(headers)
                ) as response:
                    if response.status == 201:
                        return response.headers["Location"].rpartition("/")[2]
                    raise await _refused(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(failure, Exception):
                raise failure from None
            raise ServiceError("ServiceUnavailable") from error

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._stall_seconds

    async def open(self, key: str, start: int, end: int, size: int) -> _Reader:
        whole = start == 0 and end == size - 1
        headers = {} if whole else {"Range": f"bytes={start}-{end}"}
        try:
            async with asyncio.timeout(self._stall_seconds):
                response = await self._session.get(self._base / key, **self._options(headers))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServiceError("ServiceUnavailable") from error
        if response.status == 404:
            response.release()
            raise DataNotFoundError(key)
        if response.status != (200 if whole else 206):
            raise await _refused(response)
        if response.content_length != end - start + 1:
            response.close()
            raise ServiceError("InternalError")
        return _Reader(response, self._stall_seconds)

    async def delete(self, key: str) -> None:
        try:
            async with (
                asyncio.timeout(self._stall_seconds),
                self._session.delete(self._base / key, **self._options({})) as response,
            ):
                if response.status not in (200, 204, 404):
                    raise await _refused(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServiceError("ServiceUnavailable") from error


class _Reader:
    def __init__(self, response: aiohttp.ClientResponse, stall_seconds: float) -> None:
        self._response = response
        self._stall_seconds = stall_seconds

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                async with asyncio.timeout(self._stall_seconds):
                    block = await self._response.content.readany()
                if not block:
                    return
                yield block
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServiceError("ServiceUnavailable") from error

    def close(self) -> None:
        # An unread rest makes the connection useless; the library closes it then, else keeps it.
        self._response.close() if not self._response.content.is_eof() else self._response.release()


async def _refused(response: aiohttp.ClientResponse) -> ServiceError:
    """The daemon's own error: its text goes to the log as the cause, not to the client."""
    try:
        text = await response.text(errors="replace")
    except (aiohttp.ClientError, TimeoutError):
        text = ""
    response.release()
    failure = ServiceError("ServiceUnavailable" if response.status == 503 else "InternalError")
    failure.__cause__ = RuntimeError(f"data daemon: {response.status} {text.strip()}")
    return failure
