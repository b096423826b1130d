"""The newest segment of the data service: the one that grows (``dmd.data.packed.growing``).
Blocking; used by the thread that writes.

Rules.

1. At start-up, what lies behind the last whole record is cut off: it was never acknowledged. But a
   clean stop notes where the segment ended (the file ``end``), and when something before that is
   not whole, it was damaged since, and may be saved: such a segment is complete, as one with gaps
   is, and is left as it is, and so is the note. One that is damaged itself forbids to cut anything.
   One that a crash has brought back is about an end that came earlier, and does no harm.
2. A number is used once. Whatever fails while a segment begins, the next attempt takes the next
   number, and nothing that was left behind is in its way.
3. Segments of bodies are another process's (``body_segments``), and never grow here.
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
from dmd.data.packed.growing import (
    SEGMENT_BYTES_MAX,
    GrowingSegment,
    create_segment,
    numbers_in,
)
from shared.packed_reader import segment_path
from shared.segment_records import HEADER_BYTES, holds_bodies, record_bytes

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
        own = [number for number in numbers_in(folder) if not holds_bodies(number)]
        self.number = self._last_number = max(own, default=0)
        """``number`` is that of the newest segment; later ones may have failed to begin."""
        self.cut_bytes = 0
        """What was cut off at start-up."""
        self.unclear_bytes = 0
        """What start-up found behind the last whole record, and has left there."""
        self._growing: GrowingSegment | None = None
        if self.number:
            self._recover()
        if self.growing is not None:
            with contextlib.suppress(OSError):
                (folder / END_NAME).unlink(missing_ok=True)

    @property
    def growing(self) -> int | None:
        """The number of the segment that can grow; None when the next one has yet to begin."""
        return None if self._growing is None else self.number

    def append(self, blobs: Sequence[Append]) -> list[str]:
        """Store blobs durably and return their keys. Raises OSError, and then none is stored."""
        size = sum(blob.size for blob in blobs)
        growing = self._growing
        if growing is None or (growing.end and growing.end + size > self._size_max):
            growing = self._begin()
        created_ms = now_ms()
        keys: list[str] = []
        try:
            for blob in blobs:
                keys.append(growing.add(blob.pieces, blob.length, created_ms))
            growing.write()
        except BaseException:
            growing.forget()
            if growing.is_complete:
                self._complete()
            raise
        return keys

    def stop(self) -> None:
        """Release it; note for the next start where it ended. Raises nothing."""
        growing, self._growing = self._growing, None
        if growing is None:
            return
        growing.close()
        noted = {"segment": self.number, "end": growing.end}
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

    def _begin(self) -> GrowingSegment:
        """Let the next segment be the newest."""
        self._complete()
        self._last_number = number = self._last_number + 1
        descriptor = create_segment(self._disk, self._folder, number)
        self.number = number
        path = segment_path(self._folder, number)
        self._growing = growing = GrowingSegment(self._disk, path, number, descriptor)
        self._began(number)
        return growing

    def _complete(self) -> None:
        if self._growing is not None:
            self._growing.close()
            self._growing = None
            self._completed(self.number)

    def _recover(self) -> None:
        path = segment_path(self._folder, self.number)
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        keep = False
        try:
            end = whole_end(descriptor, self.number)
            if end is None:
                return
            reached, last = end
            rest = os.fstat(descriptor).st_size - reached
            if rest and reached < self._noted_end():
                self.unclear_bytes = rest
                return
            self.cut_bytes = rest
            if self.cut_bytes:
                os.ftruncate(descriptor, reached)
                self._disk.sync(descriptor)
            os.lseek(descriptor, reached, os.SEEK_SET)
            self._growing = GrowingSegment(self._disk, path, self.number, descriptor, reached, last)
            keep = True
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
