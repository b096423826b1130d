"""Headers that describe an object: from a request into its record, and back into replies. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from s3front.bodies.checksums import FULL_OBJECT
from s3front.encryption.choice import ENCRYPTION
from s3front.encryption.sse import AES256, ALGORITHM_MEMBER
from s3front.encryption.told import server_headers
from s3front.objects.object_lock import Lock
from s3front.objects.object_parts import ObjectPart
from s3front.objects.object_record import (
    STANDARD_HEADERS,
    USER_METADATA_PREFIX,
    USUAL_MEMBERS,
    Checksum,
    ObjectRecord,
)
from s3front.port.header_text import (
    has_control,
    is_latin_1,
    is_name,
    sent_line,
    sent_metadata,
    storable_line,
    storable_metadata,
    stored_line,
    stored_metadata,
    unrepresentable,
)
from s3front.port.request import Headers, names_of
from s3front.s3_errors import S3Error
from shared import limits
from shared.records.derived import remembered
from shared.records.members import UnreadableRecordError
from shared.records.times import to_http

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
_STORAGE_CLASS = "x-amz-storage-class"
_REDIRECT = "x-amz-website-redirect-location"
_DESCRIBING = frozenset(
    name.lower() for name in (*STANDARD_HEADERS.values(), "Content-Type", _STORAGE_CLASS, _REDIRECT)
)
"""The headers that say something of an object, but for its metadata."""

# Query parameter and the header that it overrides (GetObject, "Overriding response header values").
OVERRIDES = {
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
    "response-content-language": "Content-Language",
    "response-content-type": "Content-Type",
    "response-expires": "Expires",
}

_extras: Final = itemgetter(*STANDARD_HEADERS, _REDIRECT, "tags", _STORAGE_CLASS)
_NO_EXTRAS: Final = (*[""] * len(STANDARD_HEADERS), "", {}, "STANDARD")
"""What ``_extras`` are of an object of which its uploader said nothing in particular."""


class DescribedObject(msgspec.Struct, frozen=True):
    """What a request says about the object that it stores, as records have it (``header_text``)."""

    content_type: str
    standard: Mapping[str, str]
    user_metadata: Mapping[str, str]
    website_redirect: str
    storage_class: str = "STANDARD"


_NOTHING_SAID = DescribedObject(DEFAULT_CONTENT_TYPE, {}, {}, "")


def new_object_headers(headers: Headers, *, encoded_words: bool = True) -> DescribedObject:
    """What to keep of a request's headers; raises MetadataTooLarge, InvalidStorageClass,
    InvalidRedirectLocation. ``encoded_words``: as for ``stored_metadata``."""
    if not _any_describes(names_of(headers)):
        return _NOTHING_SAID
    return _said(headers, encoded_words=encoded_words)


@lru_cache(maxsize=64)
def _any_describes(names: str) -> bool:
    """Whether one of these names, a line each, says something of an object. Clients send the same
    again and again."""
    lines = names.lower().split("\n")
    return not _DESCRIBING.isdisjoint(lines) or any(
        line.startswith(USER_METADATA_PREFIX) for line in lines
    )


def _said(headers: Headers, *, encoded_words: bool) -> DescribedObject:
    storage_class = headers.get(_STORAGE_CLASS, "STANDARD")
    if storage_class not in _STORAGE_CLASSES:
        raise S3Error("InvalidStorageClass", fields={"StorageClassRequested": storage_class})
    standard = {}
    for name, header in STANDARD_HEADERS.items():
        value = headers.get(header)
        if value:
            standard[name] = stored_line(value)
    if "content-encoding" in standard:
        # The coding of the transfer is no property of the object.
        codings = standard["content-encoding"].split(",")
        kept = [coding for coding in codings if coding.strip().lower() != _CHUNKED_CODING]
        standard["content-encoding"] = ",".join(kept).strip()
    return DescribedObject(
        stored_line(headers.get("Content-Type") or DEFAULT_CONTENT_TYPE),
        standard,
        _user_metadata(headers, encoded_words=encoded_words),
        _website_redirect(headers),
        storage_class,
    )


def _website_redirect(headers: Headers) -> str:
    value = headers.get(_REDIRECT)
    if not value:
        return ""
    location = stored_line(value)
    if not location.startswith(("/", "http://", "https://")):
        raise S3Error("InvalidRedirectLocation")
    if len(location) > limits.WEBSITE_REDIRECT_BYTES_MAX:
        raise S3Error(
            "InvalidRedirectLocation",
            "The length of website redirect location cannot exceed 2,048 characters.",
        )
    return location


def _user_metadata(headers: Headers, *, encoded_words: bool) -> dict[str, str]:
    metadata: dict[str, str] = {}
    if USER_METADATA_PREFIX not in names_of(headers).lower():
        return metadata
    size = 0
    for name, value in headers.items():
        lower = name.lower()
        if lower.startswith(USER_METADATA_PREFIX):
            short = lower.removeprefix(USER_METADATA_PREFIX)
            text = stored_metadata(value, encoded_words=encoded_words)
            metadata[short] = f"{metadata[short]},{text}" if short in metadata else text
    for short, text in metadata.items():
        size += len(short) + len(text)  # what is stored has a character for each byte
    if size > limits.USER_METADATA_BYTES_MAX:
        raise S3Error(
            "MetadataTooLarge",
            fields={"Size": str(size), "MaxSizeAllowed": str(limits.USER_METADATA_BYTES_MAX)},
        )
    return metadata


def taken_over(described: DescribedObject) -> DescribedObject:
    """What a new record says that has it from another record, whoever stored that: a read shows
    the same of both."""
    return DescribedObject(
        storable_line(str(described.content_type)),
        {name: storable_line(str(text)) for name, text in described.standard.items()},
        {
            name: storable_metadata(str(text))
            for name, text in described.user_metadata.items()
            if is_name(USER_METADATA_PREFIX + name)
        },
        storable_line(str(described.website_redirect)),
        described.storage_class,
    )


def object_headers(record: ObjectRecord) -> Mapping[str, str]:
    """The headers of a reply about an object, without length and checksums.

    Whatever the record holds, they can be sent: entries of user metadata that no header can have
    are counted in one.
    """
    return remembered(record, _described)


def _described(record: ObjectRecord) -> dict[str, str]:
    etag, content_type = record.etag, record.content_type
    headers = {
        "Last-Modified": to_http(record.modified),
        "ETag": f'"{etag}"',
        "Accept-Ranges": "bytes",
        "Content-Type": content_type,
    }
    values = etag + content_type
    if values.isascii() and values.isprintable() and _has_no_extras(record.document):
        algorithm = record.document.get(ALGORITHM_MEMBER)
        if not algorithm:
            return headers
        if algorithm == AES256:
            headers[ENCRYPTION] = AES256
            return headers
    headers |= record.headers
    redirect, tags, storage_class = record.website_redirect, record.tags, record.storage_class
    if redirect:
        headers[_REDIRECT] = redirect
    if tags:
        headers["x-amz-tagging-count"] = str(len(tags))
    if storage_class != "STANDARD":
        headers[_STORAGE_CLASS] = storage_class
    headers |= _lock_headers(record) | server_headers(record.document)
    values = "".join(map(str, headers.values()))
    if not (values.isascii() and values.isprintable()):
        headers = {name: sent_line(str(value)) for name, value in headers.items()}
    metadata, missing = record.user_metadata, 0
    for name, value in metadata.items():
        header = USER_METADATA_PREFIX + name
        if is_name(header):
            headers[header] = sent_metadata(str(value))
        else:
            missing += 1
    if missing:
        headers["x-amz-missing-meta"] = str(missing)
    return headers


def _has_no_extras(document: Mapping[str, Any]) -> bool:
    """Whether there are headers of what every object has, and no others. False where only a look
    at each member tells."""
    try:
        if _extras(document) != _NO_EXTRAS:
            return False
    except KeyError:
        return False
    return USUAL_MEMBERS.issuperset(document)


def _lock_headers(record: ObjectRecord) -> dict[str, str]:
    """Nothing of a lock that cannot be understood: that still protects, but cannot be shown."""
    try:
        return Lock.of(record.document).headers()
    except UnreadableRecordError:
        return {}


def overridden(
    headers: Mapping[str, str], query: Mapping[str, str], *, signed: bool
) -> dict[str, str]:
    """The headers with those that a read asked to be replaced, which only a signed one may: else
    anybody could make pages of somebody else's objects."""
    replaced = dict(headers)
    for parameter, header in OVERRIDES.items():
        value = query.get(parameter)
        if not value:
            continue
        if not signed:
            raise S3Error(
                "InvalidRequest",
                "Request specific response headers cannot be used for anonymous GET requests.",
            )
        if has_control(value) or not is_latin_1(value):
            raise unrepresentable(parameter, value)
        replaced[header] = sent_line(value)
    return replaced


def part_headers(record: ObjectRecord, part: ObjectPart) -> dict[str, str]:
    """The headers that report the checksum of one part of an object. Where the checksum is of the
    full object, AWS has none of parts, but of the one that is all of it."""
    checksum = record.checksum
    if checksum is None or part.checksum is None:
        return {}
    if checksum.kind == FULL_OBJECT and part.size < record.size:
        return {}
    return checksum_headers(replace(checksum, value=part.checksum))


def checksum_headers(checksum: Checksum | None, *, part: bool = False) -> dict[str, str]:
    """The headers that report the checksum of an object, or of a part, which has no type."""
    if checksum is None:
        return {}
    headers = {f"x-amz-checksum-{checksum.algorithm.lower()}": checksum.value}
    return headers if part else {**headers, "x-amz-checksum-type": checksum.kind}
