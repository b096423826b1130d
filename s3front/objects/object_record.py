"""The object record: the ``ObjectMD`` document (reference/dmd-wire.md, section 5).

A record keeps the whole document, so that members which this release does not know survive when
it is written again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import orjson

from s3front.objects.object_parts import ObjectPart, is_checksum, parse_parts, parts_member
from shared.records.data_location import DataLocation, data_locations
from shared.records.derived import derived
from shared.records.members import moment, parse_document, size, text, texts
from shared.records.times import to_iso

MODEL_VERSION = 6
USER_METADATA_PREFIX = "x-amz-meta-"
_CHECKSUM_TYPES = ("FULL_OBJECT", "COMPOSITE")

STANDARD_HEADERS: Mapping[str, str] = {
    "cache-control": "Cache-Control",
    "content-disposition": "Content-Disposition",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
    "expires": "Expires",
}
"""Record member and header of what a client may set and gets back as it is."""

PRIVATE_OBJECT_ACL: Mapping[str, Any] = {
    "Canned": "private",
    "FULL_CONTROL": [],
    "WRITE_ACP": [],
    "READ": [],
    "READ_ACP": [],
}

_NO_REPLICATION: Mapping[str, Any] = {
    "status": "",
    "backends": [],
    "content": [],
    "destination": "",
    "storageClass": "",
    "role": "",
    "storageType": "",
    "dataStoreVersionId": "",
    "isNFS": None,
}


_BY_SERVER: Final = "x-amz-server-side-encryption"
_BY_CUSTOMER: Final = "x-amz-server-side-encryption-customer-algorithm"

_NOTHING_SAID: dict[str, Any] = {
    "owner-display-name": "",
    "owner-id": "",
    **dict.fromkeys(STANDARD_HEADERS, ""),
    "creation-time": "",
    "last-modified": "",
    "content-length": 0,
    "content-type": "",
    "content-md5": "",
    "x-amz-version-id": "null",
    "x-amz-server-version-id": "",
    "x-amz-storage-class": "",
    _BY_SERVER: "",
    "x-amz-server-side-encryption-aws-kms-key-id": "",
    _BY_CUSTOMER: "",
    "x-amz-website-redirect-location": "",
    "x-amz-scal-transition-in-progress": False,
    "acl": PRIVATE_OBJECT_ACL,
    "key": "",
    "location": None,
    "isDeleteMarker": False,
    "tags": {},
    "replicationInfo": _NO_REPLICATION,
    "dataStoreName": "",
    "originOp": "",
    "md-model-version": MODEL_VERSION,
}
"""The members of a new record in their order, as the original has them of an object of which
nothing is said."""

USUAL_MEMBERS: Final = frozenset(
    (*_NOTHING_SAID, "checksum", "uploadId", "parts", "versionId", "isNull", "nullVersionId")
)
"""Members that a record may have without user metadata, and without a lock."""


class Checksum(msgspec.Struct, frozen=True):
    """An object's additional checksum: S3's algorithm name, base64 value, and type."""

    algorithm: str
    value: str
    kind: str = "FULL_OBJECT"


class NewObject(msgspec.Struct, frozen=True):
    """What a record is made of. ``headers`` are members of STANDARD_HEADERS; ``user_metadata``
    has names without prefix; ``etag`` is without quotes; ``parts`` are those of a multipart upload;
    ``origin`` is the event that it causes; ``lock`` has members that protect it,
    ``encryption`` those that say how it is encrypted."""

    key: str
    owner_id: str
    owner_name: str
    size: int
    etag: str
    content_type: str
    modified: datetime
    locations: Sequence[DataLocation]
    store_name: str
    headers: Mapping[str, str]
    user_metadata: Mapping[str, str]
    checksum: Checksum | None
    website_redirect: str = ""
    storage_class: str = "STANDARD"
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    upload_id: str | None = None
    parts: Sequence[ObjectPart] = ()
    origin: str = "s3:ObjectCreated:Put"
    lock: Mapping[str, Any] = msgspec.field(default_factory=dict)
    encryption: Mapping[str, Any] = msgspec.field(default_factory=dict)
    acl: Mapping[str, Any] = msgspec.field(default_factory=lambda: PRIVATE_OBJECT_ACL)


class ObjectRecord(msgspec.Struct, frozen=True, dict=True):
    """An object's metadata. The document, and what is derived from it, is shared: never change
    it."""

    document: Mapping[str, Any]

    @classmethod
    def create(cls, new: NewObject) -> ObjectRecord:
        modified = to_iso(new.modified)
        document: dict[str, Any] = _NOTHING_SAID | {
            "owner-display-name": new.owner_name,
            "owner-id": new.owner_id,
            "creation-time": modified,
            "last-modified": modified,
            "content-length": new.size,
            "content-type": new.content_type,
            "content-md5": new.etag,
            "x-amz-storage-class": new.storage_class,
            "x-amz-website-redirect-location": new.website_redirect,
            "acl": new.acl,
            "key": new.key,
            "location": [entry.document() for entry in new.locations] or None,
            "tags": dict(new.tags),
            "dataStoreName": new.store_name,
            "originOp": new.origin,
            **new.headers,
            **new.lock,
            **new.encryption,
        }
        for name, value in new.user_metadata.items():
            document[USER_METADATA_PREFIX + name] = value
        if new.upload_id is not None:
            document["uploadId"] = new.upload_id
        if new.parts:
            document["parts"] = parts_member(new.parts)
        if new.checksum is not None:
            document["checksum"] = {
                "checksumAlgorithm": new.checksum.algorithm,
                "checksumValue": new.checksum.value,
                "checksumType": new.checksum.kind,
            }
        return cls(document)

    @classmethod
    def parse(cls, stored: str) -> ObjectRecord:
        """The record of a stored document; raises UnreadableRecordError."""
        return cls(parse_document(stored))

    @classmethod
    def delete_marker(
        cls, key: str, owner_id: str, owner_name: str, modified: datetime
    ) -> ObjectRecord:
        """A version that says that the object was deleted."""
        new = NewObject(
            key=key,
            owner_id=owner_id,
            owner_name=owner_name,
            size=0,
            etag="",
            content_type="",
            modified=modified,
            locations=[],
            store_name="",
            headers={},
            user_metadata={},
            checksum=None,
            origin="s3:ObjectRemoved:DeleteMarkerCreated",
        )
        return cls.create(new).changed({"isDeleteMarker": True})

    def serialise(self) -> str:
        return orjson.dumps(self.document).decode()

    def changed(self, members: Mapping[str, Any]) -> ObjectRecord:
        """The record with some members replaced."""
        return ObjectRecord({**self.document, **members})

    @derived
    def etag(self) -> str:
        """Without quotes."""
        return text(self.document, "content-md5")

    @derived
    def size(self) -> int:
        """In bytes. Raises UnreadableRecordError."""
        return size(self.document, "content-length")

    @derived
    def modified(self) -> datetime:
        return moment(self.document, "last-modified", "creation-time")

    @property
    def content_type(self) -> str:
        return text(self.document, "content-type") or "binary/octet-stream"

    @property
    def storage_class(self) -> str:
        return text(self.document, "x-amz-storage-class") or "STANDARD"

    @property
    def website_redirect(self) -> str:
        return text(self.document, "x-amz-website-redirect-location")

    @property
    def is_encrypted(self) -> bool:
        """Whether it says that the object is encrypted, by a key of the server or of a client."""
        return bool(self.document.get(_BY_SERVER) or self.document.get(_BY_CUSTOMER))

    @property
    def is_delete_marker(self) -> bool:
        return bool(self.document.get("isDeleteMarker"))

    @property
    def version_id(self) -> str | None:
        """The internal form; None for what was stored before there were versions."""
        return text(self.document, "versionId") or None

    @derived
    def is_null_version(self) -> bool:
        document = self.document
        return "versionId" not in document or bool(document.get("isNull")) or not self.version_id

    @property
    def null_version_id(self) -> str | None:
        """The internal ID of the null version that there was beside this one."""
        return text(self.document, "nullVersionId") or None

    @property
    def headers(self) -> dict[str, str]:
        """The standard headers that are set, by their header names."""
        found: dict[str, str] = {}
        for name, header in STANDARD_HEADERS.items():
            if self.document.get(name) and (value := text(self.document, name)):
                found[header] = value
        return found

    @property
    def user_metadata(self) -> dict[str, str]:
        """Names without prefix."""
        if USER_METADATA_PREFIX not in "\n".join(self.document):
            return {}
        return {
            name.removeprefix(USER_METADATA_PREFIX): value
            for name, value in self.document.items()
            if name.startswith(USER_METADATA_PREFIX)
        }

    @derived
    def checksum(self) -> Checksum | None:
        found = self.document.get("checksum")
        if not isinstance(found, dict):
            return None
        algorithm, value = text(found, "checksumAlgorithm"), text(found, "checksumValue")
        if not (algorithm.isascii() and algorithm.isalnum() and is_checksum(value)):
            return None
        kind = text(found, "checksumType")
        return Checksum(
            algorithm.upper(), value, kind if kind in _CHECKSUM_TYPES else _CHECKSUM_TYPES[0]
        )

    @property
    def upload_id(self) -> str | None:
        """The multipart upload that made the object, None for any other."""
        upload_id = self.document.get("uploadId")
        return upload_id if isinstance(upload_id, str) else None

    @property
    def parts(self) -> list[ObjectPart] | None:
        """The parts of its multipart upload, None for any other object."""
        return parse_parts(self.document)

    @property
    def tags(self) -> dict[str, str]:
        return texts(self.document.get("tags"))

    @derived
    def locations(self) -> Sequence[DataLocation]:
        """The object's data, in order; none for an empty object."""
        return data_locations(self.document.get("location"), self.size)
