"""GetObject and HeadObject: one decision, with and without the bytes."""

from __future__ import annotations

from s3front.bodies.object_reader import (
    ObjectData,
    at_hand,
    at_hand_sealed,
    log_missing,
    require_whole,
)
from s3front.context import Context
from s3front.encryption.told import customer_headers
from s3front.locations.base import DataNotFoundError
from s3front.metadata.object_store import StoredObject
from s3front.objects.object_record import ObjectRecord
from s3front.objects.preconditions import is_modified, range_applies
from s3front.objects.ranges import ByteRange, parse_range
from s3front.objects.versioning import version_headers
from s3front.operations.decide_again import read_again
from s3front.operations.honoured import CUSTOMER_KEY, READ_CONDITIONS
from s3front.operations.object_encryption import let_read, reading_key
from s3front.operations.object_headers import (
    OVERRIDES,
    checksum_headers,
    object_headers,
    overridden,
    part_headers,
)
from s3front.operations.parameters import part_number
from s3front.port.request import Reply, Request, StreamedBody
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error
from shared.records.times import now, to_http

_ATTEMPTS_MAX = 5
_WHOLE_BYTES_MAX = 64 * 1024
"""Up to here the bytes are read before the status is sent: one write, and errors stay clean."""

_UNMODIFIED = ("ETag", "Last-Modified", "Cache-Control", "Expires", "x-amz-version-id")
"""What 304 repeats of the headers of 200 (RFC 9110, section 15.4.5), and the version."""


async def get_object(context: Context, request: Request) -> Reply:
    """An object, or a range of it (Amazon S3 API reference, GetObject).

    When the bytes are gone, the object was replaced or deleted between the two reads: what holds
    now is read and answered.
    """
    current, key = context.current, reading_key(context, request.headers)
    for _ in range(_ATTEMPTS_MAX):
        record = existing_record(context, current)
        let_read(context, record, key)
        status, headers, part = _decide(context, request, record)
        if key is not None:
            headers.update(customer_headers(key))
        if part is None:
            return Reply(status, headers)
        if part.length == 0:
            require_whole(context, record)
            return Reply(status, headers)
        came = None if current is None else current.body
        body = at_hand(context, record, came)
        if body is None:
            body = await at_hand_sealed(context, record, came, key)
        if body is not None:
            return Reply(status, headers, body[part.start : part.end + 1])
        try:
            data = await ObjectData.open(context, record, part, key)
            if part.length <= _WHOLE_BYTES_MAX:
                return Reply(status, headers, await data.read())
            blocks = await data.begun()
        except DataNotFoundError as error:
            _, found = await read_again(context, context.bucket)
            if found is not None and current is not None and found.revision == current.revision:
                log_missing(context, record, error)
                raise S3Error("InternalError") from error
            current = found
        else:
            return Reply(status, headers, StreamedBody(part.length, blocks))
    raise S3Error("ServiceUnavailable")


async def head_object(context: Context, request: Request) -> Reply:
    """What GetObject would answer, without the bytes."""
    key = reading_key(context, request.headers)
    record = existing_record(context, context.current)
    let_read(context, record, key)
    status, headers, part = _decide(context, request, record)
    headers.update(customer_headers(key))
    if part is not None:
        headers["Content-Length"] = str(part.length)
    return Reply(status, headers)


def existing_record(
    context: Context, current: StoredObject | None, *, changes: bool = False
) -> ObjectRecord:
    """The object that a request names; raises NoSuchKey and NoSuchVersion, and of a delete marker
    what it says. ``changes``: the request wants to change it."""
    specific = context.version.is_specific
    if current is None:
        if not specific:
            raise S3Error("NoSuchKey", fields={"Key": context.key})
        fields = {"Key": context.key, "VersionId": context.version.shown}
        raise S3Error("NoSuchVersion", fields=fields)
    record = current.record
    if not record.is_delete_marker:
        return record
    headers = {"x-amz-delete-marker": "true", **described_version(context, record)}
    if not specific and not changes:
        raise S3Error("NoSuchKey", fields={"Key": context.key}, headers=headers)
    # Amazon S3 user guide, "Working with delete markers".
    headers |= {"Allow": "DELETE", "Last-Modified": to_http(record.modified)}
    fields = {"ResourceType": "DeleteMarker"}
    raise S3Error("MethodNotAllowed", fields=fields, headers=headers)


def described_version(context: Context, record: ObjectRecord) -> dict[str, str]:
    """The header that says which version a reply is about; none where there are no versions."""
    return version_headers(record, versioned=context.bucket.record.has_versions)


def _decide(
    context: Context, request: Request, record: ObjectRecord
) -> tuple[int, dict[str, str], ByteRange | None]:
    """Status, headers and bytes of the reply; no bytes at all when the reader has them."""
    query, size = context.target.query, record.size
    etag, modified = record.etag, record.modified
    headers = {**object_headers(record), **described_version(context, record)}
    wanted = None
    if query:
        headers = overridden(headers, query, signed=not context.principal.is_anonymous)
        wanted = part_number(query) if "partNumber" in query else None
    range_header = request.headers.get("range")
    if wanted is not None and range_header is not None:
        raise S3Error(
            "InvalidRequest", "Cannot specify both Range header and partNumber query parameter"
        )
    if not is_modified(request.headers, etag, modified, now):
        return 304, {name: headers[name] for name in _UNMODIFIED if name in headers}, None
    if range_header is not None and not range_applies(request.headers, etag, modified):
        range_header = None
    whole = ByteRange(0, size - 1)
    shows_checksum = request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"
    if wanted is None:
        part = parse_range(range_header, size)
        # What a range leaves out, the checksum of the object covers; a range of all of it is all.
        if shows_checksum and (part is None or part == whole):
            headers.update(checksum_headers(record.checksum))
    else:
        part, of_part, checksums = _part(record, wanted)
        headers.update(of_part)
        if shows_checksum:
            headers.update(checksums)
    if part is None or part.length == 0:
        # No range can say that there are no bytes.
        return 200, headers, part or whole
    headers["Content-Range"] = f"bytes {part.start}-{part.end}/{size}"
    return 206, headers, part


def _part(record: ObjectRecord, number: int) -> tuple[ByteRange, dict[str, str], dict[str, str]]:
    """The bytes of a part, what is said of it, and its checksum. An object that was not uploaded
    by parts is its own first part. Raises InvalidPartNumber."""
    parts = record.parts
    count = 1 if parts is None else len(parts)
    if number > count:
        raise S3Error(
            "InvalidPartNumber",
            fields={"PartNumberRequested": str(number), "ActualPartCount": str(count)},
        )
    if parts is None:
        return ByteRange(0, record.size - 1), {}, checksum_headers(record.checksum)
    part = parts[number - 1]
    start = sum(earlier.size for earlier in parts[: number - 1])
    return (
        ByteRange(start, start + part.size - 1),
        {"x-amz-mp-parts-count": str(count)},
        part_headers(record, part),
    )


_HEADERS = CUSTOMER_KEY | READ_CONDITIONS | {"range", "x-amz-checksum-mode"}
_PARAMETERS = frozenset(("partNumber", *OVERRIDES))

GET_OBJECT = Operation(
    "GetObject",
    Level.OBJECT,
    get_object,
    ("s3:GetObject",),
    version_actions=("s3:GetObjectVersion",),
    headers=_HEADERS,
    parameters=_PARAMETERS,
    with_body=True,
)
HEAD_OBJECT = Operation(
    "HeadObject",
    Level.OBJECT,
    head_object,
    ("s3:GetObject",),
    version_actions=("s3:GetObjectVersion",),
    headers=_HEADERS,
    parameters=_PARAMETERS,
)
