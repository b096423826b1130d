"""Sets of keys that are larger than the memory: entries spread over files by a byte of their keys.

Two sets that were spread alike can be compared one partition after the other, each small enough to
be held in memory: ten million keys are 150,000 a partition. The files have no names, so that they
are gone when the job ends, however it ends.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

PARTITIONS: Final = 64
_BUFFER_BYTES: Final = 32 * 1024
_READ_ENTRIES: Final = 4096


class Partitions:
    """Entries of one layout, whose first member is the key (20 bytes).

    ``folder`` is where the files lie; raises OSError. Close it.
    """

    def __init__(self, folder: Path, layout: str) -> None:
        self._folder = folder
        self._layout = struct.Struct(layout)
        self._files: list[IO[bytes]] = []
        self.entries = 0
        try:
            for _ in range(PARTITIONS):
                file = tempfile.TemporaryFile(dir=folder, buffering=_BUFFER_BYTES)  # noqa: SIM115
                self._files.append(file)
        except BaseException:
            self.close()
            raise

    def add(self, key: bytes, *members: Any) -> None:
        """Add an entry."""
        try:
            # The last digits of a key are random, whoever made it.
            self._files[key[-1] % PARTITIONS].write(self._layout.pack(key, *members))
        except OSError as error:
            raise self._located(error) from error
        self.entries += 1

    def read(self, partition: int) -> Iterator[tuple[Any, ...]]:
        """The entries of a partition, in the order in which they were added."""
        file = self._files[partition]
        try:
            file.seek(0)  # what is in the buffer is written first
        except OSError as error:
            raise self._located(error) from error
        while chunk := file.read(self._layout.size * _READ_ENTRIES):
            yield from self._layout.iter_unpack(chunk)

    def close(self) -> None:
        """Forget everything."""
        for file in self._files:
            with suppress(OSError):  # the disk is full, and what is not written is not missed
                file.close()

    def _located(self, error: OSError) -> OSError:
        """A file without a name fails without saying where."""
        return OSError(error.errno, error.strerror, str(self._folder))

    def __enter__(self) -> Partitions:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
