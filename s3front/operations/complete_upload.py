"""CompleteMultipartUpload: turning parts into an object.

One commit decides (DESIGN, section 5): it requires the upload and every part as they were read,
puts the object, and removes the upload. A Complete that is repeated, because its answer was lost,
finds the object that remembers its upload, and is answered again.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import md5
from itertools import pairwise
from urllib.parse import quote
from xml.etree.ElementTree import Element

from msgspec.structs import replace
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.bodies.checksums import (
    COMPOSITE,
    DEFAULT_ALGORITHM,
    FULL_OBJECT,
    Algorithm,
    combined_checksum,
    composite_checksum,
)
from s3front.bodies.request_document import interpreted, read_document
from s3front.context import Context
from s3front.encryption.told import customer_headers, kept_members, server_headers
from s3front.metadata.gateway import ChangedError
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.object_store import ObjectCommit, StoredObject, planned, record_of
from s3front.metadata.upload_store import StoredPart, StoredUpload
from s3front.objects.object_lock import Lock
from s3front.objects.object_parts import ObjectPart
from s3front.objects.object_record import Checksum, NewObject, ObjectRecord
from s3front.objects.put_plan import check_put, plan_put
from s3front.objects.versioning import version_headers
from s3front.operations.decide_again import ATTEMPTS_MAX, read_again
from s3front.operations.encrypted_uploads import (
    as_demanded,
    completing_key,
    encrypt_plain_parts,
)
from s3front.operations.granting import acl_member, owner_of_upload
from s3front.operations.half_completed import are_given_up, completed_object, is_made_by, used_parts
from s3front.operations.honoured import CHECKSUMS, PART_ENCRYPTION, WRITE_CONDITIONS
from s3front.operations.object_encryption import reading_key
from s3front.operations.object_headers import taken_over
from s3front.operations.object_url import object_url
from s3front.operations.place_uploads import (
    complete_there,
    handle_of,
    stay_no_longer,
    stay_with,
)
from s3front.operations.put_version import PUT_VERSION, refuse_put_version
from s3front.operations.told_by_upload import KEYS_OF_UPLOADS, decided, told_by
from s3front.operations.uploads import (
    check_unchanged,
    chosen_algorithm,
    described_by,
    finish_closing,
    no_such_upload,
)
from s3front.port.reply import xml_reply
from s3front.port.request import Headers, Reply, Request
from s3front.port.slow_work import answered_in_time
from s3front.port.xml import element, parse
from s3front.routes import CONDITION_ACTIONS, Level, Operation
from s3front.s3_errors import S3Error
from shared import limits
from shared.failpoints import FailPoint, failpoint
from shared.records.bucket import BucketRecord
from shared.records.data_location import DataLocation, completed_members
from shared.records.times import now
from shared.records.upload import UploadRecord

_NUMBER = re.compile(r"\s*(-?[0-9]{1,9})\s*\Z")
_SIZE = re.compile(r"[0-9]{1,18}\Z")


@dataclass(frozen=True, slots=True)
class _WantedPart:
    number: int
    etag: str
    checksums: dict[str, str]


async def complete_multipart_upload(context: Context, request: Request) -> Reply:
    """Make the object (Amazon S3 API reference, CompleteMultipartUpload)."""
    context = await decided(context)
    if PUT_VERSION in request.headers:
        await refuse_put_version(context, request.headers)
    if not is_made_by(context.current, context.target.query["uploadId"]):
        check_put(request.headers, record_of(context.current))
    body = await read_document(
        context,
        _without_object_checksum(request),
        limits.COMPLETE_BODY_BYTES_MAX,
        may_be_empty=True,
    )
    wanted = await interpreted(body, partial(_parse, context.target.query["uploadId"]))
    completing = _complete(context, request.headers, wanted)
    return await answered_in_time(_reply(context, request, completing))


async def _complete(
    context: Context, headers: Headers, wanted: Sequence[_WantedPart]
) -> ObjectRecord:
    """The object that the upload becomes, or has become."""
    uploads, upload_id = context.services.uploads, context.target.query["uploadId"]
    bucket, current = context.bucket, context.current
    for attempt in range(ATTEMPTS_MAX):
        if attempt:
            bucket, current = await read_again(context, bucket)
        upload = await uploads.read(bucket.name, context.key, upload_id, context.request_id)
        context = told_by(context, upload)
        if upload is None:
            # Perhaps since ``current`` was read: the body came in between.
            _bucket, current = await read_again(context, bucket)
            return _made_already(current, upload_id)
        made = await completed_object(context, bucket, current, upload)
        if made is not None:
            await end_made(context, upload, made)
            return made
        key = completing_key(context, upload.record, headers)
        check_put(headers, record_of(current))
        check_unchanged(headers, context.key, upload.record, current)
        _require_checksums(upload.record, wanted)
        asked = False
        try:
            upload = await as_demanded(context, bucket.record, upload)
            parts = await _parts(context, upload, wanted)
            if await are_given_up(context, upload, parts):
                raise no_such_upload(upload_id)
            described = described_by(upload.record)
            if await encrypt_plain_parts(context, upload, parts, described, key):
                parts = await _parts(context, upload, wanted)
            record = _object_record(context, bucket.record, upload, parts)
            _verify(headers, upload.record, record)
            write = _written(context, headers, bucket, current, record)
            if upload.record.handle is not None:  # its place is not asked before
                upload = await stay_with(context, upload, parts)
                asked = True
                record = await _made_there(context, upload, parts, record)
                write = _written(context, headers, bucket, current, record)
        except ChangedError:
            continue
        except S3Error as error:
            # What it rests on goes when somebody else completes the upload.
            again = await uploads.read(bucket.name, context.key, upload_id, context.request_id)
            if again is not None and again.revision == upload.revision:
                if asked:
                    await stay_no_longer(context, upload, error)
                raise
            continue
        try:
            record = await uploads.complete(bucket, upload, parts, write, context.request_id)
        except ChangedError:
            continue
        failpoint(FailPoint.AFTER_RECORD_COMMIT)
        await finish_closing(context, upload_id)
        return record
    raise S3Error("ConditionalRequestConflict", fields={"Key": context.key})


def _made_already(current: StoredObject | None, upload_id: str) -> ObjectRecord:
    """The object that an upload became which is not there any more; raises NoSuchUpload."""
    if current is not None and is_made_by(current, upload_id):
        return current.record
    raise no_such_upload(upload_id)


async def end_made(context: Context, upload: StoredUpload, made: ObjectRecord) -> None:
    """Remove an upload that has become an object, and what that does not own of its data."""
    bucket = context.bucket.name
    used = await used_parts(context, bucket, upload, made)
    with suppress(ChangedError):  # somebody else has
        await context.services.uploads.end(bucket, upload, used, context.request_id)
    await finish_closing(context, upload.upload_id)


def _without_object_checksum(request: Request) -> Request:
    """The request, as its document is to be verified: its checksum headers are the object's."""
    kept = CIMultiDict(request.headers)
    for name in (*(algorithm.header for algorithm in Algorithm), "x-amz-sdk-checksum-algorithm"):
        kept.popall(name, None)
    return replace(request, headers=CIMultiDictProxy(kept), folded=None)


def _parse(upload_id: str, body: bytes) -> list[_WantedPart]:
    """The parts that a document lists; raises InvalidRequest, MalformedXML, InvalidArgument,
    InvalidPartOrder."""
    nodes: list[Element] = []
    if body.strip():
        nodes = list(parse(body, "CompleteMultipartUpload", limits.COMPLETE_ELEMENTS_MAX))
    if not nodes:
        raise S3Error("InvalidRequest", "You must specify at least one part")
    wanted = [_parse_part(node) for node in nodes if node.tag == "Part"]
    if not wanted or len(wanted) > limits.PARTS_MAX:
        raise S3Error("MalformedXML")
    numbers = [part.number for part in wanted]
    if any(after <= before for before, after in pairwise(numbers)):
        raise S3Error("InvalidPartOrder", fields={"UploadId": upload_id})
    return wanted


def _parse_part(node: Element) -> _WantedPart:
    match = _NUMBER.match(node.findtext("PartNumber") or "")
    etag = node.findtext("ETag")
    if match is None or etag is None:
        raise S3Error("MalformedXML")
    if int(match[1]) < 1:
        fields = {"ArgumentName": "PartNumber", "ArgumentValue": match[1]}
        raise S3Error("InvalidArgument", "PartNumber must be >= 1", fields)
    checksums = {
        child.tag.removeprefix("Checksum"): (child.text or "").strip()
        for child in node
        if child.tag.startswith("Checksum")
    }
    return _WantedPart(int(match[1]), etag.strip().strip('"'), checksums)


def _require_checksums(upload: UploadRecord, wanted: Sequence[_WantedPart]) -> None:
    """A composite checksum is made of checksums of parts that their sender has confirmed."""
    algorithm = chosen_algorithm(upload)
    if algorithm is None or upload.document.get("checksumType") != COMPOSITE:
        return
    for part in wanted:
        if algorithm not in part.checksums:
            raise S3Error(
                "InvalidRequest",
                f"The upload was created using a {algorithm.lower()} checksum. The complete "
                "request must include the checksum for each part. It was missing for part "
                f"{part.number} in the request.",
            )


def _written(
    context: Context,
    headers: Headers,
    bucket: StoredBucket,
    current: StoredObject | None,
    record: ObjectRecord,
) -> ObjectCommit:
    """What makes the record the object, given what was read; raises what ``plan_put`` does."""
    oldest_id = context.services.objects.oldest_version_id
    plan = plan_put(bucket.record, record_of(current), record, headers, oldest_id)
    return planned(bucket, context.key, current, plan)


async def _made_there(
    context: Context, upload: StoredUpload, parts: Sequence[StoredPart], record: ObjectRecord
) -> ObjectRecord:
    """The record of an object whose bytes the place of its upload puts together."""
    described = described_by(upload.record)
    locations = await complete_there(context, upload.record, parts, described, record.etag)
    return record.changed({"location": [entry.document() for entry in locations] or None})


async def _parts(
    context: Context, upload: StoredUpload, wanted: Sequence[_WantedPart]
) -> list[StoredPart]:
    """The parts that the request lists, checked against what is stored."""
    upload_id = upload.upload_id
    found = await context.services.uploads.read_parts(
        context.bucket.name, upload_id, [part.number for part in wanted], context.request_id
    )
    parts: list[StoredPart] = []
    for asked, part in zip(wanted, found, strict=True):
        if part is None or part.record.etag != asked.etag or not _checksums_agree(asked, part):
            raise S3Error(
                "InvalidPart",
                fields={
                    "UploadId": upload_id,
                    "PartNumber": str(asked.number),
                    "ETag": asked.etag,
                },
            )
        parts.append(part)
    place = handle_of(context, upload.record)
    of_place = 0 if place is None else place[0].capabilities.part_bytes_min
    smallest = max(context.services.part_bytes_min, of_place)
    for part in parts[:-1]:
        if part.record.size < smallest:
            raise S3Error(
                "EntityTooSmall",
                fields={
                    "ProposedSize": str(part.record.size),
                    "MinSizeAllowed": str(smallest),
                    "PartNumber": str(part.record.number),
                    "ETag": part.record.etag,
                },
            )
    return parts


def _checksums_agree(asked: _WantedPart, part: StoredPart) -> bool:
    stored = part.record.checksum or {}
    return all(stored.get(name) == value for name, value in asked.checksums.items())


def _object_record(
    context: Context, bucket: BucketRecord, upload: StoredUpload, parts: Sequence[StoredPart]
) -> ObjectRecord:
    document, acl = upload.record.document, upload.record.acl
    owner = owner_of_upload(context, bucket, upload.record)
    described = taken_over(described_by(upload.record))
    algorithm = chosen_algorithm(upload.record) or DEFAULT_ALGORITHM
    locations: list[DataLocation] = []
    digests = md5(usedforsecurity=False)
    for number, part in enumerate(parts, start=1):
        digests.update(bytes.fromhex(part.record.etag))
        for entry in () if upload.record.handle is not None else part.record.locations:
            context.services.locations.holder(entry)  # raises for a place that is not known here
            # Of an object, parts are counted from 1 (``s3front.objects.object_parts``); the rest is
            # what the place has said, or the part's own ETag.
            its_own = entry.store_etag.partition(":")[2]
            etag = f"{number}:{its_own or part.record.etag}"
            start = locations[-1].start + locations[-1].size if locations else 0
            members = completed_members(entry.members)
            locations.append(replace(entry, start=start, store_etag=etag, members=members))
    return ObjectRecord.create(
        NewObject(
            key=upload.key,
            owner_id=owner.id,
            owner_name=owner.name,
            size=sum(part.record.size for part in parts),
            etag=f"{digests.hexdigest()}-{len(parts)}",
            content_type=described.content_type,
            modified=now(),
            locations=locations,
            store_name=upload.record.location,
            headers=described.standard,
            user_metadata=described.user_metadata,
            checksum=_checksum(upload.record, algorithm, parts),
            website_redirect=described.website_redirect,
            storage_class=described.storage_class,
            tags=upload.record.tags,
            upload_id=upload.upload_id,
            parts=[
                ObjectPart(part.record.size, (part.record.checksum or {}).get(algorithm))
                for part in parts
            ],
            origin="s3:ObjectCreated:CompleteMultipartUpload",
            lock=Lock.of(document).members(),
            encryption=kept_members(document),
            acl=acl_member(acl),
        )
    )


def _checksum(
    upload: UploadRecord, algorithm: Algorithm, parts: Sequence[StoredPart]
) -> Checksum | None:
    """The object's checksum from those of its parts, when every one of them has one: parts that
    other front-ends stored, or older ones, may be without."""
    values = [(part.record.checksum or {}).get(algorithm) for part in parts]
    known = [value for value in values if value is not None]
    if len(known) < len(parts):
        return None
    kind = upload.document.get("checksumType") or algorithm.kinds[0]
    if kind == FULL_OBJECT:
        sizes = [part.record.size for part in parts]
        return Checksum(algorithm.value, combined_checksum(algorithm, known, sizes))
    return Checksum(algorithm.value, composite_checksum(algorithm, known), COMPOSITE)


def _verify(headers: Headers, upload: UploadRecord, record: ObjectRecord) -> None:
    """Compare the object with what the request says of it; raises InvalidRequest, BadDigest."""
    size = headers.get("x-amz-mp-object-size")
    if size is not None and _SIZE.match(size) is None:
        raise S3Error("InvalidRequest", "Value for x-amz-mp-object-size header is invalid.")
    if size is not None and int(size) != record.size:
        raise S3Error(
            "InvalidRequest",
            f"The provided 'x-amz-mp-object-size' header value {size} does not match what was "
            f"computed: {record.size}",
        )
    checksum = record.checksum
    kind, chosen = headers.get("x-amz-checksum-type"), upload.document.get("checksumType", "null")
    if kind is not None and kind != chosen:
        raise S3Error(
            "InvalidRequest",
            f"The upload was created using the {chosen} checksum mode. The complete request must "
            "use the same checksum mode.",
        )
    for algorithm in Algorithm:
        declared = headers.get(algorithm.header)
        if declared is None:
            continue
        if checksum is None or checksum.algorithm != algorithm:
            expected = "null" if checksum is None else checksum.algorithm.lower()
            raise S3Error(
                "InvalidRequest",
                f"Checksum Type mismatch occurred, expected checksum Type: {expected}, actual "
                f"checksum Type: {algorithm.lower()}",
            )
        # Of a composite one the number of parts may be left out.
        if declared not in (checksum.value, checksum.value.partition("-")[0]):
            raise S3Error(
                "BadDigest",
                f"The {algorithm} you specified did not match the calculated checksum.",
            )


async def _reply(context: Context, request: Request, completing: Awaitable[ObjectRecord]) -> Reply:
    record = await completing
    checksum = record.checksum
    content = [
        # The slashes of the key as well, as AWS does here.
        element("Location", object_url(context, request, encoded_key=quote(context.key, safe=""))),
        element("Bucket", context.bucket.name),
        element("Key", context.key),
        element("ETag", f'"{record.etag}"'),
    ]
    if checksum is not None:
        content.append(element(f"Checksum{checksum.algorithm}", checksum.value))
        content.append(element("ChecksumType", checksum.kind))
    reply = xml_reply("CompleteMultipartUploadResult", "".join(content))
    # A key that is not the object's was refused; AWS says nothing of a client's, others do.
    key = reading_key(context, request.headers) if record.is_encrypted else None
    told = {**version_headers(record), **server_headers(record.document), **customer_headers(key)}
    return Reply(reply.status, {**reply.headers, **told}, reply.body)


COMPLETE_MULTIPART_UPLOAD = Operation(
    "CompleteMultipartUpload",
    Level.OBJECT,
    complete_multipart_upload,
    ("s3:PutObject",),
    header_actions=CONDITION_ACTIONS,
    headers=CHECKSUMS
    | PART_ENCRYPTION
    | WRITE_CONDITIONS
    | {PUT_VERSION, "x-amz-checksum-type", "x-amz-mp-object-size"},
    body_keys=KEYS_OF_UPLOADS,
)
