"""Which members of an object record a listing needs (DESIGN, section 3, "Stored value").

The daemon decodes these members alone, without building the rest of the document, and keeps them
beside the record as one msgpack array in the order of ``row``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

SCHEMA: Final = 1
"""Number of this layout of the row; a change of fields or order takes the next number."""


class _Checksum(msgspec.Struct, frozen=True, gc=False):
    algorithm: str | None = msgspec.field(default=None, name="checksumAlgorithm")
    kind: str | None = msgspec.field(default=None, name="checksumType")


class ObjectProjection(msgspec.Struct, frozen=True, gc=False):
    """The listed members of an ``ObjectMD`` document; every one may be missing."""

    last_modified: str | None = msgspec.field(default=None, name="last-modified")
    content_length: int | str | None = msgspec.field(default=None, name="content-length")
    etag: str | None = msgspec.field(default=None, name="content-md5")
    storage_class: str | None = msgspec.field(default=None, name="x-amz-storage-class")
    owner_id: str | None = msgspec.field(default=None, name="owner-id")
    owner_name: str | None = msgspec.field(default=None, name="owner-display-name")
    version_id: str | None = msgspec.field(default=None, name="versionId")
    is_null: bool | None = msgspec.field(default=None, name="isNull")
    is_delete_marker: bool | None = msgspec.field(default=None, name="isDeleteMarker")
    is_placeholder: bool | None = msgspec.field(default=None, name="isPHD")
    checksum: _Checksum | None = None

    def row(self) -> list[Any]:
        """The stored form."""
        checksum = self.checksum
        return [
            self.last_modified,
            self.content_length,
            self.etag,
            self.storage_class,
            self.owner_id,
            self.owner_name,
            self.version_id,
            bool(self.is_null),
            bool(self.is_delete_marker),
            bool(self.is_placeholder),
            checksum.algorithm if checksum else None,
            checksum.kind if checksum else None,
        ]
