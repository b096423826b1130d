"""How many may be at a place at once: a limit, with a short queue in front of it.

Who waits longest is next. The queue is bounded, and so is the wait. A place that asks for less
(``slow_down``) has the limit halved; it grows again by one whenever as many as it is have come
through since. Whoever goes away while waiting leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

WAITING_PER_SLOT: Final = 4
"""How many may wait for each that may be in."""

LIMIT_MIN: Final = 2


class CrowdedError(Exception):
    """There is no room, and no hope of it in time."""


class Slot:
    """One that is in. ``leave`` lets the next one in; twice is as once."""

    __slots__ = ("_is_in", "_turnstile", "number")

    def __init__(self, turnstile: Turnstile, number: int) -> None:
        self._turnstile = turnstile
        self._is_in = True
        self.number = number
        """Which it is of all that have come in."""

    def leave(self) -> None:
        if self._is_in:
            self._is_in = False
            self._turnstile.left()


class Turnstile:
    """See the module."""

    def __init__(self, limit: int) -> None:
        self._most = limit
        self._waiting_max = limit * WAITING_PER_SLOT
        self._queue: deque[asyncio.Future[None]] = deque()
        self._came = 0
        self._halved_at = 0
        self._through = 0
        self.limit = limit
        """How many may be in now."""
        self.taken = 0
        """How many are in."""

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    @property
    def is_slowed(self) -> bool:
        """Whether the place has asked for less, not long ago."""
        return self.limit < self._most

    async def enter(self, seconds: float) -> Slot:
        """Come in, after ``seconds`` at most. Raises CrowdedError."""
        if self._queue or self.taken >= self.limit:
            await self._wait(seconds)
        else:
            self.taken += 1
        self._came += 1
        return Slot(self, self._came)

    def left(self) -> None:
        """One that was in has left; called by its slot."""
        self.taken -= 1
        self._let_in()

    def succeeded(self) -> None:
        """One was served as it should be."""
        if self.limit == self._most:
            return
        self._through += 1
        if self._through >= self.limit:
            self._through = 0
            self.limit += 1
            self._let_in()

    def slow_down(self, slot: Slot) -> bool:
        """The place has told one to come less often; whether the limit was lowered. Those that came
        before the last time that it was say nothing new."""
        if slot.number <= self._halved_at:
            return False
        self._halved_at = self._came
        self._through = 0
        before, self.limit = self.limit, max(self.limit // 2, min(LIMIT_MIN, self._most))
        return self.limit < before

    def turn_away(self) -> None:
        """Let nobody wait any longer: ``enter`` raises CrowdedError."""
        while self._queue:
            _end(self._queue.popleft())

    async def _wait(self, seconds: float) -> None:
        """Wait for a turn, which is counted as taken then."""
        if len(self._queue) >= self._waiting_max or seconds <= 0:
            raise CrowdedError
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._queue.append(turn)
        timer = loop.call_later(seconds, _end, turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.left()  # it was let in just when it went away
            elif turn in self._queue:
                self._queue.remove(turn)
            raise
        finally:
            timer.cancel()

    def _let_in(self) -> None:
        while self._queue and self.taken < self.limit:
            turn = self._queue.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(None)


def _end(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(CrowdedError())
