"""The methods of the record log service (reference/dmd-wire.md, section 9).

``readRecords({startSeq, endSeq, limit})``
    ``{info: {start, end}, log: <stream>}``: the numbers of the first and last record that the
    stream has, both null when it has none, and the records. Without ``startSeq``, or with 0, it
    begins with the oldest record. When ``startSeq`` has been trimmed, or the reader is so slow that
    a record is trimmed before it is read, the error is ``RecordsTrimmed`` with the members
    ``firstSeq`` and ``lastSeq``, the numbers that can be read, as text.
``createLogRecordOps([operation, ...])``
    How the next operations would be logged. It reserves no numbers: the daemon logs every change
    itself.
``pruneRecords``
    ``NotImplemented``, as in the original: the log is trimmed by age and size.

A call names its log; the name arrives as the only name of its sub-level, and none means the log
that is written.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import msgspec

from dmd.metadata import arguments, record_keys, record_log, stored
from dmd.metadata.alarm import DAMAGE, Alarm
from dmd.metadata.engines.base import Engine, Reader
from dmd.metadata.pages import PacketSize, Page
from dmd.metadata.record_log import Change, LogState, RecordLogSettings
from shared import limits
from shared.errors import ServiceError
from shared.process.logs import get_logger
from shared.records.names import RECORD_LOGS
from shared.rpc.envelope import Call, is_sub_level


class LogPages:
    """The records of a call in packets, and the ``info`` about them that goes with the answer."""

    def __init__(self, info: Mapping[str, int | None], pages: Iterator[Page]) -> None:
        self.info = info
        self._pages = pages

    def __iter__(self) -> Iterator[Page]:
        return self._pages

    def __next__(self) -> Page:
        return next(self._pages)


class LogStream(msgspec.Struct, frozen=True):
    """A result that has a stream in it."""

    pages: LogPages


class RecordLogService:
    """The logs of one open store."""

    def __init__(
        self,
        engine: Engine,
        settings: RecordLogSettings,
        packet_size: PacketSize | None = None,
        alarm: Alarm | None = None,
    ) -> None:
        self._alarm = alarm or Alarm(get_logger())
        self._engine = engine
        self._settings = settings
        self._packet_size = packet_size or PacketSize()
        self._methods: dict[str, Callable[[Call, str], Awaitable[Any]]] = {
            "createLogRecordOps": self._create_log_record_ops,
            "pruneRecords": self._prune_records,
            "readRecords": self._read_records,
        }
        self._manifest = {"apiVersion": "1.0", "api": [{"name": name} for name in self._methods]}

    async def call(self, call: Call) -> Any:
        """The result of a call, a JSON value or a LogStream; raises ServiceError."""
        if call.name == "getManifest":
            return self._manifest
        method = self._methods.get(call.name)
        if method is None:
            raise ServiceError("InvalidArgument", f"unknown method {call.name!r}")
        name = call.sub_level[0] if call.sub_level else self._settings.name
        record_keys.prefix([name])
        try:
            return await method(call, name)
        except DAMAGE as error:
            raise self._alarm.error(error) from error

    async def _create_log_record_ops(self, call: Call, name: str) -> list[dict[str, Any]]:
        operations = arguments.array(call, 0, "dbOps", limits.BATCH_OPERATIONS_MAX)
        changes = [_change(operation) for operation in operations]
        with self._engine.snapshot() as reader:
            sequence = record_log.read_state(reader, name).last
        now_ms = time.time_ns() // 1_000_000
        return [
            {
                "type": "put",
                "prefix": [RECORD_LOGS, name],
                "key": record_log.sequence_name(sequence + 1 + index),
                "value": record_log.log_record(change, now_ms).decode(),
            }
            for index, change in enumerate(changes)
        ]

    async def _prune_records(self, _call: Call, _name: str) -> None:
        raise ServiceError("NotImplemented", "the log is trimmed by its age and size")

    async def _read_records(self, call: Call, name: str) -> LogStream:
        options = arguments.options(call, 0)
        start, end, limit = (_number(options, part) for part in ("startSeq", "endSeq", "limit"))
        with self._engine.snapshot() as reader:
            state = record_log.read_state(reader, name)
            first = start if start is not None and start > 0 else state.first
            _check_not_trimmed(first, state)
            last = state.last if end is None else min(end, state.last)
            if limit is not None and limit >= 0:
                last = min(last, first + limit - 1)
            found = _first_number(reader, name, first, last)
        if found is None:
            return LogStream(LogPages({"start": None, "end": None}, iter(())))
        return LogStream(
            LogPages(
                {"start": found, "end": last},
                self._alarm.watched(self._pages(name, found, last)),
            )
        )

    def _pages(self, name: str, start: int, end: int) -> Iterator[Page]:
        while start <= end:
            with self._engine.snapshot() as reader:
                _check_not_trimmed(start, record_log.read_state(reader, name))
                page, start = self._page(reader, name, start, end)
            if page:
                yield page

    def _page(self, reader: Reader, name: str, start: int, end: int) -> tuple[Page, int]:
        """One packet of entries, and the number that the next begins with."""
        page: Page = []
        size = 0
        try:
            for sequence, _, record in record_log.records(reader, name, start, end):
                page.append(record_log.entry_of(record))
                size += len(record)
                if len(page) >= self._packet_size.items_max or size >= self._packet_size.bytes_max:
                    return page, sequence + 1
        except msgspec.DecodeError as error:
            raise stored.CorruptRecordError(str(error)) from error
        return page, end + 1


def _check_not_trimmed(start: int, state: LogState) -> None:
    if start < state.first:
        fields = {"firstSeq": str(state.first), "lastSeq": str(state.last)}
        raise ServiceError(
            "RecordsTrimmed", f"record {start} was removed; the log begins at {state.first}", fields
        )


def _first_number(reader: Reader, name: str, first: int, last: int) -> int | None:
    """The number of the first record of a range; None when the range is empty."""
    if first > last:
        return None
    found = next(iter(record_log.records(reader, name, first, last)), None)
    return None if found is None else found[0]


def _number(options: Mapping[str, Any], name: str) -> int | None:
    value = options.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise ServiceError("InvalidArgument", f"option {name!r} must be a whole number")
    return min(value, record_log.SEQUENCE_MAX)


def _change(operation: Any) -> Change:
    """An operation as CloudServer's daemon writes it to its database."""
    if not isinstance(operation, dict):
        raise ServiceError("InvalidArgument", "an operation must be an object")
    kind, sub_level = operation.get("type") or "put", operation.get("prefix", [])
    key, value = operation.get("key"), operation.get("value")
    if (
        kind not in ("put", "del")
        or not is_sub_level(sub_level)
        or not isinstance(key, str)
        or not isinstance(value, str | None)
    ):
        raise ServiceError(
            "InvalidArgument", "an operation has a type, a prefix, a key and a value"
        )
    for text in (*sub_level, key, value or ""):
        record_keys.encode(text)
    return Change(kind, sub_level, key, value)
