"""Packed blobs, read from their segments; also beside the process that owns their directory.

The metadata service answers a read with the record and the body that it names, and a front-end
reads what it is asked for, where that is on one machine with the directory. It is no more than a
shortcut: whatever is not plain (a blob that is damaged, in quarantine, a file, gone, or not in
memory, so that reading it would block) is left to the data service, which knows what to do about it
and has the right error.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import Final

from isal.isal_zlib import crc32

from shared.blob_files import is_blob_key
from shared.local_directory import is_in_memory
from shared.segment_records import (
    HEADER_BYTES,
    Place,
    Record,
    State,
    live_checksum,
    parse_header,
    place_of,
)

PACKED_FOLDER: Final = "packed"
"""The folder of segments in a data directory."""

SEGMENT_SUFFIX: Final = ".segment"
OPEN_SEGMENTS_MAX: Final = 256
_FIRST_READ_BYTES: Final = 4096

Content = bytes | bytearray

Found = tuple[Record | None, Content]
"""A record, and the bytes of its blob: too few where the file ends, or the memory."""


def segment_path(folder: Path, number: int) -> Path:
    """Where a segment lies."""
    return folder / f"{number:08x}{SEGMENT_SUFFIX}"


def read_blob(descriptor: int, place: Place, flags: int = 0, size: int | None = None) -> Found:
    """Read a record and its blob: with one call when it is small, or its ``size`` is known. Raises
    OSError."""
    header = bytearray(_FIRST_READ_BYTES if size is None else HEADER_BYTES)
    content = bytearray(size or 0)
    count = os.preadv(descriptor, [header, content], place.offset, flags)
    record = parse_header(header, 0, place) if count >= HEADER_BYTES else None
    if record is None:
        return None, b""
    end = HEADER_BYTES + record.length
    if record.length == size:
        return record, content if count == end else bytes(content[: count - HEADER_BYTES])
    if end <= len(header) and end <= count:
        return record, bytes(memoryview(header)[HEADER_BYTES:end])
    content = bytearray(record.length)
    count = os.preadv(descriptor, [content], place.offset + HEADER_BYTES, flags)
    return record, content if count == record.length else bytes(content[:count])


def read_blob_cached(
    descriptor: int, place: Place, flags: int = os.RWF_NOWAIT, size: int | None = None
) -> Found | None:
    """The same if all of it is in memory. Raises nothing."""
    try:
        record, content = read_blob(descriptor, place, flags, size)
    except OSError:
        return None  # not in memory, or an error: the read that may wait will name it
    if record is not None and len(content) < record.length:
        return None
    return record, content


class PackedReader:
    """Packed blobs of the directory ``folder``. Used by one thread; waits for no disk to read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: OrderedDict[int, int] = OrderedDict()
        self._flags: int | None = None

    def read(self, key: str, size: int | None = None) -> Content | None:
        """The bytes of a live blob, verified; None when it is not to be had in this way.

        ``size`` is how many they should be, if that is known; it saves a call.
        """
        if not is_blob_key(key):
            return None
        place = place_of(key)
        descriptor = self._descriptor(place)
        if descriptor is None:
            return None
        if self._flags is None:
            # A file system in memory refuses to be asked whether something is in memory.
            self._flags = 0 if is_in_memory(self._folder) else os.RWF_NOWAIT
        found = read_blob_cached(descriptor, place, self._flags, size)
        if found is None:
            return None
        record, content = found
        if record is None or record.key != key:
            # Perhaps the segment was removed, and its number used again.
            os.close(self._open.pop(place.segment))
            return None
        if record.state is not State.LIVE or crc32(content) != record.checksum:
            return None
        return content

    def read_open(self, key: str, size: int) -> Content | None:
        """The same as ``read``, as far as it is plain: of a segment that is open, where few steps
        find all as it should be. None when it has to be asked."""
        if not is_blob_key(key) or self._flags is None:
            return None
        place = place_of(key)
        descriptor = self._open.get(place.segment)
        if descriptor is None:
            return None
        self._open.move_to_end(place.segment)
        header, content = bytearray(HEADER_BYTES), bytearray(size)
        try:
            count = os.preadv(descriptor, (header, content), place.offset, self._flags)
        except OSError:
            return None
        if count != HEADER_BYTES + size or crc32(content) != live_checksum(header, key, size):
            return None
        return content

    def close(self) -> None:
        """Release everything."""
        for descriptor in self._open.values():
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._open.clear()

    def _descriptor(self, place: Place) -> int | None:
        number = place.segment
        descriptor = self._open.get(number)
        if descriptor is not None:
            self._open.move_to_end(number)
            return descriptor
        # Segments are few, and stay open: this waits for a disk once at most, and works where the
        # system cannot say whether it would have to.
        try:
            descriptor = os.open(segment_path(self._folder, number), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        self._open[number] = descriptor
        if len(self._open) > OPEN_SEGMENTS_MAX:
            _, oldest = self._open.popitem(last=False)
            os.close(oldest)
        return descriptor
