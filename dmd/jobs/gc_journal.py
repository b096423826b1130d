"""Since when blobs are in quarantine: a file beside the metadata, kept from run to run.

A missing entry, and a missing file, only make garbage wait for longer. An entry that outlives its
blob does nothing, as no key is ever used again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

from dmd.jobs.errors import JobError
from shared.file_writes import sync_directory

FILE_NAME: Final = "gc.journal"
LAYOUT: Final = ">20sQ"
"""Key, and milliseconds since the epoch."""

_HEADER: Final = b"Twofold gc journal 1\n"
_ENTRY_BYTES: Final = 28
_READ_BYTES: Final = 4096 * _ENTRY_BYTES


def read_journal(folder: Path) -> Iterator[tuple[bytes, int]]:
    """Keys and times; nothing when there is no journal. Raises JobError, OSError.

    What a run that died has written of its last entry is none.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return
    with path.open("rb") as file:
        if file.read(len(_HEADER)) != _HEADER:
            raise JobError(f"{path}: this is no journal of this release; move it away")
        while chunk := file.read(_READ_BYTES):
            for start in range(0, len(chunk) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
                entry = chunk[start : start + _ENTRY_BYTES]
                yield entry[:20], int.from_bytes(entry[20:], "big")


class Journal:
    """The journal of a run: it replaces the one before with ``kept``, and then grows.

    Raises OSError.
    """

    def __init__(self, folder: Path, kept: Iterable[tuple[bytes, int]]) -> None:
        unfinished = folder / f"{FILE_NAME}.new"
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)
        self._file = unfinished.open("wb")
        self._file.write(_HEADER)
        for key, since_ms in kept:
            self.add(key, since_ms)
        self.sync()
        unfinished.rename(folder / FILE_NAME)
        sync_directory(folder)

    def add(self, key: bytes, since_ms: int) -> None:
        """Note that a blob is in quarantine from now on."""
        self._file.write(key + since_ms.to_bytes(8, "big"))

    def sync(self) -> None:
        """Make durable what was noted."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
