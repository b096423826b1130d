"""The S3 port: the one module of this half that knows how HTTP is served.

It turns exchanges into ``Request`` values and ``Reply`` values into bytes, and nothing else; the
raw target and the headers pass through untouched.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from s3front.reply import HOST_ID, common_headers, error_reply, new_request_id
from s3front.request import BodyAbortedError, Reply, Request, StreamedBody
from shared import limits
from shared.errors import ServiceError
from shared.http1.body import BodyError
from shared.http1.exchange import Answer, Exchange
from shared.http1.head import MalformedRequestError
from shared.http1.passage import Passage
from shared.http1.server import HttpServer, HttpSettings
from shared.observability import EventLog

KEEP_ALIVE_SECONDS: Final = 75.0
_RECEIVE_BUFFER_BYTES: Final = 512 * 1024
_BLOCK_BYTES: Final = 1024 * 1024
"""Blocks that a body is handed on in: large enough that a thread hop per block costs nothing."""

AppHandler = Callable[[Request], Awaitable[Reply]]


def create_http_server(handle: AppHandler, log: EventLog) -> HttpServer:
    """A server, not listening yet, that answers every request with ``handle``."""

    async def on_request(exchange: Exchange) -> None:
        request = Request(
            method=exchange.method,
            raw_target=exchange.target,
            headers=exchange.head.headers,
            body=_Body(exchange),
            peer=exchange.peer,
            secure=exchange.secure,
        )
        await _send(exchange, await handle(request))

    settings = HttpSettings(KEEP_ALIVE_SECONDS, _RECEIVE_BUFFER_BYTES)
    return HttpServer(on_request, _render_error, log, settings)


class _Body:
    """See ``request.RequestBody``."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.received = 0
        self.length = exchange.body.length

    async def accept(self) -> None:
        # Also when the body is empty: botocore misreads all further replies of a connection where
        # one came without the 100 that it expects, unless the connection is closed.
        self._exchange.accept()

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        body = self._exchange.body
        pieces: list[bytes] = []
        size = 0
        try:
            self._exchange.accept()
            while not body.at_end:
                piece = await body.read(limits.BODY_IDLE_SECONDS_MAX)
                pieces.append(piece)
                size += len(piece)
                self.received += len(piece)
                if size >= _BLOCK_BYTES:
                    yield b"".join(pieces) if len(pieces) > 1 else piece
                    pieces, size = [], 0
            if size:
                yield b"".join(pieces) if len(pieces) > 1 else pieces[0]
        except TimeoutError:
            raise ServiceError("RequestTimeout") from None
        except BodyError as error:
            raise BodyAbortedError(str(error)) from error


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
            if isinstance(block, bytes):
                await exchange.write(block)
            elif isinstance(block, Passage) and exchange.takes_files:
                await exchange.write_passage(block)
    except ServiceError as error:
        raise ConnectionError(str(error)) from error
    finally:
        await body.blocks.aclose()


def _render_error(target: str, error: Exception) -> Answer:
    """S3's answer to what is no request, and to what should not happen."""
    failure = ServiceError("InternalError")
    if isinstance(error, MalformedRequestError):
        failure = ServiceError("RequestHeaderSectionTooLarge" if error.too_large else "BadRequest")
    request_id = new_request_id()
    reply = error_reply(failure, target.partition("?")[0], request_id, HOST_ID)
    assert isinstance(reply.body, bytes)
    return Answer(reply.status, {**common_headers(request_id), **reply.headers}, reply.body)
