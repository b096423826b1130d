"""``dmd stats``: how much a metadata store holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmd.jobs.record_walk import end_of, raw_records, sub_levels
from dmd.metadata import stored
from dmd.metadata.engines.base import Engine
from dmd.metadata.projection import listed
from dmd.metadata.record_keys import prefix, split
from dmd.metadata.reserve import FILE_NAME as RESERVE_NAME
from shared.records.members import whole_number
from shared.records.names import (
    DEAD_LETTERS,
    DELETIONS,
    METASTORE,
    UPLOADS_PREFIX,
    USERS_BUCKET,
    holds_objects,
)
from shared.records.upload import CLOSING_PREFIX, OVERVIEW_PREFIX


@dataclass(slots=True)
class BucketStats:
    """``objects`` counts current objects, ``versions`` everything but placeholders; ``bytes`` is
    the sum of the sizes of all versions."""

    objects: int = 0
    versions: int = 0
    delete_markers: int = 0
    bytes: int = 0
    uploads: int = 0
    parts: int = 0


@dataclass(slots=True)
class Stats:
    """``store_bytes`` is the size of the files."""

    records: int = 0
    queued_deletions: int = 0
    dead_letters: int = 0
    store_bytes: int = 0
    buckets: dict[str, BucketStats] = field(default_factory=dict)

    def total(self) -> BucketStats:
        """The sums over all buckets."""
        sums = BucketStats()
        for name in BucketStats.__slots__:
            setattr(sums, name, sum(getattr(bucket, name) for bucket in self.buckets.values()))
        return sums


def collect(engine: Engine, path: Path, progress: Callable[[int], None]) -> Stats:
    """Read all records. Raises EngineError."""
    stats = Stats(store_bytes=_size_of_files(path))
    for sub_level in sub_levels(engine):
        for key, value in raw_records(engine, prefix(sub_level), end_of(sub_level)):
            stats.records += 1
            progress(1)
            _count(stats, sub_level, split(key)[1], key, value)
    return stats


def _size_of_files(path: Path) -> int:
    """What a metadata directory holds, but for the room that is kept in it."""
    files = (file for file in path.iterdir() if file.is_file() and file.name != RESERVE_NAME)
    return sum(file.stat().st_size for file in files)


def _count(stats: Stats, sub_level: tuple[str, ...], name: str, key: bytes, value: bytes) -> None:
    level = sub_level[0] if len(sub_level) == 1 else ""
    if sub_level == (METASTORE,):
        # The original has records of its own there for the uploads of a bucket, too.
        if name != USERS_BUCKET and not name.startswith(UPLOADS_PREFIX):
            stats.buckets.setdefault(name, BucketStats())
    elif sub_level == (DELETIONS,):
        stats.queued_deletions += 1
    elif sub_level == (DEAD_LETTERS,):
        stats.dead_letters += 1
    elif holds_objects(sub_level):
        _count_object(stats.buckets.setdefault(level, BucketStats()), name, key, value)
    elif level.startswith(UPLOADS_PREFIX):
        bucket = stats.buckets.setdefault(level.removeprefix(UPLOADS_PREFIX), BucketStats())
        if name.startswith(OVERVIEW_PREFIX):
            bucket.uploads += 1
        elif not name.startswith(CLOSING_PREFIX):
            bucket.parts += 1


def _count_object(bucket: BucketStats, name: str, key: bytes, value: bytes) -> None:
    try:
        found = listed(stored.unpack(key, value))
    except stored.CorruptRecordError:
        return  # ``dmd check`` says more about it
    if found.is_placeholder:
        return
    is_master = "\0" not in name
    if is_master and not found.is_delete_marker:
        bucket.objects += 1
    if is_master and found.version_id is not None and not found.is_null:
        return  # its version is counted
    bucket.versions += 1
    bucket.delete_markers += found.is_delete_marker
    bucket.bytes += _size(found.content_length)


def _size(value: Any) -> int:
    """What a record says, nothing where that is no size (a number of 400 digits is none)."""
    return whole_number(value) or 0
