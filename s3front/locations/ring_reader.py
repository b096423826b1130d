"""Reads a blob of a RING through its hosts, and goes on at another when one fails in the middle:
blobs never change."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from s3front.locations.bootstrap import Answer
from s3front.locations.remote_store import PlaceError, Trouble
from shared.http1.passage import Passage

_RESUMED_MAX: Final = 4

Ask = Callable[[int], Awaitable[Answer]]
"""Gives the answer that holds the bytes of the blob from an offset on. Raises PlaceError,
DataNotFoundError."""


class RingReader:
    """See ``base.DataReader``. ``answer`` holds the bytes ``start`` to ``end`` (included);
    ``leave`` has others asked before a host that failed."""

    def __init__(
        self, answer: Answer, start: int, end: int, ask: Ask, leave: Callable[[str], None]
    ) -> None:
        self._host, self._response = answer
        self._next = start
        self._end = end
        self._ask = ask
        self._leave = leave
        self._resumed = 0

    async def blocks(self) -> AsyncGenerator[bytes | Passage, None]:
        while self._next <= self._end:
            try:
                async for block in self._rest():
                    yield block
            except OSError as error:
                await self._resume(error)
            else:
                if self._next <= self._end:
                    await self._resume(ConnectionResetError("the body ends early"))

    async def read(self) -> bytes:
        pieces = [await self._piece()]
        while self._next <= self._end:
            pieces.append(await self._piece())
        return b"".join(pieces)

    def close(self) -> None:
        self._response.close()

    async def _rest(self) -> AsyncGenerator[bytes | Passage, None]:
        """What comes of this response. Raises OSError."""
        response = self._response
        while response.buffered:
            yield self._counted(await response.read())
        if (passage := response.passage()) is not None:
            yield passage
            self._next += passage.moved
            if passage.failure is not None:
                raise passage.failure
        while block := await response.read():
            yield self._counted(block)

    async def _piece(self) -> bytes:
        while True:
            try:
                block = await self._response.read()
            except OSError as error:
                await self._resume(error)
                continue
            if block:
                return self._counted(block)
            await self._resume(ConnectionResetError("the body ends early"))

    def _counted(self, block: bytes) -> bytes:
        self._next += len(block)
        if self._next > self._end + 1:
            raise PlaceError(Trouble.BROKEN, "a body has more bytes than were asked for")
        return block

    async def _resume(self, error: OSError) -> None:
        """Have what is missing from another host. Raises PlaceError."""
        self._response.close()
        self._leave(self._host)
        self._resumed += 1
        if self._resumed > _RESUMED_MAX:
            raise PlaceError(Trouble.SILENT, f"a body ended early, again and again: {error}")
        self._host, self._response = await self._ask(self._next)
