"""Uploads whose parts are encrypted: what each of their requests has to say, and what becomes of
those that began before their bucket, or the configuration, demanded it.

The upload says how, from its beginning (``Sealing.members`` in the overview), and each part is
sealed by keys of its own, for the object that it becomes one of. When a bucket gets a default
encryption, the uploads that are under way in it get it with their next request, and Complete stores
those parts again which are still plain: it is decided on the bucket that its commit requires.
"""

from __future__ import annotations

from contextlib import closing

from msgspec.structs import replace

from s3front.bodies.checksums import DEFAULT_ALGORITHM
from s3front.bodies.object_reader import CopiedBody, ObjectData
from s3front.bodies.object_writer import store_body
from s3front.bodies.stored_body import Destination, StoredBody, check_age, give_up
from s3front.context import Context
from s3front.encryption.choice import ENCRYPTION, default_of
from s3front.encryption.key_wrapping import BoundTo
from s3front.encryption.sse import ALGORITHM_MEMBER, CUSTOMER_MEMBER, Protection
from s3front.encryption.told import kept_protection
from s3front.keys.sealing import is_protected
from s3front.metadata.gateway import ChangedError, OutcomeUnknownError
from s3front.metadata.upload_store import PartWrite, StoredPart, StoredUpload
from s3front.objects.object_record import ObjectRecord
from s3front.objects.ranges import ByteRange
from s3front.operations.chosen_location import destination, sealed_destination
from s3front.operations.object_encryption import reading_key
from s3front.operations.object_headers import DescribedObject
from s3front.port.request import Headers
from s3front.s3_errors import S3Error
from shared.records.bucket import BucketRecord
from shared.records.upload import PartRecord, UploadRecord


def part_protection(context: Context, upload: UploadRecord, headers: Headers) -> Protection | None:
    """How a part is to be encrypted; None: not at all. Raises InvalidRequest for a request that
    does not have the client's key of the upload, and what ``reading_key`` does."""
    key = customer_key_of(context, upload, headers)
    if key is None and upload.document.get(CUSTOMER_MEMBER):
        raise _no_parameters()
    return kept_protection(upload.document, key)


def customer_key_of(context: Context, upload: UploadRecord, headers: Headers) -> bytes | None:
    """The client's key of an upload, if the request has it; raises InvalidRequest for another one
    and for one of an upload that has none, InvalidArgument for another encryption."""
    document = upload.document
    said = headers.get(ENCRYPTION)
    if said is not None and said != document.get(ALGORITHM_MEMBER):
        # AWS refuses the header altogether; clients send it with each request of an upload.
        raise S3Error(
            "InvalidArgument",
            f"{ENCRYPTION} header is not supported for this operation.",
            {"ArgumentName": ENCRYPTION, "ArgumentValue": said},
        )
    key = reading_key(context, headers)
    if key is None:
        return None
    if not document.get(CUSTOMER_MEMBER):
        raise _no_parameters()
    try:
        context.services.keys.check_customer(document, _bound(context), key)
    except S3Error as error:
        raise S3Error(
            "InvalidRequest",
            "The provided encryption parameters did not match the ones used originally.",
        ) from error
    return key


def completing_key(context: Context, upload: UploadRecord, headers: Headers) -> bytes | None:
    """The same, for a request that makes the object; raises InvalidRequest where the key is missing
    and the upload has chosen a checksum (Amazon S3 API reference, CompleteMultipartUpload)."""
    key = customer_key_of(context, upload, headers)
    document = upload.document
    if key is None and document.get(CUSTOMER_MEMBER) and document.get("checksumAlgorithm"):
        raise _no_parameters()
    return key


def _no_parameters() -> S3Error:
    """As AWS was recorded to answer, also for a key of an upload that has none (LocalStack's
    ``test_s3.snapshot.json``)."""
    return S3Error(
        "InvalidRequest",
        "The multipart upload initiate requested encryption. Subsequent part requests must include "
        "the appropriate encryption parameters.",
    )


async def as_demanded(context: Context, bucket: BucketRecord, upload: StoredUpload) -> StoredUpload:
    """The upload, with the default encryption of its bucket, or of the configuration, if that
    demands one by now. Raises InvalidRequest for one whose parts are at their place already, where
    they cannot be encrypted, ChangedError, and what ``default_of`` and ``Keys.sealing`` do."""
    if is_protected(upload.record.document):
        return upload
    protection = default_of(bucket, context.services.encryption_settings)
    if protection is None:
        return upload
    if upload.record.handle is not None:
        raise S3Error(
            "InvalidRequest",
            "All that is put into this bucket is to be encrypted since the upload began, and its "
            "parts cannot be encrypted any more. Begin another one.",
        )
    sealing = await context.services.keys.sealing(protection, _bound(context), bucket.owner_id)
    record = UploadRecord({**upload.record.document, **sealing.members})
    return await context.services.uploads.replace(
        context.bucket.name, upload, record, context.request_id
    )


async def encrypt_plain_parts(
    context: Context,
    upload: StoredUpload,
    parts: list[StoredPart],
    described: DescribedObject,
    customer_key: bytes | None,
) -> bool:
    """Store those parts again that are plain in an upload whose object is to be encrypted; whether
    there were any, so that all of them are to be read again. Raises ChangedError, S3Error."""
    if not is_protected(upload.record.document) or upload.record.handle is not None:
        return False
    plain = [
        part
        for part in parts
        if not all(location.is_encrypted for location in part.record.locations)
    ]
    for part in plain:
        protection = kept_protection(upload.record.document, customer_key)
        place = destination(context, upload.record.location, described, upload.record.tags)
        place = replace(place, part=part.record.number)
        place = await sealed_destination(context, place, protection)
        await _store_again(context, upload, part, place)
    return bool(plain)


async def _store_again(
    context: Context, upload: StoredUpload, part: StoredPart, place: Destination
) -> None:
    former = part.record
    stored = await stored_again(context, former, place)
    made = PartRecord(
        former.number, former.size, former.etag, former.modified, stored.locations, former.checksum
    )
    write = PartWrite(
        former.number,
        made.serialise(upload.upload_id),
        stored.carried,
        stored.notes,
        over=part,
    )
    try:
        check_age(context, stored.complete_at)
        await context.services.uploads.put_part(
            context.bucket.name, upload, write, context.request_id
        )
    except OutcomeUnknownError:
        raise  # the bytes may be the part's, so they stay
    except (S3Error, ChangedError):
        await give_up(context, stored)
        raise


async def stored_again(context: Context, part: PartRecord, place: Destination) -> StoredBody:
    """The plain bytes of a part, stored once more, at ``place``; where they were, they stay. Raises
    InternalError for bytes that are not those of the part."""
    locations = [entry.document() for entry in part.locations]
    record = ObjectRecord(
        {"content-length": part.size, "content-md5": part.etag, "location": locations}
    )
    with closing(await ObjectData.open(context, record, ByteRange(0, part.size - 1))) as data:
        stored = await store_body(context, CopiedBody(data, part.size), place, DEFAULT_ALGORITHM)
    if stored.md5 != part.etag:
        context.log.error("a part is not what was stored", part=part.number)
        await give_up(context, stored)
        raise S3Error("InternalError")
    return stored


def _bound(context: Context) -> BoundTo:
    return BoundTo(context.bucket.name, context.key)
