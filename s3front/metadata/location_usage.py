"""How many objects and bytes are where, counted from the metadata.

All records are read, in streams: it takes as long as that, and little memory. Objects that come and
go meanwhile are counted or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from s3front.metadata.counted_records import Progress, counted_documents
from s3front.metadata.gateway import MetadataGateway
from shared.records.data_location import data_locations
from shared.records.members import UnreadableRecordError
from shared.records.names import DELETIONS, METASTORE, UPLOADS_PREFIX
from shared.records.upload import CLOSING_PREFIX, OVERVIEW_PREFIX


@dataclass(slots=True)
class Usage:
    """What is in one location. An object is a version of it; one whose parts are in several
    locations is counted in each. ``parts`` are those of uploads that are not completed; ``deleted``
    is what waits to be removed."""

    objects: int = 0
    object_bytes: int = 0
    parts: int = 0
    part_bytes: int = 0
    deleted_bytes: int = 0


@dataclass(slots=True)
class LocationUsage:
    """Usage by the names of locations, as records have them. ``unreadable`` are records that nobody
    can say of where their bytes are."""

    by_location: dict[str, Usage] = field(default_factory=dict)
    records: int = 0
    unreadable: int = 0

    def of(self, name: str) -> Usage:
        return self.by_location.setdefault(name, Usage())


async def count_usage(metadata: MetadataGateway, progress: Progress) -> LocationUsage:
    """Count everything. Raises S3Error."""
    usage = LocationUsage()
    buckets = [key async for key, _ in counted_documents(metadata, METASTORE, usage, progress)]
    for bucket in buckets:
        await _count_objects(metadata, bucket, usage, progress)
        async with aclosing(
            counted_documents(metadata, UPLOADS_PREFIX + bucket, usage, progress)
        ) as records:
            async for key, record in records:
                if not key.startswith((OVERVIEW_PREFIX, CLOSING_PREFIX)):
                    _count_part(usage, record)
    async with aclosing(counted_documents(metadata, DELETIONS, usage, progress)) as entries:
        async for _, entry in entries:
            for name, _count, size in _places(usage, entry.get("location"), None):
                usage.of(name).deleted_bytes += size
    progress(usage.records)
    return usage


async def _count_objects(
    metadata: MetadataGateway, bucket: str, usage: LocationUsage, progress: Progress
) -> None:
    """Count each version once: the record of a key repeats its latest one, and comes first."""
    latest: tuple[str, object] = ("", None)
    async with aclosing(counted_documents(metadata, bucket, usage, progress)) as records:
        async for key, record in records:
            name, mark, _ = key.partition("\0")
            version = record.get("versionId")
            if not mark:
                latest = name, version
            elif latest == (name, version):
                continue
            if not record.get("isPHD"):
                _count_object(usage, record)
            elif not mark:
                latest = name, None  # in the place of a latest version that was removed


def _count_object(usage: LocationUsage, record: Mapping[str, Any]) -> None:
    if record.get("isDeleteMarker"):
        return
    size = record.get("content-length")
    size = size if isinstance(size, int) else None
    found = list(_places(usage, record.get("location"), size))
    if not found and record.get("location") in (None, []):
        found = [(str(record.get("dataStoreName") or ""), 0, 0)]
    for name, _, held in found:
        usage.of(name).objects += 1
        usage.of(name).object_bytes += held


def _count_part(usage: LocationUsage, record: Mapping[str, Any]) -> None:
    for name, count, held in _places(usage, record.get("partLocations"), None):
        usage.of(name).parts += count
        usage.of(name).part_bytes += held


def _places(usage: LocationUsage, entries: Any, size: int | None) -> list[tuple[str, int, int]]:
    """The locations of a record, how many stretches are in each, and their bytes."""
    held: dict[str, tuple[int, int]] = {}
    try:
        for location in data_locations(entries, size):
            count, before = held.get(location.store_name, (0, 0))
            held[location.store_name] = count + 1, before + location.size
    except UnreadableRecordError:
        usage.unreadable += 1
    return [(name, *found) for name, found in held.items()]
