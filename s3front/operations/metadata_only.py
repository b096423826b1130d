"""PutObject without bytes, of what is in a location already: a metadata-only PUT.

    x-amz-meta-mdonly: true
    x-amz-meta-size: 12345                          how many bytes the blob has, more than 0
    x-amz-meta-md5chksum: 1B2M2Y8AsgTpgAmY7PhCfg==  their MD5, if it is known
    x-amz-meta-md5numparts: 3                       of how many parts it is, if it is that of parts

The body is empty. The object gets the blob that is under its name in the location, by somebody
else's doing: so objects are made of the files of a folder. It is that other one's still: to delete
the object does not remove it. Follows reference/cloudserver-features.md, section 2. Of locations
whose blobs all come through this server, such a request is one for an object without bytes, as the
original has it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from typing import Final

import msgspec

from s3front.bodies.stored_body import Destination, StoredBody, located
from s3front.locations.remote_store import RemoteStore
from s3front.port.request import Headers
from s3front.s3_errors import S3Error
from shared import limits

_MARK: Final = "x-amz-meta-mdonly"
_SIZE: Final = "x-amz-meta-size"
_MD5: Final = "x-amz-meta-md5chksum"
_PARTS: Final = "x-amz-meta-md5numparts"
_MD5_BYTES: Final = 16
_SIZE_DIGITS_MAX: Final = 20

_REFUSED_TYPES: Final = frozenset({"aws_s3", "azure", "gcp"})
"""Where the original makes such objects, and this version does not."""


class Existing(msgspec.Struct, frozen=True, gc=False):
    """The blob that a request says is there: ``size`` in bytes, and the object's ETag, if known."""

    size: int
    etag: str | None


def existing_blob(headers: Headers, body_size: int | None) -> Existing | None:
    """What a request without bytes says of a blob that is there; None for a plain one. Raises
    InvalidArgument."""
    if body_size != 0 or headers.get(_MARK) != "true" or _SIZE not in headers:
        return None
    size = _number(headers, _SIZE, limits.OBJECT_BYTES_MAX)
    if not size:
        return None
    given = headers.get(_MD5)
    if given is None:
        return Existing(size, None)
    try:
        md5 = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        md5 = b""
    if len(md5) != _MD5_BYTES:
        raise _invalid(_MD5, given, "is not the base64 of an MD5")
    if _PARTS not in headers:
        return Existing(size, md5.hex())
    return Existing(size, f"{md5.hex()}-{_number(headers, _PARTS, limits.PARTS_MAX)}")


async def adopted(place: Destination, existing: Existing, nothing: StoredBody) -> StoredBody:
    """What the record of an object is to know of a blob that is there; ``nothing``, a body without
    bytes, where the location has none but those of this server. Raises InvalidRequest for a blob
    that is not as was said, or is an object's already, and PlaceError."""
    store = place.store
    if not isinstance(store, RemoteStore) or not store.capabilities.adopts:
        if store.type in _REFUSED_TYPES:
            raise S3Error(
                "NotImplemented",
                f"This server makes no objects of what is in a location of type {store.type}.",
            )
        return nothing
    if place.sealing is not None:
        raise S3Error("NotImplemented", "What is in a location already cannot be encrypted.")
    found = await store.find(place.info)
    if found is None:
        raise S3Error("InvalidRequest", "The location has nothing under the name of the object.")
    if found.size != existing.size:
        raise S3Error(
            "InvalidRequest",
            f"The location has {found.size} bytes under the name of the object, "
            f"and {_SIZE} says {existing.size}.",
        )
    etag = existing.etag or _made_up_etag(found.etag or "")
    locations = located(place, ((found, found.size),), etag)
    return StoredBody(found.size, etag, {}, locations, math.inf)


def _made_up_etag(of_place: str) -> str:
    """An ETag of bytes that nobody has read: no client takes one with parts for an MD5."""
    return f"{hashlib.md5(of_place.encode(), usedforsecurity=False).hexdigest()}-1"


def _number(headers: Headers, name: str, most: int) -> int:
    given = headers[name]
    if given.isascii() and given.isdigit() and len(given) < _SIZE_DIGITS_MAX and int(given) <= most:
        return int(given)
    raise _invalid(name, given, f"must be a whole number up to {most}")


def _invalid(name: str, given: str, reason: str) -> S3Error:
    fields = {"ArgumentName": name, "ArgumentValue": given}
    return S3Error("InvalidArgument", f"{name} {reason}.", fields)
