"""Sending a file to a socket without its bytes coming through the interpreter.

Theory of operation. Whoever sends from a file waits for the disk, so that happens in a thread; the
socket does not block, so a client that takes nothing holds no thread: the event loop waits until
the socket is writable, and then the next slice goes to a thread. Neither uvloop nor asyncio lets
others wait for a socket that a transport has, so a duplicate of its descriptor is waited for. The
transport holds nothing of its own meanwhile: what it was given before is flushed first.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Final

from shared.http1.channel import Channel
from shared.http1.pace import Pace

SLICE_BYTES_MAX: Final = 16 * 1024 * 1024
"""What one visit to a thread sends at most."""


async def send_file(
    channel: Channel,
    send: Callable[[int, int, int], Awaitable[int]],
    offset: int,
    length: int,
    stall_seconds: float,
    pace: Pace,
) -> bool:
    """Send ``length`` bytes from ``offset``; False when this process may open no more files, and
    nothing was sent.

    ``send(descriptor, offset, length)`` writes to a non-blocking socket, in a thread, and returns
    how many bytes that took: fewer when it takes no more now. Raises what ``send`` raises,
    ConnectionError when the connection ends, TimeoutError, having cut it, when the client takes
    nothing for so long, or less than ``pace`` asks for.
    """
    await channel.flushed(stall_seconds)
    assert channel.transport is not None
    try:
        descriptor = os.dup(channel.transport.get_extra_info("socket").fileno())
    except OSError:
        return False
    try:
        while length:
            wanted = min(length, SLICE_BYTES_MAX)
            sent = await send(descriptor, offset, wanted)
            offset += sent
            pace.moved += sent
            length -= sent
            if not channel.open:
                raise ConnectionResetError("the connection has ended")
            if sent < wanted:
                await channel.socket_writable(descriptor, stall_seconds, pace)
        return True
    finally:
        os.close(descriptor)
