"""A segment that grows: what a process appends to it, and when that is durable. Blocking.

Rules.

1. Whoever made the segment is the only one who appends to it, for as long as it lives.
2. Blobs are added first, which gives them their keys, then written together and synced once. A key
   is told only when its record, all before it in the segment, and the segment's name are synced.
3. A write that fails, for whatever reason, is cut off again. After a sync that failed, the segment
   is complete: nobody knows which of its pages will ever reach the disk, and only what was refused
   is among them.
4. Blocks of a segment that grows are not given back. So one is complete when there is no room on
   the disk: the room may be that of blobs in it that are deleted. One that is short is not, or a
   disk that stays full would have many that are shorter still.
5. A directory may be emptied, moved or replaced at any time. Nothing counts as written that is in a
   segment which is not in its place any more: nobody would find it there.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from isal.isal_zlib import crc32

from dmd.data.disk import Disk
from shared.failpoints import FailPoint, failpoint
from shared.packed_reader import SEGMENT_SUFFIX, segment_path
from shared.segment_records import HEADER_BYTES, Place, key_of, pack_header, record_bytes

JOINED_BYTES_MAX: Final = 64 * 1024
"""The parts of a record of up to this size are joined for the write; those of a larger one are
written from where they are."""

SEGMENT_BYTES_MAX: Final = 64 * 1024 * 1024
"""What a start reads at most, to find the end of the newest segment."""

COMPLETE_BYTES_MIN: Final = 1024 * 1024
"""How long a segment is at least that is complete because the disk is full."""


class GrowingSegment:
    """See the module. ``end`` is where the next record begins, ``last`` where the last one does;
    that is meaningless as long as there is none."""

    def __init__(
        self, disk: Disk, path: Path, number: int, descriptor: int, end: int = 0, last: int = 0
    ) -> None:
        """``path`` is where the segment lies that ``descriptor`` is of. Raises OSError."""
        self.number = number
        self.end = end
        self._disk = disk
        self._made = os.fstat(descriptor)
        self._path = str(path)
        self._descriptor: int | None = descriptor
        self._last = last
        self._added: list[bytes] = []
        self._added_end = end
        self._added_last = last

    @property
    def is_complete(self) -> bool:
        """Whether it will not grow any more."""
        return self._descriptor is None

    @property
    def has_added(self) -> bool:
        """Whether blobs were added that are not written yet."""
        return bool(self._added)

    def add(self, pieces: Sequence[bytes], length: int, created_ms: int) -> str:
        """The key that a blob of ``length`` bytes will have, once it is written."""
        offset = self._added_end
        key = key_of(created_ms, Place(self.number, offset))
        checksum = 0
        for piece in pieces:
            checksum = crc32(piece, checksum)
        header = pack_header(key, length, checksum, offset - self._added_last)
        size = record_bytes(length)
        record = (header, *pieces, bytes(size - HEADER_BYTES - length))
        if length <= JOINED_BYTES_MAX:
            self._added.append(b"".join(record))
        else:
            self._added += record
        self._added_last, self._added_end = offset, offset + size
        return key

    def forget(self) -> None:
        """Write nothing of what was added."""
        self._added.clear()
        self._added_end, self._added_last = self.end, self._last

    def write(self) -> None:
        """Make all that was added durable. Raises OSError, and then nothing of it is stored.

        ESTALE: the segment is not in its place any more, and complete.
        """
        descriptor = self._descriptor
        assert descriptor is not None
        failpoint(FailPoint.BEFORE_SEGMENT_WRITE)
        try:
            self._disk.write(descriptor, self._added)
        except BaseException as error:
            self._cut_off(descriptor)
            full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
            if full and self.end >= COMPLETE_BYTES_MIN:
                self.close()
            raise
        failpoint(FailPoint.AFTER_SEGMENT_WRITE)
        try:
            self._disk.sync(descriptor)
            self._check_place()
        except BaseException:
            self._cut_off(descriptor)
            self.close()
            raise
        failpoint(FailPoint.AFTER_SEGMENT_FSYNC)
        self.end, self._last = self._added_end, self._added_last
        self._added.clear()

    def close(self) -> None:
        """Release it: it is complete. Raises nothing."""
        if self._descriptor is not None:
            # Forgotten before it is closed: an error of that leaves its number to others as well.
            descriptor, self._descriptor = self._descriptor, None
            with contextlib.suppress(OSError):  # all that was told is synced
                os.close(descriptor)

    def _check_place(self) -> None:
        try:
            found = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            found = None
        if found is None or not os.path.samestat(found, self._made):
            raise OSError(errno.ESTALE, "the data directory was emptied, moved or replaced")

    def _cut_off(self, descriptor: int) -> None:
        """Remove what was written behind the end; a segment that keeps it is complete."""
        self.forget()
        try:
            os.ftruncate(descriptor, self.end)
            os.lseek(descriptor, self.end, os.SEEK_SET)
        except BaseException:
            self.close()


def create_segment(disk: Disk, folder: Path, number: int) -> int:
    """Make a segment whose name is durable; return its descriptor. Raises OSError."""
    path = segment_path(folder, number)
    descriptor = disk.create(path)
    try:
        disk.sync_directory(folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        # If not, an empty segment stays, until a restart or for ever.
        with contextlib.suppress(OSError):
            disk.remove(path)
        raise
    return descriptor


def numbers_in(folder: Path) -> set[int]:
    """The numbers of all segments of a directory; other files are none of ours."""
    numbers = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            digits = entry.name.removesuffix(SEGMENT_SUFFIX)
            if digits != entry.name and len(digits) == 8:
                with contextlib.suppress(ValueError):
                    numbers.add(int(digits, 16))
    return numbers
