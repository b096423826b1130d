"""Reasons to doubt a metadata store before it is opened, and what is done about them.

The library that reads the store ends the process when it comes upon some kinds of damage. What
Python can still say then is kept in the file ``fault`` of the directory. The next start finds it
and reads the whole store first: a damaged one is refused, with what to do, instead of being opened
again and again. A small store, and one whose file is shorter than it was, is read anyway.
"""

from __future__ import annotations

import faulthandler
import os
from pathlib import Path
from typing import Final

from dmd.metadata.engines.lmdb import FILE_NAME
from dmd.metadata.engines.lmdb_pages import choose_meta
from dmd.metadata.engines.lmdb_survey import check_whole
from shared.process.logs import EventLog

FAULT_NAME: Final = "fault"
READ_BYTES_MAX: Final = 4 * 1024 * 1024
"""A store that is no larger is read at every start, which takes a tenth of a second at most."""

_SHOWN_FAULT_BYTES: Final = 2000


def check_before_opening(directory: Path, log: EventLog) -> None:
    """Read the store of a directory that we own, if there is reason to.

    Raises DamagedMetadataError, and OSError.
    """
    path, fault = directory / FILE_NAME, read_fault(directory)
    if fault:
        log.error("the last run was ended by a fault", fault=fault)
    if not path.exists() or not path.stat().st_size:
        return
    if not (fault or path.stat().st_size <= READ_BYTES_MAX or _is_short(path)):
        return
    check_whole(path)
    if fault:
        log.warning("the metadata store was read through after the fault, and is whole")


def read_fault(directory: Path) -> str:
    """What is kept of a fault, on one line; empty when there was none."""
    try:
        with (directory / FAULT_NAME).open("rb") as file:
            text = file.read(_SHOWN_FAULT_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


class FaultNote:
    """Has a fault of this process noted, from now on until ``close``. Raises OSError."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FAULT_NAME
        self._descriptor = os.open(
            self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
        )
        faulthandler.enable(self._descriptor, all_threads=False)

    def add(self, text: str) -> None:
        """Note that the store could not be read, so that the next start looks at it."""
        os.write(self._descriptor, text.encode() + b"\n")

    def close(self) -> None:
        """This process ends in good order; a note that was added stays."""
        faulthandler.disable()
        if not os.fstat(self._descriptor).st_size:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def _is_short(path: Path) -> bool:
    """Whether the file has fewer pages than the store had; free ones at its end may be missing."""
    with path.open("rb") as file:
        meta, _ = choose_meta(file.fileno())
    return meta is not None and path.stat().st_size < (meta.last_page + 1) * meta.page_bytes
