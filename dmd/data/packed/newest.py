"""The newest segment: the one that grows. Blocking; used by the thread that writes.

Rules.

1. A key is told only when its record, all before it in the segment, and the segment's name are
   synced.
2. A write that fails, for whatever reason, is cut off again. After a sync that failed, the segment
   is complete: nobody knows which of its pages will ever reach the disk, and only what was refused
   is among them.
3. At start-up, what lies behind the last whole record is cut off: it was never acknowledged. But a
   clean stop notes where the segment ended (the file ``end``), and when something before that is
   not whole, it was damaged since, and may be saved: such a segment is complete, as one with gaps
   is, and is left as it is, and so is the note. One that is damaged itself forbids to cut anything.
   One that a crash has brought back is about an end that came earlier, and does no harm.
4. A number is used once. Whatever fails while a segment begins, the next attempt takes the next
   number, and nothing that was left behind is in its way.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from isal.isal_zlib import crc32

from dmd.checked_json import decode, encode
from dmd.data.blob_keys import now_ms
from dmd.data.disk import Disk
from dmd.data.packed import segment as segments
from dmd.data.packed.segment_records import HEADER_BYTES, Place, key_of, pack_header, record_bytes
from shared.failpoints import FailPoint, failpoint

SEGMENT_BYTES_MAX: Final = 64 * 1024 * 1024
"""What a start reads at most, to find the end of the newest segment."""

_SUFFIX: Final = ".segment"
END_NAME: Final = "end"


class Append(msgspec.Struct, frozen=True):
    """A blob to be written: its bytes, and how many they are."""

    pieces: Sequence[bytes]
    length: int

    @property
    def size(self) -> int:
        """What it takes in a segment, in bytes."""
        return record_bytes(self.length)


class NewestSegment:
    """Where new blobs go.

    ``began`` and ``completed`` are called with a segment's number: when it exists, before any key
    of it is told, and when it will not grow any more.
    """

    def __init__(
        self,
        folder: Path,
        disk: Disk,
        began: Callable[[int], None],
        completed: Callable[[int], None],
        size_max: int = SEGMENT_BYTES_MAX,
    ) -> None:
        self._folder = folder
        self._disk = disk
        self._began = began
        self._completed = completed
        self._size_max = size_max
        self.number = self._last_number = max(numbers_in(folder), default=0)
        """``number`` is that of the newest segment; later ones may have failed to begin."""
        self.cut_bytes = 0
        """What was cut off at start-up."""
        self.unclear_bytes = 0
        """What start-up found behind the last whole record, and has left there."""
        self._descriptor: int | None = None
        self._end = 0
        self._last = 0
        """Where the last record begins; meaningless as long as there is none."""
        if self.number:
            self._recover()
        if self.growing is not None:
            with contextlib.suppress(OSError):
                (folder / END_NAME).unlink(missing_ok=True)

    @property
    def growing(self) -> int | None:
        """The number of the segment that can grow; None when the next one has yet to begin."""
        return None if self._descriptor is None else self.number

    def append(self, blobs: Sequence[Append]) -> list[str]:
        """Store blobs durably and return their keys. Raises OSError, and then none is stored."""
        size = sum(blob.size for blob in blobs)
        if self._descriptor is None or (self._end and self._end + size > self._size_max):
            self._begin()
        descriptor = self._descriptor
        assert descriptor is not None
        keys, records, last = self._records(blobs)
        failpoint(FailPoint.BEFORE_SEGMENT_WRITE)
        try:
            self._disk.write(descriptor, records)
        except BaseException:
            self._cut_off()
            raise
        failpoint(FailPoint.AFTER_SEGMENT_WRITE)
        try:
            self._disk.sync(descriptor)
        except BaseException:
            self._cut_off()
            self._complete()
            raise
        failpoint(FailPoint.AFTER_SEGMENT_FSYNC)
        self._end += size
        self._last = last
        return keys

    def stop(self) -> None:
        """Release it; note for the next start where it ended. Raises nothing."""
        noted = None if self._descriptor is None else {"segment": self.number, "end": self._end}
        self._close()
        if noted is None:
            return
        unfinished = self._folder / f"{END_NAME}.new"
        with contextlib.suppress(OSError):  # without it, this was as good as a crash
            unfinished.unlink(missing_ok=True)
            descriptor = self._disk.create(unfinished)
            try:
                self._disk.write(descriptor, [encode(noted)])
                self._disk.sync(descriptor)
            finally:
                os.close(descriptor)
            self._disk.rename(unfinished, self._folder / END_NAME)

    def _noted_end(self) -> int:
        """Where the segment ended when it was stopped; 0 when nobody knows, after a crash."""
        try:
            noted = json.loads(decode((self._folder / END_NAME).read_bytes()))
            return int(noted["end"]) if noted["segment"] == self.number else 0
        except FileNotFoundError:
            return 0
        except (ValueError, TypeError, KeyError):
            return sys.maxsize

    def _close(self) -> None:
        if self._descriptor is not None:
            # Forgotten before it is closed: an error of that leaves its number to others as well.
            descriptor, self._descriptor = self._descriptor, None
            with contextlib.suppress(OSError):  # all that was told is synced
                os.close(descriptor)

    def _records(self, blobs: Sequence[Append]) -> tuple[list[str], list[bytes], int]:
        """The keys and bytes of new records, and where the last of them begins."""
        created_ms = now_ms()
        offset, last = self._end, self._last
        keys: list[str] = []
        records: list[bytes] = []
        for blob in blobs:
            content = blob.pieces[0] if len(blob.pieces) == 1 else b"".join(blob.pieces)
            key = key_of(created_ms, Place(self.number, offset))
            header = pack_header(key, blob.length, crc32(content), offset - last)
            padding = bytes(blob.size - HEADER_BYTES - blob.length)
            records.append(b"".join((header, content, padding)))
            keys.append(key)
            last, offset = offset, offset + blob.size
        return keys, records, last

    def _begin(self) -> None:
        """Let the next segment be the newest."""
        self._complete()
        self._last_number = number = self._last_number + 1
        path = segment_path(self._folder, number)
        descriptor = self._disk.create(path)
        try:
            self._disk.sync_directory(self._folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(descriptor)
            # If not, an empty segment stays, until a restart or for ever.
            with contextlib.suppress(OSError):
                self._disk.remove(path)
            raise
        self.number, self._descriptor, self._end, self._last = number, descriptor, 0, 0
        self._began(number)

    def _complete(self) -> None:
        if self._descriptor is not None:
            self._close()
            self._completed(self.number)

    def _cut_off(self) -> None:
        """Remove what was written behind the end; a segment that keeps it is complete."""
        descriptor = self._descriptor
        assert descriptor is not None
        try:
            os.ftruncate(descriptor, self._end)
            os.lseek(descriptor, self._end, os.SEEK_SET)
        except BaseException:
            self._complete()

    def _recover(self) -> None:
        path = segment_path(self._folder, self.number)
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        keep = False
        try:
            end = whole_end(descriptor, self.number)
            if end is None:
                return
            self._end, self._last = end
            rest = os.fstat(descriptor).st_size - self._end
            if rest and self._end < self._noted_end():
                self.unclear_bytes = rest
                return
            self.cut_bytes = rest
            if self.cut_bytes:
                os.ftruncate(descriptor, self._end)
                self._disk.sync(descriptor)
            os.lseek(descriptor, self._end, os.SEEK_SET)
            self._descriptor, keep = descriptor, True
        finally:
            if not keep:
                os.close(descriptor)


def whole_end(descriptor: int, number: int) -> tuple[int, int] | None:
    """Where the last whole record ends, and where it begins; None for a segment with gaps."""
    reached = end = last = 0
    for record in segments.scan(descriptor, number):
        if record.offset != reached:
            return None
        reached = record.end
        content = os.pread(descriptor, record.length, record.offset + HEADER_BYTES)
        # Padding is written with the blob: a file that ends before it is not whole either.
        size = os.fstat(descriptor).st_size
        if crc32(content) == record.checksum and record.end <= size:
            end, last = record.end, record.offset
    return end, last


def segment_path(folder: Path, number: int) -> Path:
    """Where a segment lies."""
    return folder / f"{number:08x}{_SUFFIX}"


def numbers_in(folder: Path) -> set[int]:
    """The numbers of all segments of a directory; other files are none of ours."""
    numbers = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            digits = entry.name.removesuffix(_SUFFIX)
            if digits != entry.name and len(digits) == 8:
                with contextlib.suppress(ValueError):
                    numbers.add(int(digits, 16))
    return numbers
