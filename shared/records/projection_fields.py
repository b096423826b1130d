"""Which members of an object record a listing needs (DESIGN, section 3, "Stored value").

The daemon decodes these members alone, without building the rest of the document, and keeps them
beside the record as one msgpack array: a ``ListedObject``. The same array in JSON is what the
``list`` method answers.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, Final, TypeVar

import msgspec

SCHEMA: Final = 1
"""Number of this layout of the array; a change of fields or order takes the next number."""


class ListedObject(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What listings print of an object. Every text may be missing, in records of other writers."""

    is_always_shown: ClassVar[bool] = False
    """Whether no value of this kind is a delete marker or a placeholder."""

    last_modified: str | None = None
    content_length: int | float | str | None = None
    """A float stands for what is no size: a fraction, or more than 64 bits hold."""
    etag: str | None = None
    storage_class: str | None = None
    owner_id: str | None = None
    owner_name: str | None = None
    version_id: str | None = None
    """The internal form; None for an object that was never versioned."""
    is_null: bool = False
    is_delete_marker: bool = False
    is_placeholder: bool = False
    checksum_algorithm: str | None = None
    checksum_kind: str | None = None


class _Checksum(msgspec.Struct, frozen=True, gc=False):
    algorithm: str | None = msgspec.field(default=None, name="checksumAlgorithm")
    kind: str | None = msgspec.field(default=None, name="checksumType")


class ListedDocument(msgspec.Struct, frozen=True, gc=False):
    """The listed members of an ``ObjectMD`` document."""

    last_modified: str | None = msgspec.field(default=None, name="last-modified")
    content_length: int | float | str | None = msgspec.field(default=None, name="content-length")
    etag: str | None = msgspec.field(default=None, name="content-md5")
    storage_class: str | None = msgspec.field(default=None, name="x-amz-storage-class")
    owner_id: str | None = msgspec.field(default=None, name="owner-id")
    owner_name: str | None = msgspec.field(default=None, name="owner-display-name")
    version_id: str | None = msgspec.field(default=None, name="versionId")
    is_null: bool | None = msgspec.field(default=None, name="isNull")
    is_delete_marker: bool | None = msgspec.field(default=None, name="isDeleteMarker")
    is_placeholder: bool | None = msgspec.field(default=None, name="isPHD")
    checksum: _Checksum | None = None


_decode = msgspec.json.Decoder(ListedDocument).decode
Document = TypeVar("Document", bound=ListedDocument)


def listed_object(record: bytes | str) -> ListedObject:
    """What a record says to a listing.

    Raises msgspec.DecodeError, UnicodeDecodeError or RecursionError for what is no such document.
    """
    return ListedObject(*members_of(record))


def members_of(record: bytes | str) -> tuple[Any, ...]:
    """The same as a tuple, which is encoded like a ``ListedObject``: its members, in order."""
    return listed_members(decoded(record, ListedDocument, _decode))


def decoded(
    record: bytes | str, kind: type[Document], decode: Callable[[bytes | str], Document]
) -> Document:
    """The members of a record that are of the types of ``kind``: one that is of another type does
    not hide the others, such as whether it is a delete marker."""
    try:
        return decode(record)
    except msgspec.ValidationError:
        document = msgspec.json.decode(record)
        if not isinstance(document, dict):
            raise
    understood = {}
    for field in msgspec.structs.fields(kind):
        with suppress(msgspec.ValidationError):
            value = document.get(field.encode_name, field.default)
            understood[field.name] = msgspec.convert(value, field.type)
    return kind(**understood)


def listed_members(document: ListedDocument) -> tuple[Any, ...]:
    """The members of a ``ListedObject``, in order."""
    checksum = document.checksum
    return (
        document.last_modified,
        document.content_length,
        document.etag,
        document.storage_class,
        document.owner_id,
        document.owner_name,
        document.version_id,
        document.is_null is True,
        document.is_delete_marker is True,
        document.is_placeholder is True,
        checksum.algorithm if checksum else None,
        checksum.kind if checksum else None,
    )
