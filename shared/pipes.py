"""Pipes as the buffers of ``splice``: references to pages go through them, not bytes."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import Final

PIPE_BYTES: Final = 1024 * 1024
"""What is moved at a time, and the largest pipe that the system lets everybody have."""

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
