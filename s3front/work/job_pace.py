"""How fast a job goes that reads and writes the bytes of objects.

All objects together take ``rate`` bytes a second at most. But what is stored of one object is
nobody's until its record is written, and garbage collection takes what is nobody's for too long. So
one object has ``seconds_max``: it goes faster than ``rate``, if need be, to be done in half of
that, and is given up as soon as it turns out that this is not enough. The machine may sleep
meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from s3front.s3_errors import S3Error
from shared.boot_clock import boot_seconds

_PROVEN_SHARE: Final = 0.1
"""How much of its time an object has taken when its pace is believed."""


class JobPace:
    """The pace of a job, for objects that may be done at once. ``look`` is called before each
    block."""

    def __init__(
        self,
        seconds_max: float,
        clock: Callable[[], float] = boot_seconds,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.seconds_max = seconds_max
        self.clock = clock
        self._sleep = sleep
        self._free_at = 0.0

    def of_object(self, size: int, rate: float, look: Callable[[], Awaitable[None]]) -> ObjectPace:
        """That of an object of ``size`` bytes, which begins now."""
        return ObjectPace(self, size, max(rate, 2 * size / self.seconds_max), look)

    async def spend(self, size: int, rate: float) -> None:
        """Wait for the turn of so many bytes."""
        begins = max(self._free_at, self.clock())
        self._free_at = begins + size / rate
        if (wait := begins - self.clock()) > 0:
            await self._sleep(wait)


class ObjectPace:
    """See ``JobPace.of_object``."""

    def __init__(
        self, job: JobPace, size: int, rate: float, look: Callable[[], Awaitable[None]]
    ) -> None:
        self._job = job
        self._size = size
        self._rate = rate
        self._look = look
        self._began = job.clock()
        self._done = 0

    async def spend(self, size: int) -> None:
        """Wait until so many bytes more may pass. Raises InternalError when the object cannot be
        done in time, and what ``look`` raises."""
        await self._look()
        self.require_in_time()
        await self._job.spend(size, self._rate)
        self._done += size

    def require_in_time(self) -> None:
        """Raises InternalError, whose cause says why."""
        seconds_max, elapsed = self._job.seconds_max, self._job.clock() - self._began
        if elapsed <= _PROVEN_SHARE * seconds_max:
            return
        whole = elapsed * self._size / self._done if self._done else elapsed
        if max(elapsed, whole) <= seconds_max:
            return
        error = S3Error("InternalError")
        error.__cause__ = TimeoutError(
            f"{self._size} bytes would take {whole:.0f} s, and have {seconds_max:.0f}"
        )
        raise error
