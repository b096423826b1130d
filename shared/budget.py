"""What many holders may have in memory all together.

Used by the front-end for bodies that it cannot pass on yet, by the metadata daemon for messages
that are not whole, and by the front-end and the data daemon for what they have read at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from shared.loop.eager import in_a_task

_LARGE_SHARE: Final = 8


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
    def left(self) -> int:
        """The bytes that nobody has."""
        return self._left

    @property
    def taken(self) -> int:
        """The bytes that holders have."""
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
            await in_a_task()
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
