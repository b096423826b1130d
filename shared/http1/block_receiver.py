"""Receiving a body in large blocks, with as few copies and wake-ups as there can be.

The counterpart of ``file_receiver`` for bytes that the interpreter has to see. A transport hands on
what it reads in many pieces, each copied once more, and whoever digests them in a thread would have
to join them first. Here the system wakes us when a whole block has come (``SO_RCVLOWAT``), and
copies it once. The transport does not read meanwhile, as the body is held.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import termios
from collections.abc import Iterator

from shared.http1.channel import Channel
from shared.http1.pace import Pace
from shared.limits import BODY_GATHER_SECONDS_MAX


async def receive_block(
    channel: Channel, size: int, idle_seconds: float, pace: Pace | None = None
) -> bytes | None:
    """The next ``size`` bytes of a connection's socket; fewer when the rest takes too long.

    None when this process may open no more files. Raises ConnectionError when the connection
    ends, TimeoutError when nothing comes for ``idle_seconds``, or less than ``pace`` asks for.
    """
    if channel.transport is None:
        raise ConnectionResetError("the connection has ended")
    try:
        connected = channel.transport.get_extra_info("socket").dup()
    except OSError:
        return None
    with connected:
        gather_seconds = min(idle_seconds, BODY_GATHER_SECONDS_MAX)
        if _arrived(connected) < size:
            # When the time is over, what has come since the block before still counts.
            with _low_water(connected, size), contextlib.suppress(TimeoutError):
                await channel.socket_readable(connected.fileno(), gather_seconds, pace)
        block = _received(channel, connected, size)
        if block is None:
            left_seconds = idle_seconds - gather_seconds
            await channel.socket_readable(connected.fileno(), left_seconds, pace)
            block = _received(channel, connected, size)
    if block is None:
        raise TimeoutError
    if not block:
        raise ConnectionResetError("the body ends early")
    if pace is not None and pace.left_with(len(block)) < 0:
        raise TimeoutError
    return block


def _arrived(connected: socket.socket) -> int:
    """How many bytes can be read at once."""
    (count,) = struct.unpack("i", fcntl.ioctl(connected, termios.FIONREAD, bytes(4)))
    assert isinstance(count, int)
    return count


def _received(channel: Channel, connected: socket.socket, size: int) -> bytes | None:
    """What has come, None for nothing yet. Raises ConnectionError."""
    if not channel.open:
        raise ConnectionResetError("the connection has ended")
    try:
        return connected.recv(size)
    except BlockingIOError:
        return None


@contextlib.contextmanager
def _low_water(connected: socket.socket, size: int) -> Iterator[None]:
    """Let a socket be readable when so many bytes are there, or no more will come.

    It belongs to the socket and not to the descriptor, so it must not outlive the wait: the
    transport would wait for as much. Where there is no such thing (Unix sockets), blocks are
    smaller, and nothing else changes.
    """
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
    try:
        yield
    finally:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
