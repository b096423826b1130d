"""Opening and reading single blobs, as far as that is not their location's affair: a place that
gives whole blobs only, and bytes that pass a coder (``transform``) on their way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Final, TypeVar

from s3front.encryption.segments import SegmentedTransform
from s3front.encryption.transform import Coder
from s3front.locations.base import DataReader, DataStore, Stored
from s3front.port.request import Passage

_HERE_BYTES_MAX: Final = 1024 * 1024 + 4096

_Made = TypeVar("_Made", bytes, bytes | bytearray)


def opened(store: DataStore, blob: Stored, start: int, end: int) -> Awaitable[DataReader]:
    """Open bytes ``start`` to ``end`` (included) of a blob, whatever its place can do; else as
    ``DataStore.open``."""
    if store.capabilities.ranges or (start == 0 and end == blob.size - 1):
        return store.open(blob, start, end)
    return _opened_cut(store, blob, start, end)


async def _opened_cut(store: DataStore, blob: Stored, start: int, end: int) -> DataReader:
    return DecodedReader(await store.open(blob, 0, blob.size - 1), Cut(start, end))


class Cut:
    """The coder of a place that reads whole blobs only: it leaves out what nobody asked for."""

    def __init__(self, start: int, end: int) -> None:
        self._before = start
        self._wanted = end - start + 1

    def update(self, data: bytes | bytearray) -> bytes:
        kept = data[self._before : self._before + self._wanted]
        self._before -= min(self._before, len(data))
        self._wanted -= len(kept)
        return bytes(kept)

    def finish(self) -> bytes:
        return b""


class DecodedReader:
    """A reader whose bytes pass a coder."""

    def __init__(self, stored: DataReader, coder: Coder[bytes | bytearray]) -> None:
        self._stored = stored
        self._coder = coder

    def blocks(self) -> AsyncGenerator[bytes | bytearray, None]:
        return coded(self._stored.blocks(), self._coder)

    async def read(self) -> bytes:
        stored = await self._stored.read()
        return bytes(await _passed(self._coder, stored) + self._coder.finish())

    def close(self) -> None:
        self._stored.close()


async def coded(
    blocks: AsyncGenerator[bytes | bytearray | Passage, None], coder: Coder[_Made]
) -> AsyncGenerator[_Made, None]:
    """The blocks as a coder makes them; empty ones are left out. What is in passages comes as
    blocks, as none of them is moved."""
    async with aclosing(blocks):
        async for block in blocks:
            if not isinstance(block, bytes | bytearray):
                continue
            made = await _passed(coder, block)
            # A slow client would keep it as well.
            del block
            if made:
                yield made
    if made := coder.finish():
        yield made


def encrypted(
    size: int, data: bytes | AsyncGenerator[bytes, None], transform: SegmentedTransform
) -> tuple[int, bytes | AsyncGenerator[bytes, None]]:
    """What is stored of ``size`` plain bytes: how many bytes, and these."""
    if isinstance(data, bytes) and len(data) <= _HERE_BYTES_MAX:
        content = transform.encoded(data)
        return len(content), content
    blocks = _only(data) if isinstance(data, bytes) else data
    return transform.stored_size(size), coded(blocks, transform.encoder())


async def _only(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data


async def bytes_of(reader: DataReader) -> AsyncGenerator[bytes, None]:
    """The bytes of a reader, for whoever has to see them: none is moved from where it is."""
    async with aclosing(reader.blocks()) as blocks:
        async for block in blocks:
            if isinstance(block, bytes | bytearray):
                yield bytes(block)


async def _passed(coder: Coder[_Made], data: bytes | bytearray) -> _Made:
    """Here, as long as that takes less than a millisecond: AES needs 0.1 ms for a MiB, and keeps
    the interpreter's lock for most of it, so that a thread would gain little else."""
    if len(data) <= _HERE_BYTES_MAX:
        return coder.update(data)
    return await asyncio.to_thread(coder.update, data)
