"""Walking all records of a metadata store in slices, beside a daemon that may be writing.

Each slice is read in a short snapshot of its own, so a walk of any length holds back no reuse of
space; what lies in different slices may be of different moments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from dmd.metadata import stored
from dmd.metadata.engines.base import Engine, EngineError, Reader
from dmd.metadata.engines.lmdb_reader import DamagedStoreError
from dmd.metadata.projection import listed
from dmd.metadata.record_keys import COUNTER_KEYS, RECORDS_LOWER, RECORDS_UPPER, prefix, split
from shared import version_id
from shared.records.names import holds_objects

_SLICE_RECORDS: Final = 2000
_SLICE_BYTES: Final = 4 * 1024 * 1024
ATTEMPTS_MAX: Final = 5

Raw = tuple[bytes, bytes]


def raw_records(
    engine: Engine, lower: bytes = RECORDS_LOWER, upper: bytes = RECORDS_UPPER
) -> Iterator[Raw]:
    """Physical keys and stored values of a range, in order; raises EngineError."""
    while True:
        page, more = _attempt(engine, lower, upper, _SLICE_RECORDS)
        yield from page
        if not more:
            return
        lower = page[-1][0] + b"\0"


def sub_levels(engine: Engine) -> Iterator[tuple[str, ...]]:
    """The sub-levels that hold records, in order, found by seeking from one to the next."""
    lower = RECORDS_LOWER
    while True:
        page, _ = _attempt(engine, lower, RECORDS_UPPER, 1)
        if not page:
            return
        found, _ = split(page[0][0])
        yield tuple(found)
        lower = end_of(found)


def end_of(sub_level: Sequence[str]) -> bytes:
    """The first physical key behind a sub-level."""
    return prefix(sub_level)[:-1] + b'"'


def snapshot_of(engine: Engine, lower: bytes, upper: bytes) -> list[Raw]:
    """A range as it is at one moment; for ranges that are known to be small."""
    return _attempt(engine, lower, upper, None)[0]


def _attempt(
    engine: Engine, lower: bytes, upper: bytes, records: int | None
) -> tuple[list[Raw], bool]:
    """Read from one snapshot; whether there may be more.

    A view of another process's store may fail at its very first read, a few times in a million
    (reference/lmdb.md); then it is made again.
    """
    for attempt in range(ATTEMPTS_MAX):
        try:
            return _read(engine, lower, upper, records)
        except DamagedStoreError:
            raise
        except EngineError:
            if attempt == ATTEMPTS_MAX - 1:
                raise
    raise AssertionError


def _read(
    engine: Engine, lower: bytes, upper: bytes, records: int | None
) -> tuple[list[Raw], bool]:
    page: list[Raw] = []
    size = 0
    with engine.snapshot() as reader:
        for key, value in reader.range(lower, upper):
            page.append((key, value))
            size += len(key) + len(value)
            if records is not None and (len(page) >= records or size >= _SLICE_BYTES):
                return page, True
    return page, False


def tick_of_version(sub_level: Sequence[str], name: str, entry: stored.Stored) -> int:
    """The tick of the version that a record of a bucket is; 0 when it is none with a tick."""
    if not holds_objects(sub_level):
        return 0
    given = name.partition("\0")[2] or listed(entry).version_id
    tick = None if given is None else version_id.tick_of(given)
    return tick or 0


_CONTROL = re.compile("[\x00-\x1f\x7f]")


def shown(sub_level: Sequence[str], key: str) -> str:
    """A record's place on one line of text."""
    text = "/".join([*sub_level, key])
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def counters_of(reader: Reader) -> dict[str, tuple[int, str]]:
    """A store's own counters, by name: revision and record. Raises CorruptRecordError."""
    counters: dict[str, tuple[int, str]] = {}
    for key in COUNTER_KEYS:
        value = reader.get(key)
        if value is not None:
            entry = stored.unpack(key, value)
            counters[key[1:].decode()] = (entry.revision, entry.record.decode())
    return counters
