"""Which blobs the records of a metadata store name.

Two questions, two answers. Garbage collection must miss none, so ``named_blobs`` takes every string
of 40 hexadecimal digits in any record for a blob's key, whatever the record is and whoever wrote
it; too many do no harm. ``dmd check`` and ``dmd scrub`` want to know what ought to be there, so
``stretches_of`` reads the data locations of objects and parts, as front-ends do.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from dmd.jobs.record_walk import ATTEMPTS_MAX, raw_records, snapshot_of
from dmd.metadata import stored
from dmd.metadata.engines.base import Engine, EngineError, Reader
from dmd.metadata.projection import listed
from dmd.metadata.record_keys import RECORDS_LOWER, RECORDS_UPPER, split
from shared.records.data_location import DataLocation, data_locations, known_md5s
from shared.records.names import RECORD_LOGS, UPLOADS_PREFIX, holds_objects

_BLOB_KEY: Final = re.compile(rb"(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])")
_LOGS_LOWER: Final = f"!{RECORD_LOGS}#".encode()
_LOGS_UPPER: Final = f"!{RECORD_LOGS}$".encode()
_OURS: Final = ("", "file")
"""The types of locations that are the data daemon, as records name them."""
_PROGRESS_RECORDS: Final = 1000


def named_blobs(
    engine: Engine, add: Callable[[bytes], None], progress: Callable[[int], None]
) -> None:
    """Tell every blob key (20 bytes) of one snapshot of a store; some may be told twice.

    Logs of changes tell what records were, and own nothing. Raises EngineError, and
    CorruptRecordError: what a damaged record names is not known.
    """
    for attempt in range(ATTEMPTS_MAX):
        try:
            with engine.snapshot() as reader:
                _tell(reader, add, progress)
        except EngineError:
            # What was told already is of an older snapshot, and does no harm.
            if attempt == ATTEMPTS_MAX - 1:
                raise
        else:
            return


def keys_in(record: bytes) -> Iterator[bytes]:
    """All that may be a blob's key (20 bytes) in a record."""
    for digits in _BLOB_KEY.findall(record):
        yield bytes.fromhex(digits.decode())


def _tell(reader: Reader, add: Callable[[bytes], None], progress: Callable[[int], None]) -> None:
    count = 0
    for lower, upper in ((RECORDS_LOWER, _LOGS_LOWER), (_LOGS_UPPER, RECORDS_UPPER)):
        for key, value in reader.range(lower, upper):
            for name in keys_in(stored.unpack(key, value).record):
                add(name)
            count += 1
            if count % _PROGRESS_RECORDS == 0:
                progress(_PROGRESS_RECORDS)
    progress(count % _PROGRESS_RECORDS)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A blob that a record names: its key (20 bytes), its length, and the MD5 of its bytes in hex
    when that is known."""

    key: bytes
    size: int
    md5: str | None


def holds_data(sub_level: Sequence[str]) -> bool:
    """Whether the records of a sub-level own blobs that must be there: objects and parts."""
    uploads = len(sub_level) == 1 and sub_level[0].startswith(UPLOADS_PREFIX)
    return uploads or holds_objects(sub_level)


def stretches_of(record: bytes) -> list[Stretch]:
    """The blobs in the data daemon that a record of an object or a part names.

    None for a record that names its data in a way that is not known.
    """
    return _stretches(_located(record))


Located = list[tuple[DataLocation, str | None]]
"""Data locations, each with the MD5 of its bytes in hex when that is known."""


def _located(record: bytes) -> Located:
    try:
        document = orjson.loads(record)
        entries = document.get("location") or document.get("partLocations")
        located = data_locations(entries, int(document.get("content-length") or 0))
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
    md5s = known_md5s(located, str(document.get("content-md5")))
    return list(zip(located, md5s, strict=True))


def _stretches(located: Located) -> list[Stretch]:
    return [
        Stretch(bytes.fromhex(location.key), location.stored_size, md5)
        for location, md5 in located
        if location.store_type in _OURS and _BLOB_KEY.fullmatch(location.key.encode())
    ]


@dataclass(frozen=True, slots=True)
class NamedData:
    """A record that owns blobs, by its physical key, and those blobs. ``elsewhere`` are the types
    of the places of those that are not the data daemon's, one a blob: nothing here reads them."""

    physical: bytes
    stretches: list[Stretch]
    elsewhere: list[str]


def data_of(physical: bytes, entry: stored.Stored) -> NamedData | None:
    """The blobs that a record owns; None for a record that owns none, and for the master of a
    version, which is a record of its own."""
    sub_level, name = split(physical)
    if not holds_data(sub_level):
        return None
    if holds_objects(sub_level) and "\0" not in name:
        shown = listed(entry)
        if shown.version_id is not None and not shown.is_null:
            return None
    located = _located(entry.record)
    types = (location.store_type for location, _ in located)
    elsewhere = [each for each in types if each not in _OURS]
    stretches = _stretches(located)
    return NamedData(physical, stretches, elsewhere) if stretches or elsewhere else None


def readable_records(
    engine: Engine, start: bytes = RECORDS_LOWER
) -> Iterator[tuple[bytes, stored.Stored]]:
    """The records from a physical key on, but for damaged ones. Raises EngineError."""
    for physical, value in raw_records(engine, start):
        with contextlib.suppress(stored.CorruptRecordError):
            yield physical, stored.unpack(physical, value)


def named_data(engine: Engine, start: bytes = RECORDS_LOWER) -> Iterator[NamedData]:
    """The records from a physical key on that own blobs. Raises EngineError."""
    for physical, entry in readable_records(engine, start):
        found = data_of(physical, entry)
        if found is not None:
            yield found


def still_names(engine: Engine, physical: bytes, stretch: Stretch) -> bool:
    """Whether a record names a blob, as of now. Raises EngineError."""
    for key, value in snapshot_of(engine, physical, physical + b"\0"):
        with contextlib.suppress(stored.CorruptRecordError):
            return stretch in stretches_of(stored.unpack(key, value).record)
    return False
