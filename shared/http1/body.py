"""A body on its way in: of a request in the server, of a response in the client."""

from __future__ import annotations

from collections import deque
from typing import Final

from shared.http1.channel import Channel
from shared.http1.chunks import ChunkDecoder
from shared.http1.pace import Pace
from shared.http1.waiter import Waiter

_MERGED_BYTES_MAX: Final = 4096
"""Pieces up to this size are joined: a peer that sends single bytes would cost 50 for each."""


class BodyError(ConnectionError):
    """The rest of the body will not come: the connection ended, or what came is malformed."""


class IncomingBody:
    """Takes bytes as they arrive, gives them out as they are asked for.

    ``length`` is None for a chunked body, and, ``until_end``, one that the end of the connection
    ends. ``channel`` is None only of one that has nothing to come.
    """

    __slots__ = (
        "_channel",
        "_decoder",
        "_discarded",
        "_failure",
        "_left",
        "_pieces",
        "_until_end",
        "_waiter",
        "buffered",
        "complete",
        "held",
        "length",
        "pace",
    )

    def __init__(
        self, channel: Channel | None, length: int | None, *, chunked: bool, until_end: bool = False
    ) -> None:
        self._channel = channel
        self._decoder = ChunkDecoder() if chunked else None
        self._left = length or 0
        self._until_end = until_end
        self._waiter = Waiter()
        self._pieces: deque[bytes] = deque()
        self._failure: BodyError | None = None
        self._discarded = False
        self.length = length
        self.pace: Pace | None = None
        """How long its sender may be waited for, when it must keep up a least rate."""
        self.buffered = 0
        self.complete = not (length or chunked or until_end)
        """Whether all of it has arrived."""
        self.held = False
        """Whether what has not arrived stays in the socket, until ``read`` has to wait for it."""

    @property
    def at_end(self) -> bool:
        """Whether all of it has been read."""
        return self.complete and not self._pieces

    @property
    def left(self) -> int | None:
        """How many bytes have not arrived; None when nobody knows."""
        return self._left if self._decoder is None and not self._until_end else None

    def hold(self) -> None:
        """Let what has not arrived stay in the socket, until ``read`` has to wait for it."""
        assert self._channel is not None
        self.held = True
        self._channel.keep_up()

    def taken(self, count: int) -> None:
        """Note that so many bytes arrived that somebody else has."""
        assert 0 < count <= self._left
        self._left -= count
        if self.pace is not None:
            self.pace.moved += count
        self.complete = not self._left

    def feed(self, data: bytes) -> bytes:
        """Take what arrived; returns what lies behind the body. Raises MalformedRequestError."""
        assert not self.complete
        if self.pace is not None:
            self.pace.moved += len(data)
        if self._decoder is not None:
            pieces, rest = self._decoder.feed(data)
            for piece in pieces:
                self._add(piece)
            self.complete = self._decoder.complete
        elif self._until_end:
            self._add(data)
            rest = b""
        else:
            rest = data[self._left :]
            if rest:
                data = data[: self._left]
            self._left -= len(data)
            self.complete = not self._left
            self._add(data)
        self._waiter.wake()
        return rest

    def end(self) -> None:
        """Note that the connection brings nothing more."""
        if self._until_end:
            self.complete = True
            self._waiter.wake()
        elif not self.complete:
            self.fail("the body ends early")

    def fail(self, reason: str) -> None:
        """Let whoever reads learn that the rest will not come."""
        self._failure = BodyError(reason)
        self._waiter.wake()

    def discard(self) -> None:
        """Drop what has come and what is still to come."""
        self._discarded = True
        self.held = False
        self._pieces.clear()
        self.buffered = 0

    def expire(self, now: float) -> float:
        """Fail a ``read`` whose time is over; returns when it will be, or infinity."""
        return self._waiter.expire(now)

    async def read(self, seconds: float) -> bytes:
        """The next bytes, as many as have come together; none at the end.

        Raises BodyError, and TimeoutError when nothing comes for so long, or too little.
        """
        while not self._pieces:
            if self.complete:
                return b""
            if self._failure is not None:
                raise self._failure
            assert self._channel is not None
            if self.held:
                self.held = False
                self._channel.keep_up()
            await self._waiter.wait(self._channel, seconds, self.pace)
        piece = self._pieces.popleft()
        self.buffered -= len(piece)
        assert self._channel is not None
        self._channel.keep_up()
        return piece

    def _add(self, piece: bytes) -> None:
        if self._discarded or not piece:
            return
        self.buffered += len(piece)
        pieces = self._pieces
        if pieces and len(pieces[-1]) + len(piece) <= _MERGED_BYTES_MAX:
            pieces[-1] += piece
        else:
            pieces.append(piece)


NO_BODY: Final = IncomingBody(None, 0, chunked=False)
"""That of every request without one: there is nothing in it that changes."""
