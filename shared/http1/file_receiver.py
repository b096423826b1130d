"""Receiving a body into a file without its bytes coming through the interpreter.

The counterpart of ``file_sender``: writing to the disk blocks, so it is done in a thread; the
socket does not block, so a client that sends nothing holds no thread. The transport does not read
meanwhile, as the body is held.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Final

from shared.http1.channel import Channel
from shared.http1.pace import Pace

SLICE_BYTES_MAX: Final = 4 * 1024 * 1024
"""What one visit to a thread takes at most."""


async def receive_file(
    channel: Channel,
    receive: Callable[[int, int], Awaitable[int | None]],
    length: int,
    idle_seconds: float,
    taken: Callable[[int], None],
    pace: Pace | None = None,
) -> bool:
    """Let ``length`` bytes be received; False when this process may open no more files, and
    nothing was taken.

    ``receive(descriptor, length)`` takes bytes from a non-blocking socket, in a thread, and returns
    how many: fewer when no more have come. It returns None for want of descriptors, before it has
    taken any. ``taken`` is told of each number. Raises what ``receive`` raises, ConnectionError
    when the connection ends, TimeoutError when nothing comes for so long, or less than ``pace``
    asks for.
    """
    if channel.transport is None:
        raise ConnectionResetError("the connection has ended")
    try:
        descriptor = os.dup(channel.transport.get_extra_info("socket").fileno())
    except OSError:
        return False
    try:
        while length:
            count = await receive(descriptor, min(length, SLICE_BYTES_MAX))
            if count is None:
                return False
            if not channel.open:
                raise ConnectionResetError("the connection has ended")
            if count:
                taken(count)
                length -= count
            else:
                await channel.socket_readable(descriptor, idle_seconds, pace)
        return True
    finally:
        os.close(descriptor)
