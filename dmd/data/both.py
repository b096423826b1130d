"""Both stores as one: small blobs are packed, large ones are files, and nobody sees which.

A new blob goes where its size says. A key says where its blob would lie if it were packed; when it
does not lie there, it is a file.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from dmd.data.base import (
    Blob,
    BlobNotFoundError,
    DiskUsage,
    FilesPlace,
    InventoryPage,
    LengthMismatchError,
    PackedPlace,
    StoreError,
    Upload,
)
from dmd.data.data_directory import DataDirectory
from dmd.data.disk import Disk, DiskOptions
from dmd.data.file_store import PIECES_MAX, FileStore
from dmd.data.packed.packed_store import PackedStore
from dmd.errors import StartupError
from shared.blob_files import is_blob_key
from shared.limits import PACKED_BLOB_BYTES
from shared.local_directory import is_in_memory
from shared.process.logs import EventLog

_PACKED: Final = "p"
_FILES: Final = "f"


class BothStores:
    """Blobs of up to ``packed_bytes_max`` bytes are packed; 0: none is, not even an empty one."""

    def __init__(
        self, files: FileStore, packed: PackedStore, packed_bytes_max: int = PACKED_BLOB_BYTES
    ) -> None:
        self._files = files
        self._packed = packed
        self._packed_bytes_max = packed_bytes_max

    async def create(self, size: int) -> Upload:
        """Begin a blob of ``size`` bytes; touches no disk yet."""
        if self._packed_bytes_max > 0 and size <= self._packed_bytes_max:
            return PackedUpload(self._packed, size)
        return await self._files.create(size)

    async def open(self, key: str) -> Blob:
        """Open a blob. Raises BlobNotFoundError, StoreError."""
        if is_blob_key(key) and self._packed.may_hold(key):
            with contextlib.suppress(BlobNotFoundError):
                return await self._packed.open(key)
        return await self._files.open(key)

    async def delete(self, key: str) -> None:
        """Remove a blob. Raises BlobNotFoundError, StoreError."""
        await self._where(key, self._packed.delete, self._files.delete)

    async def quarantine(self, key: str) -> None:
        """Take a blob out of use. Raises BlobNotFoundError, StoreError."""
        await self._where(key, self._packed.quarantine, self._files.quarantine)

    async def restore(self, key: str) -> None:
        """Take a blob out of quarantine. Raises BlobNotFoundError, StoreError."""
        await self._where(key, self._packed.restore, self._files.restore)

    async def purge(self, key: str) -> None:
        """Remove a blob that is in quarantine. Raises BlobNotFoundError, StoreError."""
        await self._where(key, self._packed.purge, self._files.purge)

    async def inventory(self, cursor: str | None, count: int) -> InventoryPage:
        """List the packed blobs, then the files."""
        store = _PACKED if cursor is None else cursor[:1]
        rest = cursor[1:] if cursor else ""
        if store == _PACKED:
            page = await self._packed.inventory(rest or None, count)
            following = _FILES if page.cursor is None else _PACKED + page.cursor
            return InventoryPage(page.blobs, following)
        if store != _FILES:
            raise ValueError(f"no such cursor: {cursor}")
        page = await self._files.inventory(rest or None, count)
        return InventoryPage(page.blobs, None if page.cursor is None else _FILES + page.cursor)

    async def reclaim(self) -> None:
        """Give back the space of deleted packed blobs. Raises StoreError."""
        await self._packed.reclaim()

    async def owners(self) -> Sequence[str]:
        """The metadata stores whose blobs these are."""
        return await self._files.owners()

    async def adopt(self, owner: str) -> None:
        """Note one more of them. Raises StoreError."""
        await self._files.adopt(owner)

    async def disown(self, owner: str) -> None:
        """Forget one of them. Raises StoreError."""
        await self._files.disown(owner)

    async def packed_place(self) -> PackedPlace | None:
        """The directory, unless other machines may have it, or nothing is to be packed."""
        identity = self._files.identity if self._packed_bytes_max > 0 else None
        return None if identity is None else PackedPlace(identity, self._packed_bytes_max)

    async def files_place(self) -> FilesPlace | None:
        """The directory, unless other machines may have it; small blobs are to be packed."""
        place = await self._files.files_place()
        if place is None or place.written_bytes_min is None or self._packed_bytes_max <= 0:
            return place
        return FilesPlace(place.directory, self._packed_bytes_max + 1)

    async def disk_usage(self) -> DiskUsage:
        """Return the figures of the file system. Raises StoreError."""
        return await self._files.disk_usage()

    async def close(self) -> None:
        """Finish what is under way, then release the directory."""
        await self._packed.close()
        await self._files.close()

    async def _where(
        self,
        key: str,
        packed: Callable[[str], Awaitable[None]],
        file: Callable[[str], Awaitable[None]],
    ) -> None:
        """Do something where the blob lies."""
        if is_blob_key(key) and self._packed.may_hold(key):
            try:
                await packed(key)
            except BlobNotFoundError:
                pass
            else:
                return
        await file(key)


class PackedUpload:
    """A small blob on its way in; see ``dmd.data.base.Upload``."""

    def __init__(self, store: PackedStore, size: int) -> None:
        self._store = store
        self._size = size
        self._received = 0
        self._pieces: list[bytes] = []
        self._appending: asyncio.Future[str] | None = None
        self._ended = False

    async def write(self, data: bytes) -> None:
        """Take the next bytes; LengthMismatchError when more came than were declared."""
        self._received += len(data)
        if self._received > self._size:
            raise LengthMismatchError(f"more than the {self._size} bytes declared")
        self._pieces.append(data)
        if len(self._pieces) > PIECES_MAX:
            self._pieces = [b"".join(self._pieces)]

    async def commit(self) -> str:
        """Make the blob durable and return its key. Raises LengthMismatchError, StoreError."""
        if self._received != self._size:
            raise LengthMismatchError(f"{self._received} of {self._size} bytes")
        self._appending = self._store.append(self._pieces, self._size)
        key = await asyncio.shield(self._appending)
        self._ended = True
        return key

    async def abort(self) -> None:
        """Forget the bytes, and delete a blob whose key nobody was told."""
        if self._ended:
            return
        self._ended = True
        appending = self._appending
        if appending is None:
            return
        if not appending.done():
            await asyncio.wait([appending])
        if not appending.cancelled() and appending.exception() is None:
            with contextlib.suppress(BlobNotFoundError, StoreError):
                await self._store.delete(appending.result())


def open_both_stores(
    directory: DataDirectory,
    options: DiskOptions,
    log: EventLog,
    packed_bytes_max: int = PACKED_BLOB_BYTES,
) -> BothStores:
    """The stores in a directory, which belongs to them from now on. Blocks for a moment; raises
    StartupError.

    Call it in the event loop that the store will be used in.
    """
    disk = Disk(options, in_memory=is_in_memory(directory.path))
    try:
        packed = PackedStore(directory.packed, disk, log)
    except OSError as error:
        directory.release()
        raise StartupError(f"data directory {directory.path}: {error.strerror or error}") from error
    files = FileStore(directory, disk, log)
    if directory.old_segments:
        packed.upgrade(directory.old_segments, files.upgraded)
    return BothStores(files, packed, packed_bytes_max)
