"""Sending a readable stream over the RPC: packets, an acknowledgement window, time-outs, hang-up.

Rules (reference/dmd-wire.md, section 4):

* ``stream-data`` carries one or more items and is acknowledged by the consumer once queued;
* at most ``pending_acks_max`` packets may be unacknowledged;
* a packet that is not acknowledged in time ends the stream with one ``stream-error`` of code
  ETIMEDOUT;
* ``stream-end`` closes the stream, also an empty one; ``stream-error`` one that cannot go on;
* ``stream-hangup`` from the consumer ends it early, and is ignored for a stream that has ended.

The producer knows no transport: it is given an outlet, which sends events.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec

from shared import limits
from shared.errors import ServiceError
from shared.loop.eager import in_a_task
from shared.rpc.envelope import encode_error


class Outlet(Protocol):
    """Where the packets of a stream go."""

    async def ready(self) -> None:
        """Wait until the client takes what was sent to it, or is gone."""

    async def emit(
        self, event: str, payload: dict[str, Any], on_ack: Callable[..., None] | None
    ) -> None:
        """Send an event with one argument; ``on_ack`` is called when it is acknowledged."""


class StreamSettings(msgspec.Struct, frozen=True):
    """The flow control of one daemon; config.json has both in ``metadataDaemon``."""

    pending_acks_max: int = limits.STREAM_PENDING_ACKS_MAX
    ack_timeout_seconds: float = limits.STREAM_ACK_TIMEOUT_SECONDS


class Producer:
    """Sends the pages of one stream; ``run`` ends when the stream has ended for any reason."""

    def __init__(
        self, stream_id: str, pages: Iterator[list[Any]], outlet: Outlet, settings: StreamSettings
    ) -> None:
        self._stream_id = stream_id
        self._pages = pages
        self._outlet = outlet
        self._settings = settings
        self._deadlines: deque[float] = deque()
        self._room: asyncio.Future[None] | None = None
        self._hung_up = False

    def hang_up(self) -> None:
        """The consumer wants no more, or is gone."""
        self._hung_up = True
        self._wake()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                # Not read from the store before it can be sent: many streams may wait here.
                await self._outlet.ready()
                page = next(self._pages, None)
                if page is None:
                    break
                await self._wait_for_room(loop)
                if self._hung_up:
                    return
                self._deadlines.append(loop.time() + self._settings.ack_timeout_seconds)
                await self._emit("stream-data", self._acknowledged, data=page)
            if not self._hung_up:
                await self._emit("stream-end", self._end_acknowledged)
        except TimeoutError:
            await self._emit("stream-error", None, error=self._timeout_error())
        except ServiceError as error:
            await self.fail(error)

    async def fail(self, error: ServiceError) -> None:
        """Tell the consumer that the stream ends with an error."""
        if not self._hung_up:
            await self._emit("stream-error", None, error=encode_error(error))

    async def _emit(self, event: str, on_ack: Callable[..., None] | None, **members: Any) -> None:
        await self._outlet.emit(event, {"streamId": self._stream_id, **members}, on_ack)

    async def _wait_for_room(self, loop: asyncio.AbstractEventLoop) -> None:
        while len(self._deadlines) >= self._settings.pending_acks_max and not self._hung_up:
            self._room = loop.create_future()
            async with asyncio.timeout_at(self._deadlines[0]):
                await self._room

    def _acknowledged(self, *_arguments: Any) -> None:
        # Acknowledgements come in order, and only their number matters to the window.
        if self._deadlines:
            self._deadlines.popleft()
        self._wake()

    def _end_acknowledged(self, *_arguments: Any) -> None:
        """The consumer acknowledges the end of a stream; nothing depends on it."""

    def _wake(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _timeout_error(self) -> dict[str, Any]:
        milliseconds = round(self._settings.ack_timeout_seconds * 1000)
        return {
            "message": 'Callback function "anonymous" timed out.',
            "code": "ETIMEDOUT",
            "info": f"stream timeout: did not receive ack after {milliseconds}ms",
        }


_PAGES_UNREAD_MAX = 2


class Consumer:
    """Packets of one stream that wait to be read.

    A packet is acknowledged when there is room for it, so that a slow reader slows the daemon.
    """

    def __init__(self) -> None:
        self.ended = False
        self._entries: deque[list[Any] | Exception | None] = deque()
        self._held: deque[Callable[[], None]] = deque()
        self._acknowledged = 0
        self._arrived = asyncio.Event()

    def push(self, page: list[Any], acknowledge: Callable[[], None]) -> None:
        """Take a packet; ``acknowledge`` is called when it has room."""
        self._add(page)
        if self._acknowledged < _PAGES_UNREAD_MAX:
            self._acknowledged += 1
            acknowledge()
        else:
            self._held.append(acknowledge)

    def end(self) -> None:
        """The stream is complete."""
        self.ended = True
        self._add(None)

    def fail(self, error: Exception) -> None:
        """The stream ends with an error, which is raised behind what had come."""
        self.ended = True
        self._add(error)

    def release(self) -> None:
        """Acknowledge packets that still wait for room: nobody will read them."""
        while self._held:
            self._held.popleft()()

    async def next(self, timeout_seconds: float) -> list[Any] | None:
        """The next packet, or None at the end.

        Raises the error of the stream, or TimeoutError when nothing comes in time.
        """
        if not self._entries:
            self._arrived.clear()
            await in_a_task()
            async with asyncio.timeout(timeout_seconds):
                await self._arrived.wait()
        entry = self._entries.popleft()
        if isinstance(entry, Exception):
            raise entry
        if entry is not None:
            if self._held:
                self._held.popleft()()
            else:
                self._acknowledged -= 1
        return entry

    def _add(self, entry: list[Any] | Exception | None) -> None:
        self._entries.append(entry)
        self._arrived.set()
