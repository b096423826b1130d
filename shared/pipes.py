"""Pipes as the buffers of ``splice``: references to pages go through them, not bytes."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import Final

PIPE_BYTES: Final = 1024 * 1024
"""What is moved at a time, and the largest pipe that the system lets everybody have."""

_PIPES_KEPT_MAX: Final = 32
"""To make a pipe takes as long as to move a MiB through it. An empty one holds no memory."""

SPLICE_FLAGS: Final = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class Pipe:
    """A pipe whose ends do not block. Raises OSError when there are no descriptors for it.

    ``filled``: how many bytes are in it, which its user keeps count of.
    """

    __slots__ = ("filled", "read_end", "write_end")

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.filled = 0
        with contextlib.suppress(OSError):
            # A user may have only so much memory in pipes; a small one does the same.
            fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def close(self) -> None:
        try:
            os.close(self.read_end)
        finally:
            os.close(self.write_end)


_kept: Final[list[Pipe]] = []


def take_pipe() -> Pipe:
    """An empty pipe, to be given back; from any thread. Raises OSError as ``Pipe`` does."""
    try:
        return _kept.pop()
    except IndexError:
        return Pipe()


def give_pipe_back(pipe: Pipe) -> None:
    """Let others use a pipe, unless bytes were left in it; from any thread. Raises OSError."""
    if pipe.filled or len(_kept) >= _PIPES_KEPT_MAX:
        pipe.close()
    else:
        _kept.append(pipe)
