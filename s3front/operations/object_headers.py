"""Headers that describe an object: from a request into its record, and back into replies. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from s3front.object_lock import Lock
from s3front.request import Headers
from shared import limits
from shared.errors import ServiceError
from shared.records.object import (
    STANDARD_HEADERS,
    USER_METADATA_PREFIX,
    Checksum,
    ObjectRecord,
)
from shared.records.parts import ObjectPart
from shared.records.times import to_http

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_CHUNKED_CODING = "aws-chunked"
DEFAULT_CONTENT_TYPE = "binary/octet-stream"
# Those that are read like STANDARD. The archives are not among them: a GLACIER object cannot be
# read before it is restored, and here is nothing that it could be restored from.
_STORAGE_CLASSES = frozenset(
    (
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER_IR",
    )
)

# Query parameter and the header that it overrides (GetObject, "Overriding response header values").
_OVERRIDES = {
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
    "response-content-language": "Content-Language",
    "response-content-type": "Content-Type",
    "response-expires": "Expires",
}


@dataclass(frozen=True, slots=True)
class DescribedObject:
    """What a request says about the object that it stores."""

    content_type: str
    standard: Mapping[str, str]
    user_metadata: Mapping[str, str]
    website_redirect: str
    storage_class: str = "STANDARD"


def new_object_headers(headers: Headers) -> DescribedObject:
    """What to keep of a request's headers; raises MetadataTooLarge, InvalidStorageClass,
    InvalidRedirectLocation."""
    storage_class = headers.get("x-amz-storage-class", "STANDARD")
    if storage_class not in _STORAGE_CLASSES:
        raise ServiceError("InvalidStorageClass", fields={"StorageClassRequested": storage_class})
    standard = {}
    for name, header in STANDARD_HEADERS.items():
        value = headers.get(header)
        if value:
            standard[name] = _text(value)
    if "content-encoding" in standard:
        # The coding of the transfer is no property of the object.
        codings = standard["content-encoding"].split(",")
        kept = [coding for coding in codings if coding.strip().lower() != _CHUNKED_CODING]
        standard["content-encoding"] = ",".join(kept).strip()
    return DescribedObject(
        _text(headers.get("Content-Type") or DEFAULT_CONTENT_TYPE),
        standard,
        _user_metadata(headers),
        _website_redirect(headers),
        storage_class,
    )


def _website_redirect(headers: Headers) -> str:
    value = headers.get("x-amz-website-redirect-location")
    if not value:
        return ""
    location = _text(value)
    if not location.startswith(("/", "http://", "https://")):
        raise ServiceError("InvalidRedirectLocation")
    if len(location.encode()) > limits.WEBSITE_REDIRECT_BYTES_MAX:
        raise ServiceError(
            "InvalidRedirectLocation",
            "The length of website redirect location cannot exceed 2,048 characters.",
        )
    return location


def _user_metadata(headers: Headers) -> dict[str, str]:
    metadata: dict[str, str] = {}
    size = 0
    for name, value in headers.items():
        lower = name.lower()
        if lower.startswith(USER_METADATA_PREFIX):
            short = lower.removeprefix(USER_METADATA_PREFIX)
            text = _text(value)
            metadata[short] = f"{metadata[short]},{text}" if short in metadata else text
    for short, text in metadata.items():
        size += len(short) + len(text.encode())
    if size > limits.USER_METADATA_BYTES_MAX:
        raise ServiceError(
            "MetadataTooLarge",
            fields={"Size": str(size), "MaxSizeAllowed": str(limits.USER_METADATA_BYTES_MAX)},
        )
    return metadata


def _text(value: str) -> str:
    """A header value as text: UTF-8 if it is that, else Latin-1, HTTP's older reading."""
    raw = value.encode("utf-8", "surrogateescape")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def object_headers(record: ObjectRecord) -> dict[str, str]:
    """The headers of a reply about an object, without length and checksums."""
    headers = {
        "Last-Modified": to_http(record.modified),
        "ETag": f'"{record.etag}"',
        "Accept-Ranges": "bytes",
        "Content-Type": record.content_type,
        **record.headers,
    }
    for name, value in record.user_metadata.items():
        headers[USER_METADATA_PREFIX + name] = value
    if record.website_redirect:
        headers["x-amz-website-redirect-location"] = record.website_redirect
    if record.tags:
        headers["x-amz-tagging-count"] = str(len(record.tags))
    if record.storage_class != "STANDARD":
        headers["x-amz-storage-class"] = record.storage_class
    headers.update(Lock.of(record.document).headers())
    return headers


def overridden(
    headers: Mapping[str, str], query: Mapping[str, str], *, signed: bool
) -> dict[str, str]:
    """The headers with those that a read asked to be replaced, which only a signed one may: else
    anybody could make pages of somebody else's objects."""
    replaced = dict(headers)
    for parameter, header in _OVERRIDES.items():
        value = query.get(parameter)
        if value is None:
            continue
        if not signed:
            raise ServiceError(
                "InvalidRequest",
                "Request specific response headers cannot be used for anonymous GET requests.",
            )
        if _CONTROL.search(value):
            raise ServiceError(
                "InvalidArgument",
                "Header value cannot be represented using ISO-8859-1.",
                {"ArgumentName": parameter, "ArgumentValue": value},
            )
        replaced[header] = value
    return replaced


def part_headers(record: ObjectRecord, part: ObjectPart) -> dict[str, str]:
    """The headers that report the checksum of one part of an object."""
    checksum = record.checksum
    if checksum is None or part.checksum is None:
        return {}
    return checksum_headers(replace(checksum, value=part.checksum))


def checksum_headers(checksum: Checksum | None, *, part: bool = False) -> dict[str, str]:
    """The headers that report the checksum of an object, or of a part, which has no type."""
    if checksum is None:
        return {}
    headers = {f"x-amz-checksum-{checksum.algorithm.lower()}": checksum.value}
    return headers if part else {**headers, "x-amz-checksum-type": checksum.kind}
