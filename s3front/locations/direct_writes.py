"""Writing to a file past the page cache (``O_DIRECT``).

Called by threads that store blobs (``local_files``). What is written once, and seldom read at once,
costs twice there: it is copied, into pages that something else has to leave, and which the system
has to find, clear and account for; measured, that is half of what it takes to store a megabyte, and
more on a machine whose memory is not all its own. The system asks for buffers and lengths that are
aligned, so the bytes are gathered in buffers that are kept; there are only so many, for which
threads wait.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Final

from shared.file_writes import append

DIRECT_BYTES_MAX: Final = 1024 * 1024 + 4096
"""A MiB, and what encryption adds to it. More than that is written in several steps, and the disk
is better kept busy in between."""

_BUFFERS_MAX: Final = 6
"""Each is that long, and stays in memory once it was needed."""

_ALIGNED: Final = 4096
"""What lengths are multiples of: no disk asks for more."""

_buffers: Final[SimpleQueue[mmap.mmap | None]] = SimpleQueue()
"""Those that nobody uses; None stands for one that was not needed so far."""

for _ in range(_BUFFERS_MAX):
    _buffers.put(None)


@contextmanager
def gathered(pieces: Sequence[bytes]) -> Iterator[memoryview]:
    """The bytes of all pieces, ``DIRECT_BYTES_MAX`` at most, in one buffer that is aligned. Blocks
    while others have all of them."""
    buffer = _buffers.get()
    try:
        if buffer is None:
            buffer = mmap.mmap(-1, DIRECT_BYTES_MAX)
        with memoryview(buffer) as room:
            end = 0
            for piece in pieces:
                start, end = end, end + len(piece)
                room[start:end] = piece
            with room[:end] as content:
                yield content
    finally:
        _buffers.put(buffer)


def write_directly(descriptor: int, content: memoryview) -> bool:
    """Write to a new file what was ``gathered``: past the page cache, but for the bytes that fill
    no block. False: not as much as could have gone there, and the rest went the usual way, as where
    the file system does not do that. Raises OSError."""
    size = len(content)
    written = 0
    with_blocks = size - size % _ALIGNED
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
        if with_blocks:
            with content[:with_blocks] as blocks:
                written = os.write(descriptor, blocks)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    if written < size:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
        with content[written:] as rest:
            append(descriptor, (rest,))
    return written == with_blocks
