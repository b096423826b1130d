"""The record log: every change of a record, numbered, in the transaction that makes it.

Rules (reference/dmd-wire.md, section 9):

1. A log is the sub-level ``..recordLogs/<name>``: sequence numbers of 16 digits, from 1, and
   ``{type, db, key, value, timestamp}``; ``db`` is the first name of the sub-level. Sub-levels of
   the daemon's own, which begin with two dots, are not logged.
2. The numbers are those of the commits' order, without gaps, over restarts and trimming.
3. The oldest records go when the log exceeds its size or their age, a bounded number in a commit,
   and never one of the commit itself.
4. A reader that asks from a number on gets everything from there, or is told that it was trimmed.
   That also holds when the log was switched off in between: what was changed then is missing, so
   the numbers before and after are set apart by one that nobody can read (``settle``).

Beside the records, the daemon keeps what it knows of a log under a key of its own (``LogState``).
A log that came from elsewhere without it is looked through once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import orjson
from msgspec.structs import replace

from dmd.metadata import record_keys, stored
from dmd.metadata.engines.base import Reader, Transaction
from shared import limits
from shared.records.names import RECORD_LOGS
from shared.records.times import from_iso, to_iso

_STATE = struct.Struct(">QQQQQ")
_SEQUENCE_DIGITS: Final = 16
SEQUENCE_MAX: Final = 10**_SEQUENCE_DIGITS - 1

_INTERNAL: Final = b"!.."
"""How the physical keys of the daemon's own sub-levels begin."""


class RecordLogSettings(msgspec.Struct, frozen=True):
    """Which log is written, and how much of it is kept."""

    name: str
    age_seconds_max: int = limits.RECORD_LOG_SECONDS
    size_bytes_max: int = limits.RECORD_LOG_BYTES


class LogState(msgspec.Struct, frozen=True):
    """``first`` to ``last`` can be read, when there are any; records from ``tail`` on are stored.

    ``size_bytes`` is that of all stored keys and records, ``oldest_ms`` the time of the one at
    ``tail``, or before.
    """

    last: int = 0
    first: int = 1
    tail: int = 1
    size_bytes: int = 0
    oldest_ms: int = 0


class Change(msgspec.Struct, frozen=True):
    """A ``put`` or ``del`` of a record; ``value`` is what a put stored."""

    kind: str
    sub_level: Sequence[str]
    key: str
    value: str | None = None


class _Logged(msgspec.Struct, gc=False):
    """The members of a record of the log; all but the time are as they were."""

    timestamp: str
    type: str
    key: str
    db: str | msgspec.UnsetType = msgspec.UNSET
    value: str | msgspec.UnsetType = msgspec.UNSET


_decode_logged = msgspec.json.Decoder(_Logged).decode


def sequence_key(name: str, sequence: int) -> bytes:
    """The physical key of a record of the log."""
    return _prefix(name) + sequence_name(sequence).encode()


def sequence_name(sequence: int) -> str:
    """The key of a record of the log in its sub-level."""
    return str(sequence).zfill(_SEQUENCE_DIGITS)


def log_record(change: Change, now_ms: int) -> bytes:
    """The record of a change."""
    members: dict[str, Any] = {"type": change.kind}
    if change.sub_level:
        members["db"] = change.sub_level[0]
    members["key"] = change.key
    if change.value is not None:
        members["value"] = change.value
    members["timestamp"] = to_iso(datetime.fromtimestamp(now_ms / 1000, UTC))
    return orjson.dumps(members)


def entry_of(record: bytes) -> dict[str, Any]:
    """What a reader is shown of a record of the log: a group of one change."""
    logged = _decode_logged(record)
    change = {"type": logged.type, "key": logged.key}
    if logged.value is not msgspec.UNSET:
        change["value"] = logged.value
    entry: dict[str, Any] = {"timestamp": logged.timestamp}
    if logged.db is not msgspec.UNSET:
        entry["db"] = logged.db
    return {**entry, "entries": [change]}


def read_state(reader: Reader, name: str) -> LogState:
    """What is known of a log; that of an empty one when there is none."""
    key = _state_key(name)
    value = reader.get(key)
    if value is None:
        return _look_through(reader, name)
    return LogState(*_STATE.unpack(stored.unpack(key, value).record))


def settle(transaction: Transaction, written: str | None) -> None:
    """When the daemon starts: set apart what was logged from what will be, in all logs but the one
    that is going to be written."""
    for name in set(_names(transaction)):
        state = read_state(transaction, name)
        if name != written:
            state = replace(state, last=state.last + 1, first=state.last + 2)
        _write_state(transaction, name, state)


class LogWriter:
    """Appends to a log in one transaction; ``save`` once, at its end."""

    def __init__(self, transaction: Transaction, settings: RecordLogSettings, now_ms: int) -> None:
        self._transaction = transaction
        self._settings = settings
        self._now_ms = now_ms
        self._before: LogState | None = None
        self._last = 0
        self._added_bytes = 0

    def append(self, kind: str, key: bytes, record: bytes | None) -> None:
        """Log a change, unless it is one of the daemon's own."""
        if key.startswith(_INTERNAL):
            return
        if self._before is None:
            self._before = read_state(self._transaction, self._settings.name)
            self._last = self._before.last
        self._last += 1
        place = sequence_key(self._settings.name, self._last)
        value = None if record is None else record.decode()
        logged = log_record(Change(kind, *record_keys.split(key), value), self._now_ms)
        entry = stored.Stored(self._last, stored.NO_PROJECTION, b"", logged)
        self._transaction.put(place, stored.pack(place, entry))
        self._added_bytes += len(place) + len(logged)

    def save(self) -> None:
        """Trim the log and keep its state."""
        before = self._before
        if before is None:
            return
        state = replace(
            before,
            last=self._last,
            size_bytes=before.size_bytes + self._added_bytes,
            oldest_ms=before.oldest_ms if before.tail <= before.last else self._now_ms,
        )
        state = self._trimmed(state, before.last + 1)
        _write_state(self._transaction, self._settings.name, state)

    def _trimmed(self, state: LogState, appended_from: int) -> LogState:
        """Remove the oldest records that are too many; none from ``appended_from`` on."""
        settings = self._settings
        horizon_ms = self._now_ms - settings.age_seconds_max * 1000

        def stays(sequence: int, oldest_ms: int, size_bytes: int) -> bool:
            return (
                sequence >= state.first
                and size_bytes <= settings.size_bytes_max
                and oldest_ms >= horizon_ms
            )

        tail, oldest_ms, size_bytes = state.tail, state.oldest_ms, state.size_bytes
        if stays(tail, oldest_ms, size_bytes):
            return state
        count_max = limits.RECORD_LOG_TRIM_FACTOR * (state.last - appended_from + 2)
        doomed: list[bytes] = []
        for sequence, place, record in records(
            self._transaction, settings.name, tail, appended_from - 1
        ):
            oldest_ms = _time_ms(record)
            tail = sequence
            if stays(sequence, oldest_ms, size_bytes) or len(doomed) >= count_max:
                break
            doomed.append(place)
            size_bytes -= len(place) + len(record)
        else:
            tail, oldest_ms = appended_from, self._now_ms
        for place in doomed:
            self._transaction.delete(place)
        return replace(
            state,
            first=max(state.first, tail),
            tail=tail,
            size_bytes=size_bytes,
            oldest_ms=oldest_ms,
        )


def records(reader: Reader, name: str, first: int, last: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, key and text of the records of a range of numbers."""
    start = len(_prefix(name))
    for key, value in reader.range(sequence_key(name, first), sequence_key(name, last) + b"\0"):
        if key[start:].isdigit():
            yield int(key[start:]), key, stored.unpack(key, value).record


def _look_through(reader: Reader, name: str) -> LogState:
    """The state of a log of which nothing is known but its records."""
    first = last = size_bytes = oldest_ms = 0
    for sequence, key, record in records(reader, name, 0, SEQUENCE_MAX):
        if not first:
            first, oldest_ms = sequence, _time_ms(record)
        last = sequence
        size_bytes += len(key) + len(record)
    return LogState(last, first or 1, first or 1, size_bytes, oldest_ms)


def _names(reader: Reader) -> Iterator[str]:
    """The logs that there are, some of them twice."""
    for key, _ in reader.range(
        record_keys.LOG_STATE_PREFIX, record_keys.LOG_STATE_PREFIX + b"\xff"
    ):
        yield key[len(record_keys.LOG_STATE_PREFIX) :].decode()
    lower, upper = f"!{RECORD_LOGS}#".encode(), f"!{RECORD_LOGS}$".encode()
    while (found := next(iter(reader.range(lower, upper)), None)) is not None:
        sub_level, _ = record_keys.split(found[0])
        if len(sub_level) == 2:
            yield sub_level[1]
        lower = record_keys.prefix(sub_level)[:-1] + b'"'


def _time_ms(record: bytes) -> int:
    """When a record was logged; the beginning of time when it does not say."""
    try:
        return int(from_iso(_decode_logged(record).timestamp).timestamp() * 1000)
    except (msgspec.DecodeError, ValueError):
        return 0


def _prefix(name: str) -> bytes:
    return record_keys.prefix([RECORD_LOGS, name])


def _state_key(name: str) -> bytes:
    return record_keys.LOG_STATE_PREFIX + record_keys.encode(name)


def _write_state(transaction: Transaction, name: str, state: LogState) -> None:
    key = _state_key(name)
    packed = _STATE.pack(state.last, state.first, state.tail, state.size_bytes, state.oldest_ms)
    entry = stored.Stored(0, stored.NO_PROJECTION, b"", packed)
    transaction.put(key, stored.pack(key, entry))
