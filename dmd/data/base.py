"""What a store of blobs promises to the data service and to the jobs.

Blobs are immutable: they appear complete or not at all, are read, and are deleted. A store makes
the keys. All methods are called from one event loop and never block it; every store passes the
same tests. Implementations: ``dmd.data.file_store`` (a file each) and ``dmd.data.memory_store``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec


class BlobNotFoundError(Exception):
    """No blob has this key."""


class LengthMismatchError(Exception):
    """An upload received more or fewer bytes than were declared."""


class StoreError(Exception):
    """The system under the store failed (full disk, I/O error); the message names the error.

    Nothing is left behind of an upload that fails so. The message holds no path.
    """


class StoreFullError(StoreError):
    """There is no room for a blob."""


class DiskUsage(msgspec.Struct, frozen=True):
    """Sizes in bytes; ``available`` is what an unprivileged process can still write."""

    available: int
    free: int
    total: int


class PackedPlace(msgspec.Struct, frozen=True):
    """Where small blobs are packed: which directory (``shared.local_directory``), and up to
    what size, in bytes."""

    directory: str
    bytes_max: int


class FilesPlace(msgspec.Struct, frozen=True):
    """Where the files of blobs are: which directory (``shared.local_directory``), and from what
    size on, in bytes, others than its owner may write them; None when they may only read."""

    directory: str
    written_bytes_min: int | None


class BlobInfo(msgspec.Struct, frozen=True):
    """A blob as an inventory lists it.

    ``size`` in bytes, ``created_ms`` in milliseconds since the epoch. A blob in quarantine is out
    of use until it is restored or deleted; opening it restores it, because it is needed after all.
    """

    key: str
    size: int
    created_ms: int
    quarantined: bool


class InventoryPage(msgspec.Struct, frozen=True):
    """Some blobs, and where the next page begins; None after the last page."""

    blobs: Sequence[BlobInfo]
    cursor: str | None


class Upload(Protocol):
    """A blob on its way in. Used by one task; ``abort`` must be called however it ends."""

    async def write(self, data: bytes) -> None:
        """Take the next bytes; returns late when the store is slower than the sender.

        Raises StoreError, also for bytes of earlier calls, and LengthMismatchError when more came
        than were declared.
        """

    async def commit(self) -> str:
        """Make the blob durable, then visible under a new key, which is returned.

        Raises StoreError, and LengthMismatchError when bytes are missing. When it does not return
        (an error, or the task was cancelled), ``abort`` removes what there is of the blob.
        """

    async def abort(self) -> None:
        """Remove everything written, unless ``commit`` has returned; raises nothing."""


@runtime_checkable
class ReceivingUpload(Upload, Protocol):
    """An upload that takes bytes from a socket without their coming through the interpreter."""

    async def receive(self, socket_descriptor: int, length: int) -> int | None:
        """Take up to ``length`` of the next bytes from a socket that does not block.

        Returns how many; 0 when none have come, None when this process may open no more files.
        Raises as ``write``, and ConnectionError when the peer is gone.
        """


class Blob(Protocol):
    """An open blob: readable to its end although it is deleted meanwhile."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    async def read(self, offset: int, length: int) -> bytes | bytearray:
        """Return exactly ``length`` bytes from ``offset``; both lie inside the blob.

        Raises StoreError, also when the stored blob turns out to be shorter.
        """

    async def close(self) -> None:
        """Release it; raises nothing."""


@runtime_checkable
class SendableBlob(Blob, Protocol):
    """A blob that can go to a socket without its bytes coming through the interpreter."""

    async def send(self, socket_descriptor: int, offset: int, length: int) -> int:
        """Send up to ``length`` bytes from ``offset`` to a socket that does not block.

        Returns how many; fewer when the socket takes no more now. Raises StoreError, and
        ConnectionError when the peer is gone.
        """


class BlobStore(Protocol):
    """A place for blobs, owned by this process alone."""

    async def create(self, size: int) -> Upload:
        """Begin a blob of ``size`` bytes. Raises StoreError."""

    async def open(self, key: str) -> Blob:
        """Open a blob; any string is accepted as a key. Raises BlobNotFoundError, StoreError."""

    async def delete(self, key: str) -> None:
        """Remove a blob; any string is accepted as a key. Raises BlobNotFoundError, StoreError.

        A deletion is not made durable: after a crash the blob may be there again, unreferenced,
        for garbage collection to find.
        """

    async def quarantine(self, key: str) -> None:
        """Take a blob out of use, until it is opened; any string is accepted as a key.

        Raises BlobNotFoundError, StoreError.
        """

    async def restore(self, key: str) -> None:
        """Take a blob out of quarantine. Raises BlobNotFoundError, StoreError."""

    async def purge(self, key: str) -> None:
        """Remove a blob that is in quarantine, and no other. Raises BlobNotFoundError, StoreError.

        Of a purge and a read at the same time one wins: the blob is gone, or it is back in use.
        """

    async def inventory(self, cursor: str | None, count: int) -> InventoryPage:
        """List blobs, about ``count`` of them, from where the page before has ended.

        ``cursor`` is None for the first page. Every blob that exists all the time is listed once;
        others may be. Raises ValueError for a cursor that this store never gave, StoreError.
        """

    async def reclaim(self) -> None:
        """Give back the space of deleted blobs that a crash has kept from it. Raises StoreError."""

    async def owners(self) -> Sequence[str]:
        """The UUIDs of the metadata stores whose blobs these are, as far as they were adopted."""

    async def adopt(self, owner: str) -> None:
        """Note the UUID of one more, durably; harmless when repeated. Raises StoreError."""

    async def disown(self, owner: str) -> None:
        """Forget the UUID of one, durably; harmless when repeated. Raises StoreError."""

    async def packed_place(self) -> PackedPlace | None:
        """Where a process beside this one may pack small blobs, which are then found here; None
        when none may."""

    async def files_place(self) -> FilesPlace | None:
        """Where a process beside this one may read blobs that are files (``shared.blob_files``), or
        write them as well; None when none may."""

    async def disk_usage(self) -> DiskUsage:
        """Return the figures of the medium under the store. Raises StoreError."""

    async def close(self) -> None:
        """Finish what is under way and give up the ownership; the store is not used afterwards."""
