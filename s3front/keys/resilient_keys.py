"""What stands between requests and a key service that others run.

Keepers ask once and say what went wrong. What follows from that is the same for all of them:

1. **Deadlines.** All tries together take ``seconds`` at most, and one of them half of that.
2. **Tries.** A service that is away is asked again, within the deadline and a budget, but for what
   makes something new.
3. **A circuit breaker**: a service that has failed again and again is not asked for a while, so
   that requests learn within a millisecond that it is away. One that refuses has answered.
4. A line in the log when one of these changes, and when the service refuses something.

Whoever goes away while waiting leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from s3front.encryption.key_wrapping import WrappingKey
from s3front.keys.base import (
    AwayError,
    KeeperError,
    KeyContext,
    KeyTrouble,
    NoCurrentKeyError,
    ServiceKeys,
)
from s3front.locations.circuit_breaker import CircuitBreaker, CircuitState
from s3front.locations.retry_budget import RetryBudget
from s3front.s3_errors import S3Error
from shared.loop.eager import in_a_task
from shared.process.logs import EventLog

LOOK_SECONDS_MAX: Final = 10.0

_TELL_SECONDS: Final = 60.0
"""How often the log is told that something was refused."""

T = TypeVar("T")


class ResilientKeys:
    """A ``ServiceKeys`` around another one; see the module."""

    def __init__(
        self,
        inner: ServiceKeys,
        seconds: float,
        log: EventLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.inner = inner
        self._seconds = seconds
        self._log = log
        self._clock = clock
        self._breaker = CircuitBreaker(clock)
        self._budget = RetryBudget()
        self._told_until = 0.0

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def state(self) -> CircuitState:
        """That of the circuit."""
        return self._breaker.state

    async def wrapping_key(self, key_id: str | None, context: KeyContext) -> WrappingKey:
        try:
            return await self._ask("new data key", lambda: self.inner.wrapping_key(key_id, context))
        except KeeperError as error:
            if key_id is not None or error.trouble is not KeyTrouble.NOT_FOUND:
                raise
            missing = error
        # The client has not named it, and can do nothing.
        reason = f"{self.name}: the master key that is configured: {missing.message} "
        raise NoCurrentKeyError(f"{reason}({missing.reason or 'no such name'})")

    async def opened(self, key_id: str, wrapped: str, context: KeyContext) -> bytes:
        return await self._ask(
            "open a data key", lambda: self.inner.opened(key_id, wrapped, context)
        )

    async def open_original(self, key_id: str, ciphered: bytes) -> bytes:
        return await self._ask(
            "open a data key of CloudServer", lambda: self.inner.open_original(key_id, ciphered)
        )

    async def create(self, description: str) -> str:
        return await self._ask(
            "new master key", lambda: self.inner.create(description), is_repeatable=False
        )

    async def rotate(self, description: str) -> str:
        return await self._ask(
            "new current key", lambda: self.inner.rotate(description), is_repeatable=False
        )

    async def look(self) -> str | None:
        """As the service answers now, whatever is known of it."""
        await in_a_task()
        try:
            async with asyncio.timeout(LOOK_SECONDS_MAX):
                return await self.inner.look()
        except TimeoutError:
            return f"no answer within {LOOK_SECONDS_MAX:g} s"
        except KeeperError as error:
            return error.reason or error.message
        except S3Error as error:
            return error.message

    async def close(self) -> None:
        await self.inner.close()

    async def _ask(
        self, what: str, ask: Callable[[], Awaitable[T]], *, is_repeatable: bool = True
    ) -> T:
        await in_a_task()  # for the time-outs
        deadline = self._clock() + self._seconds
        self._budget.note_request()
        tries = 0
        while True:
            tries += 1
            try:
                return await self._try(ask, deadline)
            except NotAskedError:
                raise
            except AwayError as error:
                failure = error
            except KeeperError as error:
                self._tell_refusal(what, error)
                raise
            pause = None
            if is_repeatable:
                pause = self._budget.pause_seconds(tries, deadline - self._clock())
            if pause is None:
                # Not where it was caught: its cause is the reason, which the log is to have.
                raise AwayError(f"{self.name}: {what}: {failure.reason}")
            await asyncio.sleep(pause)

    async def _try(self, ask: Callable[[], Awaitable[T]], deadline: float) -> T:
        leave = self._breaker.admit()
        if leave is None:
            raise NotAskedError(
                f"{self.name} is not asked for a while, as it failed: {self._breaker.reason}"
            )
        seconds = max(min(self._seconds / 2, deadline - self._clock()), 0.001)
        try:
            answer = await _within(seconds, ask)
        except AwayError as error:
            if error.has_answered:
                self._note_answer(self._breaker.succeeded(leave))
            elif self._breaker.failed(leave, error.reason):
                self._log.warning("a key service is away", keeper=self.name, reason=error.reason)
            raise
        except S3Error:
            self._note_answer(self._breaker.succeeded(leave))
            raise
        except BaseException:
            self._breaker.abandoned(leave)
            raise
        self._note_answer(self._breaker.succeeded(leave))
        return answer

    def _note_answer(self, has_closed: bool) -> None:
        if has_closed:
            self._log.info("a key service is there again", keeper=self.name)

    def _tell_refusal(self, what: str, error: KeeperError) -> None:
        """Say to the operator what clients learn the code of; a client can cause many of these."""
        now = self._clock()
        if error.trouble is not KeyTrouble.NOT_FOUND and now >= self._told_until:
            self._told_until = now + _TELL_SECONDS
            self._log.warning(
                "a key service refuses something",
                keeper=self.name,
                operation=what,
                trouble=error.trouble.name,
                reason=error.reason,
            )


class NotAskedError(AwayError):
    """The service was not asked, as it has failed."""


async def _within(seconds: float, ask: Callable[[], Awaitable[T]]) -> T:
    """Ask once, and wait for so long. Raises AwayError for silence."""
    try:
        async with asyncio.timeout(seconds):
            return await ask()
    except TimeoutError:
        pass
    raise AwayError(f"no answer within {seconds:.3g} s")
