"""The file of a large blob, read beside the data daemon, for whoever has to see its bytes.

Bytes that only pass are better moved by the daemon, which never looks at them
(``shared.http1.passage``). What is encrypted has to come through here, and the hop costs more than
the bytes, as it does for small blobs (``local_blobs``).

The file is kept open, so that a blob that is deleted meanwhile is read to its end. Nothing is held
against the blob's checksum: this is for bytes that whoever reads them authenticates.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from concurrent.futures import Executor, Future
from typing import Final

from s3front.s3_errors import S3Error
from shared.budget import Budget
from shared.cached_file import NotCachedError, read_cached

PIECE_BYTES: Final = 512 * 1024
"""What is read at once, in the event loop if it is in memory: less than a tenth of a millisecond.
With a MiB a reply costs as much, and with 256 KiB a fifth more."""


class LocalPieces:
    """Bytes ``start`` to ``end`` (included) of an open file; see ``base.DataReader``.

    ``descriptor`` is closed with it, and ``PIECE_BYTES`` are given back to ``budget``. What is not
    in memory is read by ``threads``.
    """

    def __init__(
        self,
        descriptor: int,
        start: int,
        end: int,
        threads: Executor,
        budget: Budget,
        *,
        in_memory: bool,
    ) -> None:
        """``in_memory``: as ``shared.cached_file.read_cached`` has it."""
        self._descriptor = descriptor
        self._next = start
        self._end = end
        self._threads = threads
        self._budget = budget
        self._open = True
        self._in_memory = in_memory
        self._reading: Future[bytearray | None] | None = None

    async def blocks(self) -> AsyncGenerator[bytes | bytearray, None]:
        yield await self._piece()
        while self._next <= self._end:
            # A client that takes all at once would keep everybody else waiting.
            await asyncio.sleep(0)
            yield await self._piece()

    async def read(self) -> bytes:
        return b"".join([block async for block in self.blocks()])

    def close(self) -> None:
        """Close the file, once no thread reads it any more."""
        if not self._open:
            return
        self._open = False
        self._budget.give(PIECE_BYTES)
        descriptor = self._descriptor
        if self._reading is None:
            os.close(descriptor)
        else:
            self._reading.add_done_callback(lambda _: os.close(descriptor))

    async def _piece(self) -> bytearray:
        """The next bytes; raises InternalError where they are not to be had."""
        start = self._next
        length = min(PIECE_BYTES, self._end - start + 1)
        self._next += length
        try:
            data = read_cached(self._descriptor, start, length, in_memory=self._in_memory)
        except NotCachedError:
            data = None
        if data is None:
            data = await self._from_disk(start, length)
        return data

    async def _from_disk(self, start: int, length: int) -> bytearray:
        self._reading = self._threads.submit(_read, self._descriptor, start, length)
        try:
            data = await asyncio.wrap_future(self._reading)
        except OSError as error:
            raise S3Error("InternalError") from error
        self._reading = None
        if data is None:
            raise S3Error("InternalError") from EOFError("the file of a blob has become shorter")
        return data


def _read(descriptor: int, start: int, length: int) -> bytearray | None:
    """So many bytes; None where there are fewer. Blocks; raises OSError."""
    data = bytearray(length)
    return data if os.preadv(descriptor, [data], start) == length else None
