"""Bytes of a response on their way to another connection, without coming through the interpreter.

Theory of operation. ``splice`` moves what a socket has received into a pipe, and from there into
another socket: references to pages, not bytes. None of these calls waits; the event loop waits for
the sockets. Neither uvloop nor asyncio lets others wait for a socket that a transport has, so
duplicates of their descriptors are waited for. The transports stand still meanwhile: the one does
not read, as the body is held, and the other holds nothing of its own, as it is flushed first.

A pipe that is left with bytes in it, because a connection ended, is not used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from shared.http1.channel import Channel
from shared.http1.pace import Pace
from shared.pipes import PIPE_BYTES, SPLICE_FLAGS, Pipe, give_pipe_back, take_pipe


class Passage:
    """The rest of a body, ``length`` bytes, that nobody has read from its socket yet.

    Either ``move_to`` it, or, as long as ``moved`` is 0, read the body as any other.
    """

    def __init__(
        self, source: Channel, length: int, stall_seconds: float, taken: Callable[[int], None]
    ) -> None:
        """``taken`` is told how many bytes are no longer in the socket of ``source``."""
        self._source = source
        self._stall_seconds = stall_seconds
        self._taken = taken
        self.length = length
        self.moved = 0
        """Bytes that the system has taken for the other connection."""
        self.failure: OSError | None = None
        """Why the rest will not come."""

    async def move_to(self, target: Channel, stall_seconds: float, pace: Pace) -> None:
        """Send all of it to ``target``, which must keep up a ``pace``.

        Nothing is sent when this process may open no more files; less than all when the source
        fails, and then ``failure`` says why. Raises what the target is to blame for:
        ConnectionError when it ends, TimeoutError, having cut it, when it takes nothing for so
        long, or too little.
        """
        await target.flushed(stall_seconds)
        with contextlib.ExitStack() as opened:
            try:
                pipe = take_pipe()
                opened.callback(give_pipe_back, pipe)
                source_descriptor = _duplicate(self._source, opened)
                target_descriptor = _duplicate(target, opened)
            except OSError:
                return
            while self.moved < self.length:
                try:
                    await self._fill(pipe, source_descriptor)
                except OSError as error:
                    self.failure = error
                    return
                while pipe.filled:
                    before = self.moved
                    await self._empty(pipe, target, target_descriptor, stall_seconds, pace)
                    pace.moved += self.moved - before
                # Two sockets that are always ready would keep everybody else waiting.
                await asyncio.sleep(0)

    async def _fill(self, pipe: Pipe, descriptor: int) -> None:
        """Take what the source has received, or wait for it. Raises OSError."""
        source = self._source
        while True:
            if not source.open:
                raise ConnectionResetError("the connection has ended")
            wanted = min(self.length - self.moved, PIPE_BYTES)
            try:
                count = os.splice(descriptor, pipe.write_end, wanted, flags=SPLICE_FLAGS)
            except BlockingIOError:
                await source.socket_readable(descriptor, self._stall_seconds)
                continue
            if not count:
                raise ConnectionResetError("the body ends early")
            pipe.filled = count
            self._taken(count)
            return

    async def _empty(
        self, pipe: Pipe, target: Channel, descriptor: int, stall_seconds: float, pace: Pace
    ) -> None:
        if not target.open:
            raise ConnectionResetError("the connection has ended")
        try:
            count = os.splice(pipe.read_end, descriptor, pipe.filled, flags=SPLICE_FLAGS)
        except BlockingIOError:
            await target.socket_writable(descriptor, stall_seconds, pace)
        else:
            pipe.filled -= count
            self.moved += count


def _duplicate(channel: Channel, opened: contextlib.ExitStack) -> int:
    """Another descriptor of a connection's socket, while ``opened`` lasts. Raises OSError."""
    if channel.transport is None:
        raise ConnectionResetError("the connection has ended")
    descriptor = os.dup(channel.transport.get_extra_info("socket").fileno())
    opened.callback(os.close, descriptor)
    return descriptor
