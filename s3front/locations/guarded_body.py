"""Bodies on their way to a place that others run, and from it, under the eyes of
``resilience``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Protocol

from s3front.locations.base import DataReader
from s3front.locations.remote_store import PlaceError, Trouble
from s3front.locations.turnstile import Slot
from s3front.port.request import Passage
from shared.loop.eager import in_a_task


class GuardedSource:
    """The blocks of a body that is written.

    Each block gives the place ``seconds`` more; while the next one is on its way, the clock stands
    still. ``limit`` is the time-out of the try that reads it.
    """

    def __init__(self, body: AsyncGenerator[bytes, None], seconds: float) -> None:
        self._body = body
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self.limit: asyncio.Timeout | None = None
        self.is_begun = False
        self.failure: Exception | None = None
        """What the body itself failed with, which is not the place's fault."""

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """The blocks, for one try; none is given twice."""
        self.is_begun = True
        while True:
            self._expect(None)
            try:
                block = await anext(self._body, None)
            except Exception as error:
                self.failure = error
                raise
            self._expect(self._loop.time() + self._seconds)
            if block is None:
                return
            yield block

    def _expect(self, when: float | None) -> None:
        """The time-out is due then, unless it was already."""
        if self.limit is not None and not self.limit.expired():
            self.limit.reschedule(when)


class Outcome(Protocol):
    """Whom a reader tells how it ended; ``failed`` returns the error to raise."""

    def succeeded(self) -> None: ...
    def failed(self, failure: PlaceError) -> PlaceError: ...


class GuardedReader:
    """See ``base.DataReader``. It keeps its ``slot`` until it is closed, or read to the end. No
    block takes longer than ``seconds``."""

    def __init__(self, inner: DataReader, slot: Slot, seconds: float, outcome: Outcome) -> None:
        self._inner = inner
        self._slot = slot
        self._seconds = seconds
        self._outcome = outcome
        self._is_told = False

    async def blocks(self) -> AsyncGenerator[bytes | bytearray | Passage, None]:
        await in_a_task()
        blocks = self._inner.blocks()
        try:
            while True:
                failure: PlaceError
                try:
                    async with asyncio.timeout(self._seconds):
                        block = await anext(blocks, None)
                except PlaceError as error:
                    failure = error
                except TimeoutError:
                    failure = self._silence()
                else:
                    if block is None:
                        break
                    yield block
                    continue
                raise self._failed(failure)
        finally:
            await blocks.aclose()
        self._end()

    async def read(self) -> bytes:
        await in_a_task()
        failure: PlaceError
        try:
            async with asyncio.timeout(self._seconds):
                content = await self._inner.read()
        except PlaceError as error:
            failure = error
        except TimeoutError:
            failure = self._silence()
        else:
            self._end()
            return content
        raise self._failed(failure)

    def close(self) -> None:
        self._inner.close()
        self._end()

    def _silence(self) -> PlaceError:
        return PlaceError(Trouble.SILENT, f"nothing more came for {self._seconds:g} s")

    def _failed(self, failure: PlaceError) -> PlaceError:
        self._is_told = True
        return self._outcome.failed(failure)

    def _end(self) -> None:
        self._slot.leave()
        if not self._is_told:
            self._is_told = True
            self._outcome.succeeded()
