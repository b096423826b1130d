"""A large blob of the file store that is open for reading.

Its bytes are held against their checksum on the way, and go to a socket without coming through
here: from the file to a pipe and from the pipe to the socket, by reference. What the socket does
not take at once stays in the pipe for the next time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from isal.isal_zlib import crc32

from dmd.data.base import StoreError
from dmd.data.disk import Disk, store_errors
from dmd.data.mapped_file import Window
from dmd.data.running_checksum import RunningChecksum
from dmd.data.waiting import to_the_end
from shared.pipes import Pipe, give_pipe_back, take_pipe

_T = TypeVar("_T")

CACHED_BYTES_MAX: Final = 1024 * 1024
"""What is read at once in the event loop, when the system has it in memory: a tenth of a
millisecond, with the checksum."""

COPIED_BYTES: Final = 256 * 1024
"""What is sent at a time where there can be no pipe."""

WINDOW_BYTES: Final = 16 * 1024 * 1024
"""What is mapped at a time; the large pages that the system keeps files in begin where it does."""


class FileBlob:
    """A large blob, open.

    Read from its beginning to its end, in order, its bytes are held against their checksum on the
    way; the last of them go out only when all are right. ``check`` raises StoreError if it is not.
    What the system has in memory is read in the event loop, the rest in a thread.
    """

    def __init__(
        self,
        disk: Disk,
        readers: ThreadPoolExecutor,
        descriptor: int,
        size: int,
        check: Callable[[RunningChecksum], None],
        checksum: RunningChecksum,
    ) -> None:
        self._disk = disk
        self._readers = readers
        self._descriptor = descriptor
        self._size = size
        self._check = check
        self._checksum = checksum
        self._pipe: Pipe | None = None
        self._sent = 0
        """Where the bytes begin that are in the pipe."""
        self._window: Window | None = None

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._size

    async def read(self, offset: int, length: int) -> bytes | bytearray:
        """Return exactly ``length`` bytes from ``offset``. Raises StoreError."""
        assert 0 <= offset <= offset + length <= self._size
        if length <= CACHED_BYTES_MAX:
            cached = self._disk.read_cached(self._descriptor, offset, length)
            if cached is not None:
                self._look_at(cached, offset)
                return cached
        data = await self._in_reader(self._read, offset, length)
        if len(data) < length:
            raise StoreError(f"a blob ends after {offset + len(data)} of {self._size} bytes")
        return data

    async def send(self, socket_descriptor: int, offset: int, length: int) -> int:
        """Send up to ``length`` bytes to a socket; see ``dmd.data.base.SendableBlob``."""
        assert 0 <= offset < offset + length <= self._size
        try:
            sent = await self._in_reader(self._send, socket_descriptor, offset, length)
        except BlockingIOError:
            return 0
        if not sent:
            raise StoreError(f"a blob ends after {offset} of {self._size} bytes")
        return sent

    # In a thread.

    def _read(self, offset: int, length: int) -> bytes:
        data = self._disk.read(self._descriptor, offset, length)
        self._look_at(data, offset)
        return data

    def _look_at(self, data: bytes | bytearray, offset: int) -> None:
        """Take bytes that were read into the checksum."""
        checksum = self._checksum
        if checksum.misses(offset, offset + len(data)):
            new = memoryview(data)[checksum.reached - offset :]
            checksum.advance(crc32(new, checksum.value), offset + len(data))
            self._check(checksum)

    def _send(self, socket_descriptor: int, offset: int, length: int) -> int:
        if offset != self._sent:
            self._close_pipe()
            self._sent = offset
        if self._pipe is None:
            try:
                self._pipe = take_pipe()
            except OSError:  # there are no descriptors for one
                data = self._read(offset, min(length, COPIED_BYTES))
                return os.write(socket_descriptor, data)
        part = offset, offset + length
        sent = self._disk.send(socket_descriptor, self._pipe, self._descriptor, part, self._look)
        self._sent = offset + sent
        return sent

    def _look(self, start: int, end: int) -> None:
        """Take bytes that are in the pipe, and so in memory, into the checksum."""
        checksum = self._checksum
        if not checksum.misses(start, end):
            return
        start = checksum.reached
        try:
            with self._mapped(start, end) as view:
                value = crc32(view, checksum.value)
        except OSError:  # the file system cannot map
            value = self._disk.checksum(self._descriptor, start, end - start, checksum.value)
        checksum.advance(value, end)
        self._check(checksum)

    def _mapped(self, start: int, end: int) -> memoryview:
        """These bytes; raises OSError."""
        if self._window is None or not self._window.start <= start <= end <= self._window.end:
            self._close_window()
            first = start - start % WINDOW_BYTES
            last = max(min(first + WINDOW_BYTES, self._size), end)
            self._window = Window(self._descriptor, first, last - first)
        return self._window.view(start, end - start)

    def _close_pipe(self) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            give_pipe_back(pipe)

    def _close_window(self) -> None:
        window, self._window = self._window, None
        if window is not None:
            window.close()

    def _close(self) -> None:
        self._close_window()
        try:
            self._close_pipe()
        finally:
            os.close(self._descriptor)

    async def _in_reader(self, function: Callable[..., _T], *args: int) -> _T:
        # To the end: the thread uses the descriptors, and their numbers must not be given away.
        with store_errors():
            loop = asyncio.get_running_loop()
            return await to_the_end(loop.run_in_executor(self._readers, function, *args))

    async def close(self) -> None:
        """Close the file; the last close of a deleted one frees all its blocks, in a thread."""
        if self._pipe is None and self._window is None and os.fstat(self._descriptor).st_nlink:
            os.close(self._descriptor)
            return
        with contextlib.suppress(OSError):  # nothing was written through it
            loop = asyncio.get_running_loop()
            await asyncio.shield(loop.run_in_executor(self._readers, self._close))
