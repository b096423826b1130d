"""What only the file store does: files, faults, and nothing left behind."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from dmd.data.base import BlobNotFoundError, StoreError
from dmd.data.blob_keys import new_key
from dmd.data.data_directory import DataDirectory
from dmd.data.disk import Disk, DiskOptions
from dmd.data.file_store import (
    READER_THREADS,
    SLICE_BYTES_MAX,
    SLICE_BYTES_MIN,
    FileStore,
)
from shared.blob_files import directory_number
from shared.file_writes import UNSYNCED_BYTES_MAX
from tests.faults.disk import FailingDisk, failing_disk
from tests.unit.dmd.data.harness import files_in, get, put
from tests.unit.dmd.metadata.support import RecordingLog

LARGE = bytes(3 * SLICE_BYTES_MAX)
SMALL = b"small"


def store_on(directory: Path, disk: Disk, make_key: Callable[[int], str] = new_key) -> FileStore:
    return FileStore(DataDirectory(directory), disk, RecordingLog(), make_key)


@pytest.fixture
def disk() -> FailingDisk:
    return failing_disk()


@pytest.fixture
async def store(directory: Path, disk: FailingDisk) -> AsyncIterator[FileStore]:
    made = store_on(directory, disk)
    yield made
    await made.close()


async def test_the_file_lies_where_the_original_puts_it(store: FileStore, directory: Path) -> None:
    key = await put(store, SMALL)
    assert files_in(directory) == {directory / str(directory_number(key)) / key}


async def test_the_file_holds_the_bytes_and_nothing_else(store: FileStore, directory: Path) -> None:
    await put(store, SMALL)
    (file,) = files_in(directory)
    assert file.read_bytes() == SMALL


async def test_a_file_is_not_readable_by_others(store: FileStore, directory: Path) -> None:
    await put(store, SMALL)
    (file,) = files_in(directory)
    assert file.stat().st_mode & 0o777 == 0o600


async def test_a_large_upload_is_invisible_until_it_is_committed(
    store: FileStore, directory: Path
) -> None:
    upload = await store.create(len(LARGE))
    await upload.write(LARGE)
    visible = {path for path in files_in(directory) if path.parent != directory / "incoming"}
    await upload.abort()
    assert visible == set()


@pytest.mark.parametrize("content", [SMALL, LARGE])
async def test_an_aborted_upload_leaves_nothing(
    store: FileStore, directory: Path, content: bytes
) -> None:
    upload = await store.create(len(content))
    await upload.write(content)
    await upload.abort()
    assert files_in(directory) == set()


@pytest.mark.parametrize("content", [SMALL, LARGE])
@pytest.mark.parametrize("operation", ["create", "write", "sync", "link", "sync_directory"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
async def test_a_failing_disk_is_a_named_error(
    directory: Path, operation: str, code: int, content: bytes
) -> None:
    store = store_on(directory, disk_that_fails(operation, code))
    with pytest.raises(StoreError, match=rf"^{errno.errorcode[code]}: {os.strerror(code)}$"):
        await put(store, content)
    await store.close()


@pytest.mark.parametrize("content", [SMALL, LARGE])
@pytest.mark.parametrize("operation", ["create", "write", "sync", "link", "sync_directory"])
async def test_a_failing_disk_leaves_nothing(
    directory: Path, operation: str, content: bytes
) -> None:
    store = FileStore(
        DataDirectory(directory), disk_that_fails(operation, errno.ENOSPC), RecordingLog()
    )
    with pytest.raises(StoreError):
        await put(store, content)
    await store.close()
    assert files_in(directory) == set()


@pytest.mark.parametrize("content", [SMALL, LARGE])
async def test_an_error_of_closing_touches_no_other_file(
    directory: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of a descriptor is others' after close(2), whatever that returns."""
    store = store_on(directory, failing_disk())
    close, closed = os.close, []

    def failing(descriptor: int) -> None:
        closed.append(descriptor)
        close(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "close", failing)
    upload = await store.create(len(content))
    await upload.write(content)
    with suppress(StoreError):
        await upload.commit()
    await upload.abort()
    monkeypatch.undo()
    assert len(closed) == len(set(closed))
    await store.close()


async def test_an_existing_blob_is_never_overwritten(directory: Path) -> None:
    store = FileStore(
        DataDirectory(directory), failing_disk(), RecordingLog(), make_key=lambda _: "a" * 40
    )
    await put(store, b"first")
    with pytest.raises(StoreError, match=r"^EEXIST"):
        await put(store, b"second")
    assert await get(store, "a" * 40) == b"first"
    await store.close()


async def test_a_refused_overwrite_leaves_nothing(directory: Path) -> None:
    store = FileStore(
        DataDirectory(directory), failing_disk(), RecordingLog(), make_key=lambda _: "a" * 40
    )
    await put(store, b"first")
    with pytest.raises(StoreError):
        await put(store, b"second")
    assert len(files_in(directory)) == 1
    await store.close()


async def test_a_cancelled_commit_leaves_nothing(store: FileStore, directory: Path) -> None:
    upload = await store.create(len(SMALL))
    await upload.write(SMALL)
    committing = asyncio.create_task(upload.commit())
    await asyncio.sleep(0)  # the commit has been handed to its thread
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await committing
    await upload.abort()
    assert files_in(directory) == set()


@pytest.mark.parametrize("content", [SMALL, LARGE])
async def test_an_unreadable_blob_is_a_named_error(
    store: FileStore, disk: FailingDisk, content: bytes
) -> None:
    key = await put(store, content)
    disk.fail("read", errno.EIO)
    with pytest.raises(StoreError, match=r"^EIO"):
        await get(store, key)


class CountingDisk(Disk):
    """Counts what is opened and read in threads."""

    waits = 0

    def open(self, path: Path) -> int:
        self.waits += 1
        return super().open(path)

    def read(self, descriptor: int, offset: int, length: int) -> bytes:
        self.waits += 1
        return super().read(descriptor, offset, length)


class Memory:
    """What the system says of its page cache: ``preadv`` in place of the file system's own, as the
    tests' may be one that does not tell."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.says = 0
        """The error that it gives, 0 for none."""
        self._preadv = os.preadv
        monkeypatch.setattr(os, "preadv", self._read)

    def _read(self, descriptor: int, buffers: list[bytearray], offset: int, flags: int = 0) -> int:
        if flags and self.says:
            raise OSError(self.says, os.strerror(self.says))
        return self._preadv(descriptor, buffers, offset)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    return Memory(monkeypatch)


async def slices_of(store: FileStore, key: str) -> bytes:
    read = bytearray()
    await read_in_slices(store, key, read)
    return bytes(read)


@pytest.mark.parametrize("content", [SMALL, LARGE])
@pytest.mark.usefixtures("memory")
async def test_what_is_in_memory_is_read_without_a_thread(directory: Path, content: bytes) -> None:
    disk = CountingDisk(DiskOptions())
    store = store_on(directory, disk)
    key = await put(store, content)
    assert await slices_of(store, key) == content
    assert disk.waits == 0
    await store.close()


@pytest.mark.parametrize("content", [SMALL, LARGE])
async def test_what_is_not_in_memory_is_read_in_a_thread(
    directory: Path, memory: Memory, content: bytes
) -> None:
    memory.says = errno.EAGAIN
    disk = CountingDisk(DiskOptions())
    store = store_on(directory, disk)
    key = await put(store, content)
    assert await slices_of(store, key) == content
    waits = disk.waits
    memory.says = 0
    assert await slices_of(store, key) == content
    assert disk.waits == waits > 0
    await store.close()


@pytest.mark.parametrize("content", [SMALL, LARGE])
@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
async def test_a_file_system_that_does_not_tell_is_not_asked_again(
    directory: Path, memory: Memory, content: bytes, code: int
) -> None:
    memory.says = code
    disk = CountingDisk(DiskOptions())
    store = store_on(directory, disk)
    key = await put(store, content)
    assert await slices_of(store, key) == content
    waits = disk.waits
    memory.says = 0
    assert await slices_of(store, key) == content
    assert disk.waits > waits
    await store.close()


@pytest.mark.usefixtures("memory")
async def test_what_is_not_to_stay_in_memory_is_not_looked_for_there(directory: Path) -> None:
    disk = CountingDisk(DiskOptions(no_cache=True))
    store = store_on(directory, disk)
    key = await put(store, SMALL)
    assert await get(store, key) == SMALL
    assert disk.waits == 2
    await store.close()


@pytest.mark.parametrize("content", [SMALL, LARGE])
@pytest.mark.usefixtures("memory")
async def test_damage_in_memory_is_seen(directory: Path, content: bytes) -> None:
    store = store_on(directory, Disk(DiskOptions()))
    key = await put(store, content)
    (file,) = files_in(directory)
    with file.open("r+b") as damaged:
        damaged.seek(len(content) // 2)
        damaged.write(b"?")
    with pytest.raises(StoreError, match="damaged"):
        await slices_of(store, key)
    await store.close()


async def test_a_blob_that_became_shorter_is_an_error(store: FileStore, directory: Path) -> None:
    key = await put(store, LARGE)
    blob = await store.open(key)
    (file,) = files_in(directory)
    os.truncate(file, 100)
    with pytest.raises(StoreError, match="ends after 100 of"):
        await blob.read(0, len(LARGE))
    await blob.close()


async def read_in_slices(store: FileStore, key: str, read: bytearray) -> None:
    blob = await store.open(key)
    try:
        for offset in range(0, blob.size, 100_000):
            read += await blob.read(offset, min(100_000, blob.size - offset))
    finally:
        await blob.close()


@pytest.mark.parametrize("content", [SMALL, LARGE])
@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
async def test_a_flipped_bit_is_never_read_to_its_end(
    store: FileStore, directory: Path, content: bytes, at: float
) -> None:
    key = await put(store, content)
    (file,) = files_in(directory)
    damaged = bytearray(content)
    damaged[round(at * (len(content) - 1))] ^= 1
    file.write_bytes(damaged)
    read = bytearray()
    with pytest.raises(StoreError, match="damaged"):
        await read_in_slices(store, key, read)
    assert len(read) < len(content)


async def test_a_part_of_a_large_blob_can_be_read_by_itself(
    store: FileStore, directory: Path
) -> None:
    blob = await store.open(await put(store, LARGE))
    for offset, length in [(5, 100), (len(LARGE) - 10, 10), (0, 7), (0, len(LARGE))]:
        assert await blob.read(offset, length) == LARGE[offset : offset + length]
    await blob.close()


async def test_a_failed_deletion_is_a_named_error(store: FileStore, disk: FailingDisk) -> None:
    key = await put(store, SMALL)
    disk.fail("remove", errno.EIO)
    with pytest.raises(StoreError, match=r"^EIO"):
        await store.delete(key)


async def test_a_directory_in_the_place_of_a_blob_is_no_blob(
    store: FileStore, directory: Path
) -> None:
    key = "b" * 40
    impostor = directory / str(directory_number(key)) / key
    impostor.mkdir(parents=True)
    with pytest.raises(BlobNotFoundError):
        await store.open(key)
    impostor.rmdir()


async def test_a_blob_leaves_the_quarantine_for_a_directory_that_is_gone(
    store: FileStore, directory: Path
) -> None:
    key = await put(store, SMALL)
    await store.quarantine(key)
    await store.close()
    (directory / str(directory_number(key))).rmdir()
    store = store_on(directory, Disk(DiskOptions()))
    assert await get(store, key) == SMALL
    await store.close()


async def test_open_blobs_hold_no_thread(store: FileStore) -> None:
    key = await put(store, LARGE)
    blobs = [await store.open(key) for _ in range(READER_THREADS + 1)]
    assert await get(store, key) == LARGE
    for blob in blobs:
        await blob.close()


async def test_slices_shrink_when_many_large_uploads_run(store: FileStore) -> None:
    uploads = [await store.create(len(LARGE)) for _ in range(1000)]
    crowded = store.slice_bytes()
    for upload in uploads:
        await upload.abort()
    assert (crowded, store.slice_bytes()) == (SLICE_BYTES_MIN, SLICE_BYTES_MAX)


async def test_a_directory_of_the_original_is_readable(tmp_path: Path) -> None:
    key = "f82dfd34f0ae3075ed1ccbca7bb213027dd6c315"
    lay_out_as_the_original(tmp_path, key, b"written by the original")
    store = store_on(tmp_path, Disk(DiskOptions()))
    assert await get(store, key) == b"written by the original"
    await store.close()


async def test_a_blob_of_the_original_can_be_deleted(tmp_path: Path) -> None:
    key = "f82dfd34f0ae3075ed1ccbca7bb213027dd6c315"
    lay_out_as_the_original(tmp_path, key, b"written by the original")
    store = store_on(tmp_path, Disk(DiskOptions()))
    await store.delete(key)
    assert files_in(tmp_path) == set()
    await store.close()


async def test_a_directory_of_the_original_can_be_written(tmp_path: Path) -> None:
    lay_out_as_the_original(tmp_path, "f82dfd34f0ae3075ed1ccbca7bb213027dd6c315", b"x")
    store = store_on(tmp_path, Disk(DiskOptions()))
    assert await get(store, await put(store, b"written by us")) == b"written by us"
    await store.close()


def disk_that_fails(operation: str, code: int) -> FailingDisk:
    """Return a disk on which ``operation`` fails from the start."""
    disk = failing_disk()
    disk.fail(operation, code)
    return disk


def lay_out_as_the_original(directory: Path, key: str, content: bytes) -> None:
    """Make what the original leaves after its start and one upload; key's directory is 352."""
    for number in range(3511):
        (directory / str(number)).mkdir()
    (directory / "352" / key).write_bytes(content)


class BusyDisk(Disk):
    """Counts how often the disk was told to begin."""

    begun = 0

    def begin_sync(self, descriptor: int) -> None:
        self.begun += 1
        super().begin_sync(descriptor)


async def test_the_disk_begins_while_a_large_blob_still_comes(directory: Path) -> None:
    disk = BusyDisk(DiskOptions())
    store = store_on(directory, disk)
    await put(store, SMALL)
    assert disk.begun == 0
    upload = await store.create(4 * UNSYNCED_BYTES_MAX)
    for _ in range(3):
        await upload.write(bytes(UNSYNCED_BYTES_MAX))
    await upload.write(bytes(UNSYNCED_BYTES_MAX - 1))  # waits for the slice before it
    assert disk.begun == 3
    await upload.abort()
    await store.close()
