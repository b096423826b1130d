"""How a process keeps its memory bounded: what may be held at once, and giving back what is free.

Used by the front-end for bodies that it cannot pass on yet, and by the daemons for messages that
are not whole. Pure but for the event loop, ``/proc/self/statm``, and the C library's allocator.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
from collections import deque
from pathlib import Path
from typing import Final

TRIM_SECONDS: Final = 10.0
"""How often a process looks whether it has memory to give back."""

TRIM_BYTES_MIN: Final = 32 * 1024 * 1024
"""What it keeps beyond the least that it was seen with: taking a page again costs time."""

_M_ARENA_MAX: Final = -8  # from glibc's malloc.h
_LARGE_SHARE: Final = 8
_PAGE_BYTES: Final = 4096


class Budget:
    """Bytes that many holders may have all together.

    A holder takes what it needs before it fills it, and gives it back once. One that wants more
    than an eighth of the whole is large: large holders leave half to the others, so that few of
    them, however slow, keep nobody else waiting. Nobody takes more than ``share_bytes_max``, half.
    """

    def __init__(self, size_bytes: int) -> None:
        self._size = size_bytes
        self.share_bytes_max = size_bytes // 2
        """A holder of more takes this."""
        self._left = size_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def taken(self) -> int:
        return self._size - self._left

    def take(self, size: int) -> bool:
        """Take so many bytes, if they are there."""
        kept = self.share_bytes_max if size > self._size // _LARGE_SHARE else 0
        if self._left - size < kept:
            return False
        self._left -= size
        return True

    async def wait(self, size: int, seconds: float) -> None:
        """Take them as soon as they are there; raises TimeoutError after so long."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (size, granted)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(seconds):
                await granted
        except BaseException:
            if entry in self._waiting:
                self._waiting.remove(entry)
            else:
                self.give(size)  # it was let in at the last moment
            raise

    def give(self, size: int) -> None:
        """Give back what was taken, to whoever waits for it, the first ones first."""
        self._left += size
        for entry in [entry for entry in self._waiting if self._left > 0]:
            wanted, granted = entry
            if not granted.done() and self.take(wanted):
                self._waiting.remove(entry)
                granted.set_result(None)


def share_one_heap() -> None:
    """Let all threads of this process allocate from one heap; before any is started.

    Each would get one of its own otherwise, the end of which nothing gives back.
    """
    with contextlib.suppress(AttributeError):  # another C library than glibc does as it likes
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


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
        least = min(least, own_bytes())


def own_bytes() -> int:
    """The memory that this process has of its own (RssAnon)."""
    _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    return (int(resident) - int(shared)) * _PAGE_BYTES


def _trim() -> ctypes._NamedFuncPointer | None:
    """glibc's function; another C library gives memory back by itself, or never."""
    with contextlib.suppress(AttributeError):
        return ctypes.CDLL(None).malloc_trim
    return None
