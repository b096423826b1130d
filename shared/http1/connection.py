"""A connection in the server: requests come in, and are answered one after the other.

Theory of operation. Bytes belong to the body that is under way, or wait in the reader of heads.
The handler of a request begins as soon as its head is there, with what came of its body; the next
request begins when the answer is complete and the client takes what it was sent. Until then what it
sends further waits, in bounded memory, and then in the system's buffers.

How a connection ends:

* The handler's answer says that it ends, and all of the request is there: it is closed.
* The rest of a body was not read: it is read and dropped, for ``LINGER_SECONDS_MAX`` at most, so
  that its sender sees the answer instead of a reset. Then the next request follows; or, when the
  answer ends the connection, the client is told so by a half-closed one, and everything it still
  sends is dropped.
* What was received is no request: it is answered as one, and the connection ends likewise.
* There are too many connections: so is this one, before anything was received.
* The client will send no more: what it has sent is answered before the connection ends.
* No request has come for ``keep_alive_seconds``; the head of one that trickles in counts as none.
"""

from __future__ import annotations

import asyncio
import enum
import math
from typing import TYPE_CHECKING, Final

from httptools import HttpRequestParser

from shared.http1.body import NO_BODY, IncomingBody
from shared.http1.channel import Channel
from shared.http1.encoding import encode_response
from shared.http1.exchange import WRITE_STALL_SECONDS_MAX, Exchange
from shared.http1.head import HeadReader, MalformedRequestError, RequestHead, parse_request
from shared.http1.pace import Pace
from shared.loop import eager

if TYPE_CHECKING:
    from shared.http1.server import HttpServer

LINGER_SECONDS_MAX: Final = 10.0
"""How long the rest of a refused upload is read, so that its sender sees the answer."""

_REQUESTS_A_TURN_MAX: Final = 32
"""Requests of one connection that begin before other connections have their turn."""


class _State(enum.Enum):
    SERVING = enum.auto()
    WAITING_ITS_TURN = enum.auto()
    LINGERING = enum.auto()


# Names of the module: a member of an enumeration is looked up in its class at 40 times the cost.
_SERVING: Final = _State.SERVING
_WAITING_ITS_TURN: Final = _State.WAITING_ITS_TURN
_LINGERING: Final = _State.LINGERING


class ServerConnection(Channel, asyncio.Protocol):
    """One client."""

    def __init__(self, server: HttpServer) -> None:
        super().__init__(server.watch)
        self._server = server
        self._reader = HeadReader(HttpRequestParser)
        self._state = _SERVING
        self._exchange: Exchange | None = None
        self._body: IncomingBody | None = None
        """The body whose end has not arrived yet."""
        self._deadline = math.inf
        self._beginning = False
        self._ended_by_client = False
        self._peer: str | None = None
        self.secure = False
        self.tls_version: str | None = None

    # -- What a handler may ask -------------------------------------------------------------------

    @property
    def channel(self) -> Channel:
        return self

    @property
    def peer(self) -> str:
        if self._peer is None:
            name = None if self.transport is None else self.transport.get_extra_info("peername")
            self._peer = name[0] if isinstance(name, tuple) else ""
        return self._peer

    @property
    def ends(self) -> bool:
        return self._server.closing

    def taken(self, count: int) -> None:
        body = self._body
        assert body is not None
        body.taken(count)
        if body.complete:
            self._body = None
            self.keep_up()

    # -- What the transport says ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.secure = transport.get_extra_info("sslcontext") is not None
        if self.secure:
            self.tls_version = transport.get_extra_info("ssl_object").version()
        self._deadline = self.loop.time() + self._server.settings.keep_alive_seconds
        self._server.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._state is _LINGERING:
            return
        body = self._body
        if body is not None:
            try:
                data = body.feed(data)
            except MalformedRequestError as error:
                self._body_is_malformed(body, error)
                return
            if not body.complete:
                self.keep_up()
                return
            self._body = None
            if self._exchange is None:
                self._await_request()
        if data:
            self._reader.feed(data)
        self._begin_requests()

    def eof_received(self) -> bool:
        self._ended_by_client = True
        if self._body is not None:
            self._body.end()
        waits = (
            self._exchange is not None
            or self._state is _WAITING_ITS_TURN
            or (not self.writable and bool(self._reader.received))
        )
        # Over TLS a connection cannot stay half open.
        return waits and not self.secure

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self._body is not None:
            self._body.fail("the connection ended")
        self._server.closed(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._begin_requests()

    def wants_more(self) -> bool:
        if self._state is _LINGERING:
            return True
        waiting = len(self._reader.received)
        if self._body is not None:
            if self._body.held:
                return False
            waiting += self._body.buffered
        return waiting <= self._server.receive_buffer_bytes

    def keep_up(self) -> None:
        # Where nothing waits, and all is read, it is plain that nothing changes.
        if self._body is not None or self._reader.received or not self._reads:
            super().keep_up()

    # -- What the server asks ---------------------------------------------------------------------

    def check(self, now: float) -> float:
        due = super().check(now)
        if self._body is not None:
            due = min(due, self._body.expire(now))
        if self._exchange is None:
            if now >= self._deadline:
                if self._state is _LINGERING or not self.open:
                    self.abort()
                else:
                    self._close()
            due = min(due, self._deadline)
        return due

    def close_if_idle(self) -> None:
        """End the connection unless a request is being answered; what was sent still leaves."""
        if self._exchange is None and self.open:
            self._close()

    # -- Requests ---------------------------------------------------------------------------------

    def _begin_requests(self) -> None:
        """Begin the requests that are there, as far as the client takes its answers."""
        if self._beginning or self._state is not _SERVING:
            return
        self._beginning = True
        left = _REQUESTS_A_TURN_MAX
        try:
            while self._exchange is None and self._body is None and self.writable and self.open:
                if not left:
                    self._state = _WAITING_ITS_TURN
                    self.loop.call_soon(self._next_turn)
                    break
                left -= 1
                found = self._reader.next_head()
                if found is None:
                    if self._ended_by_client:
                        self._close()
                    break
                self._begin(parse_request(*found))
        except MalformedRequestError as error:
            self._server.log.warning("malformed request", peer=self.peer, reason=str(error))
            self.refuse(error)
        finally:
            self._beginning = False
        self.keep_up()

    def _next_turn(self) -> None:
        if self._state is _WAITING_ITS_TURN:
            self._state = _SERVING
            self._begin_requests()

    def _begin(self, head: RequestHead) -> None:
        """Start the handler, with what has come of the body. Raises MalformedRequestError."""
        body = NO_BODY
        if head.length or head.chunked:
            body = IncomingBody(self, head.length, chunked=head.chunked)
            arrived = self._reader.take()
            if arrived:
                self._reader.feed(body.feed(arrived))
            if not body.complete:
                self._body = body
                body.pace = Pace(self._server.settings.body_grace_seconds)
                if self._ended_by_client:
                    body.end()
        self._deadline = math.inf
        self._exchange = Exchange(self, head, body)
        following = eager.follow(self._answer(self._exchange), self._server.handler_ended)
        if following is not None:
            self._server.keep(self, following)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._server.handler(exchange)
            if not exchange.ended:
                raise RuntimeError("a handler returned without an answer")
        except ConnectionError:
            self.abort()
        except asyncio.CancelledError:
            self.abort()
            raise
        except Exception as error:
            self._server.log.error("unexpected error", exc_info=error)
            self._fail(exchange, error)
        finally:
            self._server.let_go(self)
        self._answered(exchange)

    def _fail(self, exchange: Exchange, error: Exception) -> None:
        """Answer in the handler's place; when part of its answer is on its way, only a cut
        connection tells the client."""
        if exchange.began or not self.open:
            self.abort()
            return
        answer = self._server.render_error(exchange.target, error)
        exchange.reply(answer.status, answer.headers, answer.body, close=True)

    def _answered(self, exchange: Exchange) -> None:
        self._exchange = None
        if not self.open:
            return
        if exchange.closes:
            self._end()
        elif self._ended_by_client and self._body is not None:
            self._close()
        else:
            if self._body is not None:
                self._body.discard()
                self._end_within(LINGER_SECONDS_MAX)
            else:
                self._await_request()
            self.keep_up()
            if not self._beginning and (self._reader.received or self._ended_by_client):
                # Not from here: this is the handler that is just ending.
                self.loop.call_soon(self._begin_requests)

    def _end_within(self, seconds: float) -> None:
        """Have the connection given up if it is still there then."""
        self._deadline = self.loop.time() + seconds
        self.look_by(self._deadline)

    def _await_request(self) -> None:
        # Nobody has to be told: the next look is not later than this.
        self._deadline = self.loop.time() + self._server.settings.keep_alive_seconds
        if self._server.closing:
            self.close_if_idle()

    # -- The end ----------------------------------------------------------------------------------

    def refuse(self, error: Exception) -> None:
        """Answer what is no request, or before there is one, and end the connection."""
        if self.open:
            answer = self._server.render_error("/", error)
            framing = f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n"
            self.send(encode_response(answer.status, answer.headers, framing) + answer.body)
            self._linger()

    def _body_is_malformed(self, body: IncomingBody, error: MalformedRequestError) -> None:
        """Where the next request begins is not known."""
        body.fail(f"the body is malformed: {error}")
        if self._exchange is not None:
            self._exchange.closes = True
            self._state = _LINGERING
        else:
            self._linger()

    def _end(self) -> None:
        """End the connection after an answer that says so."""
        if self._body is None and self._state is _SERVING:
            self._close()
        else:
            self._linger()

    def _close(self) -> None:
        """End the connection when the client has taken what was sent."""
        assert self.transport is not None
        self._end_within(WRITE_STALL_SECONDS_MAX)
        self.transport.close()

    def _linger(self) -> None:
        """Send no more, and drop what still comes: a reset could overtake the answer."""
        assert self.transport is not None
        self._state = _LINGERING
        self._body = None
        self._reader.take()
        if self._ended_by_client:
            self._close()
            return
        self._end_within(LINGER_SECONDS_MAX)
        if not self.secure:
            self.transport.write_eof()
        self.keep_up()
