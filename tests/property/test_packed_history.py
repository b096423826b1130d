"""Random histories of the packed store agree with a dictionary.

Blobs of many sizes come, alone and together, are deleted, quarantined and restored; the store is
swept, closed, and left as a killed process or a machine without power leaves it: with a part of
what it was writing behind its end.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from dmd.data.base import BlobInfo, BlobNotFoundError
from dmd.data.disk import Disk, DiskOptions
from dmd.data.packed.growing import numbers_in
from dmd.data.packed.packed_store import PackedStore
from shared.packed_reader import segment_path
from shared.segment_records import (
    HEADER_BYTES,
    Place,
    key_of,
    pack_header,
    record_bytes,
)
from tests.unit.dmd.metadata.support import RecordingLog

SOAK = os.environ.get("TWOFOLD_SOAK") == "1"
HISTORIES = 100 if SOAK else 6
STEPS = 250
SEGMENT_BYTES = 128 * 1024
SIZES = (0, 1, 19, 20, 21, 500, 1000, 4051, 4052, 4053, 9000, 40_000)


class History:
    """A store, and what it should hold. ``gone`` are keys that were deleted."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.kept: dict[str, bytes] = {}
        self.quarantined: set[str] = set()
        self.gone: list[str] = []
        self.store = self._open()

    def _open(self) -> PackedStore:
        disk = Disk(DiskOptions(no_sync=True))
        return PackedStore(self.folder, disk, RecordingLog(), SEGMENT_BYTES)

    async def step(self) -> None:
        """One thing that happens to the store."""
        steps = [self.put, self.put_many, self.delete, self.delete, self.quarantine, self.restore]
        rare = [self.sweep, self.restart, self.crash, self.compare]
        await self.random.choice(rare if self.random.random() < 0.15 else steps)()

    async def put(self) -> None:
        content = self.random.randbytes(self.random.choice(SIZES))
        half = len(content) // 2
        self.kept[await self.store.append([content[:half], content[half:]], len(content))] = content

    async def put_many(self) -> None:
        await asyncio.gather(*(self.put() for _ in range(self.random.randrange(2, 12))))

    async def delete(self) -> None:
        keys = self.random.sample(sorted(self.kept), min(len(self.kept), 5))
        for key in keys:
            del self.kept[key]
            self.quarantined.discard(key)
        await asyncio.gather(*map(self.store.delete, keys))
        self.gone = [*self.gone, *keys][-50:]

    async def quarantine(self) -> None:
        for key in self.random.sample(sorted(self.kept), min(len(self.kept), 3)):
            await self.store.quarantine(key)
            self.quarantined.add(key)

    async def restore(self) -> None:
        for key in self.random.sample(sorted(self.quarantined), min(len(self.quarantined), 2)):
            await self.store.restore(key)
            self.quarantined.discard(key)

    async def sweep(self) -> None:
        await self.store.reclaim()

    async def restart(self) -> None:
        await self.store.close()
        self.store = self._open()

    async def crash(self) -> None:
        """What was being written is there in part; nobody was told its keys."""
        await self.store.close()
        number = max(numbers_in(self.folder), default=0)
        if number:
            path = segment_path(self.folder, number)
            with open(path, "ab") as segment:  # noqa: ASYNC230  # nothing else runs
                segment.write(self._unfinished(Place(number, segment.tell())))
        self.store = self._open()

    def _unfinished(self, place: Place) -> bytes:
        content = self.random.randbytes(2000)
        header = pack_header(key_of(1, place), len(content), 0, 0)
        record = (header + content).ljust(record_bytes(len(content)), b"\0")
        torn = record[: self.random.choice((0, 1, HEADER_BYTES, 500, len(record)))]
        return torn if self.random.random() < 0.5 else bytes(len(torn))

    async def compare(self) -> None:
        """The store holds what it should, and nothing else."""
        listed: list[BlobInfo] = []
        cursor = None
        while True:
            page = await self.store.inventory(cursor, self.random.choice((1, 7, 1000)))
            listed += page.blobs
            cursor = page.cursor
            if cursor is None:
                break
        assert {blob.key: blob.size for blob in listed} == {
            key: len(content) for key, content in self.kept.items()
        }
        assert {blob.key for blob in listed if blob.quarantined} == self.quarantined
        for key, content in self.kept.items():
            if key not in self.quarantined:
                blob = await self.store.open(key)
                assert await blob.read(0, blob.size) == content
        for key in self.gone:
            with pytest.raises(BlobNotFoundError):
                await self.store.open(key)


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_a_random_history(tmp_path: Path, seed: int) -> None:
    history = History(tmp_path, seed)
    for _ in range(STEPS):
        await history.step()
    await history.compare()
    await history.store.reclaim()
    await history.compare()
    for key in history.kept:
        await history.store.delete(key)
    await history.restart()
    await history.store.reclaim()
    assert len(numbers_in(tmp_path)) <= 1
    await history.store.close()
