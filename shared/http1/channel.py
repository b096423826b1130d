"""What both ends of a connection have in common: flow control, and waiting for the other side."""

from __future__ import annotations

import asyncio
import socket
from typing import Final, cast

from shared.http1.deadlines import NOT_WATCHED, Watched, Wheel
from shared.http1.pace import Pace
from shared.http1.waiter import Waiter

CHECK_SECONDS: Final = 0.25
"""How often somebody may be looked at; a wait may take twice as much longer."""

JOIN_BYTES_MAX: Final = 64 * 1024
"""A head and a body up to this size leave in one write."""


UNIX_SEND_BUFFER_BYTES: Final = 1024 * 1024
"""What a Unix socket holds that nobody has read yet: by default it is 208 KiB, a wake-up for each.
The system may allow less."""


class Watch:
    """One timer for the deadlines of all connections; it runs while there are any.

    Each is looked at ``look_seconds`` after it was added or looked at, or before: when it said that
    it is due, or has a deadline put in by ``look_by``. A deadline that is ``look_seconds`` away, or
    more, need not be told.
    """

    def __init__(self, look_seconds: float) -> None:
        self._look_seconds = look_seconds
        self._loop = asyncio.get_running_loop()
        self._wheel = Wheel(CHECK_SECONDS)
        self._timer: asyncio.TimerHandle | None = None

    def add(self, watched: Watched) -> None:
        self._wheel.put(watched, self._loop.time() + self._look_seconds)
        if self._timer is None:
            self._timer = self._loop.call_later(CHECK_SECONDS, self._check)

    def discard(self, watched: Watched) -> None:
        self._wheel.remove(watched)
        if not self._wheel and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look_by(self, watched: Watched, deadline: float) -> None:
        """Look at somebody by then, unless that was to be before, or it is not here any more."""
        if deadline < watched.look_at:
            self._wheel.put(watched, deadline)

    def _check(self) -> None:
        self._timer = self._loop.call_later(CHECK_SECONDS, self._check)
        now = self._loop.time()
        due = self._wheel.take_due(now)
        # Before the looks: whoever ends in one of them is discarded.
        for watched in due:
            self._wheel.put(watched, now + self._look_seconds)
        for watched in due:
            if watched.look_at != NOT_WATCHED:
                self.look_by(watched, watched.check(now))


class Channel(asyncio.BaseProtocol):
    """A connection's transport, until it is lost.

    Reading pauses while ``wants_more`` says no; ``keep_up`` is called when that may have changed.
    """

    def __init__(self, watch: Watch) -> None:
        self.loop = asyncio.get_running_loop()
        self.look_at = NOT_WATCHED
        self._watch = watch
        self.transport: asyncio.Transport | None = None
        self._socket = Waiter()
        self._writing = Waiter()
        self._writable = True
        self._reads = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in behaviour, not by class.
        self.transport = cast(asyncio.Transport, transport)
        connected = transport.get_extra_info("socket")
        if connected.family == socket.AF_UNIX:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNIX_SEND_BUFFER_BYTES)

    def connection_lost(self, _error: Exception | None) -> None:
        self.transport = None
        self._socket.wake()
        self._writing.wake()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._writing.wake()

    @property
    def writable(self) -> bool:
        """Whether the other side takes what is sent."""
        return self._writable

    @property
    def open(self) -> bool:
        """Whether there is a connection that is not being closed."""
        return self.transport is not None and not self.transport.is_closing()

    def abort(self) -> None:
        """End the connection now: a close would first wait for a peer that takes nothing."""
        if self.transport is not None:
            self.transport.abort()

    def send(self, data: bytes | bytearray) -> None:
        """Send, without waiting. Raises ConnectionError."""
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the connection has ended")
        self.transport.write(data)

    async def drained(self, seconds: float, pace: Pace | None = None) -> None:
        """Wait until the other side has taken what was sent, but for a little.

        ``pace`` is that of the other side, here and below. Raises ConnectionError; TimeoutError,
        having cut the connection, when that takes too long.
        """
        while not self._writable:
            if self.transport is None:
                raise ConnectionResetError("the connection has ended")
            try:
                await self._writing.wait(self, seconds, pace)
            except TimeoutError:
                self.abort()
                raise

    async def flushed(self, seconds: float) -> None:
        """Wait until the transport holds nothing any more; as ``drained``."""
        if self.transport is None:
            raise ConnectionResetError("the connection has ended")
        self.transport.set_write_buffer_limits(0)
        try:
            while self.transport is not None and self.transport.get_write_buffer_size():
                self._writable = False
                await self.drained(seconds)
        finally:
            if self.transport is not None:
                self.transport.set_write_buffer_limits()
        if not self.open:
            raise ConnectionResetError("the connection has ended")

    async def socket_readable(
        self, descriptor: int, seconds: float, pace: Pace | None = None
    ) -> None:
        """Wait until there is something to read from the socket, or the connection is lost.

        ``descriptor`` is a duplicate of the transport's. Raises TimeoutError.
        """
        self.loop.add_reader(descriptor, self._socket.wake)
        try:
            await self._socket.wait(self, seconds, pace)
        finally:
            self.loop.remove_reader(descriptor)

    async def socket_writable(
        self, descriptor: int, seconds: float, pace: Pace | None = None
    ) -> None:
        """Wait until the socket takes more, or the connection is lost; else as above.

        Raises TimeoutError, having cut the connection.
        """
        self.loop.add_writer(descriptor, self._socket.wake)
        try:
            await self._socket.wait(self, seconds, pace)
        except TimeoutError:
            self.abort()
            raise
        finally:
            self.loop.remove_writer(descriptor)

    def check(self, now: float) -> float:
        """Fail the waits whose time is over; returns when the next one's will be."""
        return min(self._socket.expire(now), self._writing.expire(now))

    def look_by(self, deadline: float) -> None:
        """Have this connection looked at by then, if it would be later."""
        self._watch.look_by(self, deadline)

    def wants_more(self) -> bool:
        """Whether what the other side sends has a place."""
        return True

    def keep_up(self) -> None:
        """Read from the socket exactly while what it brings has a place."""
        transport = self.transport
        wanted = self.wants_more()
        if wanted == self._reads or transport is None or transport.is_closing():
            return
        self._reads = wanted
        if wanted:
            transport.resume_reading()
        else:
            transport.pause_reading()
