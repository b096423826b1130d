"""The REST service of the data port: blobs over HTTP, on ``/DataFile``.

Called by ``dmd.data.server`` with one request at a time of each connection; calls a BlobStore.
Promises every row of the table in reference/dmd-wire.md, section 11. A 201 leaves only after the
store has made the blob durable. Errors are raised by name and become JSON here and nowhere else.
Bodies stream in bounded memory, both ways, at the pace of the slower side.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp import HttpVersion11, hdrs, web

from dmd.data.base import Blob, BlobNotFoundError, BlobStore, StoreError, Upload
from dmd.data.errors import DataError
from dmd.data.keys import SERVICE_PATH, Target, parse_target
from dmd.data.ranges import resolve_range
from shared.daemon_secret import REFUSAL, Gate
from shared.observability import EventLog

UPLOAD_IDLE_SECONDS_MAX: Final = 60.0
READER_STALL_SECONDS_MAX: Final = 300.0

READ_SLICE_BYTES: Final = 512 * 1024
"""What a GET holds in memory at a time."""

REQUEST_UIDS_LENGTH_MAX: Final = 127
"""A longer X-Scal-Request-Uids is ignored (reference/dmd-wire.md, section 2)."""


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """Waits are seconds.

    ``upload_idle_seconds``: an upload that sends nothing for so long is dropped.
    ``reader_stall_seconds``: so is a reader that does not take one slice in this time.
    ``gate``: which requests are let in, by their header ``Authorization``.
    """

    upload_idle_seconds: float = UPLOAD_IDLE_SECONDS_MAX
    reader_stall_seconds: float = READER_STALL_SECONDS_MAX
    gate: Gate = field(default_factory=Gate)


class ClientGoneError(ConnectionError):
    """The client left, or was dropped: there is nobody to answer."""


class _BareHeaders(web.StreamResponse):
    """A response with the headers that we give it, and Date and Connection.

    aiohttp adds a Content-Type and a Server header after the last public hook; the original sends
    neither.
    """

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.pop(hdrs.CONTENT_TYPE, None)
        self.headers.pop(hdrs.SERVER, None)


class BareResponse(_BareHeaders, web.Response):
    """A whole response: status, headers, body."""


class BareStream(_BareHeaders):
    """A response whose body follows; its headers leave with the first bytes of the body."""

    _send_headers_immediately = False


def error_response(error: DataError) -> BareResponse:
    """Render an error: one JSON object and a newline, without Content-Type, as the original."""
    body = {"errorType": error.code, "errorMessage": error.message}
    headers = {hdrs.ALLOW: "GET, PUT, DELETE"} if error.status == 405 else None
    text = json.dumps(body, separators=(",", ":")) + "\n"
    return BareResponse(status=error.status, body=text.encode(), headers=headers)


def declared_length(headers: Mapping[str, str]) -> int:
    """Return the Content-Length of an upload.

    Raises DataError: MissingContentLength (also for a chunked body), InvalidInput.
    """
    text = headers.get(hdrs.CONTENT_LENGTH)
    if text is None or hdrs.TRANSFER_ENCODING in headers:
        raise DataError("MissingContentLength")
    if not (text.isascii() and text.isdigit()):
        raise DataError("InvalidInput", "bad Content-Length")
    return int(text)


class DataService:
    """Answers requests on the blobs of ``store``, and logs one line for each at debug level."""

    def __init__(
        self, store: BlobStore, log: EventLog, options: ServiceOptions = ServiceOptions()
    ) -> None:
        self.log = log
        self._store = store
        self._options = options
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._methods: dict[str, Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]] = {
            hdrs.METH_GET: self._get,
            hdrs.METH_PUT: self._put,
            hdrs.METH_DELETE: self._delete,
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. Raises ClientGoneError when nobody is there to be answered."""
        started = time.perf_counter()
        self._in_flight += 1
        self._idle.clear()
        status = 0
        try:
            response = await self._answer(request)
            status = response.status
            return response
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
            self._log_access(request, status, time.perf_counter() - started)

    async def wait_idle(self, seconds_max: float) -> bool:
        """Wait until no request is being answered; False when some still are after that time."""
        try:
            async with asyncio.timeout(seconds_max):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._dispatch(request)
        except DataError as error:
            response = error_response(error)
        except BlobNotFoundError:
            response = error_response(DataError("ObjNotFound"))
        except StoreError as error:
            self.log.error("filesystem error", error=str(error), **_request_fields(request))
            response = error_response(DataError("InternalError", f"filesystem error: {error}"))
        except ConnectionError:
            raise
        except Exception as error:
            self.log.error("unexpected error", error=repr(error), **_request_fields(request))
            response = error_response(DataError("InternalError"))
        if request.writer.output_size > 0:
            # Part of another answer is on its way: only a cut connection tells the client.
            _drop(request)
            raise ClientGoneError("failed after the status was sent")
        if not request.content.is_eof():
            # What remains of the body would be read as the next request.
            response.force_close()
        return response

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        self._check_secret(request.headers)
        method = self._methods.get(request.method)
        if method is None:
            raise DataError("MethodNotAllowed")
        return await method(request)

    def _check_secret(self, headers: Mapping[str, str]) -> None:
        if not self._options.gate.secret.admits_authorization(headers.get(hdrs.AUTHORIZATION)):
            raise DataError("AccessDenied", REFUSAL)

    async def _put(self, request: web.BaseRequest) -> web.StreamResponse:
        target = parse_target(request.raw_path)
        if target.disk_usage:
            raise DataError("InvalidURI")
        if target.key is not None:
            raise DataError("InvalidURI", "PUT url cannot contain a key")
        upload = await self._store.create(declared_length(request.headers))
        try:
            await _invite_body(request)
            await self._receive(request, upload)
            key = await upload.commit()
        finally:
            await upload.abort()
        if request.transport is None or request.transport.is_closing():
            # The client cannot learn the key, so nobody would ever delete the blob.
            await self._store.delete(key)
            raise ClientGoneError("left before its upload was acknowledged")
        return BareResponse(status=201, headers={hdrs.LOCATION: f"{SERVICE_PATH}/{key}"})

    async def _receive(self, request: web.BaseRequest, upload: Upload) -> None:
        content = request.content
        while not content.at_eof():
            try:
                async with asyncio.timeout(self._options.upload_idle_seconds):
                    data, _ = await content.readchunk()
            except TimeoutError:
                _drop(request)
                raise ClientGoneError("sent nothing for too long") from None
            except RuntimeError as error:
                if request.transport is not None:
                    raise
                raise ClientGoneError("left during its upload") from error
            except (OSError, web.RequestPayloadError) as error:
                raise ClientGoneError("left during its upload") from error
            if data:
                await upload.write(data)

    async def _get(self, request: web.BaseRequest) -> web.StreamResponse:
        target = parse_target(request.raw_path)
        if target.disk_usage:
            return await self._get_disk_usage()
        blob = await self._store.open(_key_of(target))
        try:
            return await self._send(request, blob)
        finally:
            await blob.close()

    async def _send(self, request: web.BaseRequest, blob: Blob) -> web.StreamResponse:
        part = resolve_range(request.headers.get(hdrs.RANGE), blob.size)
        headers = {hdrs.ACCEPT_RANGES: "bytes"}
        status, start, length = 200, 0, blob.size
        if part is not None:
            status, start, length = 206, part.start, part.length
            headers[hdrs.CONTENT_RANGE] = f"bytes {part.start}-{part.end}/{blob.size}"
        response = BareStream(status=status, headers=headers)
        response.content_length = length
        # Read before the status is sent, so that a failing disk can still be a clean error.
        data = await blob.read(start, min(READ_SLICE_BYTES, length))
        await response.prepare(request)
        sent = len(data)
        while sent < length:
            await self._within_stall_time(request, response.write(data))
            data = await blob.read(start + sent, min(READ_SLICE_BYTES, length - sent))
            sent += len(data)
        await self._within_stall_time(request, response.write_eof(data))
        return response

    async def _within_stall_time(self, request: web.BaseRequest, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._options.reader_stall_seconds):
                await sending
        except TimeoutError:
            _drop(request)
            raise ClientGoneError("took nothing for too long") from None

    async def _get_disk_usage(self) -> web.StreamResponse:
        usage = await self._store.disk_usage()
        figures = {"available": usage.available, "free": usage.free, "total": usage.total}
        return BareResponse(body=json.dumps(figures, separators=(",", ":")).encode())

    async def _delete(self, request: web.BaseRequest) -> web.StreamResponse:
        target = parse_target(request.raw_path)
        if target.disk_usage:
            raise DataError("InvalidURI")
        await self._store.delete(_key_of(target))
        return BareResponse(status=204)

    def _log_access(self, request: web.BaseRequest, status: int, seconds: float) -> None:
        self.log.debug(
            "request",
            status=status,
            elapsed_ms=round(seconds * 1000, 3),
            **_request_fields(request),
        )


def _key_of(target: Target) -> str:
    if target.key is None:
        raise DataError("MissingParameter")
    return target.key


async def _invite_body(request: web.BaseRequest) -> None:
    """Answer ``Expect: 100-continue``: the upload is accepted (RFC 9110 section 10.1.1)."""
    expects = request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"
    if expects and request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # no part of the answer itself is sent yet


def _drop(request: web.BaseRequest) -> None:
    """Cut the connection now: a close would first wait for a peer that takes nothing."""
    if request.transport is not None:
        request.transport.abort()


def _request_fields(request: web.BaseRequest) -> dict[str, object]:
    fields: dict[str, object] = {"method": request.method, "path": request.raw_path}
    uids = request.headers.get("X-Scal-Request-Uids")
    if uids is not None and len(uids) <= REQUEST_UIDS_LENGTH_MAX:
        fields["req_uids"] = uids
    return fields
