"""Files as far as the system has them in memory: nothing here waits for a disk.

Called in the event loop, so that what needs no waiting needs no thread either: of a read of 1 MiB
whose bytes are in the page cache, handing it to a thread and back costs several times as much as
the bytes. Whoever is told None asks again in a thread, with calls that wait and say what is wrong.

Linux: openat2(2) with RESOLVE_CACHED (5.12), preadv2(2) with RWF_NOWAIT (4.14). A file system that
cannot say what it has in memory (NFS) answers the second with EOPNOTSUPP.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from typing import Final

SYS_OPENAT2: Final = 437
"""The same number on all architectures (<asm-generic/unistd.h>)."""

_AT_FDCWD: Final = -100
_RESOLVE_CACHED: Final = 0x20
"""<linux/openat2.h>: fail with EAGAIN where the path is not in memory."""


class OpenHow(ctypes.Structure):
    """``struct open_how`` of <linux/openat2.h>."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def openat2_of(library: ctypes.CDLL) -> Callable[..., int]:
    """``syscall`` of the C library for SYS_OPENAT2, a directory, a path, OpenHow and its size; -1
    and errno when it fails."""
    call = library.syscall
    call.restype = ctypes.c_long
    call.argtypes = (
        ctypes.c_long,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.POINTER(OpenHow),
        ctypes.c_size_t,
    )
    return call


# The interpreter is kept meanwhile: the call is shorter than giving it up.
_syscall: Final = openat2_of(ctypes.PyDLL(None))

OPEN_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""For reading; a pipe or link that somebody left there cannot block it."""


def open_cached(path: str) -> int | None:
    """Open a file for reading; None when its path is not in memory, or it cannot be opened."""
    how = OpenHow(OPEN_FLAGS, 0, _RESOLVE_CACHED)
    descriptor: int = _syscall(SYS_OPENAT2, _AT_FDCWD, os.fsencode(path), how, ctypes.sizeof(how))
    return descriptor if descriptor >= 0 else None


def read_cached(
    descriptor: int, offset: int, length: int, *, in_memory: bool = False
) -> bytearray | None:
    """``length`` bytes from ``offset``, which are inside the file; None when not all of them are in
    memory, or cannot be read. Raises NotCachedError where that can never be known.

    ``in_memory``: the file system is (``shared.local_directory``), and refuses to be asked.
    """
    data = bytearray(length)
    try:
        count = os.preadv(descriptor, [data], offset, 0 if in_memory else os.RWF_NOWAIT)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            raise NotCachedError from error
        return None
    return data if count == length else None


class NotCachedError(Exception):
    """The file system does not say what it has in memory."""
