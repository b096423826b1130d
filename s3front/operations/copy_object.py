"""CopyObject and UploadPartCopy: bytes go from the source through this process into a new blob.

Copies never share data with their source, so each blob has exactly one owner (DESIGN, section 3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from functools import partial

from multidict import CIMultiDict, CIMultiDictProxy

from s3front.authz.access import MAKES
from s3front.authz.decide import authorize
from s3front.bodies.checksums import (
    DEFAULT_ALGORITHM,
    FULL_OBJECT,
    Algorithm,
    find_algorithm,
    parse_algorithm,
)
from s3front.bodies.object_reader import CopiedBody, ObjectData
from s3front.bodies.object_writer import store_body
from s3front.bodies.stored_body import StoredBody
from s3front.context import Context
from s3front.encryption.choice import says_protection
from s3front.encryption.sse import Protection
from s3front.encryption.told import made_headers
from s3front.metadata.object_store import record_of
from s3front.objects.object_lock import wanted_lock
from s3front.objects.object_record import STANDARD_HEADERS, Checksum, ObjectRecord
from s3front.objects.put_plan import check_put
from s3front.objects.ranges import ByteRange
from s3front.objects.tag_sets import tags_of_header
from s3front.objects.versioning import LATEST, version_headers
from s3front.operations.chosen_location import LOCATION_HEADER, chosen_location, with_location_of
from s3front.operations.copy_source import CopySource, opened_source, used_source
from s3front.operations.granting import wanted_acl
from s3front.operations.honoured import (
    COPY,
    DESCRIPTION,
    PART_ENCRYPTION,
    PROTECTION,
    WRITE_CONDITIONS,
)
from s3front.operations.object_encryption import wanted_protection
from s3front.operations.object_headers import DescribedObject, new_object_headers, taken_over
from s3front.operations.object_tagging import GET_OBJECT_TAGGING, PUT_OBJECT_TAGGING
from s3front.operations.parameters import part_number
from s3front.operations.place_copies import copied_there
from s3front.operations.put_object import WantedObject, commit_object, store_object
from s3front.operations.told_by_upload import KEYS_OF_UPLOADS, decided
from s3front.operations.upload_part import commit_part, part_destination, wanted_part
from s3front.operations.uploads import chosen_algorithm, writable_upload
from s3front.port.reply import xml_reply
from s3front.port.request import Headers, Reply, Request
from s3front.port.slow_work import answered_in_time
from s3front.port.xml import element
from s3front.routes import CONDITION_ACTIONS, WRITE_ACTIONS, Level, Operation
from s3front.s3_errors import S3Error
from shared import limits
from shared.records.times import now, to_iso

_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})\Z")
_DIRECTIVES = ("COPY", "REPLACE")
_OF_ANY_COPY = ("x-amz-storage-class", "x-amz-website-redirect-location")


async def copy_object(context: Context, request: Request) -> Reply:
    """Copy an object (Amazon S3 API reference, CopyObject)."""
    return await answered_in_time(_copy_object(context, request.headers))


async def _copy_object(context: Context, headers: Headers) -> Reply:
    check_put(headers, record_of(context.current))
    source, found, wanted = await used_source(
        context, headers, partial(_wanted, context, headers), partial(_bytes_of, context)
    )
    if isinstance(found, StoredBody):
        record, checksum = await commit_object(context, headers, found, wanted)
    else:
        with closing(found):  # the target may refuse before it is read
            body = CopiedBody(found, source.record.size)
            record, checksum = await store_object(context, headers, body, wanted)
    result = _result(record.etag, record.document["last-modified"], checksum)
    reply = xml_reply("CopyObjectResult", result + element("ChecksumType", FULL_OBJECT))
    told = {**version_headers(record), **source.version_headers}
    told |= made_headers(record.document, wanted.protection)
    return Reply(reply.status, {**reply.headers, **told}, reply.body)


async def _bytes_of(
    context: Context, source: CopySource, wanted: WantedObject
) -> StoredBody | ObjectData:
    """The bytes of the source, copied by their place if it can, else open."""
    copied = await copied_there(context, source, wanted)
    if copied is not None:
        return copied
    whole = ByteRange(0, source.record.size - 1)
    return await ObjectData.open(source.context, source.record, whole, source.customer_key)


def _wanted(context: Context, headers: Headers, source: CopySource) -> WantedObject:
    """What the source becomes."""
    check_copy_size(source.record.size)
    protection = wanted_protection(context, headers)
    described, tags = _described(context, headers, source, protection)
    lock = wanted_lock(headers, context.bucket.record.document, now())
    location, algorithm = chosen_location(context, headers), _algorithm(headers, source.record)
    origin, acl = "s3:ObjectCreated:Copy", wanted_acl(context, headers)
    return WantedObject(
        described, tags, lock, location, algorithm, origin, protection=protection, acl=acl
    )


def _described(
    context: Context, headers: Headers, source: CopySource, protection: Protection | None
) -> tuple[DescribedObject, Mapping[str, str]]:
    """What the copy's record says: the source's own, or what the request replaces it with."""
    record = source.record
    replaces = _directive(headers, "x-amz-metadata-directive") == "REPLACE"
    retags = _directive(headers, "x-amz-tagging-directive") == "REPLACE"
    # With COPY, what else the request says of the object is ignored, however much it is.
    given = new_object_headers(headers if replaces else _of_any_copy(headers))
    # A certain version of itself may be a former one, which becomes the latest so.
    itself = (source.bucket, source.key, source.context.version) == (
        context.bucket.name,
        context.key,
        LATEST,
    )
    reclasses = given.storage_class != record.storage_class
    here = record.document.get("dataStoreName")
    moves = headers.get(LOCATION_HEADER, here) != here
    # Also where it was so before, if somebody says it (LocalStack has recorded it of AWS).
    said = says_protection(headers) or context.bucket.record.demands_encryption
    encrypts = said or record.is_encrypted != (protection is not None)
    changes = replaces or reclasses or moves or encrypts or bool(given.website_redirect)
    if itself and not changes:
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without "
            "changing the object's metadata, storage class, website redirect location or "
            "encryption attributes.",
        )
    tags = tags_of_header(headers) if retags else record.tags
    if tags and not retags:
        # Read there and put here, though no header says so.
        version = source.context.version
        authorize(source.context.access.to(*GET_OBJECT_TAGGING.actions_for(version, {})))
        # The tags of the copy that is made, not of what may be in its place.
        authorize(context.access.to(MAKES, *PUT_OBJECT_TAGGING.actions))
    if replaces:
        return given, tags
    standard = {
        name: record.document[name] for name in STANDARD_HEADERS if record.document.get(name)
    }
    kept = DescribedObject(
        record.content_type,
        standard,
        with_location_of(context, headers, record.user_metadata),
        given.website_redirect,
        given.storage_class,
    )
    return taken_over(kept), tags


def _of_any_copy(headers: Headers) -> Headers:
    """The headers of a copy that count whatever its directive is."""
    kept = {name: headers[name] for name in _OF_ANY_COPY if name in headers}
    return CIMultiDictProxy(CIMultiDict(kept))


def _directive(headers: Headers, name: str) -> str:
    value = headers.get(name, "COPY")
    if value not in _DIRECTIVES:
        raise S3Error(
            "InvalidArgument",
            f"Unknown {'metadata' if 'metadata' in name else 'tagging'} directive.",
            {"ArgumentName": name, "ArgumentValue": value},
        )
    return value


def check_copy_size(size: int) -> None:
    """Refuse to copy so many bytes at once (Amazon S3 API reference, CopyObject)."""
    if size > limits.OBJECT_BYTES_MAX:
        raise S3Error(
            "InvalidRequest",
            "The specified copy source is larger than the maximum allowable size for a copy "
            f"source: {limits.OBJECT_BYTES_MAX}",
        )


def _algorithm(headers: Headers, record: ObjectRecord) -> Algorithm:
    """The checksum of the copy: the request's choice, else that of the source, else the default.

    It is always of the full object, as the copy is made in one piece.
    """
    wanted = headers.get("x-amz-checksum-algorithm")
    if wanted is not None:
        return parse_algorithm(wanted)
    its = find_algorithm(record.checksum.algorithm) if record.checksum is not None else None
    return its or DEFAULT_ALGORITHM


async def upload_part_copy(context: Context, request: Request) -> Reply:
    """Copy an object, or a range of it, into a part (Amazon S3 API reference)."""
    return await answered_in_time(_upload_part_copy(context, request.headers))


async def _upload_part_copy(context: Context, headers: Headers) -> Reply:
    context = await decided(context)
    number = part_number(context.target.query)
    wanted = wanted_part(context, headers, number, await writable_upload(context))
    source, data, part = await opened_source(context, headers, partial(_wanted_part, headers))
    chosen = chosen_algorithm(wanted.upload.record)
    with closing(data):
        place = await part_destination(context, wanted)
        body = CopiedBody(data, part.length)
        stored = await store_body(context, body, place, chosen or DEFAULT_ALGORITHM)
    wanted, record = await commit_part(context, headers, wanted, stored)
    checksum = stored.checksum(chosen) if chosen is not None else None
    result = _result(stored.md5, to_iso(record.modified), checksum)
    reply = xml_reply("CopyPartResult", result)
    told = source.version_headers | wanted.headers
    return Reply(reply.status, {**reply.headers, **told}, reply.body)


def _wanted_part(headers: Headers, source: CopySource) -> tuple[ByteRange, ByteRange]:
    """What is read of the source for a part, which is all of it."""
    part = _source_range(headers.get("x-amz-copy-source-range"), source.record.size)
    check_copy_size(part.length)
    return part, part


def _source_range(header: str | None, size: int) -> ByteRange:
    if header is None:
        return ByteRange(0, size - 1)
    fields = {"ArgumentName": "x-amz-copy-source-range", "ArgumentValue": header}
    match = _RANGE.match(header)
    part = None if match is None else ByteRange(int(match[1]), int(match[2]))
    if part is None or part.length < 1:
        raise S3Error(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first "
            "and last are the zero-based offsets of the first and last bytes to copy",
            fields,
        )
    if part.end >= size:
        raise S3Error(
            "InvalidArgument",
            f"Range specified is not valid for source object of size: {size}",
            fields,
        )
    return part


def _result(etag: str, modified: str, checksum: Checksum | None) -> str:
    parts = [element("LastModified", modified), element("ETag", f'"{etag}"')]
    if checksum is not None:
        parts.append(element(f"Checksum{checksum.algorithm}", checksum.value))
    return "".join(parts)


COPY_OBJECT = Operation(
    "CopyObject",
    Level.OBJECT,
    copy_object,
    ("s3:PutObject",),
    header_actions={**WRITE_ACTIONS, **CONDITION_ACTIONS},
    headers=COPY
    | DESCRIPTION
    | PROTECTION
    | WRITE_CONDITIONS
    | {"x-amz-checksum-algorithm", "x-amz-metadata-directive", "x-amz-tagging-directive"},
)
UPLOAD_PART_COPY = Operation(
    "UploadPartCopy",
    Level.OBJECT,
    upload_part_copy,
    ("s3:PutObject",),
    headers=COPY | PART_ENCRYPTION | {"x-amz-copy-source-range"},
    body_keys=KEYS_OF_UPLOADS,
)
