"""Segments of the bodies that come with commits: the metadata service's, in the data directory.

Where both services share a machine and a directory, the metadata service is a second writer of
packed blobs. It appends the small bodies that come with a group of mutations, syncs, commits the
records that name them, and answers: one hop, and one wait, for what took two. Records and keys are
those of all packed blobs, so the data service reads, lists, marks and deletes them like its own.

Rules.

1. A process appends to segments only that it has made itself, and makes them with a name that
   nobody had. So several writers never meet, and a start needs no look at what was there: what a
   crash has left at the end of an older one is whole, and a blob without an owner, which garbage
   collection finds, or torn, and then no record either.
2. Numbers are those above all that are there, in a range of their own (``segment_records``).
3. A writer holds a lock on its segment from before the first byte until it is complete. The kernel
   gives it up with the process. Whoever makes holes asks for it first: the blocks at the end of a
   segment that grows are not free, whatever its records say.
4. The data directory is another process's. When it was emptied, moved or replaced, the next segment
   begins where the directory is then, if a data service has that: the place at which no disk is
   mounted is no data directory, and a data service that knows nothing of these segments would
   append to them (``dmd.belonging.may_have_bodies``).
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dmd.data.blob_keys import now_ms
from dmd.data.disk import Disk
from dmd.data.packed.growing import (
    SEGMENT_BYTES_MAX,
    GrowingSegment,
    create_segment,
    numbers_in,
)
from shared.packed_reader import segment_path
from shared.segment_records import FIRST_OF_BODIES, LAST_OF_BODIES, holds_bodies

_PRIVATE: Final = 0o700


class BodySegments:
    """Where the bodies of commits go. Blocking; used by the thread that writes metadata.

    Bodies are added, and then written together. ``folder`` is made with the first of them.
    ``may_begin`` says whether its directory may have a segment; it may raise OSError.
    """

    def __init__(
        self,
        folder: Path,
        disk: Disk,
        may_begin: Callable[[], bool],
        size_max: int = SEGMENT_BYTES_MAX,
    ) -> None:
        self._folder = folder
        self._disk = disk
        self._may_begin = may_begin
        self._size_max = size_max
        self._growing: GrowingSegment | None = None

    def add(self, content: bytes) -> str:
        """The key that a body will have, once ``write`` has returned. Raises OSError; ESTALE: no
        data service has the directory."""
        growing = self._growing
        if growing is None or (growing.end >= self._size_max and not growing.has_added):
            growing = self._begin()
        return growing.add((content,), len(content), now_ms())

    def forget(self) -> None:
        """Write nothing of what was added."""
        if self._growing is not None:
            self._growing.forget()

    def write(self) -> None:
        """Make all that was added durable. Raises OSError, and then none of it is stored.

        ESTALE: the directory is another one. What is added again is written into that.
        """
        growing = self._growing
        if growing is None or not growing.has_added:
            return
        try:
            growing.write()
        finally:
            if growing.is_complete:
                self._growing = None

    def close(self) -> None:
        """Release everything. Raises nothing."""
        if self._growing is not None:
            self._growing.close()
            self._growing = None

    def _begin(self) -> GrowingSegment:
        self.close()
        if not self._may_begin():
            raise OSError(errno.ESTALE, "no data daemon has the data directory")
        if not self._folder.is_dir():
            self._folder.mkdir(mode=_PRIVATE, exist_ok=True)
            self._disk.sync_directory(self._folder.parent)
        there = (number for number in numbers_in(self._folder) if holds_bodies(number))
        number = max(there, default=FIRST_OF_BODIES - 1) + 1
        if number > LAST_OF_BODIES:
            raise OSError(errno.ENOSPC, "no number is left for a segment")
        descriptor = create_segment(self._disk, self._folder, number)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path = segment_path(self._folder, number)
            self._growing = GrowingSegment(self._disk, path, number, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return self._growing


def is_complete(descriptor: int) -> bool:
    """Whether a segment of bodies will not grow any more. An empty one may: its writer may have
    made it in this moment, and not locked it yet. Blocks for no lock; raises OSError."""
    if not os.fstat(descriptor).st_size:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True
