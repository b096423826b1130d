"""A client of one server: connections are kept, and used again while they are good.

Theory of operation. A connection goes back among the idle ones as soon as the last byte of a
response is there, even if nobody has read it yet, provided that the whole request was sent. The one
that was used last is taken first, so that the others may grow old and end.

An idle connection may be closed by the server in the moment in which a request is sent on it. Then
not a byte of a response comes, and a request that can be repeated is sent once more, on a new
connection. The server may have done the first one all the same: for what must not be done twice
whoever calls says ``once``. (An upload to the data daemon, done twice, leaves a blob that nobody
knows, for garbage collection to find.)
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Final

from httptools import HttpResponseParser

from s3front.locations.http_call import Call, Kind, next_block
from s3front.locations.http_connect import connect, probe
from s3front.locations.origin import ANY_POOL, Origin, Pool
from s3front.locations.receive_buffers import Share, receive_buffers
from shared.http1.body import IncomingBody
from shared.http1.channel import JOIN_BYTES_MAX, Channel, Watch
from shared.http1.encoding import encode_request
from shared.http1.head import (
    Headers,
    HeadReader,
    MalformedRequestError,
    ResponseHead,
    parse_response,
)
from shared.http1.passage import Passage
from shared.tls import explain

CONNECT_SECONDS_MAX: Final = 2.0

IDLE_SECONDS_MAX: Final = 55.0
"""Less than the 60 of the data daemon, so that it is we who close an idle connection."""

_BODILESS: Final = frozenset({204, 304})


class NotConnectedError(ConnectionError):
    """There is no connection to the server, so that it was not asked."""


class StaleConnectionError(ConnectionError):
    """A kept connection ended before a byte of a response came. ``unsent``: and before anything of
    the body was asked for."""

    def __init__(self, reason: str, *, unsent: bool) -> None:
        super().__init__(reason)
        self.unsent = unsent


class Response:
    """A response whose head has arrived. Read it to its end, or ``close`` it."""

    __slots__ = ("_body", "_connection", "_head", "_share", "_stall_seconds")

    def __init__(
        self,
        connection: _Connection,
        head: ResponseHead,
        body: IncomingBody,
        stall_seconds: float,
        share: Share | None,
    ) -> None:
        self._connection = connection
        self._head = head
        self._body = body
        self._stall_seconds = stall_seconds
        self._share = share

    @property
    def status(self) -> int:
        return self._head.status

    @property
    def headers(self) -> Headers:
        return self._head.headers

    @property
    def connected(self) -> bool:
        """Whether its connection is open, on which others may be asked for by now: as long as it
        is, the server is the one that answered."""
        return self._connection.open

    @property
    def length(self) -> int | None:
        """Size of the body in bytes, when the server has said it."""
        return self._body.length

    @property
    def buffered(self) -> int:
        """How much of the body has arrived and was not read."""
        return self._body.buffered

    def passage(self) -> Passage | None:
        """The rest of the body, when it was asked to stay in the socket, and is there."""
        if not self._body.held or self._body.buffered or self._body.complete:
            return None
        return self._connection.passage(self._body, self._stall_seconds)

    async def read(self) -> bytes:
        """The next bytes of the body, none at its end. Raises OSError."""
        piece = await self._body.read(self._stall_seconds)
        if self._body.at_end:
            self._share = None
        return piece

    async def read_all(self, size_max: int) -> bytes:
        """The rest of the body; what goes beyond ``size_max`` is left. Raises OSError."""
        pieces = []
        size = 0
        while size < size_max and (piece := await self.read()):
            pieces.append(piece)
            size += len(piece)
        self.close()
        return b"".join(pieces)[:size_max]

    def close(self) -> None:
        """Give up the rest; a connection on which there is one is of no more use."""
        self._share = None
        if not self._body.complete:
            self._connection.abort()


class HttpClient:
    """Sends requests to ``origin``. Make it inside the event loop; ``close`` it.

    ``headers`` go with every request, besides Host. ``stall_seconds`` is how long the server may
    say nothing, or take nothing, and how long a request waits for a connection of its ``pool``.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        stall_seconds: float,
        headers: Mapping[str, str] | None = None,
        idle_seconds: float = IDLE_SECONDS_MAX,
        connect_seconds: float = CONNECT_SECONDS_MAX,
        pool: Pool = ANY_POOL,
    ) -> None:
        self._origin = origin
        self.pool = pool
        self._connect_seconds = connect_seconds
        self._headers = {"Host": origin.authority, **(headers or {})}
        self.stall_seconds = stall_seconds
        self.idle_seconds = idle_seconds
        self._loop = asyncio.get_running_loop()
        self.watch = Watch(idle_seconds)
        self.buffers = receive_buffers(self._loop)
        self._connections: set[_Connection] = set()
        self._idle: list[_Connection] = []
        self._making = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def renew(self, headers: Mapping[str, str], tls: ssl.SSLContext | None) -> None:
        """From now on send these headers with every request, and make connections with this TLS."""
        self._origin = replace(self._origin, tls=tls)
        self._headers = {"Host": self._origin.authority, **headers}

    async def close(self) -> None:
        """Close all connections."""
        for connection in list(self._connections):
            connection.abort()

    async def request(  # noqa: PLR0913  # an argument for each choice
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | AsyncGenerator[bytes, None] = b"",
        *,
        holds: bool = False,
        stall_seconds: float | None = None,
        expects: bool = False,
        once: bool = False,
    ) -> Response:
        """Send a request; returns when the head of the response is there.

        The headers say how long a body is that is not bytes; they are Content-Length alone, as
        chunks are not sent. ``holds``: what does not come with the head of the response stays in
        the socket until it is wanted, for ``Response.passage``. ``stall_seconds`` are this
        request's, in place of the client's. ``expects``: a body that is not bytes is asked for
        when the server says that it wants it, or nothing, so that a refusal or an idle connection
        that has ended costs nothing of it (RFC 9110, section 10.1.1). ``once``: it is not sent
        again when the server may have done it.

        Raises OSError: there is no connection (NotConnectedError), or it ended
        (StaleConnectionError if it was an idle one, and nothing has come), or it stalled
        (TimeoutError), or what came is not HTTP. Raises SourceError.
        """
        headers = {**self._headers, **headers}
        if expects:
            headers["Expect"] = "100-continue"
        proxy = self._origin.proxy
        if proxy is not None and self._origin.tls is None:
            target = f"http://{headers['Host']}{target}"
            headers.update(proxy.headers)
        head = encode_request(method, target, headers)
        kind = Kind(method == "HEAD", holds, stall_seconds or self.stall_seconds, expects)
        connection = self._take_idle()
        if connection is None and self._is_full:
            connection = await self._loop.create_task(self._turn())
        if connection is not None:
            try:
                return await connection.ask(head, body, kind)
            except StaleConnectionError as error:
                if not (error.unsent or (isinstance(body, bytes) and not once)):
                    self._end_idle()
                    raise
        # In a task, as time-outs need one.
        connection = await self._loop.create_task(self._connect())
        return await connection.ask(head, body, kind)

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
        return None

    def _end_idle(self) -> None:
        """End those that may have ended like one of them, so that whoever asks again gets a new
        one."""
        for connection in list(self._idle):
            connection.abort()

    @property
    def _is_full(self) -> bool:
        most = self.pool.connections_max
        return most is not None and len(self._connections) + self._making >= most

    async def _turn(self) -> _Connection | None:
        """Wait for an idle connection, or until there may be a new one. Raises
        NotConnectedError."""
        try:
            async with asyncio.timeout(self.stall_seconds):
                while (connection := self._take_idle()) is None and self._is_full:
                    waiter = self._loop.create_future()
                    self._waiting.append(waiter)
                    await waiter
        except TimeoutError:
            raise NotConnectedError("all connections are in use") from None
        return connection

    def _wake_one(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def _connect(self) -> _Connection:
        self._making += 1
        try:
            async with asyncio.timeout(self._connect_seconds):
                return await connect(self._loop, lambda: _Connection(self), self._origin)
        except OSError as error:
            reason = explain(error) or f"no connection in {self._connect_seconds:g} s"
            raise NotConnectedError(reason) from error
        finally:
            self._making -= 1
            self._wake_one()

    def opened(self, connection: _Connection) -> None:
        """Note a new connection; called by it."""
        self._connections.add(connection)
        self.watch.add(connection)

    def closed(self, connection: _Connection) -> None:
        """Note that a connection ended; called by it."""
        self._connections.discard(connection)
        self.watch.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._wake_one()

    def release(self, connection: _Connection) -> bool:
        """Take a connection back; False when there are enough. Called by it."""
        if len(self._idle) >= self.pool.idle_max:
            return False
        self._idle.append(connection)
        self._wake_one()
        return True


class _Connection(Channel, asyncio.BufferedProtocol):
    """One connection, with at most one request at a time."""

    def __init__(self, client: HttpClient) -> None:
        super().__init__(client.watch)
        self._client = client
        self._buffers = client.buffers
        self._reader = HeadReader(HttpResponseParser)
        self._call: Call | None = None
        self._body: IncomingBody | None = None
        """The body whose end has not arrived yet."""
        self._used = False
        self._heard = False
        self._idle_since = self.loop.time()

    # -- Asking -----------------------------------------------------------------------------------

    async def ask(
        self, head: bytes, body: bytes | AsyncGenerator[bytes, None], kind: Kind
    ) -> Response:
        """Send a request and wait for the head of its response; see ``HttpClient.request``."""
        call = self._call = Call(kind)
        used, self._used, self._heard = self._used, True, False
        seconds = kind.stall_seconds
        try:
            try:
                if isinstance(body, bytes):
                    self._send_at_once(call, head, body)
                else:
                    await self._send_blocks(call, head, body, seconds)
            except ConnectionError:
                if call.head is None:
                    raise
            response_head, response_body = await call.answered(self, seconds)
        except ConnectionError as error:
            self._give_up(call)
            if used and not self._heard:
                raise StaleConnectionError(str(error), unsent=call.unsent) from error
            raise
        except BaseException:
            self._give_up(call)
            raise
        return Response(self, response_head, response_body, seconds, call.share)

    def _give_up(self, call: Call) -> None:
        """End the connection, unless it has another request already."""
        if call is self._call:
            self.abort()

    def _send_at_once(self, call: Call, head: bytes, body: bytes) -> None:
        if len(body) <= JOIN_BYTES_MAX:
            self.send(head + body)
        else:
            self.send(head)
            self.send(body)
        call.sent = True

    async def _send_blocks(
        self, call: Call, head: bytes, blocks: AsyncGenerator[bytes, None], seconds: float
    ) -> None:
        """Send a body as it comes. The time that its source takes is not the server's."""
        call.unsent = call.kind.expects
        self.send(head)
        if call.kind.expects:
            await call.invitation(self)
        try:
            # A server that answers before it has everything wants no more of it.
            call.reusable = call.reusable and call.head is None
            while call.reusable and (block := await next_block(blocks)) is not None:
                if call.head is not None:
                    call.reusable = False
                    break
                self.send(block)
                await self.drained(seconds)
        finally:
            await blocks.aclose()
        call.sent = True
        self._settle(call)

    # -- What the transport says ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if (seconds := self._client.pool.probe_seconds) is not None:
            probe(transport, seconds)
        self._client.opened(self)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._buffers.room()

    def buffer_updated(self, nbytes: int) -> None:
        self._heard = True
        try:
            self._receive(self._buffers.taken(nbytes))
        except MalformedRequestError as error:
            self._fail(f"not HTTP: {error}")
        self.keep_up()

    def eof_received(self) -> bool:
        if self._body is not None:
            self._body.end()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self._body is not None:
            self._body.end()
            self._body = None
        if self._call is not None:
            self._call.fail("the server ended the connection")
        self._client.closed(self)

    def wants_more(self) -> bool:
        body = self._body
        return body is None or (not body.held and body.buffered < self._buffers.share_bytes)

    def check(self, now: float) -> float:
        due = super().check(now)
        if self._body is not None:
            due = min(due, self._body.expire(now))
        if self._call is not None:
            return min(due, self._call.waiter.expire(now))
        idle_until = self._idle_since + self._client.idle_seconds
        if now >= idle_until:
            self.abort()
        return min(due, idle_until)

    # -- Responses --------------------------------------------------------------------------------

    def passage(self, body: IncomingBody, stall_seconds: float) -> Passage | None:
        """The rest of a held body; None when the socket does not have its bytes as they are."""
        transport = self.transport
        if body is not self._body or body.left is None or transport is None:
            return None
        if transport.get_extra_info("sslcontext") is not None:
            return None
        return Passage(self, body.left, stall_seconds, self._taken)

    def _taken(self, count: int) -> None:
        assert self._body is not None
        self._body.taken(count)
        if self._body.complete:
            self._body_ended(b"")
            self.keep_up()

    def _receive(self, data: bytes) -> None:
        call = self._call
        if self._body is not None:
            rest = self._body.feed(data)
            if self._body.complete:
                self._body_ended(rest)
        elif call is None or call.head is not None:
            self._fail("more than was asked for")
        else:
            self._reader.feed(data)
            self._receive_head(call)

    def _body_ended(self, rest: bytes) -> None:
        self._body = None
        if rest:
            self._fail("more than was asked for")
        elif self._call is not None:
            self._settle(self._call)

    def _receive_head(self, call: Call) -> None:
        while (found := self._reader.next_head()) is not None:
            head = parse_response(*found)
            if head.status < 200:
                call.invited = True
                call.waiter.wake()
                continue
            if call.kind.bodiless or head.status in _BODILESS:
                body = IncomingBody(self, 0, chunked=False)
            else:
                until_end = head.length is None and not head.chunked
                body = IncomingBody(self, head.length, chunked=head.chunked, until_end=until_end)
                body.held = call.kind.holds and body.left is not None
                call.reusable = call.reusable and not until_end
            call.head, call.response_body = head, body
            call.waiter.wake()
            self._body = None if body.complete else body
            rest = self._reader.take()
            call.share = self._buffers.share_of(body)
            if rest:
                self._receive(rest)
            else:
                self._settle(call)
            return

    def _settle(self, call: Call) -> None:
        """Once nothing more is sent and all of the response is there: be idle, or end."""
        if call is not self._call or call.head is None or self._body is not None or not call.sent:
            return
        self._call = None
        good = call.reusable and call.head.keep_alive and self.open
        if good and self._client.release(self):
            self._idle_since = self.loop.time()
        elif self.transport is not None:
            self.transport.close()

    def _fail(self, reason: str) -> None:
        """What comes is not what was asked for: the connection is of no more use."""
        if self._body is not None:
            self._body.fail(reason)
            self._body = None
        if self._call is not None:
            self._call.fail(reason)
        self.abort()
