"""Connections to the servers of one KMIP service: TLS, a message there, a message back.

The servers are tried in turn: one that cannot be reached, or says nothing, goes to the end of the
list. A connection has one request at a time, and is kept for the next one; so many requests as the
transport says are under way at once. A kept connection may have been closed by the server in the
meantime: then a request that may be repeated is sent once more, on a new one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Final

from s3front.keys.base import AwayError
from s3front.keys.kmip_messages import RESPONSE_BYTES_MAX, Tag
from s3front.keys.kmip_ttlv import HEADER_BYTES, MalformedError, message_length
from shared.tls import explain

CONNECT_SECONDS_MAX: Final = 2.0
GIVEN_UP_SECONDS: Final = 0.5
"""Whoever does not wait for an answer any more after so long, has waited for a server that
hangs."""

IDLE_SECONDS_MAX: Final = 30.0


class KmipServer:
    """Where a server is, and how it is spoken with."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext) -> None:
        self.host = host
        self.port = port
        self.tls = tls

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class KmipConnections:
    """See the module. Make it inside the event loop; ``close`` it."""

    def __init__(self, servers: Sequence[KmipServer], requests_max: int) -> None:
        self._servers = list(servers)
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Semaphore(requests_max)
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()

    async def ask(self, message: bytes, *, once: bool = False) -> bytes:
        """Send a message; the one that comes back. ``once``: it must not be sent again when the
        server may have seen it. Raises AwayError."""
        async with self._turn:
            connection = self._kept()
            if connection is not None:
                try:
                    return await self._exchange(connection, message)
                except _StaleError:
                    if once:
                        raise AwayError("a kept connection ended") from None
            connection = await self._connected()
            try:
                return await self._exchange(connection, message)
            except _StaleError:
                pass
            raise AwayError(f"{connection.server.address} ends the connection without an answer")

    async def close(self) -> None:
        """End all connections."""
        for connection in list(self._open):
            self._end(connection)

    async def _exchange(self, connection: _Connection, message: bytes) -> bytes:
        began = self._loop.time()
        try:
            answer = await connection.exchange(message)
        except _StaleError:
            self._end(connection)
            raise
        except (OSError, EOFError, MalformedError) as error:
            self._end(connection)
            self._leave(connection.server)
            reason = f"{connection.server.address}: {explain(error) or type(error).__name__}"
            raise AwayError(reason) from None
        except BaseException:
            self._end(connection)
            if self._loop.time() - began > GIVEN_UP_SECONDS:
                self._leave(connection.server)
            raise
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        return answer

    def _kept(self) -> _Connection | None:
        """The connection that was used last, if it is good; others that are not are ended."""
        least = self._loop.time() - IDLE_SECONDS_MAX
        for connection in [each for each in self._idle if each.idle_since < least]:
            self._idle.remove(connection)
            self._end(connection)
        while self._idle:
            connection = self._idle.pop()
            if connection.is_good:
                return connection
            self._end(connection)
        return None

    async def _connected(self) -> _Connection:
        """A new connection, to the first server that there is. Raises AwayError."""
        reasons = []
        for server in list(self._servers):
            began = self._loop.time()
            try:
                async with asyncio.timeout(CONNECT_SECONDS_MAX / min(len(self._servers), 4)):
                    reader, writer = await asyncio.open_connection(
                        server.host, server.port, ssl=server.tls
                    )
            except OSError as error:  # a time-out is one
                reasons.append(f"{server.address}: {explain(error) or 'no connection in time'}")
                self._leave(server)
                continue
            except BaseException:
                if self._loop.time() - began > GIVEN_UP_SECONDS:
                    self._leave(server)
                raise
            connection = _Connection(server, reader, writer)
            self._open.add(connection)
            return connection
        raise AwayError(f"no connection to {'; '.join(reasons)}")

    def _end(self, connection: _Connection) -> None:
        self._open.discard(connection)
        connection.writer.transport.abort()

    def _leave(self, server: KmipServer) -> None:
        """Try the others first from now on."""
        self._servers.remove(server)
        self._servers.append(server)


class _StaleError(Exception):
    """The connection ended before a byte of a response came."""


class _Connection:
    def __init__(
        self, server: KmipServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.idle_since = 0.0

    @property
    def is_good(self) -> bool:
        return not (self.reader.at_eof() or self.writer.is_closing())

    async def exchange(self, message: bytes) -> bytes:
        """Raises OSError, EOFError, MalformedError, _StaleError."""
        try:
            self.writer.write(message)
            await self.writer.drain()
            first = await self.reader.read(HEADER_BYTES)
        except ConnectionError:
            raise _StaleError from None
        if not first:
            raise _StaleError
        header = first + await self.reader.readexactly(HEADER_BYTES - len(first))
        length = message_length(header, Tag.RESPONSE_MESSAGE)
        if length > RESPONSE_BYTES_MAX:
            raise MalformedError("the answer is too large")
        return header + await self.reader.readexactly(length)
