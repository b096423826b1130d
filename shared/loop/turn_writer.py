"""Frames of one turn of the event loop, in one write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

_WRITE_BYTES: Final = 256 * 1024
"""What waits for the end of the turn is written sooner when it is so much."""


class TurnWriter:
    """Gathers what one connection sends. ``close`` it when the connection has ended."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport: asyncio.Transport | None = transport
        self._loop = asyncio.get_running_loop()
        self._frames: list[bytes] = []
        self._size = 0
        self._scheduled = False
        self._corked = False

    def cork(self) -> None:
        """Leave it to the caller to ``write`` in this turn, which spares the event loop a call."""
        self._corked = True

    def add(self, frame: bytes) -> None:
        """Write a frame at the end of this turn; nowhere, when the connection has ended."""
        if self._transport is None:
            return
        self._frames.append(frame)
        self._size += len(frame)
        if self._size > _WRITE_BYTES:
            self.write()
        elif not (self._corked or self._scheduled):
            self._scheduled = True
            self._loop.call_soon(self._turn_ends)

    def write(self, more: Sequence[bytes] = ()) -> None:
        """Write what was gathered, and ``more`` frames behind it, now."""
        self._corked = False
        if self._transport is None:
            return
        frames = self._frames
        if frames:
            frames.extend(more)
            more, self._frames, self._size = frames, [], 0
        if more:
            self._transport.write(more[0] if len(more) == 1 else b"".join(more))

    def close(self) -> None:
        """Forget what was not written, and the transport."""
        self._transport = None
        self._frames.clear()

    def _turn_ends(self) -> None:
        self._scheduled = False
        self.write()
