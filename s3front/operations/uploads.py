"""Multipart uploads: beginning, aborting and listing them. Storing parts and completing are files
of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import structs

from s3front.authz.decide import authorize
from s3front.bodies.checksums import CHECKSUM_TYPES, Algorithm, find_algorithm, parse_algorithm
from s3front.context import Context
from s3front.encryption.key_wrapping import BoundTo
from s3front.encryption.told import made_headers
from s3front.metadata.gateway import ChangedError, OutcomeUnknownError
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.object_store import StoredObject
from s3front.metadata.upload_store import StoredUpload
from s3front.objects.object_lock import wanted_lock
from s3front.objects.object_record import STANDARD_HEADERS, USER_METADATA_PREFIX
from s3front.objects.tag_sets import tags_of_header
from s3front.operations.chosen_location import chosen_location
from s3front.operations.decide_again import ATTEMPTS_MAX, allowed_again, read_again
from s3front.operations.encrypted_uploads import as_demanded, customer_key_of
from s3front.operations.granting import acl_member, owner_of, wanted_acl
from s3front.operations.half_completed import completed_object, used_parts
from s3front.operations.honoured import CUSTOMER_KEY, DESCRIPTION, LISTING, PROTECTION
from s3front.operations.object_encryption import wanted_protection
from s3front.operations.object_headers import (
    DEFAULT_CONTENT_TYPE,
    DescribedObject,
    new_object_headers,
)
from s3front.operations.parameters import bounded_integer, encoding_parameter, integer_parameter
from s3front.operations.place_uploads import PlaceUpload, begin_there, give_up_there
from s3front.operations.told_by_upload import told_by
from s3front.port.reply import xml_reply
from s3front.port.request import Headers, Reply, Request
from s3front.port.xml import element, escape, readable_element, url_encode
from s3front.routes import WRITE_ACTIONS, Level, Operation
from s3front.s3_errors import S3Error
from shared import limits
from shared.failpoints import FailPoint, failpoint
from shared.listing.delimiter_uploads import UploadsQuery
from shared.records.members import shown_time
from shared.records.times import now, to_iso
from shared.records.upload import (
    ListedUpload,
    PartRecord,
    UploadRecord,
    began_at,
    new_upload_id,
    tags_text,
)


async def create_multipart_upload(context: Context, request: Request) -> Reply:
    """CreateMultipartUpload (Amazon S3 API reference): says what the object is to become."""
    headers = request.headers
    described = new_object_headers(headers)
    lock = wanted_lock(headers, context.bucket.record.document, now())
    algorithm, kind = _checksum_choice(request)
    principal, acl = context.principal, wanted_acl(context, headers)
    owner = owner_of(context, context.bucket.record, acl)
    began, location = now(), chosen_location(context, headers)
    protection = wanted_protection(context, headers)
    tags = tags_of_header(headers)
    upload_id = new_upload_id(context.key, began)
    document: dict[str, Any] = {
        "id": upload_id,
        "uploadId": upload_id,
        "key": context.key,
        "initiated": to_iso(began),
        "initiator": {"ID": principal.canonical_id, "DisplayName": principal.name},
        "owner-id": owner.id,
        "owner-display-name": owner.name,
        "eventualStorageBucket": context.bucket.name,
        "controllingLocationConstraint": location,
        "dataStoreName": location,
        "acl": acl_member(acl),
        **_described(described),
        **lock.members(),
    }
    if tags:
        document["x-amz-tagging"] = tags_text(tags)
    sealing = None
    if protection is not None:
        bound, account = BoundTo(context.bucket.name, context.key), context.bucket.record.owner_id
        sealing = await context.services.keys.sealing(protection, bound, account)
        document.update(sealing.members)
    document[_REPLACES] = _replaced(context.current)
    if algorithm is not None:
        document["checksumAlgorithm"] = algorithm
        document["checksumType"] = kind
    begun = None
    if sealing is None:  # parts of a place's own upload are as they were sent
        begun = await begin_there(context, location, described, tags)
    if begun is not None:
        document["location"] = [begun.handle.document()]
    await _create(context, UploadRecord(document), begun)
    content = (
        element("Bucket", context.bucket.name)
        + element("Key", context.key)
        + element("UploadId", upload_id)
    )
    reply = xml_reply("InitiateMultipartUploadResult", content)
    told = made_headers(document, protection)
    if algorithm is not None:
        told |= {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind or ""}
    return Reply(reply.status, {**reply.headers, **told}, reply.body)


async def _create(context: Context, record: UploadRecord, begun: PlaceUpload | None) -> None:
    """Commit the record of an upload that may have ``begun`` at its place."""
    bucket, notes = context.bucket, () if begun is None else begun.notes
    try:
        for _ in range(ATTEMPTS_MAX):
            try:
                await context.services.uploads.create(bucket, record, context.request_id, notes)
            except ChangedError:
                bucket, _current = await read_again(context, bucket)
            else:
                failpoint(FailPoint.AFTER_RECORD_COMMIT)
                return
        raise S3Error("OperationAborted")
    except OutcomeUnknownError:
        raise  # it may be the upload's, so it stays
    except S3Error:
        if begun is not None:
            await give_up_there(context, begun)
        raise


def _described(described: DescribedObject) -> dict[str, str]:
    """What is said about the object, as members of the overview."""
    user = {USER_METADATA_PREFIX + name: text for name, text in described.user_metadata.items()}
    return {
        "content-type": described.content_type,
        "x-amz-website-redirect-location": described.website_redirect,
        "x-amz-storage-class": described.storage_class,
        **described.standard,
        **user,
    }


def described_by(record: UploadRecord) -> DescribedObject:
    """What the overview says about the object."""
    document = record.document
    standard = {name: document[name] for name in STANDARD_HEADERS if document.get(name)}
    user = {
        name.removeprefix(USER_METADATA_PREFIX): text
        for name, text in document.items()
        if name.startswith(USER_METADATA_PREFIX)
    }
    return DescribedObject(
        document.get("content-type") or DEFAULT_CONTENT_TYPE,
        standard,
        user,
        document.get("x-amz-website-redirect-location") or "",
        record.storage_class,
    )


def _checksum_choice(request: Request) -> tuple[str | None, str | None]:
    """Algorithm and type of the object's checksum, as the request chose them; None for none."""
    name = request.headers.get("x-amz-checksum-algorithm")
    kind = request.headers.get("x-amz-checksum-type", "").upper() or None
    if kind is not None and kind not in CHECKSUM_TYPES:
        raise S3Error("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
    if name is None:
        if kind is not None:
            raise S3Error(
                "InvalidRequest",
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm "
                "header.",
            )
        return None, None
    algorithm = parse_algorithm(name)
    kind = kind or algorithm.kinds[0]
    if kind not in algorithm.kinds:
        raise S3Error(
            "InvalidRequest",
            f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum "
            "algorithm.",
        )
    return algorithm.value, kind


_REPLACES = "replacesObject"
"""Member of an overview (ours): what was there when the upload began, for conditions."""


def _replaced(current: StoredObject | None) -> dict[str, str] | None:
    if current is None or current.record.is_delete_marker:
        return None
    return {"etag": current.record.etag, "last-modified": to_iso(current.record.modified)}


def check_unchanged(
    headers: Headers, key: str, upload: UploadRecord, current: StoredObject | None
) -> None:
    """Refuse a conditional completion that would pass only because somebody changed the object
    while the parts were sent: ConditionalRequestConflict (Amazon S3 API reference,
    CompleteMultipartUpload)."""
    condition = next((name for name in ("If-None-Match", "If-Match") if name in headers), None)
    if condition is None or _REPLACES not in upload.document:
        return  # uploads that others began do not say
    if upload.document[_REPLACES] != _replaced(current):
        fields = {"Condition": condition, "Key": key}
        raise S3Error("ConditionalRequestConflict", fields=fields)


def chosen_algorithm(record: UploadRecord) -> Algorithm | None:
    """The algorithm that the upload was begun with, None when it chose none.

    Then the object gets S3's default (``DEFAULT_ALGORITHM``, of the full object), each part may be
    verified by whichever its sender likes, and nothing of this shows before the upload's end.
    """
    return find_algorithm(record.document.get("checksumAlgorithm"))


async def abort_multipart_upload(context: Context, _request: Request) -> Reply:
    """AbortMultipartUpload (Amazon S3 API reference). An upload that is not there is NoSuchUpload,
    but for buckets in locations without ``legacyAwsBehavior``, as CloudServer has it."""
    try:
        upload = await existing_upload(context)
        _require_own(context, upload)
        used = await _parts_of_an_object(context, upload)
        try:
            await context.services.uploads.end(
                context.bucket.name, upload, used, context.request_id
            )
        except ChangedError as error:
            # Somebody else aborted or completed it.
            raise no_such_upload(upload.upload_id) from error
    except S3Error as error:
        location = context.services.locations.find(context.bucket.record.location)
        if error.code == "NoSuchUpload" and location and not location.legacy_aws_behavior:
            return Reply(204)
        raise
    failpoint(FailPoint.AFTER_RECORD_COMMIT)
    await finish_closing(context, upload.upload_id)
    return Reply(204)


async def _parts_of_an_object(context: Context, upload: StoredUpload) -> Sequence[int] | None:
    """The parts of an upload whose data an object has already; None when there is no such object,
    as always but for what the original left half done."""
    bucket = context.bucket
    made = await completed_object(context, bucket, context.current, upload)
    return None if made is None else await used_parts(context, bucket.name, upload, made)


async def existing_upload(context: Context) -> StoredUpload:
    """The upload that the request names; raises NoSuchUpload."""
    upload_id = context.target.query["uploadId"]
    upload = await context.services.uploads.read(
        context.bucket.name, context.key, upload_id, context.request_id
    )
    if upload is None:
        raise no_such_upload(upload_id)
    return upload


def _require_own(context: Context, upload: StoredUpload) -> None:
    """Decide again, as it is known who has begun the upload. Raises AccessDenied."""
    authorize(structs.replace(context.access, initiator=upload.record.initiator[0]))


class WritableUpload(NamedTuple):
    """An upload, and the bucket on which it was decided how its parts are encrypted."""

    upload: StoredUpload
    bucket: StoredBucket


async def writable_upload(context: Context, *, again: bool = False) -> WritableUpload:
    """The upload that the request names, to store a part of it, encrypted if the bucket demands it
    by now.

    When nothing was read before, or it is to be read ``again``, the bucket is read with it, and
    decided on again. Raises NoSuchUpload, and what ``as_demanded`` does.
    """
    upload_id, bucket = context.target.query["uploadId"], context.bucket
    reads_bucket = again or context.unread
    for _ in range(ATTEMPTS_MAX):
        if reads_bucket:
            found, upload = await context.services.uploads.read_with_bucket(
                bucket.name, context.key, upload_id, context.request_id
            )
            bucket = allowed_again(told_by(context, upload).access, found, None)
            if upload is None:
                raise no_such_upload(upload_id)
        else:
            upload = await existing_upload(context)
        try:
            return WritableUpload(await as_demanded(context, bucket.record, upload), bucket)
        except ChangedError:
            reads_bucket = True
    raise S3Error("OperationAborted")


def no_such_upload(upload_id: str) -> S3Error:
    return S3Error("NoSuchUpload", fields={"UploadId": upload_id})


async def finish_closing(context: Context, upload_id: str) -> None:
    """Remove what is left of an upload that has ended. The end is committed already, so a failure
    is not the request's: the background worker goes on from the closing record."""
    try:
        await context.services.uploads.close(context.bucket.name, upload_id, context.request_id)
    except (S3Error, ChangedError) as error:
        context.log.warning("parts are left to the background worker", reason=str(error))


async def list_parts(context: Context, request: Request) -> Reply:
    """ListParts (Amazon S3 API reference). A client's own key is not needed."""
    query = context.target.query
    upload = await existing_upload(context)
    _require_own(context, upload)
    customer_key_of(context, upload.record, request.headers)
    parts_max = integer_parameter(query, "max-parts", limits.UPLOADS_LIST_MAX)
    marker = bounded_integer(query, "part-number-marker", 0)
    found: list[PartRecord] = []
    if parts_max:
        found = await context.services.uploads.parts(
            context.bucket.name,
            upload.upload_id,
            min(marker, limits.PARTS_MAX),
            parts_max + 1,
            context.request_id,
        )
    page = found[:parts_max]
    document, algorithm = upload.record.document, chosen_algorithm(upload.record)
    encode = url_encode if encoding_parameter(query) else str
    content = [
        element("Bucket", context.bucket.name),
        f"<Key>{escape(encode(context.key))}</Key>",
        element("UploadId", upload.upload_id),
        element("PartNumberMarker", marker),
        element("NextPartNumberMarker", page[-1].number if page else 0),
        element("MaxParts", parts_max),
        element("IsTruncated", "true" if len(found) > len(page) else "false"),
        _person("Initiator", *upload.record.initiator),
        _person("Owner", *upload.record.owner),
        readable_element("StorageClass", upload.record.storage_class),
        readable_element("ChecksumAlgorithm", document.get("checksumAlgorithm")),
        readable_element("ChecksumType", document.get("checksumType")),
        *(_part_row(part, algorithm) for part in page),
    ]
    return xml_reply("ListPartsResult", "".join(content))


def _person(name: str, canonical_id: str | None, shown: str | None) -> str:
    identity = readable_element("ID", canonical_id) + readable_element("DisplayName", shown)
    return f"<{name}>{identity}</{name}>"


def _part_row(part: PartRecord, algorithm: Algorithm | None) -> str:
    checksum = (part.checksum or {}).get(algorithm) if algorithm is not None else None
    return (
        f"<Part>{element('PartNumber', part.number)}"
        f"{element('LastModified', to_iso(part.modified))}"
        f"<ETag>&quot;{part.etag}&quot;</ETag>{element('Size', part.size)}"
        f"{readable_element(f'Checksum{algorithm}', checksum)}</Part>"
    )


async def list_multipart_uploads(context: Context, _request: Request) -> Reply:
    """ListMultipartUploads (Amazon S3 API reference): by key, and for a key by age."""
    query = context.target.query
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    count = integer_parameter(query, "max-uploads", limits.UPLOADS_LIST_MAX)
    key_marker = query.get("key-marker", "")
    id_marker = query.get("upload-id-marker", "") if key_marker else ""
    text = url_encode if (encoded := encoding_parameter(query)) else str
    if id_marker:
        await _check_marker(context, key_marker, id_marker)
    asked = UploadsQuery(prefix, delimiter, key_marker, id_marker, count)
    page = await context.services.uploads.list(context.bucket.name, asked, context.request_id)
    content = [
        element("Bucket", context.bucket.name),
        element("KeyMarker", text(key_marker)),
        element("UploadIdMarker", id_marker),
    ]
    content += [
        # Of the last page as well, where they lead nowhere.
        element("NextKeyMarker", text(page.next_key_marker)),
        element("NextUploadIdMarker", page.next_upload_id_marker),
        element("Prefix", text(prefix)) if prefix else "",
        element("Delimiter", text(delimiter)) if delimiter else "",
        element("EncodingType", "url") if encoded else "",
        element("MaxUploads", count),
        element("IsTruncated", "true" if page.is_truncated else "false"),
        *(_upload_row(text(key), upload_id, upload) for key, upload_id, upload in page.uploads),
        *(
            f"<CommonPrefixes>{element('Prefix', text(common))}</CommonPrefixes>"
            for common in page.common_prefixes
        ),
    ]
    return xml_reply("ListMultipartUploadsResult", "".join(content))


async def _check_marker(context: Context, key: str, upload_id: str) -> None:
    """Refuse a marker that no upload of its key can have, as AWS does: InvalidArgument. That of one
    which has ended meanwhile is no mistake of the client's."""
    if began_at(upload_id, key) is not None:
        return
    uploads, bucket = context.services.uploads, context.bucket.name
    if await uploads.read(bucket, key, upload_id, context.request_id) is None:
        fields = {"ArgumentName": "upload-id-marker", "ArgumentValue": upload_id}
        raise S3Error("InvalidArgument", "Invalid uploadId marker", fields)


def _upload_row(key: str, upload_id: str, upload: ListedUpload) -> str:
    owner = upload.owner_id or upload.initiator_id, upload.owner_name or upload.initiator_name
    return (
        f"<Upload><Key>{escape(key)}</Key>{element('UploadId', upload_id)}"
        f"{_person('Initiator', upload.initiator_id, upload.initiator_name)}"
        f"{_person('Owner', *owner)}"
        f"{readable_element('StorageClass', upload.storage_class or 'STANDARD')}"
        f"{element('Initiated', shown_time(upload.initiated))}"
        f"{readable_element('ChecksumAlgorithm', upload.checksum_algorithm)}"
        f"{readable_element('ChecksumType', upload.checksum_kind)}</Upload>"
    )


CREATE_MULTIPART_UPLOAD = Operation(
    "CreateMultipartUpload",
    Level.OBJECT,
    create_multipart_upload,
    ("s3:PutObject",),
    header_actions=WRITE_ACTIONS,
    headers=DESCRIPTION | PROTECTION | {"x-amz-checksum-algorithm", "x-amz-checksum-type"},
)
ABORT_MULTIPART_UPLOAD = Operation(
    "AbortMultipartUpload",
    Level.OBJECT,
    abort_multipart_upload,
    ("s3:AbortMultipartUpload",),
)
LIST_PARTS = Operation(
    "ListParts",
    Level.OBJECT,
    list_parts,
    ("s3:ListMultipartUploadParts",),
    headers=CUSTOMER_KEY,
    parameters=frozenset(("max-parts", "part-number-marker")),
)
LIST_MULTIPART_UPLOADS = Operation(
    "ListMultipartUploads",
    Level.BUCKET,
    list_multipart_uploads,
    ("s3:ListBucketMultipartUploads",),
    parameters=LISTING | {"key-marker", "max-uploads", "upload-id-marker"},
)
