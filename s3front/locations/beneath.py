"""Opening files below a directory, and nowhere else, whatever links somebody has left there.

Linux: openat2(2) with RESOLVE_BENEATH (5.6). A path that leads out of the directory fails with
EXDEV, and so does an absolute link; links that stay inside are followed. Blocking.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from typing import Final

from shared.cached_file import SYS_OPENAT2, OpenHow, openat2_of

_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_BENEATH: Final = 0x08
"""<linux/openat2.h>"""

_TRIES: Final = 16
"""While directories are moved about, the kernel cannot tell, and wants to be asked again."""


_syscall: Final = openat2_of(ctypes.CDLL(None, use_errno=True))


def open_beneath(directory: int, path: bytes, flags: int, mode: int = 0) -> int:
    """A descriptor of what is at ``path`` below an open directory. Raises OSError."""
    resolve = _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS
    how = OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    for _ in range(_TRIES):
        found = _syscall(SYS_OPENAT2, directory, path, how, ctypes.sizeof(how))
        if found >= 0:
            return found
        number = ctypes.get_errno()
        if number not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(number, os.strerror(number), path)


def open_directory(root: int, path: bytes, *, make: bool = False) -> int:
    """A descriptor of the directory at ``path`` below an open one; empty is that itself. ``make``:
    those on the way that are missing are made, durably. Raises OSError."""
    flags = os.O_RDONLY | os.O_DIRECTORY
    try:
        return open_beneath(root, path or b".", flags)
    except FileNotFoundError:
        if not make:
            raise
    above, _, name = path.rpartition(b"/")
    parent = open_directory(root, above, make=True)
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
        # Whoever made it, its name need not be durable yet.
        os.fsync(parent)
    finally:
        os.close(parent)
    return open_beneath(root, path, flags)
