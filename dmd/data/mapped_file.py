"""The bytes of a file where the system has them, in the page cache: mapped instead of copied.

Called in threads. Each call of the system lets other threads run, which those of Python's ``mmap``
do not.

A page that cannot be read is a signal to whoever touches it, and the end of the process. So nobody
touches one that is not known to be there: ``mapped`` asks for all of them before, and then it is an
error (``MADV_POPULATE_READ``, Linux 5.14); a ``Window`` is for bytes that the caller has in a pipe.
What remains is a file that somebody else makes shorter in that moment; blobs are never changed.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_libc: Final = ctypes.CDLL(None, use_errno=True)
_map: Final = _libc.mmap
_map.restype = ctypes.c_void_p
_map.argtypes = (
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int64,
)
_advise: Final = _libc.madvise
_advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_unmap: Final = _libc.munmap
_unmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_view: Final = ctypes.pythonapi.PyMemoryView_FromMemory
_view.restype = ctypes.py_object
_view.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)

_FAILED: Final = ctypes.c_void_p(-1).value
_POPULATE_READ: Final = 22
"""MADV_POPULATE_READ of <linux/mman.h>."""

_READ: Final = 0x100
"""PyBUF_READ."""


class Window:
    """A stretch of a file, its ``size`` bytes from ``start`` mapped until ``close``.

    Raises OSError when the system cannot do that.
    """

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        self.start = start
        self.end = start + size
        self._before = start % mmap.PAGESIZE
        self._size = self._before + size
        address = _map(
            None, self._size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, start - self._before
        )
        if address == _FAILED:
            raise _error()
        self._address: int = address

    def populate(self) -> None:
        """Have all of it in memory. Raises OSError when the system cannot, or cannot read it."""
        if _advise(self._address, self._size, _POPULATE_READ):
            raise _error()

    def view(self, start: int, size: int) -> memoryview:
        """Some of its bytes, by their place in the file; to be released before ``close``."""
        assert self.start <= start <= start + size <= self.end
        found: memoryview = _view(self._address + self._before + start - self.start, size, _READ)
        return found

    def close(self) -> None:
        _unmap(self._address, self._size)


@contextmanager
def mapped(descriptor: int, offset: int, length: int) -> Iterator[memoryview]:
    """``length`` bytes of a file from ``offset``, both inside it, in memory and readable.

    Raises OSError when the system cannot do that, or cannot read them.
    """
    window = Window(descriptor, offset, length)
    try:
        window.populate()
        with window.view(offset, length) as view:
            yield view
    finally:
        window.close()


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
