"""The file of an upload: blocking, used by one thread at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from isal.isal_zlib import crc32

from dmd.data.disk import Disk
from shared.failpoints import FailPoint, failpoint
from shared.file_writes import UNSYNCED_BYTES_MAX
from shared.pipes import Pipe, give_pipe_back, take_pipe


class IncomingFile:
    """Where the bytes of one upload go. ``publish`` gives a complete, synced file, with the CRC-32
    of its bytes, its durable final name, which it returns."""

    def __init__(self, disk: Disk, temporary: Path, publish: Callable[[Path, int], Path]) -> None:
        self._disk = disk
        self._publish = publish
        self._temporary = temporary
        self._descriptor: int | None = None
        self._final: Path | None = None
        self._pipe: Pipe | None = None
        self._unsynced = 0
        self._length = 0
        self._checksum = 0

    def append(self, pieces: list[bytes]) -> None:
        """Write the pieces at the end; the first call creates the file."""
        if self._descriptor is None:
            failpoint(FailPoint.BEFORE_DATA_WRITE)
            self._descriptor = self._disk.create(self._temporary)
        self._disk.write(self._descriptor, pieces)
        for piece in pieces:
            self._checksum = crc32(piece, self._checksum)
        self._written(sum(map(len, pieces)))
        failpoint(FailPoint.AFTER_DATA_WRITE)

    @property
    def key(self) -> str | None:
        """The key of the blob, once it is durable and visible."""
        return None if self._final is None else self._final.name

    def receive(
        self, pieces: list[bytes], socket_descriptor: int, length: int, *, last: bool
    ) -> int | None:
        """Write the pieces, and what comes from a socket, at the end; when these are the ``last``
        bytes and all of them come, publish them."""
        self.append(pieces)
        if self._pipe is None:
            try:
                self._pipe = take_pipe()
            except OSError:
                return None
        assert self._descriptor is not None
        count = self._disk.receive(socket_descriptor, self._pipe, self._descriptor, length)
        # They went past us, and are in memory still.
        self._checksum = self._disk.checksum(self._descriptor, self._length, count, self._checksum)
        self._written(count)
        if last and count == length:
            self.publish([])
        return count

    def _written(self, count: int) -> None:
        """Keep the disk busy while the next bytes come: fewer are left for the last sync."""
        assert self._descriptor is not None
        self._length += count
        self._unsynced += count
        if self._unsynced >= UNSYNCED_BYTES_MAX:
            self._unsynced = 0
            self._disk.begin_sync(self._descriptor)

    def publish(self, pieces: list[bytes]) -> str:
        """Write the last pieces; return the key under which the blob is durable and visible."""
        self.append(pieces)
        assert self._descriptor is not None
        self._disk.sync(self._descriptor)
        failpoint(FailPoint.AFTER_DATA_FSYNC)
        final = self._final = self._publish(self._temporary, self._checksum)
        self._remove_temporary()
        return final.name

    def discard(self) -> None:
        """Remove every trace. A name that cannot be removed now goes at the next start-up."""
        if self._final is not None:
            self._remove(self._final)
        self._remove_temporary()

    def _remove_temporary(self) -> None:
        # Each is forgotten before it is closed: its number is others' then, error or not.
        pipe, self._pipe = self._pipe, None
        descriptor, self._descriptor = self._descriptor, None
        if pipe is not None:
            with contextlib.suppress(OSError):
                give_pipe_back(pipe)
        if descriptor is None:
            return
        with contextlib.suppress(OSError):  # it is synced, or given up
            os.close(descriptor)
        self._remove(self._temporary)

    def _remove(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            self._disk.remove(path)
