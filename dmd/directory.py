"""Ownership of a directory by one daemon process."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path

from dmd.errors import StartupError
from dmd.lease import Lease, LeaseState, forget_lease, wait_for_expiry
from shared.observability import EventLog

_LOCK_NAME = "lock"
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Ownership:
    """How a directory is owned.

    ``lease_seconds``: 0 for the lock alone; else the owner dies when it has not renewed its lease
    for so long, so that a stand-by may take over (``dmd.lease``). ``standby``: wait for the owner
    to end instead of failing.
    """

    lease_seconds: float = 0
    standby: bool = False


class OwnedDirectory:
    """A directory that this process alone may write, until ``release`` or the process's end.

    Raises StartupError when it is missing, not writable, or owned by another process. A stand-by
    blocks until it owns it.
    """

    def __init__(
        self, path: Path, ownership: Ownership | None = None, log: EventLog | None = None
    ) -> None:
        ownership = ownership or Ownership()
        self._lease: Lease | None = None
        self._descriptor = _open_lock(path)
        try:
            if not _lock(self._descriptor):
                if not ownership.standby:
                    raise StartupError(f"{path}: another daemon owns this directory")
                if log is not None:
                    log.info("standing by", directory=str(path))
                while not _lock(self._descriptor):
                    time.sleep(_POLL_SECONDS)

            def waiting(state: LeaseState) -> None:
                if log is not None:
                    log.info("waiting for a lease to end", seconds=state.seconds)

            wait_for_expiry(path, waiting)
            if ownership.lease_seconds:
                self._lease = Lease(path, ownership.lease_seconds)
            else:
                forget_lease(path)
        except BaseException:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Give the directory up."""
        if self._lease is not None:
            self._lease.release()
        os.close(self._descriptor)


def _open_lock(path: Path) -> int:
    if not path.is_dir():
        raise StartupError(f"{path}: the directory does not exist; create it first")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise StartupError(f"{path}: the directory is not readable and writable")
    try:
        return os.open(path / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartupError(f"{path / _LOCK_NAME}: {error.strerror}") from error


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
