"""The file store: a file for every blob, laid out as the original does.

Theory of operation. An upload collects bytes in memory. Small ones stay there until ``commit``,
which does everything in one visit to a thread; larger ones are written in slices to a temporary
file while the next slice is collected. A commit writes the rest, compares the length with the
declared one, syncs the file, links it to the final name, which must be free, syncs the directory,
removes the temporary name, and only then returns the key. Whatever fails or is cancelled before
that, ``abort`` removes. What a crash leaves is a name in ``incoming/``, removed at start-up, or a
complete blob whose key nobody was told.

The key of a blob carries the checksum of its bytes (``shared.blob_checksums``): those that come
through here are added up as they come, those that are spliced are read back from the page cache. A
blob that is read whole is held against it; one whose key carries none, of the original or of a
former release, cannot be, and neither can a part of a large one.

A small blob is read whole while it is opened, so that it costs one visit to a thread and holds no
descriptor; a larger one holds its descriptor, which keeps the bytes readable after a deletion. What
the system has in memory is opened, and read, without a visit to a thread.

Writers and readers have threads of their own: reads do not queue behind syncs.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from isal.isal_zlib import crc32

from dmd.data.base import (
    BlobInfo,
    BlobNotFoundError,
    DiskUsage,
    FilesPlace,
    InventoryPage,
    LengthMismatchError,
    StoreError,
)
from dmd.data.blob_keys import created_at_ms, new_key, now_ms
from dmd.data.data_directory import DataDirectory
from dmd.data.directory_sync import SharedSync
from dmd.data.disk import Disk, store_errors
from dmd.data.file_blob import FileBlob
from dmd.data.incoming_file import IncomingFile
from dmd.data.memory_store import MemoryBlob
from dmd.data.running_checksum import RunningChecksum
from dmd.data.waiting import to_the_end
from shared.blob_checksums import checksum_in
from shared.blob_files import DIRECTORIES, is_blob_key
from shared.failpoints import FailPoint, failpoint
from shared.local_directory import local_identity
from shared.process.logs import EventLog

SMALL_BYTES_MAX: Final = 256 * 1024
"""Blobs up to this size are written, and read, in one visit to a thread."""

SLICE_BYTES_MAX: Final = 1024 * 1024
SLICE_BYTES_MIN: Final = 64 * 1024

UPLOAD_BUFFER_BYTES_MAX: Final = 64 * 1024 * 1024
"""What large uploads collect in memory, all together, as long as slices can be made smaller."""

PIECES_MAX: Final = 1024
"""Pieces an upload keeps apart; a peer that sends single bytes would cost 50 bytes for each."""

WRITER_THREADS: Final = 32
READER_THREADS: Final = 8

_P = ParamSpec("_P")
_T = TypeVar("_T")


class FileStore:
    """Blobs as files in a directory that this store owns from now on."""

    def __init__(
        self,
        directory: DataDirectory,
        disk: Disk,
        log: EventLog,
        make_key: Callable[[int], str] = new_key,
    ) -> None:
        self._directory = directory
        self._disk = disk
        self._log = log
        self._make_key = make_key
        self._sync_directory = SharedSync(disk.sync_directory)
        self._writers = ThreadPoolExecutor(WRITER_THREADS, "blob-writer")
        self._readers = ThreadPoolExecutor(READER_THREADS, "blob-reader")
        self._numbers = itertools.count()
        self._large_uploads = 0

    async def create(self, size: int) -> FileUpload:
        """Begin a blob of ``size`` bytes; touches no disk yet."""
        temporary = self._directory.incoming / str(next(self._numbers))
        return FileUpload(self, IncomingFile(self.disk, temporary, self.publish), size)

    async def open(self, key: str) -> FileBlob | MemoryBlob:
        """Open a blob. Raises BlobNotFoundError, StoreError."""
        if not is_blob_key(key):
            raise BlobNotFoundError(key)
        descriptor = self._disk.open_cached(self._directory.blob_path(key))
        with store_errors():
            if descriptor is not None:
                blob = self._opened(key, descriptor, self._disk.read_cached)
                if blob is not None:
                    return blob
            return await self.in_reader(self._open, key)

    async def delete(self, key: str) -> None:
        """Remove a blob. Raises BlobNotFoundError, StoreError."""
        if not is_blob_key(key):
            raise BlobNotFoundError(key)
        with store_errors():
            await self.in_writer(self._delete, key)

    async def quarantine(self, key: str) -> None:
        """Take a blob out of use. Raises BlobNotFoundError, StoreError."""
        if not is_blob_key(key):
            raise BlobNotFoundError(key)
        with store_errors():
            await self.in_writer(self._quarantine, key)

    async def restore(self, key: str) -> None:
        """Take a blob out of quarantine. Raises BlobNotFoundError, StoreError."""
        if not is_blob_key(key):
            raise BlobNotFoundError(key)
        with store_errors():
            await self.in_writer(self._restore, key)

    async def purge(self, key: str) -> None:
        """Remove a blob that is in quarantine. Raises BlobNotFoundError, StoreError."""
        if not is_blob_key(key):
            raise BlobNotFoundError(key)
        with store_errors():
            await self.in_writer(self._purge, key)

    async def inventory(self, cursor: str | None, count: int) -> InventoryPage:
        """List blobs, whole directories of them; those in quarantine come last."""
        number = int(cursor or "0")
        if not 0 <= number <= DIRECTORIES:
            raise ValueError(f"no such cursor: {cursor}")
        with store_errors():
            return await self.in_reader(self._inventory, number, count)

    async def reclaim(self) -> None:
        """Nothing to do: the space of a file that was removed is free."""

    @property
    def identity(self) -> str | None:
        """Which directory this is, for processes beside this one; None when others may have it."""
        return local_identity(self._directory.path)

    async def packed_place(self) -> None:
        """Nothing is packed here."""

    async def files_place(self) -> FilesPlace | None:
        """The directory, unless other machines may have it, or nothing is to stay in memory."""
        identity = self.identity if self._disk.lets_others_read else None
        if identity is None:
            return None
        return FilesPlace(identity, 0 if self._disk.lets_others_write else None)

    async def owners(self) -> Sequence[str]:
        """The metadata stores whose blobs these are."""
        return self._directory.owners

    async def adopt(self, owner: str) -> None:
        """Note one more of them. Raises StoreError."""
        with store_errors():
            await self.in_writer(self._directory.adopt, owner)

    async def disown(self, owner: str) -> None:
        """Forget one of them. Raises StoreError."""
        with store_errors():
            await self.in_writer(self._directory.disown, owner)

    async def upgraded(self) -> None:
        """Note that the packed blobs are of this release's format. Raises StoreError."""
        with store_errors():
            await self.in_writer(self._directory.upgraded)

    async def disk_usage(self) -> DiskUsage:
        """Return the figures of the file system. Raises StoreError."""
        with store_errors():
            figures = await self.in_reader(os.statvfs, self._directory.path)
        return DiskUsage(
            available=figures.f_bavail * figures.f_frsize,
            free=figures.f_bfree * figures.f_frsize,
            total=figures.f_blocks * figures.f_frsize,
        )

    async def close(self) -> None:
        """Let the threads finish, then release the directory."""
        await asyncio.to_thread(self._writers.shutdown)
        await asyncio.to_thread(self._readers.shutdown)
        self._directory.release()

    def in_writer(
        self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> asyncio.Future[_T]:
        """Run a blocking function in a thread for writes; called by uploads."""
        work = partial(function, *args, **kwargs)
        return asyncio.get_running_loop().run_in_executor(self._writers, work)

    def in_reader(
        self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> asyncio.Future[_T]:
        """Run a blocking function in a thread for reads; called by blobs."""
        work = partial(function, *args, **kwargs)
        return asyncio.get_running_loop().run_in_executor(self._readers, work)

    def slice_bytes(self) -> int:
        """Return what a large upload collects before it writes: less, the more there are.

        Each has up to two slices in memory, one being collected and one being written.
        """
        share = UPLOAD_BUFFER_BYTES_MAX // (2 * max(1, self._large_uploads))
        return max(SLICE_BYTES_MIN, min(SLICE_BYTES_MAX, share))

    def count_large_upload(self, change: int) -> None:
        """Note that a large upload began (+1) or ended (-1); called by uploads."""
        self._large_uploads += change

    @property
    def disk(self) -> Disk:
        """The system calls; used by uploads and blobs."""
        return self._disk

    def publish(self, temporary: Path, checksum: int) -> Path:
        """Give a complete, synced file, with the CRC-32 of its bytes, its durable final name;
        blocking, called by uploads.

        Returns that name. OSError: FileExistsError when the key is taken.
        """
        final = self._directory.blob_path(self._make_key(checksum))
        self._directory.make_directory_of(final, self._sync_directory)
        self._disk.link(temporary, final)
        failpoint(FailPoint.AFTER_DATA_LINK)
        try:
            self._sync_directory(final.parent)
        except OSError:
            # Nobody will be told this key, so the blob must not stay.
            self._disk.remove(final)
            raise
        failpoint(FailPoint.AFTER_DIRECTORY_FSYNC)
        return final

    def _open(self, key: str) -> FileBlob | MemoryBlob:
        try:
            descriptor = self._disk.open(self._directory.blob_path(key))
        except FileNotFoundError:
            self._restore(key)
            self._log.warning("a blob in quarantine is needed: it is back", key=key)
            descriptor = self._disk.open(self._directory.blob_path(key))
        blob = self._opened(key, descriptor, self._disk.read)
        assert blob is not None
        return blob

    def _opened(
        self, key: str, descriptor: int, read: Callable[[int, int, int], bytes | bytearray | None]
    ) -> FileBlob | MemoryBlob | None:
        """The blob of an open file, which is its own from now on. A small one is ``read``; None
        when that gives none."""
        keep = False
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise BlobNotFoundError(key)
            size = status.st_size
            checksum = RunningChecksum(checksum_in(key), size)
            if size <= SMALL_BYTES_MAX:
                data = read(descriptor, 0, size)
                if data is None:
                    return None
                checksum.advance(crc32(data), size)
                self.check(key, checksum)
                return MemoryBlob(data)
            keep = True
            return FileBlob(
                self._disk, self._readers, descriptor, size, partial(self.check, key), checksum
            )
        finally:
            if not keep:
                os.close(descriptor)

    def check(self, key: str, checksum: RunningChecksum) -> None:
        """Raise StoreError for a blob that was read to its end and is not what was stored."""
        if checksum.wrong:
            self._log.error("a blob is damaged", key=key)
            raise StoreError("EIO: the stored bytes are damaged")

    def _delete(self, key: str) -> None:
        failpoint(FailPoint.BEFORE_DATA_UNLINK)
        try:
            self._disk.remove(self._directory.blob_path(key))
        except FileNotFoundError:
            try:
                self._disk.remove(self._directory.quarantine / key)
            except FileNotFoundError:
                raise BlobNotFoundError(key) from None
        failpoint(FailPoint.AFTER_DATA_UNLINK)

    def _quarantine(self, key: str) -> None:
        aside = self._directory.quarantine / key
        try:
            self._disk.rename(self._directory.blob_path(key), aside)
        except FileNotFoundError:
            if not aside.exists():
                raise BlobNotFoundError(key) from None

    def _purge(self, key: str) -> None:
        try:
            self._disk.remove(self._directory.quarantine / key)
        except FileNotFoundError:
            raise BlobNotFoundError(key) from None

    def _restore(self, key: str) -> None:
        path, aside = self._directory.blob_path(key), self._directory.quarantine / key
        try:
            self._disk.rename(aside, path)
        except FileNotFoundError:
            if path.exists():
                return
            if not aside.exists():
                raise BlobNotFoundError(key) from None
            self._directory.make_directory_of(path, self._sync_directory)
            self._disk.rename(aside, path)

    def _inventory(self, number: int, count: int) -> InventoryPage:
        """Directories from a number on, until ``count`` is reached; the one behind the numbered
        ones is the quarantine."""
        found: list[BlobInfo] = []
        while number < DIRECTORIES:
            with contextlib.suppress(FileNotFoundError):  # it never had a blob
                found += _blobs_in(self._directory.path / str(number), quarantined=False)
            number += 1
            if len(found) >= count:
                return InventoryPage(found, str(number))
        found += _blobs_in(self._directory.quarantine, quarantined=True)
        return InventoryPage(found, None)


class FileUpload:
    """A blob on its way in; see ``dmd.data.base.Upload``."""

    def __init__(self, store: FileStore, file: IncomingFile, size: int) -> None:
        self._store = store
        self._file = file
        self._size = size
        self._large = size > SMALL_BYTES_MAX
        self._received = 0
        self._pieces: list[bytes] = []
        self._collected = 0
        self._job: (
            asyncio.Future[None] | asyncio.Future[str] | asyncio.Future[int | None] | None
        ) = None
        self._ended = False
        if self._large:
            store.count_large_upload(+1)

    async def write(self, data: bytes) -> None:
        """Take the next bytes; while a slice is being written the next one is collected."""
        self._received += len(data)
        if self._received > self._size:
            raise LengthMismatchError(f"more than the {self._size} bytes declared")
        self._pieces.append(data)
        self._collected += len(data)
        if len(self._pieces) > PIECES_MAX:
            self._pieces = [b"".join(self._pieces)]
        if self._large and self._collected >= self._store.slice_bytes():
            await self._finish_job()
            self._job = self._store.in_writer(self._file.append, self._take_pieces())

    async def receive(self, socket_descriptor: int, length: int) -> int | None:
        """Take up to ``length`` bytes from a socket; see ``dmd.data.base.ReceivingUpload``.

        When they are the last ones the visit to the thread that takes them makes the blob durable.
        """
        if self._received + length > self._size:
            raise LengthMismatchError(f"more than the {self._size} bytes declared")
        await self._finish_job()
        receiving = self._store.in_writer(
            self._file.receive,
            self._take_pieces(),
            socket_descriptor,
            length,
            last=self._received + length == self._size,
        )
        self._job = receiving
        # To the end: the thread uses the socket's descriptor.
        with store_errors():
            count = await to_the_end(receiving)
        self._received += count or 0
        return count

    async def commit(self) -> str:
        """Write the rest, make the blob durable and visible, and return its key."""
        if self._received != self._size:
            raise LengthMismatchError(f"{self._received} of {self._size} bytes")
        await self._finish_job()
        key = self._file.key
        if key is None:
            publishing = self._store.in_writer(self._file.publish, self._take_pieces())
            self._job = publishing
            with store_errors():
                key = await asyncio.shield(publishing)
        self._end()
        return key

    async def abort(self) -> None:
        """Remove everything written, unless it is committed."""
        if self._ended:
            return
        self._end()
        self._pieces.clear()
        job = self._job
        if job is None:
            return
        if not job.done():
            await asyncio.wait([job])
        if not job.cancelled():
            job.exception()  # seen here, or asyncio reports it as never retrieved
        await asyncio.shield(self._store.in_writer(self._file.discard))

    def _take_pieces(self) -> list[bytes]:
        pieces, self._pieces, self._collected = self._pieces, [], 0
        return pieces

    async def _finish_job(self) -> None:
        if self._job is not None:
            with store_errors():
                await asyncio.shield(self._job)

    def _end(self) -> None:
        self._ended = True
        if self._large:
            self._store.count_large_upload(-1)


def _blobs_in(folder: Path, *, quarantined: bool) -> list[BlobInfo]:
    """The blobs of one directory."""
    now = now_ms()
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not is_blob_key(entry.name):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # deleted meanwhile
            if stat.S_ISREG(status.st_mode):
                # The later of both times, so that a blob never seems too old: a copied directory
                # has new files, and a key that the original made has no time, but any number.
                made = created_at_ms(entry.name)
                created = max(status.st_mtime_ns // 1_000_000, made if made <= now else 0)
                found.append(BlobInfo(entry.name, status.st_size, created, quarantined))
    return found
