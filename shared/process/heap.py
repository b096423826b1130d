"""How a process has the C library's allocator keep memory that was freed, and give it back."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
from pathlib import Path
from typing import Final

TRIM_SECONDS: Final = 10.0
"""How often a process looks whether it has memory to give back."""

TRIM_BYTES_MIN: Final = 32 * 1024 * 1024
"""What it keeps beyond the least that it was seen with: taking a page again costs time."""

# From glibc's malloc.h; the last is the largest that it takes.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_MMAP_THRESHOLD_MAX: Final = 32 * 1024 * 1024

_PAGE_BYTES: Final = 4096

_NO_THREAD: Final = "can't start new thread"
"""What RuntimeError says where there is no memory for one."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error says that this process may have no more memory: no fault of the code."""
    return isinstance(error, MemoryError) or str(error) == _NO_THREAD


def share_one_heap() -> None:
    """Let all threads of this process allocate from one heap; before any is started.

    Each would get one of its own otherwise, the end of which nothing gives back.
    """
    _set_option(_M_ARENA_MAX, 1)


def keep_freed_memory(size_bytes: int) -> None:
    """Let the C library keep so much freed memory for the next allocations, also of large blocks.

    It gives it back to the system otherwise, and each page has to be asked for again.
    """
    _set_option(_M_MMAP_THRESHOLD, min(size_bytes, _MMAP_THRESHOLD_MAX))
    _set_option(_M_TRIM_THRESHOLD, size_bytes)


async def give_back_memory(
    *, every_seconds: float = TRIM_SECONDS, kept_bytes: int = TRIM_BYTES_MIN
) -> None:
    """Give freed memory back to the system, now and then, as long as this runs.

    The C library returns only what is free at the end of its heap. One block that stays there
    keeps all that was freed before it, which was most of a gigabyte after large uploads.
    """
    trim = _trim()
    if trim is None:
        return
    least = own_bytes()
    while True:
        await asyncio.sleep(every_seconds)
        if own_bytes() > least + kept_bytes:
            # It takes tens of milliseconds for a gigabyte, and the interpreter is free meanwhile.
            await asyncio.to_thread(trim, 0)
        if own_bytes() > least + kept_bytes:
            # Errors hold what their tracebacks do, in cycles: a process with little to do never
            # looks for them by itself.
            gc.collect()
            await asyncio.to_thread(trim, 0)
        least = min(least, own_bytes())


def own_bytes() -> int:
    """The memory that this process has of its own (RssAnon)."""
    _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    return (int(resident) - int(shared)) * _PAGE_BYTES


def _set_option(option: int, value: int) -> None:
    with contextlib.suppress(AttributeError):  # another C library than glibc does as it likes
        ctypes.CDLL(None).mallopt(option, value)


def _trim() -> ctypes._NamedFuncPointer | None:
    """glibc's function; another C library gives memory back by itself, or never."""
    with contextlib.suppress(AttributeError):
        return ctypes.CDLL(None).malloc_trim
    return None
