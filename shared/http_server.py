"""Listening for HTTP with aiohttp's low-level server, and stopping without breaking requests.

Both halves use it: it adds to aiohttp what neither wants to do without.

* Errors that aiohttp finds (a request that is not HTTP, an exception of the handler) are rendered
  by the half's own ``ErrorRenderer``; aiohttp's answers are text, and its log lines tracebacks.
* ``close`` lets requests under way finish. aiohttp's own shutdown stops reading from all
  connections at once, so that no upload could.
* Header limits count the whole header section, not only its lines.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web_protocol import _ErrInfo

from shared.limits import HEADER_BYTES_MAX, HEADER_SECTION_BYTES_MAX, HEADERS_MAX
from shared.observability import EventLog
from shared.tls import listening_options

BACKLOG: Final = 1024
LINGER_SECONDS_MAX: Final = 10.0
"""How long the rest of a refused upload is read, so that its sender sees the answer."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class MalformedRequestError(Exception):
    """What a client sent is not a request; ``too_large`` when its head exceeds a limit."""

    def __init__(self, reason: str, *, too_large: bool = False) -> None:
        super().__init__(reason)
        self.too_large = too_large


ErrorRenderer = Callable[[web.BaseRequest, Exception], web.StreamResponse]
"""Makes the answer to MalformedRequestError, or to an unexpected exception of the handler."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """``keep_alive_seconds`` also bounds how long a new connection may take to send a request's
    head; ``receive_buffer_bytes`` is what a connection takes in before the handler reads on."""

    keep_alive_seconds: float
    receive_buffer_bytes: int


class HttpServer:
    """Serves on any number of sockets until ``close``."""

    def __init__(
        self, handler: Handler, render_error: ErrorRenderer, log: EventLog, settings: HttpSettings
    ) -> None:
        self.log = log
        self.render_error = render_error
        self._handler = handler
        self._settings = settings
        self._manager = web.Server(self._handle)
        self._listeners: list[asyncio.Server] = []
        self._connections: dict[_Connection, asyncio.Transport] = {}
        self._busy: set[asyncio.BaseProtocol] = set()
        self._closing = False
        self._all_closed = asyncio.Event()
        self._all_closed.set()

    @property
    def port(self) -> int:
        """The port of the first listening socket."""
        port: int = self._listeners[0].sockets[0].getsockname()[1]
        return port

    async def listen(
        self, address: socket.socket | tuple[str, int], tls: ssl.SSLContext | None = None
    ) -> None:
        """Listen on a bound socket, or on a host and port; raises OSError."""
        loop = asyncio.get_running_loop()
        options = listening_options(tls)
        if isinstance(address, socket.socket):
            listener = await loop.create_server(
                self._connection, sock=address, backlog=BACKLOG, **options
            )
        else:
            host, port = address
            listener = await loop.create_server(
                self._connection, host or None, port, backlog=BACKLOG, **options
            )
        self._listeners.append(listener)

    async def close(self, deadline_seconds: float) -> None:
        """Stop accepting, let requests under way finish until the deadline, drop what remains."""
        for listener in self._listeners:
            listener.close()
        self._closing = True
        await asyncio.sleep(0)  # requests that were just received begin
        for connection in list(self._connections):
            if connection not in self._busy:
                connection.force_close()
        try:
            async with asyncio.timeout(deadline_seconds):
                await self._all_closed.wait()
        except TimeoutError:
            self.log.warning("requests dropped", connections=len(self._connections))
            for transport in list(self._connections.values()):
                transport.abort()

    def opened(self, connection: _Connection, transport: asyncio.Transport) -> None:
        """Note a new connection; called by it."""
        self._connections[connection] = transport
        self._all_closed.clear()

    def closed(self, connection: _Connection) -> None:
        """Note that a connection ended; called by it."""
        self._connections.pop(connection, None)
        if not self._connections:
            self._all_closed.set()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if _head_bytes(request) > HEADER_SECTION_BYTES_MAX:
            error = MalformedRequestError("the header section is too large", too_large=True)
            response = self.render_error(request, error)
            response.force_close()
            return response
        self._busy.add(request.protocol)
        try:
            response = await self._handler(request)
        finally:
            self._busy.discard(request.protocol)
        if self._closing:
            response.force_close()
        return response

    def _connection(self) -> _Connection:
        return _Connection(
            self,
            self._manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=self._settings.keep_alive_seconds,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            max_headers=HEADERS_MAX,
            lingering_time=LINGER_SECONDS_MAX,
            read_bufsize=self._settings.receive_buffer_bytes,
            access_log=None,
            # A compressed body is what the client wants stored.
            auto_decompress=False,
        )


class _Connection(web.RequestHandler):
    """aiohttp's connection, with our errors in place of its own."""

    __slots__ = ("_server",)

    def __init__(self, server: HttpServer, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # uvloop's transports are asyncio's in behaviour, not by class.
        self._server.opened(self, cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        request = self._current_request
        # The parser refused what came behind the head of a request that is being answered: that
        # was its body, and whoever reads it must not wait for more.
        if request is not None and self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            request.content.set_exception(web.RequestPayloadError("the body is malformed"))

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp's says nothing
        """The client will send no more: what it has sent is answered before the connection ends."""
        if self._is_idle() or self.ssl_context is not None:
            return False  # over TLS a connection cannot stay half open
        self._end_input()
        return True

    def _is_idle(self) -> bool:
        """Whether the connection waits for a request."""
        return self._waiter is not None and not self._waiter.done()

    def _end_input(self) -> None:
        if self._parser is None or self._close or self._force_close:
            return
        if self._is_idle():
            self.force_close()
            return
        current = self._current_request
        if current is None and not self._messages:
            # A request was taken from the queue and its handler has not begun.
            self._loop.call_soon(self._end_input)
            return
        try:
            self._parser.feed_eof()
        except HttpProcessingError:
            # A body that is not complete never will be; it is that of the newest request.
            if self._messages:
                payload = self._messages[-1][1]
            else:
                assert current is not None
                payload = current.content
            payload.set_exception(web.RequestPayloadError("the body ends early"))
        self.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._server.closed(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if isinstance(exc, ConnectionError):
            raise exc
        if request.writer.output_size > 0:
            raise ConnectionError("the reply has begun, so the error cannot be answered")
        error: Exception
        if status < 500:
            error = MalformedRequestError(
                message or "malformed request", too_large=isinstance(exc, LineTooLong)
            )
            self._server.log.warning(
                "malformed request", peer=request.remote, reason=type(exc).__name__
            )
            # What stands in for a request that could not be parsed claims to be HTTP/1.0.
            request._version = HttpVersion11
        else:
            error = exc if isinstance(exc, Exception) else RuntimeError(repr(exc))
            self._server.log.error("unexpected error", exc_info=error)
        response = self._server.render_error(request, error)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **fields: Any) -> None:
        error = fields.get("exc_info", args)
        # aiohttp reads on after an answer, and finds out what the answer has said already.
        if not isinstance(error, web.RequestPayloadError):
            self._server.log.error("unexpected error", error=repr(error))


def _head_bytes(request: web.BaseRequest) -> int:
    """Size of the request line and headers: more than their sum of names and values, slightly."""
    return len(request.raw_path) + sum(
        len(name) + len(value) for name, value in request.raw_headers
    )
