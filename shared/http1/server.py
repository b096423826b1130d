"""Listening for HTTP, and stopping without breaking requests. Both halves use it.

A handler is called with one ``Exchange`` at a time of each connection. Until it first waits it is
in no task of its own (``shared.loop.eager``). Errors that are not the handler's, and those that it
raises, are rendered by the half's own ``ErrorRenderer``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from shared import limits
from shared.http1.channel import Watch
from shared.http1.connection import ServerConnection
from shared.http1.exchange import Answer, Exchange
from shared.loop.eager import Following
from shared.process.logs import EventLog
from shared.tls import listening_options

BACKLOG: Final = 1024

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
_UNPACED: Final = b"reno"
"""The congestion control that every Linux has, and lets everybody use."""

Handler = Callable[[Exchange], Awaitable[None]]
"""Answers a request. ConnectionError: nobody is there to be answered, and the connection is cut."""

ErrorRenderer = Callable[[str, Exception], Answer]
"""Makes the answer to MalformedRequestError, to TooManyConnectionsError, or to an unexpected
exception of the handler, from the target of the request, ``/`` when there is none."""


class HttpSettings(msgspec.Struct, frozen=True):
    """``keep_alive_seconds`` also bounds how long a new connection may take to send a request's
    head; ``receive_buffer_bytes`` is what a connection takes in before the handler reads on, or
    less when there are many; ``body_grace_seconds`` is how long the sender of a body is waited for
    before it must have kept up a least rate (``shared.http1.pace``); beyond ``connections_max``
    clients, others are turned away."""

    keep_alive_seconds: float
    receive_buffer_bytes: int
    body_grace_seconds: float = limits.BODY_GRACE_SECONDS
    connections_max: int = limits.HTTP_CONNECTIONS_MAX


class TooManyConnectionsError(Exception):
    """There is no room for this client."""


class HttpServer:
    """Serves on any number of sockets until ``close``. Make it inside the event loop."""

    def __init__(
        self, handler: Handler, render_error: ErrorRenderer, log: EventLog, settings: HttpSettings
    ) -> None:
        self.handler = handler
        self.render_error = render_error
        self.log = log
        self.settings = settings
        self.receive_buffer_bytes = settings.receive_buffer_bytes
        """What each connection takes in at present before its handler reads on."""
        self.closing = False
        self.watch = Watch(settings.keep_alive_seconds)
        self._listeners: list[asyncio.Server] = []
        self._connections: set[ServerConnection] = set()
        self._turned_away: set[ServerConnection] = set()
        self._said_full = False
        self._handlers: dict[ServerConnection, Following] = {}
        self._all_closed = asyncio.Event()
        self._all_closed.set()

    @property
    def port(self) -> int:
        """The port of the first listening socket."""
        port: int = self._listeners[0].sockets[0].getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    async def listen(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a bound socket, TCP or Unix; raises OSError."""
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {"sock": listener, "backlog": BACKLOG, **listening_options(tls)}
        if listener.family == socket.AF_UNIX:
            server = await loop.create_unix_server(lambda: ServerConnection(self), **options)
        else:
            _spare_pacing(listener)
            server = await loop.create_server(lambda: ServerConnection(self), **options)
        self._listeners.append(server)

    async def close(self, deadline_seconds: float) -> None:
        """Stop accepting, let requests under way finish until the deadline, drop what remains."""
        for listener in self._listeners:
            listener.close()
        await asyncio.sleep(0)  # requests that were just received begin
        self.closing = True
        for handler in list(self._handlers.values()):
            handler.have_task()  # those that do not end by themselves can be cancelled
        for connection in list(self._connections):
            connection.close_if_idle()
        try:
            async with asyncio.timeout(deadline_seconds):
                await self._all_closed.wait()
        except TimeoutError:
            self.log.warning("requests dropped", connections=len(self._connections))
            for connection in list(self._connections):
                connection.abort()

    def opened(self, connection: ServerConnection) -> None:
        """Note a new connection; called by it."""
        self._connections.add(connection)
        self._share_buffers()
        self.watch.add(connection)
        self._all_closed.clear()
        if len(self._connections) - len(self._turned_away) > self.settings.connections_max:
            self._turn_away(connection)

    def closed(self, connection: ServerConnection) -> None:
        """Note that a connection ended; called by it."""
        self._connections.discard(connection)
        self._turned_away.discard(connection)
        if self._said_full and len(self._connections) < self.settings.connections_max * 0.9:
            self._said_full = False
        self._share_buffers()
        self.watch.discard(connection)
        if not self._connections:
            self._all_closed.set()

    def _turn_away(self, connection: ServerConnection) -> None:
        """Say why, as long as there are not too many to say it to; and log it, once until there is
        room again."""
        if not self._said_full:
            self._said_full = True
            self.log.warning("too many connections", served=self.settings.connections_max)
        told = len(self._turned_away) < limits.TURNED_AWAY_MAX
        self._turned_away.add(connection)
        if told:
            connection.refuse(TooManyConnectionsError())
        else:
            connection.abort()

    def _share_buffers(self) -> None:
        share = limits.RECEIVE_BUFFERS_BYTES // max(1, len(self._connections))
        enough = max(share, limits.RECEIVE_BUFFER_BYTES_MIN)
        self.receive_buffer_bytes = min(self.settings.receive_buffer_bytes, enough)

    def keep(self, connection: ServerConnection, handler: Following) -> None:
        """Hold the handler of a connection until it is let go, as it ends: nobody else does."""
        self._handlers[connection] = handler
        if self.closing:
            handler.have_task()

    def let_go(self, connection: ServerConnection) -> None:
        """See ``keep``; called for every handler. It costs less than to be told when it ends."""
        self._handlers.pop(connection, None)

    def handler_ended(self, error: BaseException | None) -> None:
        """Note that a handler that had to wait is over; called behind its end."""
        if isinstance(error, Exception):
            self.log.error("unexpected error", exc_info=error)


def _spare_pacing(listener: socket.socket) -> None:
    """Let a listener that only this machine can reach send without a pace.

    Where BBR is the system's congestion control, the kernel keeps timers for what is sent, over
    the loopback device as well: sending costs up to three times the CPU time. A connection has the
    congestion control of its listener, and BBR's timers stay if it is taken from it later.
    """
    with contextlib.suppress(OSError):
        if listener.getsockname()[0] in _LOOPBACK:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _UNPACED)
