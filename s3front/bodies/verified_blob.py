"""Object bytes on their way into a copy: held against what is known of them, whatever part it is.

A copy gets an ETag and a checksum of its own, so damage that goes into it could never be found
again. What is known of a blob is the checksum in its key (``shared.blob_checksums``), else the MD5
that its record has of it: of the part that it is, or of the whole object. Of some blobs nothing is
known; they are copied as they are.

A blob that is copied whole is looked at as it passes. For a part of one it is read whole once, for
the checksums of its blocks, which are kept; then, and the next time, just the blocks that the part
touches are read. Blobs never change, so what was right once is what they have to be.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, closing
from typing import Final, Protocol
from weakref import WeakValueDictionary

from isal.isal_zlib import crc32

from s3front.bodies.blob_reading import bytes_of, opened
from s3front.bodies.in_turn import THREAD_BYTES_MIN
from s3front.locations.base import DataReader, DataStore, Stored
from s3front.locations.remote_store import in_log
from s3front.s3_errors import S3Error
from shared.blob_checksums import checksum_in
from shared.process.logs import EventLog

BLOCK_BYTES: Final = 1024 * 1024
BLOCKS_KEPT_MAX: Final = 64 * 1024
"""Checksums of blocks that are kept, in all: those of 64 GiB."""


class Check(Protocol):
    """What the bytes of a blob are held against."""

    async def add(self, block: bytes) -> None:
        """Look at the next bytes."""

    @property
    def right(self) -> bool:
        """Whether these were all bytes, and the right ones."""


class _Crc32Check:
    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._value = 0

    async def add(self, block: bytes) -> None:
        self._value = crc32(block, self._value)

    @property
    def right(self) -> bool:
        return self._value == self._wanted


class _Md5Check:
    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._digest = hashlib.md5(usedforsecurity=False)

    async def add(self, block: bytes) -> None:
        if len(block) >= THREAD_BYTES_MIN:
            await asyncio.to_thread(self._digest.update, block)
        else:
            self._digest.update(block)

    @property
    def right(self) -> bool:
        return self._digest.hexdigest() == self._wanted


def check_of(key: str, md5: str | None) -> Check | None:
    """What is known of a blob, from its key or as its record has it; None for nothing."""
    checksum = checksum_in(key)
    if checksum is not None:
        return _Crc32Check(checksum)
    return None if md5 is None else _Md5Check(md5)


class BlockSums:
    """The checksums of the blocks of blobs that were right when they were read whole."""

    def __init__(self, blocks_max: int = BLOCKS_KEPT_MAX) -> None:
        self._blocks_max = blocks_max
        self._kept: OrderedDict[str, Sequence[int]] = OrderedDict()
        self._count = 0
        self._reading: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def find(self, key: str) -> Sequence[int] | None:
        """Those of a blob, if they are kept."""
        sums = self._kept.get(key)
        if sums is not None:
            self._kept.move_to_end(key)
        return sums

    def keep(self, key: str, sums: Sequence[int]) -> None:
        """Keep those of a blob, in place of those that were not asked for the longest."""
        if key in self._kept:
            return
        self._kept[key] = sums
        self._count += len(sums)
        while self._count > self._blocks_max and len(self._kept) > 1:
            self._count -= len(self._kept.popitem(last=False)[1])

    def turn(self, key: str) -> asyncio.Lock:
        """Who has it reads the blob; the others find its sums afterwards."""
        lock = self._reading.get(key)
        if lock is None:
            lock = self._reading[key] = asyncio.Lock()
        return lock


_SUMS: Final = BlockSums()


class VerifiedBlob:
    """One blob of a record, to be copied from, as it is stored; ``md5`` is what the record knows of
    its bytes (``shared.records.data_location``). Every method raises S3Error, InternalError for
    damage, and DataNotFoundError."""

    def __init__(
        self,
        store: DataStore,
        blob: Stored,
        md5: str | None,
        log: EventLog,
        sums: BlockSums = _SUMS,
    ) -> None:
        self._store = store
        self._blob = blob
        self._md5 = md5
        self._log = log
        self._sums = sums

    async def whole(self, reader: DataReader) -> AsyncGenerator[bytes, None]:
        """All its bytes, of a reader of all of them."""
        check = self._check()
        async for block in bytes_of(reader):
            if check is not None:
                await check.add(block)
            yield block
        if check is not None and not check.right:
            raise self._damaged()

    async def part(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """The bytes from ``start`` to ``end`` (included)."""
        sums = await self._block_sums()
        size = self._blob.size
        if sums is None:
            with closing(await opened(self._store, self._blob, start, end)) as reader:
                async for block in bytes_of(reader):
                    yield block
            return
        offset = start // BLOCK_BYTES * BLOCK_BYTES
        last = min(end // BLOCK_BYTES * BLOCK_BYTES + BLOCK_BYTES, size) - 1
        with closing(await opened(self._store, self._blob, offset, last)) as reader:
            splitter = _Splitter()
            async for block in bytes_of(reader):
                splitter.add(block)
                yield block[max(start - offset, 0) : max(end + 1 - offset, 0)]
                offset += len(block)
            first = start // BLOCK_BYTES
            if splitter.sums != sums[first : last // BLOCK_BYTES + 1]:
                raise self._damaged()

    async def _block_sums(self) -> Sequence[int] | None:
        blob, size = self._blob, self._blob.size
        # Where names are not the blobs' alone, the rest of what its place knows it by is.
        key = "\0".join((blob.key, blob.version or "", blob.etag or ""))
        async with self._sums.turn(key):
            sums = self._sums.find(key)
            if sums is None and self._check() is not None:
                splitter = _Splitter()
                with closing(await opened(self._store, self._blob, 0, size - 1)) as reader:
                    async with aclosing(self.whole(reader)) as blocks:
                        async for block in blocks:
                            splitter.add(block)
                sums = splitter.sums
                self._sums.keep(key, sums)
            return sums

    def _check(self) -> Check | None:
        # Names in other places are objects' keys, and say nothing.
        key = self._blob.key if self._store.capabilities.collected else ""
        return check_of(key, self._md5)

    def _damaged(self) -> S3Error:
        self._log.error("a blob is damaged: it is not copied", **in_log(self._store, self._blob))
        return S3Error("InternalError")


class _Splitter:
    """The checksums of blocks, of bytes that come in other pieces, from the beginning of one."""

    def __init__(self) -> None:
        self._sums: list[int] = []
        self._room = 0

    def add(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if not self._room:
                self._sums.append(0)
                self._room = BLOCK_BYTES
            piece = view[: self._room]
            self._sums[-1] = crc32(piece, self._sums[-1])
            self._room -= len(piece)
            view = view[len(piece) :]

    @property
    def sums(self) -> Sequence[int]:
        return self._sums
