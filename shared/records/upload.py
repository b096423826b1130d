"""Records of multipart uploads: the overview of an upload, and its parts.

Documents of the original (reference/dmd-wire.md, section 5), in the sub-level
``mpuShadowBucket<bucket>``:

* ``overview..|..<key>..|..<uploadId>``: the upload, and what its object is to become. It is the
  commit point: while it exists parts may be stored, and whoever removes it decides what becomes of
  them. ``location`` (ours) is the upload at the place of the parts, where that has uploads itself.
* ``<uploadId>..|..<5-digit number>``: a part, which owns its data.
* ``closing..|..<uploadId>`` (ours): an upload that was completed or aborted and whose part records
  are still being removed. It says which parts' data now belongs to the object.

A key may contain the splitter, so the overview's key is taken apart from the right.

Upload IDs that are made here are UUIDs of version 8 (RFC 9562, section 5.8), in hex: the time when
the upload began, in ms, what their key hashes to, and chance. So the ID of an upload that has ended
still says where a listing goes on behind it. Those of the original are of version 4, all chance.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote, urlencode

import msgspec
import orjson

from shared.records.bucket import DEFAULT_LOCATION
from shared.records.data_location import UPLOAD_ID, DataLocation, data_locations
from shared.records.members import (
    UnreadableRecordError,
    moment,
    parse_document,
    size,
    texts,
)
from shared.records.names import SPLITTER, UPLOADS_PREFIX
from shared.records.times import to_iso

OVERVIEW_PREFIX = f"overview{SPLITTER}"
CLOSING_PREFIX = f"closing{SPLITTER}"
_PART_DIGITS = 5
_PART_MODEL_VERSION = 3
_MD5 = re.compile("[0-9a-f]{32}")


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


# Time, version, 12 bits of the hash, variant with 2 more bits of it, chance.
_UPLOAD_ID = re.compile("([0-9a-f]{12})8([0-9a-f]{3})([89ab])[0-9a-f]{15}")
_CHANCE_BITS = 60


def new_upload_id(key: str, began: datetime) -> str:
    """The ID of an upload of ``key`` that begins now."""
    time_ms = round(began.timestamp() * 1000)
    chance = secrets.randbits(_CHANCE_BITS)
    return f"{time_ms:012x}8{_hash_digits(key)}{chance:0{_CHANCE_BITS // 4}x}"


def began_at(upload_id: str, key: str) -> str | None:
    """When an upload of ``key`` with this ID began, as records say it; None for an ID that was not
    made here, or for another key."""
    match = _UPLOAD_ID.fullmatch(upload_id)
    if match is None or match[2] + match[3] != _hash_digits(key):
        return None
    try:
        return to_iso(datetime.fromtimestamp(int(match[1], 16) / 1000, UTC))
    except (ValueError, OverflowError, OSError):
        return None


def _hash_digits(key: str) -> str:
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=2).digest()
    number = int.from_bytes(digest, "big")
    return f"{number >> 4:03x}{'89ab'[number & 3]}"


class UploadRecord(msgspec.Struct, frozen=True):
    """An upload under way. ``document`` is the overview, kept whole."""

    document: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str) -> UploadRecord:
        """The record of a stored document; raises UnreadableRecordError."""
        return cls(parse_document(text))

    def serialise(self) -> str:
        return orjson.dumps(self.document).decode()

    @property
    def location(self) -> str:
        """The name of the location that the parts' bytes go to."""
        document = self.document
        named = document.get("controllingLocationConstraint") or document.get("dataStoreName")
        return str(named or DEFAULT_LOCATION)

    @property
    def handle(self) -> DataLocation | None:
        """What the place of the parts knows the upload by, where it is one of the place's own;
        None for all others. Raises UnreadableRecordError."""
        for location in data_locations(self.document.get("location"), None):
            if location.members is not None and UPLOAD_ID in location.members:
                return location
        return None

    @property
    def owner(self) -> tuple[str, str]:
        """ID and name of whom the object is to belong to."""
        document = self.document
        return str(document.get("owner-id") or ""), str(document.get("owner-display-name") or "")

    @property
    def initiator(self) -> tuple[str, str]:
        """ID and name of who began it: the owner, or a user of that account."""
        person = self.document.get("initiator")
        if not isinstance(person, dict):
            return self.owner
        return str(person.get("ID") or ""), str(person.get("DisplayName") or "")

    @property
    def tags(self) -> dict[str, str]:
        """The tags that the object is to have."""
        text = self.document.get("x-amz-tagging")
        if isinstance(text, str):
            return parse_tags_text(text)
        # Our own records had them as a document, before they were written as the original's.
        return texts(self.document.get("tags"))

    @property
    def acl(self) -> Mapping[str, Any] | None:
        """The access control list that the object is to have, None when nothing was said."""
        acl = self.document.get("acl")
        return acl if isinstance(acl, dict) else None

    @property
    def is_completing(self) -> bool:
        """Whether the original has begun to complete it. It says so before it stores the object,
        and removes the upload only afterwards: its parts' data may belong to an object already."""
        return bool(self.document.get("completeInProgress"))

    @property
    def storage_class(self) -> str:
        return str(self.document.get("x-amz-storage-class") or "STANDARD")


def tags_text(tags: Mapping[str, str]) -> str:
    """Tags as ``x-amz-tagging`` has them, in a form that the original and we read alike."""
    return urlencode(tags, quote_via=quote)


def parse_tags_text(text: str) -> dict[str, str]:
    """The tags of a stored ``x-amz-tagging``, which was checked when it was stored. A plus is a
    plus, as with the original."""
    pairs = (part.partition("=") for part in text.split("&") if part)
    return {unquote(name): unquote(value) for name, _, value in pairs if name}


class ListedUpload(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What listings print of an upload. Every text may be missing, in records of other writers."""

    initiated: str | None = None
    initiator_id: str | None = None
    initiator_name: str | None = None
    checksum_algorithm: str | None = None
    checksum_kind: str | None = None
    storage_class: str | None = None
    owner_id: str | None = None
    owner_name: str | None = None


class _Person(msgspec.Struct, frozen=True, gc=False):
    id: str | None = msgspec.field(default=None, name="ID")
    name: str | None = msgspec.field(default=None, name="DisplayName")


class _Overview(msgspec.Struct, frozen=True, gc=False):
    initiated: str | None = None
    initiator: _Person | None = None
    checksum_algorithm: str | None = msgspec.field(default=None, name="checksumAlgorithm")
    checksum_kind: str | None = msgspec.field(default=None, name="checksumType")
    storage_class: str | None = msgspec.field(default=None, name="x-amz-storage-class")
    owner_id: str | None = msgspec.field(default=None, name="owner-id")
    owner_name: str | None = msgspec.field(default=None, name="owner-display-name")


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
        record.owner_id,
        record.owner_name,
    )


class PartRecord(msgspec.Struct, frozen=True):
    """A stored part: ``etag`` is the MD5 of its bytes, in hex."""

    number: int
    size: int
    etag: str
    modified: datetime
    locations: Sequence[DataLocation]
    checksum: Mapping[str, str] | None = None

    @classmethod
    def parse(cls, number: int, text: str) -> PartRecord:
        """The record of a stored document; raises UnreadableRecordError."""
        document = parse_document(text)
        if document.get("content-length") is None:
            raise UnreadableRecordError("content-length of a part is not said")
        etag = document.get("content-md5")
        if not isinstance(etag, str) or _MD5.fullmatch(etag) is None:
            raise UnreadableRecordError("content-md5 of a part is no MD5")
        length = size(document, "content-length")
        return cls(
            number,
            length,
            etag,
            moment(document, "last-modified"),
            data_locations(document.get("partLocations"), length),
            texts(document.get("checksum")) or None,
        )

    def serialise(self, upload_id: str) -> str:
        document: dict[str, Any] = {
            "md-model-version": _PART_MODEL_VERSION,
            "key": part_key(upload_id, self.number),
            "last-modified": to_iso(self.modified),
            "content-md5": self.etag,
            "content-length": self.size,
            "partLocations": [entry.document() for entry in self.locations],
        }
        if self.checksum is not None:
            document["checksum"] = dict(self.checksum)
        return orjson.dumps(document).decode()
