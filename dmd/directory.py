"""Ownership of a directory by one daemon process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from dmd.errors import StartupError

_LOCK_NAME = "lock"


class OwnedDirectory:
    """A directory that this process alone may write, until ``release`` or the process's end.

    Raises StartupError when it is missing, not writable, or owned by another process.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise StartupError(f"{path}: the directory does not exist; create it first")
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise StartupError(f"{path}: the directory is not readable and writable")
        try:
            self._descriptor = os.open(path / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StartupError(f"{path / _LOCK_NAME}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise StartupError(f"{path}: another daemon owns this directory") from error

    def release(self) -> None:
        """Give the directory up."""
        os.close(self._descriptor)
