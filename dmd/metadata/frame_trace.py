"""``DEBUG='socket.io*'``: the frames exchanged with clients, on standard error.

The variable is that of the original (the manual, section 7.2.2): names separated by commas or
spaces, ``*`` for any characters, ``-`` before a name that is left out. A line has the time, the
name of the part, what was done, and the frame::

    2026-01-31T12:00:00.000Z socket.io-parser decoded 2/MDFile/metadata,1["call","get",...]
    2026-01-31T12:00:00.001Z socket.io-parser encoded 3/MDFile/metadata,1[null,"..."]

Frames are the messages of Socket.IO, without the packet type of Engine.IO, and cut when they are
long. Heartbeats and the handshake are not shown, nor is what a client authenticates with.
"""

from __future__ import annotations

import contextlib
import logging
import re
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Final, TextIO

from shared.daemon_secret import without_payload
from shared.records.times import to_iso

PART: Final = "socket.io-parser"
CHARACTERS_MAX: Final = 1000
_LOGGER: Final = "engineio.server"


def is_asked_for(debug: str) -> bool:
    """Whether a value of DEBUG names the frames."""
    names = [name for name in re.split(r"[\s,]+", debug) if name]
    if any(fnmatchcase(PART, name[1:]) for name in names if name.startswith("-")):
        return False
    return any(fnmatchcase(PART, name) for name in names)


def trace_frames(debug: str, output: TextIO) -> FrameTrace | None:
    """Show the frames of this process from now on, if ``debug``, the value of DEBUG, says so.

    Those of python-socketio are taken from its log; the lean shell shows its own to what is
    returned.
    """
    if not is_asked_for(debug):
        return None
    trace = FrameTrace(output)
    logger = logging.getLogger(_LOGGER)
    logger.addFilter(_FrameFilter(trace, logger.getEffectiveLevel()))
    logger.setLevel(logging.INFO)
    return trace


class FrameTrace:
    """Writes lines about frames; a reader that has gone away stops the trace alone."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def received(self, frame: str) -> None:
        self._write("decoded", without_payload(frame))

    def sent(self, frame: str) -> None:
        self._write("encoded", frame)

    def _write(self, done: str, frame: str) -> None:
        if len(frame) > CHARACTERS_MAX:
            left_out = len(frame) - CHARACTERS_MAX
            frame = f"{frame[:CHARACTERS_MAX]}… ({left_out} characters more)"
        with contextlib.suppress(OSError, ValueError):
            self._output.write(f"{to_iso(datetime.now(UTC))} {PART} {done} {frame}\n")
            self._output.flush()


class _FrameFilter(logging.Filter):
    """Takes the frames out of what the library logs, and lets pass what was logged before."""

    def __init__(self, trace: FrameTrace, level: int) -> None:
        super().__init__()
        self._level = level
        self._show = {
            "%s: Received packet %s data %s": trace.received,
            "%s: Sending packet %s data %s": trace.sent,
        }

    def filter(self, record: logging.LogRecord) -> bool:
        show = self._show.get(str(record.msg))
        match record.args:
            case (_, "MESSAGE", str() as frame) if show is not None:
                show(frame)
        return record.levelno >= self._level
