"""Logs: one JSON object per line on standard output, or lines for people.

``configure_logging`` is called once by each process, before it serves; ``get_logger`` by any
module, at import too. Every line has, in this order, ``time`` (ISO 8601, milliseconds, UTC),
``level``, ``name``, ``pid`` and ``event``, then what was bound to the logger or given with the
event (``request_id`` for everything that belongs to a request), and ``exception`` with the
traceback as one string. Records of the standard library's ``logging``, and with them those of
aiohttp, asyncio, Socket.IO and Python's warnings, come out as the same lines.

Nothing here raises: a value that JSON cannot hold is written as text, and a reader of standard
output that has gone away stops the log, not the service.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, BinaryIO, Final, Protocol, cast

import orjson
import structlog
from structlog.processors import format_exc_info

from shared.daemon_secret import without_payload
from shared.readable_log import is_for_people, readable_line

TRACE: Final = 5
"""Below the standard library's DEBUG, for LOG_LEVEL=trace."""

LEVELS: Final[Mapping[str, int]] = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
"""The levels of LOG_LEVEL, least severe first."""

_NAMES: Final = {"warning": "warn", "exception": "error", "critical": "fatal"}
"""Level names of structlog's that differ from ours."""

_PART: Final = "_part"
"""Key under which structlog carries what ``get_logger`` was asked for."""

_SOCKET_IO_LOGGERS: Final = (
    "engineio.client",
    "engineio.server",
    "socketio.client",
    "socketio.server",
)

_Fields = MutableMapping[str, Any]
_MakeLine = Callable[[float, str, str, int, _Fields], bytes]
"""Makes a line, without its break, of a time, a level, a name, a process ID and the fields."""


class EventLog(Protocol):
    """What most code asks of a logger. ``event`` says what happened, in words that do not vary;
    everything that varies is a field."""

    def debug(self, event: str, /, **fields: Any) -> object: ...
    def info(self, event: str, /, **fields: Any) -> object: ...
    def warning(self, event: str, /, **fields: Any) -> object: ...
    def error(self, event: str, /, **fields: Any) -> object: ...


class Logger(EventLog, Protocol):
    """What ``get_logger`` returns."""

    def trace(self, event: str, /, **fields: Any) -> None: ...

    def exception(self, event: str, /, **fields: Any) -> None:
        """``error`` with the traceback of the exception that is being handled."""

    def bind(self, **fields: Any) -> Logger:
        """A logger that adds these fields to each of its lines."""


def configure_logging(
    name: str, level: str, file: BinaryIO | None = None, *, layout: str = "auto"
) -> None:
    """Sends this process's log to ``file``, standard output by default.

    ``name`` is the process's; ``level`` is one of LEVELS, the least severe that is written.
    Libraries are held one level higher: their debug records are written only at ``trace``.
    ``layout`` is ``json``, ``text`` (``shared.readable_log``), or ``auto``: text on a terminal.
    """
    output = _Output(sys.stdout.buffer if file is None else file)
    make_line = _readable if is_for_people(layout, output.is_terminal) else _line
    structlog.configure(
        processors=[format_exc_info, _Renderer(name, make_line)],
        wrapper_class=_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: output,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_StandardLibraryHandler(name, output, make_line)]
    root.setLevel(_library_level(LEVELS[level]))
    for logger_name in _SOCKET_IO_LOGGERS:
        # It writes each packet at INFO; and without a level it adds a handler for standard error.
        packets = logging.DEBUG if level == "trace" else logging.WARNING
        library = logging.getLogger(logger_name)
        library.setLevel(max(packets, _library_level(LEVELS[level])))
        library.addFilter(_without_payloads)
    logging.getLogger("aiohttp.server").addFilter(_malformed_requests_briefly)
    logging.captureWarnings(True)


def get_logger(name: str = "") -> Logger:
    """The logger of one part of the program; its lines are named ``<process>.<name>``."""
    part = {_PART: name} if name else {}
    return cast(Logger, structlog.get_logger(**part))


def _without_payloads(record: logging.LogRecord) -> bool:
    """A filter: packets of Socket.IO are written without what authenticates their senders."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            without_payload(value) if isinstance(value, str) else value for value in record.args
        )
    return True


def _malformed_requests_briefly(record: logging.LogRecord) -> bool:
    """A filter: what a client sends that is not HTTP, TLS for instance, is no error of ours that
    needs a traceback, and may hold anything."""
    error = record.exc_info[1] if record.exc_info else None
    if type(error).__module__ == "aiohttp.http_exceptions":
        record.exc_info = None
        record.levelno = min(record.levelno, logging.WARNING)
        record.msg, record.args = "malformed request: %s", (type(error).__name__,)
    return True


def _library_level(level: int) -> int:
    return logging.DEBUG if level == TRACE else max(level, logging.INFO)


def _bound_logger(level: int) -> type:
    """structlog's filtering logger with ``trace`` added, a level that structlog does not have.

    Methods below the level return at once.
    """
    base: Any = structlog.make_filtering_bound_logger(max(level, logging.DEBUG))
    return type("BoundLogger", (base,), {"trace": _trace if level == TRACE else _silent})


def _trace(self: Any, event: str, **fields: Any) -> Any:
    return self._proxy_to_logger("trace", event, **fields)


def _silent(self: Any, event: str, **fields: Any) -> None:
    """A level that is not written."""


class _Renderer:
    """structlog's last processor: the fields of an event as a line, without its line break."""

    def __init__(self, process_name: str, make_line: _MakeLine) -> None:
        self._process_name = process_name
        self._make_line = make_line
        self._pid = os.getpid()

    def __call__(self, logger: Any, method: str, fields: _Fields) -> bytes:
        part = fields.pop(_PART, None)
        name = self._process_name if part is None else f"{self._process_name}.{part}"
        return self._make_line(time.time(), _NAMES.get(method, method), name, self._pid, fields)


class _StandardLibraryHandler(logging.Handler):
    """Records of ``logging`` as the same lines, named ``<process>.<logger>``."""

    def __init__(self, process_name: str, output: _Output, make_line: _MakeLine) -> None:
        super().__init__()
        self._make_line = make_line
        self._process_name = process_name
        self._output = output
        self._pid = os.getpid()
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = record.getMessage()
        except Exception:  # arguments that do not fit their format
            event = str(record.msg)
        fields = {"event": event}
        if record.exc_info:
            fields["exception"] = self._formatter.formatException(record.exc_info)
        name = f"{self._process_name}.{record.name}"
        line = self._make_line(record.created, _level_name(record.levelno), name, self._pid, fields)
        self._output.write(line)


class _Output:
    """Where lines go. Has a method for each level, because structlog calls it by that name."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @property
    def is_terminal(self) -> bool:
        return self._file.isatty()

    def write(self, line: bytes) -> None:
        # The reader may have gone, or the file be closed at the end of the process.
        with contextlib.suppress(OSError, ValueError):
            self._file.write(line + b"\n")
            self._file.flush()

    trace = debug = info = warning = error = critical = write


def _level_name(level: int) -> str:
    """Our name for a level of the standard library's, or for one in between."""
    names = [name for name, least in LEVELS.items() if level >= least]
    return names[-1] if names else "trace"


def _line(seconds: float, level: str, name: str, pid: int, fields: _Fields) -> bytes:
    """The line, with its own fields first; a field of the event cannot take their place."""
    date = f"{_second(int(seconds))}.{int(seconds % 1 * 1000):03}Z"
    own = {"time": date, "level": level, "name": name, "pid": pid}
    line = {**own, "event": fields["event"], **fields, **own}
    try:
        return orjson.dumps(line, default=str)
    except TypeError:
        return _line_of_anything(line)


def _readable(seconds: float, level: str, name: str, pid: int, fields: _Fields) -> bytes:
    """The line for people."""
    own = {"level": level, "name": name, "pid": pid}
    line = readable_line(seconds, {**fields, **own})
    return line.encode("utf-8", "backslashreplace")


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    """ISO 8601 to the second. Kept, because thousands of lines share it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _line_of_anything(line: dict[str, Any]) -> bytes:
    """For what orjson refuses: lone surrogates of undecodable names, huge integers, odd keys."""
    try:
        return json.dumps(line, default=str, skipkeys=True).encode()
    except Exception:  # a cycle, or a __str__ that fails
        plain = (str, int, float, type(None))
        return json.dumps(
            {
                key: value if isinstance(value, plain) else type(value).__name__
                for key, value in line.items()
            }
        ).encode()
