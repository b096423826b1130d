"""One request and its answer, as a handler sees them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from shared.http1.block_receiver import receive_block
from shared.http1.body import IncomingBody
from shared.http1.channel import JOIN_BYTES_MAX, Channel
from shared.http1.chunks import LAST_CHUNK, chunk
from shared.http1.encoding import CONTINUE, encode_response
from shared.http1.file_receiver import receive_file
from shared.http1.file_sender import send_file
from shared.http1.head import RequestHead
from shared.http1.pace import Pace
from shared.http1.passage import Passage

WRITE_STALL_SECONDS_MAX: Final = 300.0
"""How long a client may take nothing of its answer, unless the handler says otherwise."""

_BODILESS: Final = frozenset({204, 304})

_T = TypeVar("_T")


class ClientStalledError(ConnectionError):
    """The client took nothing for too long, and was dropped."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: what renders errors returns it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Host(Protocol):
    """The connection of an exchange, as far as it matters to the exchange."""

    @property
    def channel(self) -> Channel: ...

    @property
    def peer(self) -> str: ...

    @property
    def secure(self) -> bool: ...

    @property
    def tls_version(self) -> str | None: ...

    @property
    def ends(self) -> bool:
        """Whether the server is being closed."""

    def taken(self, count: int) -> None:
        """Note that so many bytes of the body were taken from the socket."""


class Exchange:
    """Answer with ``reply``; or with ``begin``, any number of ``write``, and ``finish``.

    Headers are given without framing, which is added: Content-Length or chunks, Connection, Date.
    A HEAD request's answer loses its body on the way. ``write_stall_seconds`` may be set.
    """

    __slots__ = (
        "_channel",
        "_head_bytes",
        "_host",
        "_left",
        "_pace",
        "_wants_continue",
        "began",
        "body",
        "closes",
        "ended",
        "head",
        "write_stall_seconds",
    )

    def __init__(self, host: Host, head: RequestHead, body: IncomingBody) -> None:
        self._host = host
        self._channel = host.channel
        self._wants_continue = head.expects_continue
        self._head_bytes = b""
        self._left: int | None = 0
        self._pace: Pace | None = None
        self.head = head
        self.body = body
        self.began = False
        """Whether the answer's status has been decided."""
        self.ended = False
        """Whether the answer is complete."""
        self.closes = not head.keep_alive
        """Whether the connection ends with the answer."""
        self.write_stall_seconds = WRITE_STALL_SECONDS_MAX

    @property
    def method(self) -> str:
        return self.head.method

    @property
    def target(self) -> str:
        """The request target, exactly as it was received."""
        return self.head.target

    @property
    def peer(self) -> str:
        """The client's address; empty over a Unix socket."""
        return self._host.peer

    @property
    def secure(self) -> bool:
        """Whether the request came over TLS."""
        return self._host.secure

    @property
    def tls_version(self) -> str | None:
        """``TLSv1.3``…; None without TLS."""
        return self._host.tls_version

    @property
    def client_gone(self) -> bool:
        """Whether nobody can be answered any more."""
        return not self._channel.open

    def accept(self) -> None:
        """Tell a client that waits for ``100 Continue`` to send its body.

        Raises ConnectionError.
        """
        if self._wants_continue:
            self._wants_continue = False
            self._channel.send(CONTINUE)

    async def read_to_file(
        self,
        receive: Callable[[int, int], Awaitable[int | None]],
        idle_seconds: float,
    ) -> bool:
        """Let the rest of a held body, of which nothing waits to be read, be received elsewhere.

        See ``file_receiver.receive_file``, also for ``receive`` and the result; when that is False
        the body is read as any other. Only when ``gives_files``.
        """
        left = self.body.left
        assert self.body.held
        assert left is not None
        assert not self.body.buffered
        return await receive_file(
            self._channel, receive, left, idle_seconds, self._host.taken, self.body.pace
        )

    async def read_block(self, size: int, idle_seconds: float) -> bytes | None:
        """The next bytes of a held body, of which nothing waits to be read, ``size`` at most.

        See ``block_receiver.receive_block``, also for the result; when that is None the body is
        read as any other. Only when ``gives_files``.
        """
        left = self.body.left
        assert self.body.held
        assert left
        assert not self.body.buffered
        block = await receive_block(self._channel, min(left, size), idle_seconds, self.body.pace)
        if block is not None:
            self._host.taken(len(block))
        return block

    @property
    def gives_files(self) -> bool:
        """Whether bytes of the body can be taken from the socket directly: not when they have to be
        decrypted or decoded."""
        return not self.secure and self.body.left is not None

    def reply(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes | bytearray = b"",
        *,
        close: bool = False,
    ) -> None:
        """Give the whole answer. Raises ConnectionError."""
        # What GET would be answered with is not known to HEAD, unless the headers say so.
        length = None if self.head.method == "HEAD" else len(body)
        head = self._encode_head(status, headers, length, close=close)
        self.ended = True
        if self.head.method == "HEAD" or status in _BODILESS:
            body = b""
        if len(body) <= JOIN_BYTES_MAX:
            self._channel.send(head + body)
        else:
            self._channel.send(head)
            self._channel.send(body)

    def begin(
        self, status: int, headers: Mapping[str, str], length: int | None, *, close: bool = False
    ) -> None:
        """Begin an answer whose body follows; ``length`` None: nobody knows how long it will be.

        The head leaves with the first bytes of the body.
        """
        self._head_bytes = self._encode_head(status, headers, length, close=close)
        self._left = length

    async def write(self, data: bytes | bytearray) -> None:
        """Send more of the body, and wait while the client takes nothing.

        Raises ConnectionError; ClientStalledError when that takes too long, or the client takes too
        little (``shared.http1.pace``).
        """
        if self.head.method == "HEAD" or not data:
            return
        if self._left is not None:
            self._left -= len(data)
            assert self._left >= 0, "more than was announced"
        elif self.head.modern:
            data = chunk(data)
        if self._head_bytes:
            data = self._taken_head(data)
        self._channel.send(data)
        if not self._channel.writable:
            pace = self._reader_pace()
            pace.moved += len(data)
            await self._within_stall_time(self._channel.drained(self.write_stall_seconds, pace))

    async def write_file(
        self,
        send: Callable[[int, int, int], Awaitable[int]],
        offset: int,
        length: int,
    ) -> bool:
        """Send part of a file as part of the body, without its bytes coming through here.

        See ``file_sender.send_file``, also for ``send`` and the result. Only when ``takes_files``.
        """
        assert self._left is not None
        if self._head_bytes:
            self._channel.send(self._taken_head(b""))
        stall = self.write_stall_seconds
        sent = await self._within_stall_time(
            send_file(self._channel, send, offset, length, stall, self._reader_pace())
        )
        if sent:
            self._left -= length
        return sent

    async def write_passage(self, passage: Passage) -> None:
        """Send a passage as part of the body. Only when ``takes_files``.

        Look at it afterwards: how much of it was sent, and what failed at its source, are there.
        Raises as ``write``.
        """
        assert self._left is not None
        if self._head_bytes:
            self._channel.send(self._taken_head(b""))
        await self._within_stall_time(
            passage.move_to(self._channel, self.write_stall_seconds, self._reader_pace())
        )
        self._left -= passage.moved

    @property
    def takes_files(self) -> bool:
        """Whether bytes can go to the socket directly: not when they have to be encrypted."""
        return not self.secure and self.head.method != "HEAD"

    def finish(self) -> None:
        """End the body. Raises ConnectionError."""
        end = b""
        if self._left is None and self.head.modern and self.head.method != "HEAD":
            end = LAST_CHUNK
        assert not self._left or self.head.method == "HEAD", "less than was announced"
        self.ended = True
        if self._head_bytes or end:
            self._channel.send(self._taken_head(end))

    def _taken_head(self, data: bytes | bytearray) -> bytes | bytearray:
        head, self._head_bytes = self._head_bytes, b""
        if len(data) <= JOIN_BYTES_MAX:
            return head + data
        self._channel.send(head)
        return data

    def _reader_pace(self) -> Pace:
        """The pace of the client that takes the answer, once it was waited for."""
        if self._pace is None:
            self._pace = Pace(self.write_stall_seconds)
        return self._pace

    async def _within_stall_time(self, sending: Awaitable[_T]) -> _T:
        try:
            return await sending
        except TimeoutError as error:
            raise ClientStalledError("took nothing for too long") from error

    def _encode_head(
        self, status: int, headers: Mapping[str, str], length: int | None, *, close: bool
    ) -> bytes:
        assert not self.began, "one answer to a request"
        framing = ""
        if status not in _BODILESS and "Content-Length" not in headers:
            if length is not None:
                framing = f"Content-Length: {length}\r\n"
            elif self.head.method == "HEAD":
                pass
            elif self.head.modern:
                framing = "Transfer-Encoding: chunked\r\n"
            else:
                close = True  # the end of the connection ends the body
        # A body that was never asked for may follow or not: the connection is of no more use.
        if close or self._wants_continue or self._host.ends:
            self.closes = True
        if self.closes:
            framing += "Connection: close\r\n"
        elif not self.head.modern:
            framing += "Connection: keep-alive\r\n"
        encoded = encode_response(status, headers, framing)
        self.began = True
        return encoded
