"""Fail-points: named places at which a test lets a process end itself as ``kill -9`` would.

``DMD_FAILPOINT=after-data-fsync`` in the environment of a process ends it when it comes to that
place, ``after-data-fsync:3`` when it comes there the third time. The configuration parses the
variable, and refuses a name that is not in ``FailPoint``; the process arms the point before it
serves. Nothing is cleaned up, flushed or answered.
"""

from __future__ import annotations

import os
import signal
import threading
from enum import StrEnum

import msgspec


class FailPoint(StrEnum):
    """All places, in the order in which a request comes to them."""

    # Small blobs are stored: by the data daemon, or, where they come with their commit, by the
    # metadata daemon, which has decided the group by then.
    BEFORE_SEGMENT_WRITE = "before-segment-write"
    AFTER_SEGMENT_WRITE = "after-segment-write"
    AFTER_SEGMENT_FSYNC = "after-segment-fsync"
    # A blob is stored as a file: by the data daemon, or by a front-end beside it.
    BEFORE_DATA_WRITE = "before-data-write"
    AFTER_DATA_WRITE = "after-data-write"
    AFTER_DATA_FSYNC = "after-data-fsync"
    AFTER_DATA_LINK = "after-data-link"
    AFTER_DIRECTORY_FSYNC = "after-directory-fsync"
    # A front-end has noted what it is about to store in a place that others run.
    AFTER_STRAY_NOTED = "after-stray-noted"
    # A front-end has stored the bytes of an object or a part; no record names them yet.
    AFTER_DATA_STORED = "after-data-stored"
    # A place has made a blob of the parts of its own upload; no record names it yet.
    AFTER_PLACE_COMPLETION = "after-place-completion"
    # The metadata daemon has applied a group of mutations; committed it, and not answered yet.
    BEFORE_COMMIT = "before-commit"
    AFTER_COMMIT = "after-commit"
    # A front-end knows of the commit that decides; its client does not.
    AFTER_RECORD_COMMIT = "after-record-commit"
    # A front-end has removed some part records of an upload that has ended; its closing record.
    AFTER_CLOSING_SLICE = "after-closing-slice"
    AFTER_UPLOAD_CLOSED = "after-upload-closed"
    # The data daemon removes a blob.
    BEFORE_DATA_UNLINK = "before-data-unlink"
    AFTER_DATA_UNLINK = "after-data-unlink"
    # The background worker has deleted queued data; the queue still names it.
    AFTER_QUEUED_DATA_DELETION = "after-queued-data-deletion"
    # The background worker has wrapped keys anew; its progress does not say so yet.
    AFTER_KEYS_REWRAPPED = "after-keys-rewrapped"
    # A garbage collection has listed the blobs; put one into quarantine; removed one from there.
    AFTER_GC_LISTING = "after-gc-listing"
    AFTER_GC_QUARANTINE = "after-gc-quarantine"
    AFTER_GC_PURGE = "after-gc-purge"


class ArmedFailPoint(msgspec.Struct, frozen=True):
    """Where to die, and at which of the times that the process comes there (1 for the first)."""

    point: FailPoint
    visit: int = 1

    def __str__(self) -> str:
        return f"{self.point}:{self.visit}"


def parse_failpoint(text: str) -> ArmedFailPoint:
    """``name`` or ``name:N``. Raises ValueError, whose text lists the names."""
    name, colon, number = text.partition(":")
    if name not in set(FailPoint):
        raise ValueError(f"{name!r} is not one of {', '.join(FailPoint)}")
    if colon and not (number.isascii() and number.isdigit() and int(number) > 0):
        raise ValueError(f"{text!r} is not a name or name:N, where N counts from 1")
    return ArmedFailPoint(FailPoint(name), int(number) if colon else 1)


class _Countdown:
    """Counts the visits of one place, by any thread."""

    def __init__(self, armed: ArmedFailPoint) -> None:
        self._point = armed.point
        self._left = armed.visit
        self._mutex = threading.Lock()

    def visit(self, point: FailPoint) -> None:
        if point is not self._point:
            return
        with self._mutex:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


_countdown: _Countdown | None = None


def arm(armed: ArmedFailPoint) -> None:
    """Let this process die at a place from now on."""
    global _countdown  # noqa: PLW0603  # one process, one environment
    _countdown = _Countdown(armed)


def failpoint(point: FailPoint) -> None:
    """Mark a place. Costs a comparison when no point is armed."""
    if _countdown is not None:
        _countdown.visit(point)
