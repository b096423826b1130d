"""What goes into a copy is held against what is known of it."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from isal.isal_zlib import crc32

from s3front.bodies.verified_blob import BLOCK_BYTES, BlockSums, VerifiedBlob
from s3front.locations.base import Capabilities, ObjectInfo, Stored
from s3front.port.request import Passage
from s3front.s3_errors import S3Error
from shared.blob_checksums import key_with_checksum
from tests.unit.dmd.metadata.support import RecordingLog

CONTENT = random.Random(1).randbytes(3 * BLOCK_BYTES + 12345)
WITH_CHECKSUM = key_with_checksum("0" * 12, crc32(CONTENT))
WITHOUT = "ab" * 20
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
KNOWN = {
    "by its key": (WITH_CHECKSUM, None),
    "by its record": (WITHOUT, MD5),
}


@dataclass
class Reader:
    data: bytes

    async def blocks(self) -> AsyncGenerator[bytes | Passage, None]:
        for offset in range(0, len(self.data), 100_000):
            yield self.data[offset : offset + 100_000]

    async def read(self) -> bytes:
        return self.data

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Store:
    """A place for one blob, whose bytes a test may change."""

    content: bytearray
    opened: list[tuple[int, int]] = field(default_factory=list)
    type: str = "file"
    capabilities: ClassVar = Capabilities(ranges=True, collected=True)

    def new_file(self, size: int) -> None:
        """Blobs are given to it."""

    async def open(self, blob: Stored, start: int, end: int) -> Reader:
        self.opened.append((start, end))
        await asyncio.sleep(0)
        return Reader(bytes(self.content[start : end + 1]))

    async def put(
        self, size: int, body: bytes | AsyncGenerator[bytes, None], info: ObjectInfo, mark: str = ""
    ) -> Stored:
        raise AssertionError

    async def disk_usage(self) -> tuple[int, int]:
        raise NotImplementedError

    async def delete(self, blob: Stored) -> None:
        raise AssertionError

    async def close(self) -> None:
        """Nothing is open."""


def blob(store: Store, known: tuple[str, str | None], sums: BlockSums) -> VerifiedBlob:
    key, md5 = known
    return VerifiedBlob(store, Stored(key, len(CONTENT)), md5, RecordingLog(), sums)


async def collected(blocks: AsyncGenerator[bytes, None]) -> bytes:
    return b"".join([block async for block in blocks])


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
async def test_a_whole_blob(known: tuple[str, str | None]) -> None:
    store = Store(bytearray(CONTENT))
    source = blob(store, known, BlockSums())
    assert await collected(source.whole(Reader(CONTENT))) == CONTENT
    damaged = CONTENT[:-1] + bytes((CONTENT[-1] ^ 1,))
    for wrong in (damaged, CONTENT[:-1]):
        with pytest.raises(S3Error, match="InternalError"):
            await collected(source.whole(Reader(wrong)))


PARTS = [
    (0, 10),
    (5, BLOCK_BYTES - 1),
    (BLOCK_BYTES - 1, BLOCK_BYTES),
    (BLOCK_BYTES, 2 * BLOCK_BYTES - 1),
    (17, len(CONTENT) - 1),
    (len(CONTENT) - 1, len(CONTENT) - 1),
]


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
async def test_parts_of_a_blob_that_is_read_whole_once(
    known: tuple[str, str | None],
) -> None:
    store = Store(bytearray(CONTENT))
    source = blob(store, known, BlockSums())
    for start, end in PARTS:
        assert await collected(source.part(start, end)) == CONTENT[start : end + 1]
    assert store.opened[0] == (0, len(CONTENT) - 1)
    assert len(store.opened) == 1 + len(PARTS)


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
async def test_damage_anywhere_in_the_blob_before_its_first_part(
    known: tuple[str, str | None],
) -> None:
    store = Store(bytearray(CONTENT))
    store.content[-1] ^= 1
    with pytest.raises(S3Error, match="InternalError"):
        await collected(blob(store, known, BlockSums()).part(0, 10))


async def test_damage_between_two_parts() -> None:
    store = Store(bytearray(CONTENT))
    source = blob(store, KNOWN["by its key"], BlockSums())
    await collected(source.part(0, 10))
    store.content[BLOCK_BYTES + 5] ^= 1
    assert await collected(source.part(0, 10)) == CONTENT[:11]
    with pytest.raises(S3Error, match="InternalError"):
        await collected(source.part(BLOCK_BYTES + 6, BLOCK_BYTES + 7))


async def test_parts_at_the_same_time_read_the_blob_once() -> None:
    store = Store(bytearray(CONTENT))
    sums = BlockSums()
    sources = [blob(store, KNOWN["by its key"], sums) for _ in range(5)]
    await asyncio.gather(*(collected(source.part(1, 2)) for source in sources))
    assert store.opened.count((0, len(CONTENT) - 1)) == 1


async def test_a_blob_of_which_nothing_is_known_is_copied_as_it_is() -> None:
    store = Store(bytearray(CONTENT))
    source = blob(store, (WITHOUT, None), BlockSums())
    assert await collected(source.whole(Reader(b"anything"))) == b"anything"
    assert await collected(source.part(3, 9)) == CONTENT[3:10]
    assert store.opened == [(3, 9)]


def test_sums_are_kept_within_bounds() -> None:
    sums = BlockSums(10)
    for number in range(20):
        sums.keep(str(number), range(4))
        assert sums.find(str(number)) is not None
    assert [number for number in range(20) if sums.find(str(number)) is not None] == [18, 19]
