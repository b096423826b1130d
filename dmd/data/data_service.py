"""The REST service of the data port: blobs over HTTP, on ``/DataFile``.

Called by ``dmd.data.data_server`` with one request at a time of each connection; calls a BlobStore.
Promises every row of the table in reference/dmd-wire.md, section 11. A 201 leaves only after the
store has made the blob durable. Errors are raised by name and become JSON here and nowhere else.
Bodies stream in bounded memory, both ways, at the pace of the slower side.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from dmd.data.administration import Reply, administer, parse_command
from dmd.data.base import (
    Blob,
    BlobNotFoundError,
    BlobStore,
    ReceivingUpload,
    SendableBlob,
    StoreError,
    StoreFullError,
    Upload,
)
from dmd.data.blob_keys import SERVICE_PATH, Target, parse_target
from dmd.data.blob_ranges import resolve_range
from dmd.data.errors import DataError
from shared.budget import Budget
from shared.daemon_secret import REFUSAL, Gate
from shared.http1.exchange import Answer, Exchange
from shared.http1.head import Headers
from shared.limits import PACKED_BLOB_BYTES_MAX
from shared.process.logs import EventLog

UPLOAD_IDLE_SECONDS_MAX: Final = 300.0
"""More than a front-end waits for its client, and for a chunk that it cannot pass on in part."""

READER_STALL_SECONDS_MAX: Final = 300.0

FIRST_SLICE_BYTES: Final = 256 * 1024
"""What of a blob is read before the status is sent; a blob that is no larger is one write."""

WHOLE_BYTES_MAX: Final = 1024 * 1024
"""So is one up to this size, while there is room for it: to read it by parts, some of them in
threads, costs several times as much."""

WHOLE_READS_BYTES: Final = 32 * 1024 * 1024
"""What may be in memory of those, for readers that take their time, all together."""

SPLICED_BYTES_MIN: Final = 128 * 1024
"""A body of which as much is still to come goes to its file without coming through here, or is
taken from the socket at once."""

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


def error_answer(error: DataError) -> Answer:
    """Render an error: one JSON object and a newline, without Content-Type, as the original."""
    body = {"errorType": error.code, "errorMessage": error.message}
    headers = {"Allow": "GET, PUT, DELETE"} if error.status == 405 else {}
    text = json.dumps(body, separators=(",", ":")) + "\n"
    return Answer(error.status, headers, text.encode())


def declared_length(headers: Headers) -> int:
    """Return the Content-Length of an upload.

    Raises DataError MissingContentLength, also for a chunked body.
    """
    text = headers.get("Content-Length")
    if text is None:
        raise DataError("MissingContentLength")
    return int(text)


class DataService:
    """Answers requests on the blobs of ``store``, and logs one line for each at debug level."""

    def __init__(
        self, store: BlobStore, log: EventLog, options: ServiceOptions = ServiceOptions()
    ) -> None:
        self.log = log
        self._store = store
        self._options = options
        self._whole_reads = Budget(WHOLE_READS_BYTES)
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._methods: dict[str, Callable[[Exchange], Awaitable[int]]] = {
            "GET": self._get,
            "PUT": self._put,
            "DELETE": self._delete,
        }

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request. Raises ClientGoneError when nobody is there to be answered."""
        started = time.perf_counter()
        self._in_flight += 1
        self._idle.clear()
        status = 0
        try:
            status = await self._answer(exchange)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
            self._log_access(exchange, status, time.perf_counter() - started)

    async def wait_idle(self, seconds_max: float) -> bool:
        """Wait until no request is being answered; False when some still are after that time."""
        try:
            async with asyncio.timeout(seconds_max):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def _answer(self, exchange: Exchange) -> int:
        """Answer, and return the status."""
        try:
            return await self._dispatch(exchange)
        except DataError as error:
            answer = error_answer(error)
        except BlobNotFoundError:
            answer = error_answer(DataError("ObjNotFound"))
        except StoreError as error:
            self.log.error("filesystem error", error=str(error), **_request_fields(exchange))
            full = isinstance(error, StoreFullError)
            code = "InsufficientStorage" if full else "InternalError"
            answer = error_answer(DataError(code, f"filesystem error: {error}"))
        except ConnectionError:
            raise
        except Exception as error:
            self.log.error("unexpected error", error=repr(error), **_request_fields(exchange))
            answer = error_answer(DataError("InternalError"))
        if exchange.began:
            # Part of another answer is on its way: only a cut connection tells the client.
            raise ClientGoneError("failed after the status was sent")
        # What remains of a body is not worth waiting for.
        close = not exchange.body.complete
        exchange.reply(answer.status, answer.headers, answer.body, close=close)
        return answer.status

    async def _dispatch(self, exchange: Exchange) -> int:
        self._check_secret(exchange.head.headers)
        if command := parse_command(exchange.method, exchange.target):
            return _reply(exchange, await administer(self._store, command))
        method = self._methods.get(exchange.method)
        if method is None:
            raise DataError("MethodNotAllowed")
        return await method(exchange)

    def _check_secret(self, headers: Headers) -> None:
        if not self._options.gate.secret.admits_authorization(headers.get("Authorization")):
            raise DataError("AccessDenied", REFUSAL)

    async def _put(self, exchange: Exchange) -> int:
        target = parse_target(exchange.target)
        if target.disk_usage:
            raise DataError("InvalidURI")
        if target.key is not None:
            raise DataError("InvalidURI", "PUT url cannot contain a key")
        upload = await self._store.create(declared_length(exchange.head.headers))
        try:
            exchange.accept()
            await self._receive(exchange, upload)
            key = await upload.commit()
        finally:
            await upload.abort()
        if exchange.client_gone:
            # The client cannot learn the key, so nobody would ever delete the blob.
            await self._store.delete(key)
            raise ClientGoneError("left before its upload was acknowledged")
        exchange.reply(201, {"Location": f"{SERVICE_PATH}/{key}"})
        return 201

    async def _receive(self, exchange: Exchange, upload: Upload) -> None:
        try:
            if exchange.gives_files and (exchange.body.left or 0) >= SPLICED_BYTES_MIN:
                await self._take_directly(exchange, upload)
            while not exchange.body.at_end:
                await upload.write(await exchange.body.read(self._options.upload_idle_seconds))
        except TimeoutError:
            raise ClientGoneError("sent nothing for too long") from None
        except ConnectionError as error:
            raise ClientGoneError("left during its upload") from error

    async def _take_directly(self, exchange: Exchange, upload: Upload) -> None:
        """Let the bytes of a large upload go from the socket to its file, or take them from the
        socket at once for one that is packed, if that can be: a transport copies them twice, in
        pieces."""
        body, idle_seconds = exchange.body, self._options.upload_idle_seconds
        body.hold()
        while body.buffered:
            await upload.write(await body.read(idle_seconds))
        if body.complete:
            return
        if isinstance(upload, ReceivingUpload):
            await exchange.read_to_file(upload.receive, idle_seconds)
            return
        while not body.complete:
            block = await exchange.read_block(PACKED_BLOB_BYTES_MAX, idle_seconds)
            if block is None:
                return
            await upload.write(block)

    async def _get(self, exchange: Exchange) -> int:
        target = parse_target(exchange.target)
        if target.disk_usage:
            return await self._get_disk_usage(exchange)
        blob = await self._store.open(_key_of(target))
        try:
            return await self._send(exchange, blob)
        finally:
            await blob.close()

    async def _send(self, exchange: Exchange, blob: Blob) -> int:
        part = resolve_range(exchange.head.headers.get("Range"), blob.size)
        headers = {"Accept-Ranges": "bytes"}
        status, start, length = 200, 0, blob.size
        if part is not None:
            status, start, length = 206, part.start, part.length
            headers["Content-Range"] = f"bytes {part.start}-{part.end}/{blob.size}"
        head = status, headers
        if not FIRST_SLICE_BYTES < length <= WHOLE_BYTES_MAX or not self._whole_reads.take(length):
            await self._send_part(exchange, head, blob, (start, length), FIRST_SLICE_BYTES)
            return status
        try:
            await self._send_part(exchange, head, blob, (start, length), length)
        finally:
            self._whole_reads.give(length)
        return status

    async def _send_part(
        self,
        exchange: Exchange,
        head: tuple[int, dict[str, str]],
        blob: Blob,
        part: tuple[int, int],
        first: int,
    ) -> None:
        """Answer with a status, headers, and a part of a blob (where it starts, its length), of
        which ``first`` bytes are read before the status is sent, so that a failing disk can still
        be a clean error."""
        status, headers = head
        start, length = part
        data = await blob.read(start, min(first, length))
        if length <= FIRST_SLICE_BYTES:
            exchange.reply(status, headers, data)
            return
        exchange.write_stall_seconds = self._options.reader_stall_seconds
        exchange.begin(status, headers, length)
        await exchange.write(data)
        sent = len(data)
        if (
            sent < length
            and isinstance(blob, SendableBlob)
            and exchange.takes_files
            and await exchange.write_file(blob.send, start + sent, length - sent)
        ):
            sent = length
        while sent < length:
            data = await blob.read(start + sent, min(READ_SLICE_BYTES, length - sent))
            sent += len(data)
            await exchange.write(data)
        exchange.finish()

    async def _get_disk_usage(self, exchange: Exchange) -> int:
        usage = await self._store.disk_usage()
        figures = {"available": usage.available, "free": usage.free, "total": usage.total}
        exchange.reply(200, {}, json.dumps(figures, separators=(",", ":")).encode())
        return 200

    async def _delete(self, exchange: Exchange) -> int:
        target = parse_target(exchange.target)
        if target.disk_usage:
            raise DataError("InvalidURI")
        await self._store.delete(_key_of(target))
        exchange.reply(204, {})
        return 204

    def _log_access(self, exchange: Exchange, status: int, seconds: float) -> None:
        self.log.debug(
            "request",
            status=status,
            elapsed_ms=round(seconds * 1000, 3),
            **_request_fields(exchange),
        )


def _reply(exchange: Exchange, reply: Reply) -> int:
    body = b""
    if reply.document is not None:
        body = json.dumps(reply.document, separators=(",", ":")).encode()
    exchange.reply(reply.status, {}, body)
    return reply.status


def _key_of(target: Target) -> str:
    if target.key is None:
        raise DataError("MissingParameter")
    return target.key


def _request_fields(exchange: Exchange) -> dict[str, object]:
    fields: dict[str, object] = {"method": exchange.method, "path": exchange.target}
    uids = exchange.head.headers.get("X-Scal-Request-Uids")
    if uids is not None and len(uids) <= REQUEST_UIDS_LENGTH_MAX:
        fields["req_uids"] = uids
    return fields
