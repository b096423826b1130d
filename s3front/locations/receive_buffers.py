"""What the bodies of responses take in this process before anybody reads them.

A client of ours may be slow, and there may be many such. Then what each is to get next lies here,
and again as much in the transport to it. So all bodies under way share one amount: few of them get
all that makes large objects fast, many get little each.
"""

from __future__ import annotations

import asyncio
from typing import Final
from weakref import WeakKeyDictionary

from shared.http1.body import IncomingBody

RESPONSES_BYTES: Final = 8 * 1024 * 1024
"""What all bodies may have that arrived and was not read, but for the least of each."""

SHARE_BYTES_MIN: Final = 32 * 1024
SHARE_BYTES_MAX: Final = 512 * 1024

READ_BYTES_MAX: Final = 256 * 1024
"""What is taken from a socket at once."""

_SMALL_BYTES_MAX: Final = 64 * 1024
"""Bodies of up to this size are soon here as a whole, and share nothing."""


class Share:
    """That of one body, until this is let go of."""

    __slots__ = ("_buffers",)

    def __init__(self, buffers: ReceiveBuffers) -> None:
        self._buffers = buffers
        buffers.count += 1

    def __del__(self) -> None:
        # Not a method that has to be called: one that is forgotten would slow down all others.
        self._buffers.count -= 1


class ReceiveBuffers:
    """What an event loop's connections read into, and how much each may keep of what it read."""

    def __init__(self) -> None:
        self.count = 0
        """The bodies under way."""
        self._view = memoryview(bytearray(READ_BYTES_MAX))

    @property
    def share_bytes(self) -> int:
        """What one body may have that was not read; it gets no more before."""
        return max(SHARE_BYTES_MIN, min(SHARE_BYTES_MAX, RESPONSES_BYTES // max(1, self.count)))

    def share_of(self, body: IncomingBody) -> Share | None:
        """That of a new body, for as long as somebody is to read it; None of one that is small, or
        stays in its socket."""
        if body.complete or body.held or 0 < (body.left or 0) <= _SMALL_BYTES_MAX:
            return None
        return Share(self)

    def room(self) -> memoryview:
        """Where to read the next bytes of any connection; they are to be taken before the next
        read."""
        return self._view[: self.share_bytes]

    def taken(self, size: int) -> bytes:
        """The bytes that were read there."""
        return bytes(self._view[:size])


def receive_buffers(loop: asyncio.AbstractEventLoop) -> ReceiveBuffers:
    """Those of an event loop: another one may read at the same time."""
    found = _OF_LOOPS.get(loop)
    if found is None:
        found = _OF_LOOPS[loop] = ReceiveBuffers()
    return found


_OF_LOOPS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, ReceiveBuffers]] = WeakKeyDictionary()
