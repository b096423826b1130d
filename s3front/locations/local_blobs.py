"""Blobs on this machine, read beside the data daemon that owns them.

Theory of operation. A blob is complete when its file has its final name, or its key is told, and
never changes, so who may read the files needs nobody's help: a hop to the daemon and back costs
more than the bytes. The daemon is asked once which directory it serves; when it is the one that
this process knows as the data directory, on the same machine, blobs are read there: without a
thread as far as the system has them in memory, and files in a thread that waits for the disk.
Whatever is not plain is left to the daemon, which brings back what is in quarantine, and has the
right error for what is damaged or gone: a blob without a checksum (of the original), one that is
not there, or packed and not in memory, or not what its checksum says, or more of them than may be
in memory.

A directory that the daemon has left meanwhile does no harm: a key names the same bytes for ever.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from isal.isal_zlib import crc32

from s3front.locations.base import Stored
from s3front.locations.local_pieces import PIECE_BYTES, LocalPieces
from shared.blob_checksums import checksum_in
from shared.blob_files import blob_file
from shared.budget import Budget
from shared.cached_file import OPEN_FLAGS, NotCachedError, open_cached, read_cached
from shared.limits import PACKED_BLOB_BYTES_MAX
from shared.local_directory import is_in_memory, local_identity
from shared.packed_reader import PACKED_FOLDER, PackedReader

READ_BYTES_MAX: Final = 1024 * 1024 + 4096
"""What is read at once, in the event loop: a tenth of a millisecond, with the checksum. A MiB, and
what encryption adds to it."""

SMALL_BYTES_MAX: Final = 64 * 1024
"""Up to here the bytes of a blob are given away at once, and counted for nobody."""

READS_BYTES: Final = 32 * READ_BYTES_MAX
"""What may be in memory of what was read, for clients that take their time, all together."""

UNVERIFIED_BYTES_MIN: Final = 256 * 1024
"""Part of a blob up to this size is left to the daemon, which reads the whole and verifies it."""

ASK_AGAIN_SECONDS: Final = 60.0

_READERS: Final = 8
"""Threads that wait for the disk."""


class LocalBlobs:
    """Reads blobs in the directory ``folder``, if that is the daemon's. Make it in the event loop.

    ``ask`` gives the identity of the daemon's (``shared.local_directory``), None when it tells
    none; it raises nothing.
    """

    def __init__(self, folder: Path, ask: Callable[[], Awaitable[str | None]]) -> None:
        self._folder = folder
        self._path = str(folder)
        self._ask = ask
        self._loop = asyncio.get_running_loop()
        self._budget = Budget(READS_BYTES)
        self._asking: asyncio.Task[None] | None = None
        self._ask_at = 0.0
        self._serves = False
        """Whether the directory is the daemon's."""
        self._in_memory = False
        self._packed = PackedReader(folder / PACKED_FOLDER)
        self._readers = ThreadPoolExecutor(_READERS, "blob-reader")

    @property
    def serves(self) -> bool:
        """Whether blobs can be read here, as far as that is known; it is asked for."""
        if not self._serves:
            self._begin_to_ask()
        return self._serves

    def read(self, blob: Stored, start: int, end: int) -> LocalReader | None:
        """Bytes ``start`` to ``end`` (included) of a blob, whole ones verified; None when they are
        not to be had in this way. ``blob.key`` consists of lower-case hexadecimal digits."""
        length = end - start + 1
        if length > READ_BYTES_MAX:
            return None
        if not self._serves:
            self._begin_to_ask()
            return None
        if not self._budget.take(length):
            return None
        checksum = checksum_in(blob.key)
        if checksum is None:
            data = self._packed_bytes(blob, start, length)
        else:
            data = self._cached_bytes(blob, start, length, checksum)
        if data is None:
            self._budget.give(length)
            return None
        return LocalReader(data, self._budget)

    def content(self, key: str, size: int) -> bytes | None:
        """All bytes of a packed blob, verified, as far as they are found in few steps; None where
        it takes ``read`` to say more."""
        if not self._serves or size > SMALL_BYTES_MAX:
            return None
        content = self._packed.read_open(key, size)
        return None if content is None else bytes(content)

    async def read_from_disk(self, blob: Stored, start: int, end: int) -> LocalReader | None:
        """The same of a blob that is a file which ``read`` has not found in memory, once a thread
        has waited for the disk."""
        length = end - start + 1
        checksum = checksum_in(blob.key)
        if checksum is None or length > READ_BYTES_MAX or not self._serves:
            return None
        if not self._budget.take(length):
            return None
        data = None
        try:
            data = await self._loop.run_in_executor(
                self._readers, self._disk_bytes, blob, start, length, checksum
            )
        finally:
            if data is None:
                self._budget.give(length)
        return None if data is None else LocalReader(data, self._budget)

    async def pieces(self, blob: Stored, start: int, end: int) -> LocalPieces | None:
        """The same bytes of the file of a large blob, which are verified by whoever reads them;
        None when they are not to be had in this way."""
        if checksum_in(blob.key) is None or not self.serves:
            return None
        # Half is left to those who are done with theirs at once.
        if self._budget.left - PIECE_BYTES < self._budget.share_bytes_max:
            return None
        path = blob_file(self._path, blob.key)
        descriptor = open_cached(path)
        if descriptor is None:
            descriptor = await self._loop.run_in_executor(self._readers, _opened, path)
        if descriptor is None:
            return None
        if os.fstat(descriptor).st_size != blob.size or not self._budget.take(PIECE_BYTES):
            os.close(descriptor)
            return None
        return LocalPieces(
            descriptor, start, end, self._readers, self._budget, in_memory=self._in_memory
        )

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        self._packed.close()
        self._readers.shutdown(wait=False)

    def _packed_bytes(self, blob: Stored, start: int, length: int) -> bytes | bytearray | None:
        """Of a packed blob, all of which is read and verified."""
        if blob.size > PACKED_BLOB_BYTES_MAX:
            return None
        content = self._packed.read(blob.key, blob.size)
        if content is None or len(content) != blob.size:
            return None
        return content if length == blob.size else content[start : start + length]

    def _cached_bytes(
        self, blob: Stored, start: int, length: int, checksum: int
    ) -> bytearray | None:
        """Of a blob that is a file, as far as it is in memory."""

        def read(descriptor: int) -> bytearray | None:
            return read_cached(descriptor, start, length, in_memory=self._in_memory)

        descriptor = open_cached(blob_file(self._path, blob.key))
        if descriptor is None:
            return None
        try:
            return _verified(descriptor, blob, length, checksum, read)
        except NotCachedError:
            self._serves, self._ask_at = False, float("inf")
            return None

    def _disk_bytes(self, blob: Stored, start: int, length: int, checksum: int) -> bytearray | None:
        """Of a blob that is a file. Blocks."""

        def read(descriptor: int) -> bytearray | None:
            data = bytearray(length)
            return data if os.preadv(descriptor, [data], start) == length else None

        try:
            descriptor = os.open(blob_file(self._path, blob.key), OPEN_FLAGS)
            return _verified(descriptor, blob, length, checksum, read)
        except OSError:
            return None

    def _begin_to_ask(self) -> None:
        """Learn whose the directory is, while the daemon serves what is wanted now."""
        now = self._loop.time()
        if now >= self._ask_at and (self._asking is None or self._asking.done()):
            self._ask_at = now + ASK_AGAIN_SECONDS
            self._asking = self._loop.create_task(self._learn())

    async def _learn(self) -> None:
        theirs = await self._ask()
        if theirs is None:
            return
        ours = await asyncio.to_thread(local_identity, self._folder)
        self._in_memory = await asyncio.to_thread(is_in_memory, self._folder)
        self._serves = theirs == ours


def _opened(path: str) -> int | None:
    """Open a file, waiting for the disk; None where that cannot be done."""
    try:
        return os.open(path, OPEN_FLAGS)
    except OSError:
        return None


def _verified(
    descriptor: int,
    blob: Stored,
    length: int,
    checksum: int,
    read: Callable[[int], bytearray | None],
) -> bytearray | None:
    """What is read of a blob's file, which is closed; all of the blob is verified, a part as far as
    the daemon would."""
    try:
        whole = length == blob.size
        if not (whole or blob.size > UNVERIFIED_BYTES_MIN):
            return None
        if os.fstat(descriptor).st_size != blob.size:
            return None
        data = read(descriptor)
    finally:
        os.close(descriptor)
    return None if data is not None and whole and crc32(data) != checksum else data


class LocalReader:
    """Bytes that were read; see ``base.DataReader``."""

    def __init__(self, data: bytes | bytearray, budget: Budget) -> None:
        self._data = data
        self._budget = budget
        self._size = len(data)

    async def blocks(self) -> AsyncGenerator[bytes | bytearray, None]:
        yield self._data

    async def read(self) -> bytes:
        return bytes(self._data)

    def close(self) -> None:
        """Give back its room."""
        size, self._size = self._size, 0
        self._budget.give(size)
