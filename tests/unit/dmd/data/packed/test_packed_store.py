"""The packed store: its files, what it gives back, what survives, and what a failing disk does."""

from __future__ import annotations

import asyncio
import errno
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from dmd.data.base import BlobNotFoundError, StoreError
from dmd.data.disk import Disk, DiskOptions
from dmd.data.packed.packed_store import PackedStore
from dmd.data.packed.segment import BLOCK_BYTES
from shared.segment_records import HEADER_BYTES, place_of
from tests.faults.disk import FailingDisk, failing_disk
from tests.unit.dmd.metadata.support import RecordingLog

KIB = 1024
SEGMENT_BYTES = 256 * KIB


@pytest.fixture
def disk() -> FailingDisk:
    return failing_disk()


def open_store(folder: Path, disk: Disk | None = None) -> PackedStore:
    return PackedStore(folder, disk or failing_disk(), RecordingLog(), SEGMENT_BYTES)


@pytest.fixture
async def store(tmp_path: Path, disk: FailingDisk) -> AsyncIterator[PackedStore]:
    made = open_store(tmp_path, disk)
    yield made
    await made.close()


async def put(store: PackedStore, content: bytes) -> str:
    return await store.append([content], len(content))


async def get(store: PackedStore, key: str) -> bytes:
    blob = await store.open(key)
    return bytes(await blob.read(0, blob.size))


async def keys_in(store: PackedStore) -> list[str]:
    return [blob.key for blob in (await store.inventory(None, 10**6)).blobs]


def used_bytes(folder: Path) -> int:
    """What the segments take on the disk."""
    return sum(file.stat().st_blocks * 512 for file in folder.glob("*.segment"))


def segments(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*.segment"))


def flip(folder: Path, key: str, position: int) -> None:
    """Change one bit of a record."""
    place = place_of(key)
    path = folder / f"{place.segment:08x}.segment"
    content = bytearray(path.read_bytes())
    content[place.offset + position] ^= 1
    path.write_bytes(content)


class CountingDisk(Disk):
    """Counts syncs of files."""

    syncs = 0

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        super().sync(descriptor)


async def test_blobs_that_come_together_share_a_sync(tmp_path: Path) -> None:
    disk = CountingDisk(DiskOptions())
    store = open_store(tmp_path, disk)
    await asyncio.gather(*(put(store, b"x" * number) for number in range(200)))
    assert disk.syncs == 1
    await store.close()


async def test_a_full_segment_is_followed_by_another(store: PackedStore, tmp_path: Path) -> None:
    keys = [await put(store, bytes(100 * KIB)) for _ in range(5)]
    assert segments(tmp_path) == ["00000001.segment", "00000002.segment", "00000003.segment"]
    assert [len(await get(store, key)) for key in keys] == [100 * KIB] * 5


async def test_a_blob_larger_than_a_segment_has_one_of_its_own(store: PackedStore) -> None:
    content = random.Random(1).randbytes(2 * SEGMENT_BYTES)
    await put(store, b"before")
    assert await get(store, await put(store, content)) == content


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    written = {}
    for number in range(5):
        store = open_store(tmp_path)
        for size in (0, 1, KIB, 40 * KIB):
            content = random.Random(number).randbytes(size)
            written[await put(store, content)] = content
        await store.close()
    store = open_store(tmp_path)
    assert {key: await get(store, key) for key in written} == written
    assert segments(tmp_path) == ["00000001.segment"]
    await store.close()


@pytest.mark.parametrize("missing", [1, 31, 32, 500, KIB - 1])
async def test_a_torn_end_is_never_served_and_nothing_is_appended_to_it(
    tmp_path: Path, missing: int
) -> None:
    store = open_store(tmp_path)
    kept, torn = await put(store, b"kept"), await put(store, b"t" * (KIB - HEADER_BYTES))
    await store.close()
    segment = tmp_path / "00000001.segment"
    size = os.stat(segment).st_size - missing
    os.truncate(segment, size)
    store = open_store(tmp_path)
    assert os.stat(segment).st_size == size
    assert await get(store, kept) == b"kept"
    with pytest.raises((BlobNotFoundError, StoreError)):
        await store.open(torn)
    following = await put(store, b"next")
    assert await get(store, following) == b"next"
    assert place_of(following).segment == 2
    await store.close()


async def test_an_end_without_its_bytes_is_cut_off(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    kept = await put(store, b"kept")
    await store.close()
    segment = tmp_path / "00000001.segment"
    os.truncate(segment, 3 * KIB * KIB)
    store = open_store(tmp_path)
    assert os.stat(segment).st_size == 64
    assert await keys_in(store) == [kept]
    assert place_of(await put(store, b"next")) == (1, 64)
    await store.close()


async def test_damage_to_the_last_blob_removes_nothing(tmp_path: Path) -> None:
    """The note of a clean stop tells it from a write that a crash has torn."""
    store = open_store(tmp_path)
    kept, damaged = await put(store, b"kept"), await put(store, b"damaged")
    await store.close()
    content = (tmp_path / "00000001.segment").read_bytes()
    note = (tmp_path / "end").read_bytes()
    for position in (10, HEADER_BYTES):
        (tmp_path / "00000001.segment").write_bytes(content)
        flip(tmp_path, damaged, position)
        before = (tmp_path / "00000001.segment").read_bytes()
        (tmp_path / "end").write_bytes(note)
        for _ in range(2):
            store = open_store(tmp_path)
            assert await get(store, kept) == b"kept"
            await store.close()
            assert (tmp_path / "00000001.segment").read_bytes() == before


async def test_what_a_crash_has_torn_is_cut_off(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    kept = await put(store, b"kept")
    await store.close()
    segment = tmp_path / "00000001.segment"
    for noted in (True, False):
        if not noted:
            (tmp_path / "end").unlink()
        segment.write_bytes(segment.read_bytes() + b"half of a record")
        store = open_store(tmp_path)
        assert segment.stat().st_size == 64
        assert await keys_in(store) == [kept]
        await store.close()


async def test_a_segment_that_somebody_has_removed_is_an_error_of_the_store(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    key = await put(store, b"removed")
    await store.close()
    store = open_store(tmp_path)
    (tmp_path / "00000001.segment").unlink()
    with pytest.raises(StoreError, match="ENOENT"):
        await store.open(key)
    await store.close()


async def test_a_note_that_is_damaged_forbids_to_cut(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    kept, damaged = await put(store, b"kept"), await put(store, b"damaged")
    await store.close()
    flip(tmp_path, damaged, HEADER_BYTES)
    note = (tmp_path / "end").read_bytes()
    (tmp_path / "end").write_bytes(bytes(len(note)))
    store = open_store(tmp_path)
    assert (tmp_path / "00000001.segment").stat().st_size == 128
    assert await get(store, kept) == b"kept"
    assert place_of(await put(store, b"next")).segment == 2
    await store.close()


async def test_damage_before_the_end_cuts_nothing_off(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    damaged, kept = await put(store, b"damaged"), await put(store, b"kept")
    await store.close()
    flip(tmp_path, damaged, 10)
    store = open_store(tmp_path)
    assert await get(store, kept) == b"kept"
    assert await get(store, await put(store, b"next")) == b"next"
    assert segments(tmp_path) == ["00000001.segment", "00000002.segment"]
    await store.close()


@pytest.mark.parametrize("position", [HEADER_BYTES, HEADER_BYTES + 500, HEADER_BYTES + KIB - 1])
async def test_a_flipped_bit_is_never_served(
    store: PackedStore, tmp_path: Path, position: int
) -> None:
    key = await put(store, bytes(KIB))
    flip(tmp_path, key, position)
    with pytest.raises(StoreError, match="damaged"):
        await store.open(key)


async def test_other_keys_of_a_place_open_nothing(store: PackedStore) -> None:
    key = await put(store, b"x")
    for other in (key[:-1] + ("0" if key[-1] != "0" else "1"), "0" * 12 + key[12:]):
        with pytest.raises(BlobNotFoundError):
            await store.open(other)


async def test_a_deleted_blob_stays_deleted_after_a_restart(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    gone, kept = await put(store, b"gone"), await put(store, b"kept")
    await store.delete(gone)
    await store.close()
    store = open_store(tmp_path)
    assert await keys_in(store) == [kept]
    await store.close()


async def test_deleting_everything_gives_everything_back(
    store: PackedStore, tmp_path: Path
) -> None:
    keys = [await put(store, bytes([1]) * (number * 37 % (9 * KIB))) for number in range(300)]
    await put(store, bytes(SEGMENT_BYTES))  # the segments before it are complete
    random.Random(2).shuffle(keys)
    for key in keys:
        await store.delete(key)
    assert used_bytes(tmp_path) <= SEGMENT_BYTES + 2 * BLOCK_BYTES
    assert len(segments(tmp_path)) == 1


async def test_what_is_deleted_while_a_segment_grows_is_given_back_when_it_is_complete(
    store: PackedStore, tmp_path: Path
) -> None:
    for key in [await put(store, bytes(10 * KIB)) for _ in range(20)]:
        await store.delete(key)
    kept = await put(store, b"kept")
    await put(store, bytes(SEGMENT_BYTES))
    await store.close()
    assert used_bytes(tmp_path) <= SEGMENT_BYTES + 4 * BLOCK_BYTES
    again = open_store(tmp_path)
    assert await get(again, kept) == b"kept"
    await again.close()


async def test_holes_touch_no_other_blob(store: PackedStore, tmp_path: Path) -> None:
    generator = random.Random(3)
    written = {}
    for _ in range(400):
        content = generator.randbytes(generator.choice([0, 100, 1000, 3000, 4052, 9000]))
        written[await put(store, content)] = content
    for key in generator.sample(sorted(written), 300):
        del written[key]
        await store.delete(key)
    await store.reclaim()
    assert {key: await get(store, key) for key in written} == written
    assert sorted(await keys_in(store)) == sorted(written)
    blocks = sum(len(content) // BLOCK_BYTES + 2 for content in written.values())
    newest = SEGMENT_BYTES
    assert used_bytes(tmp_path) <= blocks * BLOCK_BYTES + newest


async def test_a_sweep_gives_back_what_a_crash_has_kept(
    store: PackedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [await put(store, bytes(10 * KIB)) for _ in range(20)]
    await put(store, bytes(SEGMENT_BYTES))
    with monkeypatch.context() as patched:
        patched.setattr("dmd.data.packed.segment.punch", lambda *_: True)
        for key in keys:
            await store.delete(key)
    before = used_bytes(tmp_path)
    await store.reclaim()
    assert used_bytes(tmp_path) < before - 150 * KIB


async def test_without_holes_whole_segments_are_given_back(
    store: PackedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmd.data.packed.segment.punch", lambda *_: False)
    keys = [await put(store, bytes(10 * KIB)) for _ in range(60)]
    for key in keys[:30]:
        await store.delete(key)
    await store.reclaim()
    assert segments(tmp_path) == ["00000002.segment", "00000003.segment"]


@pytest.mark.parametrize("operation", ["create", "write", "sync", "sync_directory"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
async def test_a_failing_disk_is_a_named_error_and_leaves_nothing(
    tmp_path: Path, disk: FailingDisk, operation: str, code: int
) -> None:
    store = open_store(tmp_path, disk)
    disk.fail(operation, code)
    with pytest.raises(StoreError, match=f"^{errno.errorcode[code]}: "):
        await put(store, bytes(KIB))
    assert await keys_in(store) == []
    assert used_bytes(tmp_path) == 0
    await store.close()


async def test_a_segment_that_failed_to_begin_is_in_nobodys_way(
    tmp_path: Path, disk: FailingDisk
) -> None:
    store = open_store(tmp_path, disk)
    disk.fail("sync_directory", errno.EIO)
    disk.fail("remove", errno.EIO)
    with pytest.raises(StoreError, match=r"^EIO"):
        await put(store, b"refused")
    disk.repair()
    key = await put(store, b"after")
    assert await get(store, key) == b"after"
    await store.close()
    again = open_store(tmp_path)
    assert await get(again, key) == b"after"
    await again.close()


async def test_a_file_with_the_name_of_a_segment_costs_one_attempt(
    tmp_path: Path, store: PackedStore
) -> None:
    (tmp_path / "00000001.segment").write_bytes(b"of somebody else")
    with pytest.raises(StoreError, match=r"^EEXIST"):
        await put(store, b"refused")
    assert await get(store, await put(store, b"after")) == b"after"


async def test_a_segment_that_cannot_be_closed_is_written_no_more(
    store: PackedStore, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await put(store, b"before")
    disk.fail("sync", errno.EIO)
    close = os.close

    def failing(descriptor: int) -> None:
        close(descriptor)  # as Linux does it
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "close", failing)
        with pytest.raises(StoreError, match=r"^EIO"):
            await put(store, b"refused")
    disk.repair()
    after = await put(store, b"after")
    assert place_of(after).segment == place_of(before).segment + 1
    assert (await get(store, before), await get(store, after)) == (b"before", b"after")


@pytest.mark.parametrize("operation", ["create", "write", "sync", "sync_directory"])
async def test_the_store_goes_on_when_there_was_no_memory(
    store: PackedStore, disk: FailingDisk, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = None if "create" in operation or "directory" in operation else await put(store, b"1")
    write = disk.write

    def without_memory(*arguments: Any) -> NoReturn:
        if operation == "write":
            write(arguments[0], [b"some of it"])
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(disk, operation, without_memory)
        with pytest.raises(StoreError, match="ENOMEM"):
            await put(store, b"refused")
    after = await put(store, b"after")
    assert await get(store, after) == b"after"
    assert before is None or await get(store, before) == b"1"


@pytest.mark.parametrize("operation", ["write", "sync"])
async def test_the_store_goes_on_after_a_failure(
    store: PackedStore, disk: FailingDisk, operation: str
) -> None:
    before = await put(store, b"before")
    disk.fail(operation, errno.ENOSPC)
    with pytest.raises(StoreError):
        await put(store, b"refused")
    disk.repair()
    after = await put(store, b"after")
    assert sorted(await keys_in(store)) == sorted([before, after])
    assert (await get(store, before), await get(store, after)) == (b"before", b"after")


@pytest.mark.parametrize(("complete_min", "ends"), [(64 * KIB, True), (128 * KIB, False)])
async def test_a_full_disk_ends_a_segment_that_is_long_enough(
    store: PackedStore,
    disk: FailingDisk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    complete_min: int,
    ends: bool,
) -> None:
    """Deletions in the newest segment free nothing, and one that is full of them filled disks for
    good. A disk that stays full must not get a new segment for each blob."""
    monkeypatch.setattr("dmd.data.packed.growing.COMPLETE_BYTES_MIN", complete_min)
    deleted, kept = await put(store, bytes(100 * KIB)), await put(store, b"kept")
    await store.delete(deleted)
    used = used_bytes(tmp_path)
    disk.fail("write", errno.ENOSPC)
    with pytest.raises(StoreError):
        await put(store, b"refused")
    disk.repair()
    await store.reclaim()
    assert (used_bytes(tmp_path) <= used - 96 * KIB) is ends
    after = await put(store, b"after")
    assert (place_of(after).segment == place_of(kept).segment) is not ends
    assert (await get(store, kept), await get(store, after)) == (b"kept", b"after")


@pytest.mark.parametrize("taken", ["segment", "folder"])
async def test_nothing_counts_as_written_where_nobody_finds_it(tmp_path: Path, taken: str) -> None:
    """Blobs of a folder that is emptied or moved under the store were acknowledged, and gone."""
    folder = tmp_path / "packed"
    folder.mkdir()
    store = open_store(folder)
    await put(store, b"before")
    if taken == "folder":
        folder.rename(tmp_path / "moved")
    else:
        for segment in folder.iterdir():
            segment.unlink()
    with pytest.raises(StoreError, match="ESTALE"):
        await put(store, b"after")
    folder.mkdir(exist_ok=True)
    key = await put(store, b"after")
    await store.close()
    again = open_store(folder)
    assert await get(again, key) == b"after"
    await again.close()


async def test_nothing_is_appended_behind_a_sync_that_failed(
    store: PackedStore, disk: FailingDisk
) -> None:
    before = await put(store, b"before")
    disk.fail("sync", errno.EIO)
    with pytest.raises(StoreError):
        await put(store, b"refused")
    disk.repair()
    after = await put(store, b"after")
    assert place_of(after).segment == place_of(before).segment + 1


async def test_many_segments_need_few_descriptors(
    store: PackedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmd.data.packed.packed_store.OPEN_SEGMENTS_MAX", 4)
    keys = [await put(store, bytes(SEGMENT_BYTES)) for _ in range(12)]
    before = len(os.listdir("/proc/self/fd"))
    for key in keys:
        await get(store, key)
    assert len(os.listdir("/proc/self/fd")) <= before + 4
