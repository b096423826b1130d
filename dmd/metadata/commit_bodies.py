"""The small bodies that come with commits, and go with reads: one hop in place of two.

They are packed blobs of the data directory beside the metadata (``dmd.data.packed.body_segments``),
whose keys are made when the group that brings them is decided: the record of an object comes with
40 digits in the place of the key of its blob. So a body is written only when its mutation is done,
and a repeated one, which gets the answer of the first, writes none.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from dmd.belonging import may_have_bodies
from dmd.data.disk import Disk, DiskOptions
from dmd.data.packed.body_segments import BodySegments
from shared.local_directory import local_identity
from shared.packed_reader import PACKED_FOLDER, PackedReader

LOOK_SECONDS: Final = 1.0
"""How often it is looked whether the directory is still the same; its owner looks as often."""


class BodySettings(msgspec.Struct, frozen=True):
    """The data directory, how large a body may be (in bytes, at least 1), how it is written."""

    data_path: Path
    bytes_max: int
    disk: DiskOptions


class CommitBodies:
    """See the module. ``segments`` is for the thread that writes, all else for the event loop."""

    def __init__(self, settings: BodySettings) -> None:
        self.bytes_max = settings.bytes_max
        self._path = settings.data_path
        folder = settings.data_path / PACKED_FOLDER
        may_begin = partial(may_have_bodies, settings.data_path)
        self.segments = BodySegments(folder, Disk(settings.disk), may_begin)
        self._reader = PackedReader(folder)
        self._known: tuple[tuple[int, int], str | None] | None = None
        self._looked = 0.0

    @property
    def identity(self) -> str | None:
        """Which directory they are in (``shared.local_directory``), as of a second ago at most;
        None while they cannot be kept there."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS and self._known is not None:
            return self._known[1]
        self._looked = now
        try:
            found = os.stat(self._path)
        except OSError:
            self._known = None
            return None
        place = (found.st_dev, found.st_ino)
        if self._known is None or self._known[0] != place:
            self._known = place, local_identity(self._path)
        return self._known[1]

    def body_of(self, record: bytes) -> bytes | None:
        """The only blob that a record names, whole and verified, when it is at hand and small
        enough; of a record of any other kind, None."""
        try:
            located = _decode(record)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        match located.location:
            # What is stored may be more than the object has.
            case [{"key": str() as key, "storedSize": int() as size}]:
                pass
            case [{"key": str() as key, "size": int() as size}]:
                pass
            case _:
                return None
        if not 0 < size <= self.bytes_max:
            return None
        content = self._reader.read(key, size)
        return bytes(content) if content is not None and len(content) == size else None

    def close(self) -> None:
        """Release everything, when nobody writes any more."""
        self.segments.close()
        self._reader.close()


class _Located(msgspec.Struct, frozen=True, gc=False):
    location: Any = None


_decode = msgspec.json.Decoder(_Located).decode
