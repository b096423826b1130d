"""The S3 port: the one module of this half that knows which HTTP library serves it.

It turns aiohttp's requests into ``Request`` values and ``Reply`` values into bytes, and nothing
else; the raw target and the headers pass through untouched.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from aiohttp import web

from s3front.reply import HOST_ID, common_headers, error_reply, new_request_id
from s3front.request import BodyAbortedError, Reply, Request, StreamedBody
from shared import limits
from shared.errors import ServiceError
from shared.http_server import HttpServer, HttpSettings, MalformedRequestError
from shared.observability import EventLog

KEEP_ALIVE_SECONDS: Final = 75.0
_RECEIVE_BUFFER_BYTES: Final = 256 * 1024
_BLOCK_BYTES: Final = 512 * 1024
"""Blocks that a body is handed on in: large enough that a thread hop per block costs nothing."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

AppHandler = Callable[[Request], Awaitable[Reply]]


def create_http_server(handle: AppHandler, log: EventLog) -> HttpServer:
    """A server, not listening yet, that answers every request with ``handle``."""

    async def on_request(request: web.BaseRequest) -> web.StreamResponse:
        body = _Body(request)
        value = Request(
            method=request.method,
            raw_target=request.raw_path,
            headers=request.headers,
            body=body,
            peer=request.remote or "",
            secure=request.secure,
        )
        return await _send(request, body, await handle(value))

    settings = HttpSettings(KEEP_ALIVE_SECONDS, _RECEIVE_BUFFER_BYTES)
    return HttpServer(on_request, _render_error, log, settings)


class _Body:
    """See ``request.RequestBody``."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self.received = 0
        length = request.headers.get("Content-Length")
        self.length = None if length is None else int(length)
        # Also when the body is empty: botocore misreads all further replies of a connection where
        # one came without the 100 that it expects, unless the connection is closed.
        self._waits = request.headers.get("Expect", "").lower() == "100-continue"

    @property
    def refused(self) -> bool:
        """Whether the client still waits to be told to send its body."""
        return self._waits

    async def accept(self) -> None:
        if self._waits:
            self._waits = False
            await self._request.writer.write(_CONTINUE)
            # aiohttp takes anything written for the start of the reply.
            self._request.writer.output_size = 0

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        await self.accept()
        content = self._request.content
        pieces: list[bytes] = []
        size = 0
        try:
            while True:
                async with asyncio.timeout(limits.BODY_IDLE_SECONDS_MAX):
                    piece = await content.readany()
                pieces.append(piece)
                size += len(piece)
                self.received += len(piece)
                if size >= _BLOCK_BYTES or not piece:
                    if size:
                        yield b"".join(pieces) if len(pieces) > 1 else pieces[0]
                    if not piece:
                        return
                    pieces, size = [], 0
        except TimeoutError:
            raise ServiceError("RequestTimeout") from None
        except (web.RequestPayloadError, ConnectionError) as error:
            raise BodyAbortedError(str(error)) from error


async def _send(request: web.BaseRequest, body: _Body, reply: Reply) -> web.StreamResponse:
    streamed = reply.body if isinstance(reply.body, StreamedBody) else None
    response: web.StreamResponse
    if streamed is None and request.method != "HEAD":
        assert isinstance(reply.body, bytes)
        response = web.Response(status=reply.status, headers=reply.headers, body=reply.body)
    else:
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        if streamed is not None and streamed.length is not None:
            response.content_length = streamed.length
    if reply.close or body.refused:
        # A body that was never asked for may follow or not: the connection is of no more use.
        response.force_close()
    if streamed is not None and request.method != "HEAD":
        await _stream(request, response, streamed)
    return response


async def _stream(
    request: web.BaseRequest, response: web.StreamResponse, body: StreamedBody
) -> None:
    """Send a body block by block. When it fails, the connection breaks off: the status has been
    sent, and only a short body tells the client."""
    blocks = body.blocks
    try:
        await response.prepare(request)
        async for block in blocks:
            await response.write(block)
    except ServiceError as error:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionError(str(error)) from error
    finally:
        await blocks.aclose()


def _render_error(request: web.BaseRequest, error: Exception) -> web.StreamResponse:
    """S3's answer to what is no request, and to what should not happen."""
    failure = ServiceError("InternalError")
    if isinstance(error, MalformedRequestError):
        failure = ServiceError("RequestHeaderSectionTooLarge" if error.too_large else "BadRequest")
    request_id = new_request_id()
    resource = request.raw_path.partition("?")[0]
    reply = error_reply(failure, resource, request_id, HOST_ID)
    assert isinstance(reply.body, bytes)
    headers = {**common_headers(request_id), **reply.headers}
    return web.Response(status=reply.status, headers=headers, body=reply.body)
