"""Writing to files, and having what was written made durable. Blocking.

Called by whoever stores blobs as files, the data daemon and a front-end beside it, and, for names
in directories, by all that keep files of their own.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

UNSYNCED_BYTES_MAX: Final = 4 * 1024 * 1024
"""What is written before the disk is told to begin with it, a fraction of a second's work."""

_PIECES_MAX: Final = os.sysconf("SC_IOV_MAX")

_sync_file_range: Final = ctypes.CDLL(None).sync_file_range
_sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
_WRITE: Final = 2
"""SYNC_FILE_RANGE_WRITE of <linux/fs.h>."""


def append(descriptor: int, pieces: Sequence[bytes | memoryview]) -> None:
    """Append all pieces to a file. Raises OSError.

    Few calls matter more than few copies here: each one gives up the interpreter lock, and waits
    for it afterwards.
    """
    if len(pieces) > _PIECES_MAX:
        for first in range(0, len(pieces), _PIECES_MAX):
            append(descriptor, pieces[first : first + _PIECES_MAX])
        return
    written = os.writev(descriptor, pieces)
    if written < sum(map(len, pieces)):
        rest = memoryview(b"".join(pieces))[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def begin_sync(descriptor: int) -> None:
    """Let the disk begin with what has been written to a file, so that a sync has less to wait
    for. Errors are the sync's to tell."""
    _sync_file_range(descriptor, 0, 0, _WRITE)


def sync_directory(path: str | Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
