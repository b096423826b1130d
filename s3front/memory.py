"""How this half uses memory."""

from __future__ import annotations

import contextlib
import ctypes

# From glibc's malloc.h; the last is the largest that it takes.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_MMAP_THRESHOLD_MAX = 32 * 1024 * 1024


def keep_freed_memory(size_bytes: int) -> None:
    """Let the C library keep so much freed memory for the next allocations, also of large blocks.

    It gives it back to the system otherwise, and each page has to be asked for again.
    """
    with contextlib.suppress(AttributeError):  # another C library than glibc does as it likes
        set_option = ctypes.CDLL(None).mallopt
        set_option(_M_MMAP_THRESHOLD, min(size_bytes, _MMAP_THRESHOLD_MAX))
        set_option(_M_TRIM_THRESHOLD, size_bytes)
