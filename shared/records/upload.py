"""Records of multipart uploads: the overview of an upload, and its parts.

Documents of the original (reference/dmd-wire.md, section 5), in the sub-level
``mpuShadowBucket<bucket>``:

* ``overview..|..<key>..|..<uploadId>``: the upload, and what its object is to become. It is the
  commit point: while it exists parts may be stored, and whoever removes it decides what becomes of
  them.
* ``<uploadId>..|..<5-digit number>``: a part, which owns its data.
* ``closing..|..<uploadId>`` (ours): an upload that was completed or aborted and whose part records
  are still being removed. It says which parts' data now belongs to the object.

A key may contain the splitter, so the overview's key is taken apart from the right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import orjson

from shared.records.location import DataLocation, data_locations
from shared.records.names import SPLITTER, UPLOADS_PREFIX
from shared.records.times import from_iso, to_iso

OVERVIEW_PREFIX = f"overview{SPLITTER}"
CLOSING_PREFIX = f"closing{SPLITTER}"
_PART_DIGITS = 5


def uploads_level(bucket: str) -> str:
    """The sub-level of a bucket's uploads."""
    return UPLOADS_PREFIX + bucket


def overview_key(key: str, upload_id: str) -> str:
    return f"{OVERVIEW_PREFIX}{key}{SPLITTER}{upload_id}"


def parse_overview_key(text: str) -> tuple[str, str]:
    """Object key and upload ID of an overview's key."""
    key, _, upload_id = text.removeprefix(OVERVIEW_PREFIX).rpartition(SPLITTER)
    return key, upload_id


def part_key(upload_id: str, number: int) -> str:
    return f"{upload_id}{SPLITTER}{number:0{_PART_DIGITS}}"


def parse_part_number(text: str) -> int:
    """The number of a part's key."""
    return int(text.rpartition(SPLITTER)[2])


def parse_part_upload(text: str) -> str:
    """The upload ID of a part's key."""
    return text.rpartition(SPLITTER)[0]


def closing_key(upload_id: str) -> str:
    return CLOSING_PREFIX + upload_id


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """An upload under way. ``document`` is the overview, kept whole."""

    document: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str) -> UploadRecord:
        document = orjson.loads(text)
        if not isinstance(document, dict) or "initiated" not in document:
            raise ValueError("not an upload document")
        return cls(document)

    def serialise(self) -> str:
        return orjson.dumps(self.document).decode()

    @property
    def location(self) -> str:
        """The name of the location that the parts' bytes go to."""
        return str(self.document.get("dataStoreName") or "us-east-1")

    @property
    def storage_class(self) -> str:
        return str(self.document.get("x-amz-storage-class") or "STANDARD")


class ListedUpload(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What listings print of an upload. Every text may be missing, in records of other writers."""

    initiated: str | None = None
    initiator_id: str | None = None
    initiator_name: str | None = None
    checksum_algorithm: str | None = None
    checksum_kind: str | None = None
    storage_class: str | None = None


class _Person(msgspec.Struct, frozen=True, gc=False):
    id: str | None = msgspec.field(default=None, name="ID")
    name: str | None = msgspec.field(default=None, name="DisplayName")


class _Overview(msgspec.Struct, frozen=True, gc=False):
    initiated: str | None = None
    initiator: _Person | None = None
    checksum_algorithm: str | None = msgspec.field(default=None, name="checksumAlgorithm")
    checksum_kind: str | None = msgspec.field(default=None, name="checksumType")
    storage_class: str | None = msgspec.field(default=None, name="x-amz-storage-class")


_decode_overview = msgspec.json.Decoder(_Overview).decode


def listed_upload(overview: bytes | str) -> ListedUpload:
    """What an overview says to a listing; a record that is none says nothing."""
    try:
        record = _decode_overview(overview)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ListedUpload()
    person = record.initiator or _Person()
    return ListedUpload(
        record.initiated,
        person.id,
        person.name,
        record.checksum_algorithm,
        record.checksum_kind,
        record.storage_class,
    )


@dataclass(frozen=True, slots=True)
class PartRecord:
    """A stored part: ``etag`` is the MD5 of its bytes, in hex."""

    number: int
    size: int
    etag: str
    modified: datetime
    locations: Sequence[DataLocation]
    checksum: Mapping[str, str] | None = None

    @classmethod
    def parse(cls, number: int, text: str) -> PartRecord:
        document = orjson.loads(text)
        size = int(document["content-length"])
        return cls(
            number,
            size,
            document["content-md5"],
            from_iso(document["last-modified"]),
            data_locations(document.get("partLocations"), size),
            document.get("checksum"),
        )

    def serialise(self, key: str, owner_id: str, owner_name: str) -> str:
        document: dict[str, Any] = {
            "key": key,
            "owner-id": owner_id,
            "owner-display-name": owner_name,
            "last-modified": to_iso(self.modified),
            "content-md5": self.etag,
            "content-length": self.size,
            "partLocations": [entry.document() for entry in self.locations],
        }
        if self.checksum is not None:
            document["checksum"] = dict(self.checksum)
        return orjson.dumps(document).decode()
