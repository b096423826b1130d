"""Small packed blobs, read beside the process that owns their directory.

The metadata service answers a read with the record and the body that it names, where both are on
one machine. It is no more than a shortcut: whatever is not plain (a blob that is damaged, in
quarantine, a file, gone, or not in memory, so that reading it would block) is left to the data
service, which knows what to do about it and has the right error.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import Final

from isal.isal_zlib import crc32

from dmd.data.blob_keys import is_blob_key
from dmd.data.packed.growing import segment_path
from dmd.data.packed.segment import read_cached
from dmd.data.packed.segment_records import Place, State, place_of
from shared.local_directory import is_in_memory

OPEN_SEGMENTS_MAX: Final = 256


class BodyReader:
    """Packed blobs of the directory ``folder``. Used by one thread; never waits for a disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: OrderedDict[int, int] = OrderedDict()
        self._flags: int | None = None

    def read(self, key: str) -> bytes | None:
        """The bytes of a live blob, verified; None when it is not to be had in this way."""
        if not is_blob_key(key):
            return None
        place = place_of(key)
        descriptor = self._descriptor(place)
        if descriptor is None:
            return None
        if self._flags is None:
            # A file system in memory refuses to be asked whether something is in memory.
            self._flags = 0 if is_in_memory(self._folder) else os.RWF_NOWAIT
        found = read_cached(descriptor, place, self._flags)
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
        try:
            descriptor = os.open(segment_path(self._folder, number), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        self._open[number] = descriptor
        if len(self._open) > OPEN_SEGMENTS_MAX:
            _, oldest = self._open.popitem(last=False)
            os.close(oldest)
        return descriptor
