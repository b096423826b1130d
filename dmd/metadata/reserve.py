"""Room that is kept for deletions, so that a full disk can be freed by those who filled it.

Theory of operation. A deletion writes: pages are copied before they are changed. So a file of the
directory, ``reserve``, keeps some space from everybody. When a commit finds the disk full, the file
is emptied, and what gives up data is done in the room that it had; what adds data is refused until
there is room again. That is so when the reserve can be taken back from the disk, or when the store
has as much free space inside, which its file never gives back to the disk. Of that space a reserve
is kept as well: as long as there is none on the disk, it is looked at again and again, and what
adds data is refused before the rest of it is needed.

Used by the writer's thread alone. Nothing here raises.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from shared.process.logs import EventLog

FILE_NAME: Final = "reserve"
_SHARE_MAX: Final = 16
"""The reserve is no larger than this part of the disk."""

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
_LOOK_SECONDS: Final = 1.0
_LOOK_INSIDE_SECONDS: Final = 0.25
"""How often the store's own space is looked at while it is the reserve: what is added between two
looks takes from it."""

_MARGIN: Final = 2
"""How many reserves have to be free before one is taken back."""


class Reserve:
    """See the module. ``size`` is bytes, 0 for none; ``has_free`` is asked whether the store has so
    many bytes inside."""

    def __init__(
        self, directory: Path, size: int, has_free: Callable[[int], bool], log: EventLog
    ) -> None:
        self._directory = directory
        self._path = directory / FILE_NAME
        self._has_free = has_free
        self._log = log
        self._size = 0
        self._looked = 0.0
        self.is_spent = False
        """Whether the disk was full, and there is no room again yet."""
        self._is_inside = False
        try:
            figures = os.statvfs(directory)
            self._size = min(size, figures.f_blocks * figures.f_frsize // _SHARE_MAX)
        except OSError:
            return
        if self._size <= 0:
            with suppress(OSError):
                self._path.unlink()
        elif not self._take(margin=1) and self._size:
            self._spend("there is no room for the reserve")

    def release(self) -> bool:
        """The disk is full: whether a deletion that failed may succeed now."""
        held = self._held()
        if not self.is_spent:
            self._spend("the disk of the metadata is full")
        if not held:
            return False
        try:
            os.truncate(self._path, 0)
        except OSError:
            return False
        return True

    @property
    def is_whole(self) -> bool:
        """Whether the reserve is on the disk, so that nothing has to be asked of ``has_room``."""
        return not (self.is_spent or self._is_inside)

    def has_room(self) -> bool:
        """Whether data may be added. Looks at the disk at most once a second, at the space of the
        store more often while that is the reserve."""
        if self.is_whole:
            return True
        now = time.monotonic()
        if now - self._looked < (_LOOK_SECONDS if self.is_spent else _LOOK_INSIDE_SECONDS):
            return not self.is_spent
        self._looked = now
        self._is_inside = not self._take(margin=_MARGIN)
        if self._is_inside and not self._has_free(self._size * (_MARGIN if self.is_spent else 1)):
            if not self.is_spent:
                self._spend("the store has no more room than deletions need")
            return False
        if self.is_spent:
            self.is_spent = False
            self._log.info("there is room for metadata again")
        return True

    def _spend(self, reason: str) -> None:
        self.is_spent = True
        self._looked = time.monotonic()
        self._log.error(
            "no room for new metadata: only deletions are done",
            reason=reason,
            directory=str(self._directory),
        )

    def _held(self) -> int:
        """The bytes that the reserve has at this moment."""
        try:
            return os.stat(self._path).st_blocks * 512
        except OSError:
            return 0

    def _take(self, margin: int) -> bool:
        """Have the whole reserve, leaving others ``margin - 1`` times as much."""
        if self._held() >= self._size:
            return True
        try:
            figures = os.statvfs(self._directory)
            if figures.f_bavail * figures.f_frsize < self._size * margin:
                return False
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
                os.ftruncate(descriptor, self._size)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                self._do_without(error)
            return False
        return True

    def _do_without(self, error: OSError) -> None:
        """The file cannot be used, which is no reason to refuse what there is room for."""
        self._size = 0
        reason = error.strerror or str(error)
        self._log.warning("no reserve for deletions", file=str(self._path), reason=reason)


class NoReserve:
    """For a store that has no disk."""

    is_spent = False
    is_whole = True

    def release(self) -> bool:
        """There is nothing to release."""
        return False

    def has_room(self) -> bool:
        """There always is."""
        return True
