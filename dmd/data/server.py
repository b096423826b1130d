"""The listening side of the data port: connections, limits, and shutdown.

``serve`` is called by the command, and by tests on port 0. The only module besides
``dmd.data.service`` that knows which HTTP library serves the port.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final, cast

from aiohttp import web

from dmd.data.errors import DataError
from dmd.data.service import DataService, Log, error_response
from dmd.errors import StartupError
from shared.limits import HEADER_BYTES_MAX, HEADERS_MAX

KEEP_ALIVE_SECONDS: Final = 60.0
BACKLOG: Final = 1024
RECEIVE_BUFFER_BYTES: Final = 64 * 1024
"""What a connection takes in before it waits for the store; twice this, and one read, at most."""

LINGER_SECONDS_MAX: Final = 10.0
"""How long the rest of a refused upload is read, so that its sender sees the answer."""

CLEAN_UP_SECONDS_MAX: Final = 5.0
"""How long requests may take to remove what they wrote, once their connections are cut."""


class DataServer:
    """A data service that listens on ``port`` until ``close``.

    It keeps its own account of connections: aiohttp's graceful shutdown stops reading from all of
    them at once, so that no upload under way could finish.
    """

    def __init__(self, service: DataService) -> None:
        self.port = 0
        self._service = service
        self._manager = web.Server(self._handle)
        self._listener: asyncio.AbstractServer | None = None
        self._connections: dict[_Connection, asyncio.Transport] = {}
        self._busy: set[asyncio.BaseProtocol] = set()
        self._closing = False
        self._all_closed = asyncio.Event()
        self._all_closed.set()

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        """Begin to listen; called once. Raises StartupError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(
                self._connection, host, port, backlog=BACKLOG, ssl=tls
            )
        except OSError as error:
            raise StartupError(f"data port {host}:{port}: {error.strerror or error}") from error
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self, deadline_seconds: float) -> None:
        """Stop accepting, let requests under way finish until the deadline, drop what remains.

        A dropped upload leaves nothing behind. The store stays open: whoever opened it closes it.
        """
        assert self._listener is not None
        self._listener.close()
        self._closing = True
        await asyncio.sleep(0)  # requests that were just received begin
        for connection in list(self._connections):
            if connection not in self._busy:
                connection.force_close()
        try:
            async with asyncio.timeout(deadline_seconds):
                await self._all_closed.wait()
        except TimeoutError:
            self._service.log.warning("requests dropped", connections=len(self._connections))
            for transport in self._connections.values():
                transport.abort()
        await self._service.wait_idle(CLEAN_UP_SECONDS_MAX)

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
        self._busy.add(request.protocol)
        try:
            response = await self._service.handle(request)
        finally:
            self._busy.discard(request.protocol)
        if self._closing:
            response.force_close()
        return response

    def _connection(self) -> _Connection:
        return _Connection(
            self,
            self._service.log,
            self._manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            max_headers=HEADERS_MAX,
            lingering_time=LINGER_SECONDS_MAX,
            read_bufsize=RECEIVE_BUFFER_BYTES,
            access_log=None,
            # A compressed body is what the client wants stored.
            auto_decompress=False,
        )


class _Connection(web.RequestHandler):
    """aiohttp's connection, with our errors in place of its own.

    It calls ``handle_error`` for what its parser refuses and for exceptions of the handler; its
    own answers are text, and its log lines are tracebacks.
    """

    __slots__ = ("_report", "_server")

    def __init__(self, server: DataServer, report: Log, manager: web.Server, **options: Any):
        super().__init__(manager, **options)
        self._server = server
        self._report = report

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # uvloop's transports are asyncio's in behaviour, not by class.
        self._server.opened(self, cast(asyncio.Transport, transport))

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
        if status < 500:
            error = DataError("BadRequest")
            if message is not None and "content-length" in message.lower():
                error = DataError("InvalidInput", "bad Content-Length")
            self._report.warning("malformed request", peer=request.remote, error=type(exc).__name__)
        else:
            error = DataError("InternalError")
            self._report.error("unexpected error", error=repr(exc))
        response = error_response(error)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **fields: Any) -> None:
        self._report.error("unexpected error", error=repr(fields.get("exc_info", args)))


async def serve(
    service: DataService, host: str, port: int, tls: ssl.SSLContext | None = None
) -> DataServer:
    """Listen on ``host`` and ``port`` (0: any free one, see ``DataServer.port``).

    Raises StartupError when the address cannot be had.
    """
    server = DataServer(service)
    await server.listen(host, port, tls)
    return server
