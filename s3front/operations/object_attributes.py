"""GetObjectAttributes: what HeadObject and ListParts say, as far as the request asks for it."""

from __future__ import annotations

from s3front.context import Context
from s3front.objects.object_parts import ObjectPart
from s3front.objects.object_record import ObjectRecord
from s3front.objects.preconditions import is_modified
from s3front.operations.get_object import described_version, existing_record
from s3front.operations.honoured import CUSTOMER_KEY
from s3front.operations.object_encryption import let_read, reading_key
from s3front.operations.object_headers import object_headers
from s3front.operations.parameters import (
    attributes_parameter,
    bounded_integer,
    integer_parameter,
)
from s3front.port.reply import xml_reply
from s3front.port.request import Headers, Reply, Request
from s3front.port.xml import element, readable_element
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error
from shared import limits
from shared.records.times import now

_HEADER = "x-amz-object-attributes"
_ATTRIBUTES = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")


async def get_object_attributes(context: Context, request: Request) -> Reply:
    """The attributes that were asked for (Amazon S3 API reference, GetObjectAttributes)."""
    wanted = _wanted(request.headers)
    parts_max = integer_parameter(request.headers, "x-amz-max-parts", limits.UPLOADS_LIST_MAX)
    marker = bounded_integer(request.headers, "x-amz-part-number-marker", 0)
    key = reading_key(context, request.headers)
    record = existing_record(context, context.current)
    let_read(context, record, key)
    described = object_headers(record)
    validators = {name: described[name] for name in ("Last-Modified", "ETag")}
    if not is_modified(request.headers, record.etag, record.modified, now):
        return Reply(304, validators)
    content = {
        "ETag": readable_element("ETag", record.etag),
        "Checksum": _checksum(record),
        "ObjectParts": _parts(record, marker, parts_max),
        "StorageClass": readable_element("StorageClass", record.storage_class),
        "ObjectSize": element("ObjectSize", record.size),
    }
    chosen = "".join(content[name] for name in _ATTRIBUTES if name in wanted)
    reply = xml_reply("GetObjectAttributesResponse", chosen)
    told = {"Last-Modified": validators["Last-Modified"], **described_version(context, record)}
    return Reply(reply.status, {**reply.headers, **told}, reply.body)


def _wanted(headers: Headers) -> frozenset[str]:
    """The attributes that the header lists, or several headers do."""
    names = attributes_parameter(headers, _HEADER, _ATTRIBUTES)
    if not names:
        raise S3Error(
            "InvalidRequest",
            f"The {_HEADER} header specifying the attributes to be retrieved is either missing or "
            "empty",
        )
    return names


def _checksum(record: ObjectRecord) -> str:
    checksum = record.checksum
    if checksum is None:
        return ""
    # Of a composite one without the number of parts, unlike everywhere else.
    value = element(f"Checksum{checksum.algorithm}", checksum.value.partition("-")[0])
    return f"<Checksum>{value}{element('ChecksumType', checksum.kind)}</Checksum>"


def _parts(record: ObjectRecord, marker: int, parts_max: int) -> str:
    """A page of the parts; nothing for an object that was not uploaded by parts.

    Rows without a checksum are printed as well, as AWS does for its directory buckets: nothing
    else tells a client the sizes of parts in one call.
    """
    parts = record.parts
    if parts is None:
        return ""
    numbered = list(enumerate(parts, start=1))
    page = numbered[marker : marker + parts_max]
    last = page[-1][0] if page else 0
    truncated = bool(page) and last < len(parts)
    algorithm = record.checksum.algorithm if record.checksum is not None else ""
    content = [
        element("PartsCount", len(parts)),
        element("PartNumberMarker", marker),
        element("NextPartNumberMarker", last),
        element("MaxParts", parts_max),
        element("IsTruncated", "true" if truncated else "false"),
        *(_part_row(number, part, algorithm) for number, part in page),
    ]
    return f"<ObjectParts>{''.join(content)}</ObjectParts>"


def _part_row(number: int, part: ObjectPart, algorithm: str) -> str:
    checksum = element(f"Checksum{algorithm}", part.checksum) if algorithm else ""
    return f"<Part>{element('PartNumber', number)}{element('Size', part.size)}{checksum}</Part>"


GET_OBJECT_ATTRIBUTES = Operation(
    "GetObjectAttributes",
    Level.OBJECT,
    get_object_attributes,
    ("s3:GetObject", "s3:GetObjectAttributes"),
    version_actions=("s3:GetObjectVersion", "s3:GetObjectVersionAttributes"),
    headers=CUSTOMER_KEY
    | {"x-amz-max-parts", "x-amz-object-attributes", "x-amz-part-number-marker"},
)
