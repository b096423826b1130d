"""The S3 port: the one module of this half that knows how HTTP is served.

It turns exchanges into ``Request`` values and ``Reply`` values into bytes, and nothing else; the
raw target and the headers pass through untouched.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final

from s3front.port.reply import HOST_ID, error_reply, new_request_id, with_common_headers
from s3front.port.request import BodyAbortedError, Reply, Request, StreamedBody
from s3front.s3_errors import S3Error
from shared import limits
from shared.budget import Budget
from shared.http1.exchange import Answer, Exchange
from shared.http1.head import MalformedRequestError
from shared.http1.passage import Passage
from shared.http1.server import HttpServer, HttpSettings, TooManyConnectionsError
from shared.process.logs import EventLog

KEEP_ALIVE_SECONDS: Final = 75.0
_RECEIVE_BUFFER_BYTES: Final = 512 * 1024
_FEW_BYTES_MAX: Final = 512 * 1024
"""Bodies up to this size are read at once: what a small object may take in the coding that the
usual clients send it in."""

_AT_ONCE_BYTES_MAX: Final = 1024 * 1024 + 64 * 1024
"""So are those up to this size, with what the coding adds, as long as half of what bodies may take
in memory is free: in blocks, they cost several times as many steps."""

_DIRECT_BYTES_MIN: Final = 128 * 1024
"""From this size on, the rest of a body that is read at once is taken from the socket itself: the
transport copies it twice, in pieces."""

_BLOCK_BYTES: Final = 1024 * 1024
"""Blocks that a body is handed on in, when it comes through a transport."""

_LARGE_BYTES_MIN: Final = 1024 * 1024
"""Bodies of which more than this has not arrived are taken from the socket itself."""

_LARGE_BLOCK_BYTES_MAX: Final = 4 * 1024 * 1024
_LARGE_BLOCK_BYTES_MIN: Final = 64 * 1024
"""They are taken in blocks, each of which costs a thread hop and some system calls."""

LARGE_BLOCKS_BYTES: Final = 32 * 1024 * 1024
"""What one block of each such upload may take, all together: many uploads get smaller blocks."""

AppHandler = Callable[[Request], Awaitable[Reply]]


def create_http_server(
    handle: AppHandler,
    log: EventLog,
    body_memory_bytes: int = limits.BODY_MEMORY_BYTES,
    connections_max: int = limits.HTTP_CONNECTIONS_MAX,
) -> HttpServer:
    """A server, not listening yet, that answers every request with ``handle``.

    ``body_memory_bytes``: what its requests may hold of their bodies all together.
    ``connections_max``: how many clients there may be; others are told to slow down.
    """

    uploads = _Uploads()
    budget = Budget(body_memory_bytes)

    async def on_request(exchange: Exchange) -> None:
        body, head = _Body(exchange, uploads, budget), exchange.head
        request = Request(
            head.method,
            head.target,
            head.headers,
            body,
            exchange.peer,
            exchange.secure,
            head.folded,
            tls_version=exchange.tls_version,
        )
        try:
            await _send(exchange, await handle(request))
        finally:
            body.release()

    settings = HttpSettings(
        KEEP_ALIVE_SECONDS, _RECEIVE_BUFFER_BYTES, connections_max=connections_max
    )
    return HttpServer(on_request, _render_error, log, settings)


class _InOurTerms:
    """The failures of a body's connection, as readers of requests know them."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if isinstance(error, TimeoutError):
            raise S3Error("RequestTimeout") from None
        if isinstance(error, ConnectionError):
            raise BodyAbortedError(str(error)) from error


_IN_OUR_TERMS: Final = _InOurTerms()


class _Uploads:
    """The bodies that are taken in blocks, as all but small ones are."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def block_bytes(self) -> int:
        """The size of the blocks that are taken from sockets."""
        share = LARGE_BLOCKS_BYTES // self.count
        return max(_LARGE_BLOCK_BYTES_MIN, min(_LARGE_BLOCK_BYTES_MAX, share))


class _Body:
    """See ``request.RequestBody``."""

    def __init__(self, exchange: Exchange, uploads: _Uploads, budget: Budget) -> None:
        self._exchange = exchange
        self._uploads = uploads
        self._budget = budget
        self._held = 0
        self._block_bytes_max = _LARGE_BLOCK_BYTES_MAX
        self.received = 0
        self.length = exchange.head.length

    async def accept(self) -> None:
        # Also when the body is empty: botocore misreads all further replies of a connection where
        # one came without the 100 that it expects, unless the connection is closed.
        self._exchange.accept()

    async def hold(self, size: int) -> None:
        size = min(size, self._budget.share_bytes_max)
        more = size - self._held
        if more > 0:
            if not self._budget.take(more):
                await self._wait_for_room(more)
            self._held = size

    def comes_at_once(self) -> bool:
        length = self.length
        if length is None or length > _AT_ONCE_BYTES_MAX:
            return False
        if length <= max(_FEW_BYTES_MAX, self._held):
            return True
        more = length - self._held
        if self._budget.left - more < self._budget.share_bytes_max or not self._budget.take(more):
            return False
        self._held = length
        return True

    def release(self) -> None:
        """The request has been answered."""
        if self._held:
            self._budget.give(self._held)
            self._held = 0

    async def _wait_for_room(self, size: int) -> None:
        try:
            await self._budget.wait(size, limits.BODY_MEMORY_WAIT_SECONDS_MAX)
        except TimeoutError as error:
            raise S3Error("SlowDown") from error

    async def read(self) -> Sequence[bytes]:
        await self.hold(self.length or 0)
        with _IN_OUR_TERMS:
            self._exchange.accept()
            if self._exchange.gives_files and (self._exchange.body.left or 0) >= _DIRECT_BYTES_MIN:
                return await self._read_directly()
            return (await self._next_block(sys.maxsize),)

    async def _read_directly(self) -> Sequence[bytes]:
        """All of the body: what has come, and the rest from the socket."""
        body = self._exchange.body
        body.hold()
        pieces = []
        if body.buffered:
            pieces.append(await self._next_block(body.buffered))
        while not body.complete:
            block = await self._exchange.read_block(sys.maxsize, limits.BODY_IDLE_SECONDS_MAX)
            if block is None:  # no descriptor can be had
                pieces.append(await self._next_block(sys.maxsize))
                break
            self.received += len(block)
            pieces.append(block)
        return pieces

    async def blocks(self, *, gradually: bool = False) -> AsyncGenerator[bytes, None]:
        if gradually:
            self._block_bytes_max = _LARGE_BLOCK_BYTES_MIN // 2
        body = self._exchange.body
        self._uploads.count += 1
        try:
            with _IN_OUR_TERMS:
                self._exchange.accept()
                if self._exchange.gives_files and (body.left or 0) >= _LARGE_BYTES_MIN:
                    async with aclosing(self._large_blocks()) as large_blocks:
                        async for block in large_blocks:
                            yield block
                while not body.at_end:
                    size = min(_BLOCK_BYTES, self._next_block_bytes())
                    yield await self._next_block(size, limits.BODY_GATHER_SECONDS_MAX)
        finally:
            self._uploads.count -= 1

    def _next_block_bytes(self) -> int:
        """Twice as large as the block before, as far as there is room for such ones."""
        self._block_bytes_max = min(2 * self._block_bytes_max, _LARGE_BLOCK_BYTES_MAX)
        return min(self._block_bytes_max, self._uploads.block_bytes)

    async def _next_block(self, size_min: int, gather_seconds: float = math.inf) -> bytes:
        """What comes next, in pieces as the transport reads it, until it is enough, or the end, or
        so much time has passed."""
        body = self._exchange.body
        pieces: list[bytes] = []
        size = 0
        end = time.monotonic() + gather_seconds
        while size < size_min and not body.at_end:
            if pieces and time.monotonic() > end:
                break
            piece = await body.read(limits.BODY_IDLE_SECONDS_MAX)
            self.received += len(piece)
            size += len(piece)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _large_blocks(self) -> AsyncGenerator[bytes, None]:
        """The body in blocks from the socket; not all of it when no descriptor can be had.

        The next block is received while the last one is digested and sent on.
        """
        body = self._exchange.body
        reading: asyncio.Task[bytes | None] | None = None
        try:
            body.hold()
            block: bytes | None = b""
            if body.buffered:
                block = await self._next_block(body.buffered)
            while not body.complete and block is not None:
                reading = asyncio.ensure_future(self._read_block())
                if block:
                    yield block
                block = await reading
                reading = None
            if block:
                yield block
        finally:
            if reading is not None:
                # It must have let go of the socket, which is read otherwise from now on.
                reading.cancel()
                await asyncio.wait([reading])
                if not reading.cancelled():
                    reading.exception()  # seen here, or asyncio reports it as never retrieved
                reading = None  # it may hold an error, whose traceback holds this frame

    async def _read_block(self) -> bytes | None:
        block = await self._exchange.read_block(
            self._next_block_bytes(), limits.BODY_IDLE_SECONDS_MAX
        )
        self.received += 0 if block is None else len(block)
        return block


async def _send(exchange: Exchange, reply: Reply) -> None:
    body = reply.body
    if isinstance(body, bytes):
        exchange.reply(reply.status, reply.headers, body, close=reply.close)
        return
    exchange.begin(reply.status, reply.headers, body.length, close=reply.close)
    if exchange.method != "HEAD":
        await _stream(exchange, body)
    exchange.finish()


async def _stream(exchange: Exchange, body: StreamedBody) -> None:
    """Send a body block by block. When it fails, the connection breaks off: the status has been
    sent, and only a short body tells the client."""
    try:
        async for block in body.blocks:
            if isinstance(block, bytes | bytearray):
                await exchange.write(block)
            elif isinstance(block, Passage) and exchange.takes_files:
                await exchange.write_passage(block)
    except S3Error as error:
        raise ConnectionError(str(error)) from error
    finally:
        await body.blocks.aclose()


def _render_error(target: str, error: Exception) -> Answer:
    """S3's answer to what is no request, to one client too many, and to what should not happen."""
    failure = S3Error("InternalError")
    if isinstance(error, MalformedRequestError):
        failure = S3Error("RequestHeaderSectionTooLarge" if error.too_large else "BadRequest")
    elif isinstance(error, TooManyConnectionsError):
        failure = S3Error("SlowDown")
    request_id = new_request_id()
    reply = error_reply(failure, target.partition("?")[0], request_id, HOST_ID)
    assert isinstance(reply.body, bytes)
    return Answer(reply.status, with_common_headers(request_id, reply.headers), reply.body)
