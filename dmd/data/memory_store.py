"""The store that keeps nothing: blobs in memory, for ``--memory`` and for tests.

The twin of ``dmd.data.file_store``; the same tests run against both.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from dmd.data.base import (
    BlobInfo,
    BlobNotFoundError,
    DiskUsage,
    InventoryPage,
    LengthMismatchError,
    StoreFullError,
)
from dmd.data.blob_keys import created_at_ms, new_key


class MemoryBlob:
    """A blob whose bytes are at hand."""

    def __init__(self, content: bytes | bytearray) -> None:
        self._content = content

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self._content)

    async def read(self, offset: int, length: int) -> bytes | bytearray:
        """Return ``length`` bytes from ``offset``."""
        assert 0 <= offset <= offset + length <= len(self._content)
        if length == len(self._content):
            return self._content
        return self._content[offset : offset + length]

    async def close(self) -> None:
        """Nothing to release."""


class MemoryStore:
    """Blobs in a dictionary, at most ``size_bytes_max`` bytes of them (half the memory, if None).

    Uploads count from their start: a blob that could not be kept is refused before it is sent.
    """

    def __init__(self, size_bytes_max: int | None = None) -> None:
        self._blobs: dict[str, bytearray] = {}
        self._quarantined: set[str] = set()
        self._owners: dict[str, None] = {}
        self._total = _physical_memory_bytes() // 2 if size_bytes_max is None else size_bytes_max
        self._used = 0

    async def create(self, size: int) -> MemoryUpload:
        """Begin a blob; StoreError ENOSPC when it does not fit any more."""
        if self._used + size > self._total:
            raise StoreFullError(f"ENOSPC: {os.strerror(errno.ENOSPC)}")
        self._used += size
        return MemoryUpload(self, size)

    async def open(self, key: str) -> MemoryBlob:
        """Open a blob, or raise BlobNotFoundError."""
        content = self._blobs.get(key)
        if content is None:
            raise BlobNotFoundError(key)
        self._quarantined.discard(key)
        return MemoryBlob(content)

    async def delete(self, key: str) -> None:
        """Remove a blob, or raise BlobNotFoundError."""
        content = self._blobs.pop(key, None)
        if content is None:
            raise BlobNotFoundError(key)
        self._used -= len(content)
        self._quarantined.discard(key)

    async def quarantine(self, key: str) -> None:
        """Take a blob out of use, or raise BlobNotFoundError."""
        if key not in self._blobs:
            raise BlobNotFoundError(key)
        self._quarantined.add(key)

    async def restore(self, key: str) -> None:
        """Take a blob out of quarantine, or raise BlobNotFoundError."""
        if key not in self._blobs:
            raise BlobNotFoundError(key)
        self._quarantined.discard(key)

    async def purge(self, key: str) -> None:
        """Remove a blob that is in quarantine, or raise BlobNotFoundError."""
        if key not in self._quarantined:
            raise BlobNotFoundError(key)
        await self.delete(key)

    async def inventory(self, cursor: str | None, count: int) -> InventoryPage:
        """List the blobs in the order of their keys."""
        behind = sorted(key for key in self._blobs if cursor is None or key > cursor)
        page = [
            BlobInfo(key, len(self._blobs[key]), created_at_ms(key), key in self._quarantined)
            for key in behind[:count]
        ]
        return InventoryPage(page, page[-1].key if len(behind) > count else None)

    async def reclaim(self) -> None:
        """Nothing to do."""

    async def owners(self) -> Sequence[str]:
        """The metadata stores whose blobs these are."""
        return list(self._owners)

    async def adopt(self, owner: str) -> None:
        """Note one more of them."""
        self._owners[owner] = None

    async def disown(self, owner: str) -> None:
        """Forget one of them."""
        self._owners.pop(owner, None)

    async def packed_place(self) -> None:
        """Nobody else has this memory."""

    async def files_place(self) -> None:
        """Nor is there a file."""

    async def disk_usage(self) -> DiskUsage:
        """Return the limit as the total, and what is left of it."""
        left = self._total - self._used
        return DiskUsage(available=left, free=left, total=self._total)

    async def close(self) -> None:
        """Forget all blobs."""
        self._blobs.clear()

    def keep(self, content: bytearray) -> str:
        """Take a complete blob whose size is already counted, and which nobody changes any more;
        called by MemoryUpload."""
        key = new_key()
        self._blobs[key] = content
        return key

    def release(self, size: int) -> None:
        """Give back the room of an upload that ended without a blob; called by MemoryUpload."""
        self._used -= size


class MemoryUpload:
    """A blob being collected."""

    def __init__(self, store: MemoryStore, size: int) -> None:
        self._store = store
        self._size = size
        self._content = bytearray()
        self._ended = False

    async def write(self, data: bytes) -> None:
        """Append; LengthMismatchError when more came than were declared."""
        self._content += data
        if len(self._content) > self._size:
            raise LengthMismatchError(f"more than the {self._size} bytes declared")

    async def commit(self) -> str:
        """Keep the blob and return its key; LengthMismatchError when bytes are missing."""
        if len(self._content) != self._size:
            raise LengthMismatchError(f"{len(self._content)} of {self._size} bytes")
        self._ended = True
        return self._store.keep(self._content)

    async def abort(self) -> None:
        """Forget the bytes, unless they were committed."""
        if not self._ended:
            self._ended = True
            self._content.clear()
            self._store.release(self._size)


def _physical_memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
