"""Waiting with a deadline that costs no timer."""

from __future__ import annotations

import asyncio
import math

from shared.http1.deadlines import Watched
from shared.http1.pace import Pace


class Waiter:
    """What one coroutine at a time waits for. Whoever owns it calls ``expire`` when it is looked
    at (``shared.http1.deadlines``)."""

    __slots__ = ("_deadline", "_future")

    def __init__(self) -> None:
        self._future: asyncio.Future[None] | None = None
        self._deadline = 0.0

    async def wait(self, owner: Watched, seconds: float, pace: Pace | None = None) -> None:
        """Until ``wake``; raises TimeoutError some time after so many seconds, or when ``pace``,
        which counts the time, allows no more. ``owner`` is whose deadline that is."""
        assert self._future is None, "two coroutines wait for the same"
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._deadline = began + (seconds if pace is None else min(seconds, pace.left))
        if self._deadline < owner.look_at:
            owner.look_by(self._deadline)
        self._future = loop.create_future()
        try:
            await self._future
        finally:
            self._future = None
            if pace is not None:
                pace.waited += loop.time() - began

    def wake(self) -> None:
        """Let the coroutine that waits, if there is one, look again."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def expire(self, now: float) -> float:
        """Fail the wait if its time is over; returns when it will be, infinite if nobody waits."""
        future = self._future
        if future is None or future.done():
            return math.inf
        if now < self._deadline:
            return self._deadline
        future.set_exception(TimeoutError())
        return math.inf
