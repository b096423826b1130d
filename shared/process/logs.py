"""Logs: one JSON object per line on standard output, or lines for people.

``configure_logging`` is called once by each process, before it serves; ``get_logger`` by any
module, at import too. Every line has, in this order, ``time`` (ISO 8601, milliseconds, UTC),
``level``, ``name``, ``pid`` and ``event``, then what was bound to the logger or given with the
event (``request_id`` for everything that belongs to a request), and ``exception`` with the
traceback as one string. Records of the standard library's ``logging``, and with them those of
aiohttp, asyncio, Socket.IO and Python's warnings, come out as the same lines.

Nothing here raises: a value that JSON cannot hold is written as text, and a reader of standard
output that has gone away stops the log, not the service.

No logging library makes these lines: structlog imports rich, 50 ms and 3 MB of every process, and
took nearly twice the instructions for the line of a request.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from functools import lru_cache
from io import RawIOBase
from typing import Any, BinaryIO, Final, NamedTuple, Protocol

import msgspec
import orjson

from shared.daemon_secret import without_payload
from shared.process.heap import is_out_of_memory
from shared.process.readable_log import is_for_people, readable_line

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

_SOCKET_IO_LOGGERS: Final = (
    "engineio.client",
    "engineio.server",
    "socketio.client",
    "socketio.server",
)

_OWN_FIELDS: Final = 4
"""Those of a line that no field of its event may take the place of: all before ``event``."""

_encode: Final = msgspec.json.Encoder().encode

_Fields = dict[str, Any]
_MakeLine = Callable[[float, str, str, int, _Fields], bytes]
"""Makes a line, without its break, of a time, a level, a name, a process ID and the fields."""


class EventLog(Protocol):
    """What most code asks of a logger. ``event`` says what happened, in words that do not vary;
    everything that varies is a field."""

    @property
    def shows_debug(self) -> bool:
        """Whether ``debug`` does anything: for those whose fields cost something to make."""

    def debug(self, event: str, /, **fields: Any) -> object: ...
    def info(self, event: str, /, **fields: Any) -> object: ...
    def warning(self, event: str, /, **fields: Any) -> object: ...
    def error(self, event: str, /, **fields: Any) -> object: ...


class Logger(EventLog, Protocol):
    """What ``get_logger`` returns."""

    def trace(self, event: str, /, **fields: Any) -> None: ...

    def exception(self, event: str, /, **fields: Any) -> None:
        """``error`` with the traceback of the exception that is being handled."""

    def info_of(self, event: str, fields: msgspec.Struct) -> None:
        """``info`` with the members of a struct, in half the time: for the line of each request.
        None of them is named like what every line has."""

    def bind(self, **fields: Any) -> Logger:
        """A logger that adds these fields to each of its lines."""


def configure_logging(
    name: str, level: str, file: BinaryIO | None = None, *, layout: str = "auto"
) -> None:
    """Sends this process's log to ``file``, standard output by default.

    ``name`` is the process's; ``level`` is one of LEVELS, the least severe that is written.
    Libraries are held one level higher: their debug records are written only at ``trace``.
    ``layout`` is ``json``, ``text`` (``shared.process.readable_log``), or ``auto``: text on a
    terminal.
    """
    global _sink  # noqa: PLW0603  # a process has one log
    output = _Output(sys.stdout.buffer if file is None else file)
    make_line = _readable if is_for_people(layout, output.is_terminal) else _line
    _sink = _Sink(name, LEVELS[level], make_line, output)
    root = logging.getLogger()
    root.handlers = [_StandardLibraryHandler(_sink)]
    root.setLevel(_library_level(LEVELS[level]))
    for logger_name in _SOCKET_IO_LOGGERS:
        # It writes each packet at INFO; and without a level it adds a handler for standard error.
        packets = logging.DEBUG if level == "trace" else logging.WARNING
        library = logging.getLogger(logger_name)
        library.setLevel(max(packets, _library_level(LEVELS[level])))
        library.addFilter(_without_payloads)
    logging.getLogger("aiohttp.server").addFilter(_malformed_requests_briefly)
    logging.getLogger("asyncio").addFilter(_little_memory_briefly)
    logging.captureWarnings(True)


def get_logger(name: str = "") -> Logger:
    """The logger of one part of the program; its lines are named ``<process>.<name>``."""
    return _Logger(name, {})


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


def _little_memory_briefly(record: logging.LogRecord) -> bool:
    """A filter: a connection that the loop ends because there is no memory to read from it."""
    error = record.exc_info[1] if record.exc_info else None
    if is_out_of_memory(error):
        record.exc_info = None
        record.msg, record.args = "out of memory: %r", (error,)
    return True


def _library_level(level: int) -> int:
    return logging.DEBUG if level == TRACE else max(level, logging.INFO)


class _Output:
    """Where lines go; None is standard error, whatever that is at the moment."""

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file
        self._raw: RawIOBase | None = getattr(file, "raw", None)

    @property
    def is_terminal(self) -> bool:
        return self._file is not None and self._file.isatty()

    def write(self, line: bytes) -> None:
        line += b"\n"
        try:
            if self._raw is not None:
                # A buffer would be flushed for each line: that takes four times as long.
                written = self._raw.write(line)
                if written == len(line):
                    return
                line = line[written or 0 :]
            file = sys.stderr.buffer if self._file is None else self._file
            file.write(line)
            file.flush()
        except (OSError, ValueError):
            pass  # the reader has gone, or the file is closed: the process is ending


class _Process:
    """The ID of this process, which the system need not be asked for each line."""

    def __init__(self) -> None:
        self.note()
        os.register_at_fork(after_in_child=self.note)

    def note(self) -> None:
        self.id = os.getpid()


_process = _Process()

_THOUSANDTHS: Final = tuple(f".{number:03}Z" for number in range(1000))
"""How a time ends: to take it from here costs a fifth of making it."""


class _Sink(NamedTuple):
    """What becomes of an event: the name of the process, the least level, how, and where."""

    process_name: str
    level: int
    make_line: _MakeLine
    output: _Output

    def write(self, seconds: float, level: str, part: str, fields: _Fields) -> None:
        name = f"{self.process_name}.{part}" if part else self.process_name
        self.output.write(self.make_line(seconds, level, name, _process.id, fields))

    def write_struct(self, level: str, part: str, event: str, fields: msgspec.Struct) -> bool:
        """The same of an event that happens now; False, and nothing is done, where its members have
        to be looked at one by one."""
        if self.make_line is not _line:
            return False
        seconds = time.time()
        name = f"{self.process_name}.{part}" if part else self.process_name
        try:
            members = _encode(fields)[1:]
        except Exception:  # what ``_line_of_anything`` is for
            return False
        head = _head(level, name, _process.id, event)
        self.output.write(b'{"time":"%b",%b,%b' % (_date(seconds).encode(), head, members))
        return True


class _Logger:
    """One part of the program, and what was bound. See the protocol ``Logger``."""

    __slots__ = ("_bound", "_part")

    def __init__(self, part: str, bound: _Fields) -> None:
        self._part = part
        self._bound = bound

    def bind(self, **fields: Any) -> Logger:
        return _Logger(self._part, {**self._bound, **fields})

    @property
    def shows_debug(self) -> bool:
        return _sink.level <= logging.DEBUG

    def trace(self, event: str, /, **fields: Any) -> None:
        if _sink.level <= TRACE:
            self._write("trace", event, fields)

    def debug(self, event: str, /, **fields: Any) -> None:
        if _sink.level <= logging.DEBUG:
            self._write("debug", event, fields)

    def info(self, event: str, /, **fields: Any) -> None:
        if _sink.level <= logging.INFO:
            self._write("info", event, fields)

    def info_of(self, event: str, fields: msgspec.Struct) -> None:
        if _sink.level > logging.INFO:
            return
        if self._bound or not _sink.write_struct("info", self._part, event, fields):
            self._write("info", event, msgspec.structs.asdict(fields))

    def warning(self, event: str, /, **fields: Any) -> None:
        if _sink.level <= logging.WARNING:
            self._write("warn", event, fields)

    def error(self, event: str, /, **fields: Any) -> None:
        if _sink.level <= logging.ERROR:
            self._write("error", event, fields)

    def exception(self, event: str, /, **fields: Any) -> None:
        self.error(event, exc_info=sys.exception(), **fields)

    def _write(self, level: str, event: str, fields: _Fields) -> None:
        line = {**self._bound, **fields} if self._bound else fields
        line["event"] = event
        error = line.pop("exc_info", None)
        if error is not None:
            line["exception"] = "".join(traceback.format_exception(error)).rstrip("\n")
        _sink.write(time.time(), level, self._part, line)


class _StandardLibraryHandler(logging.Handler):
    """Records of ``logging`` as the same lines, named ``<process>.<logger>``."""

    def __init__(self, sink: _Sink) -> None:
        super().__init__()
        self._sink = sink
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = record.getMessage()
        except Exception:  # arguments that do not fit their format
            event = str(record.msg)
        fields = {"event": event}
        if record.exc_info:
            fields["exception"] = self._formatter.formatException(record.exc_info)
        self._sink.write(record.created, _level_name(record.levelno), record.name, fields)


def _level_name(level: int) -> str:
    """Our name for a level of the standard library's, or for one in between."""
    names = [name for name, least in LEVELS.items() if level >= least]
    return names[-1] if names else "trace"


def _line(seconds: float, level: str, name: str, pid: int, fields: _Fields) -> bytes:
    """The line, with its own fields first; a field of the event cannot take their place."""
    line = {"time": _date(seconds), "level": level, "name": name, "pid": pid, "event": "", **fields}
    if len(line) != len(fields) + _OWN_FIELDS:
        line.update(time=_date(seconds), level=level, name=name, pid=pid)
    try:
        return orjson.dumps(line, default=str)
    except TypeError:
        return _line_of_anything(line)


def _readable(seconds: float, level: str, name: str, pid: int, fields: _Fields) -> bytes:
    """The line for people."""
    own = {"level": level, "name": name, "pid": pid}
    line = readable_line(seconds, {**fields, **own})
    return line.encode("utf-8", "backslashreplace")


@lru_cache(maxsize=64)
def _head(level: str, name: str, pid: int, event: str) -> bytes:
    """What lines of an event have in common, behind their time, without braces."""
    return orjson.dumps({"level": level, "name": name, "pid": pid, "event": event})[1:-1]


def _date(seconds: float) -> str:
    """ISO 8601 to the millisecond."""
    whole, part = divmod(int(seconds * 1000), 1000)
    return _second(whole) + _THOUSANDTHS[part]


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


_sink = _Sink("python", logging.INFO, _line, _Output(None))
"""That of this process. Before ``configure_logging``: standard error."""
