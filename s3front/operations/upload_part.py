"""UploadPart: like PutObject, into an upload instead of a key.

The part's record is only committed while the upload is under way (DESIGN, section 5), so a part
that is late for a Complete or an Abort is refused and leaves nothing.
"""

from __future__ import annotations

from msgspec.structs import replace

from s3front.bodies.checksums import DEFAULT_ALGORITHM, FULL_OBJECT, Algorithm
from s3front.bodies.object_writer import store_body
from s3front.bodies.stored_body import Destination, StoredBody, check_age, give_up
from s3front.bodies.upload_body import UploadBody
from s3front.context import Context
from s3front.encryption.sse import Protection
from s3front.encryption.told import customer_headers, server_headers
from s3front.metadata.gateway import ChangedError, OutcomeUnknownError
from s3front.metadata.upload_store import StoredUpload
from s3front.operations.chosen_location import destination, sealed_destination
from s3front.operations.encrypted_uploads import part_protection
from s3front.operations.honoured import BODY, PART_ENCRYPTION
from s3front.operations.object_headers import checksum_headers
from s3front.operations.parameters import part_number
from s3front.operations.place_uploads import handle_of
from s3front.operations.uploads import (
    chosen_algorithm,
    described_by,
    no_such_upload,
    writable_upload,
)
from s3front.port.request import Headers, Reply, Request
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error
from shared.failpoints import FailPoint, failpoint
from shared.records.bucket import BucketRecord
from shared.records.times import now
from shared.records.upload import PartRecord, UploadRecord


async def upload_part(context: Context, request: Request) -> Reply:
    """Store a part (Amazon S3 API reference, UploadPart)."""
    number = part_number(context.target.query)
    upload = await writable_upload(context)
    body = UploadBody(context.identity, request)
    chosen = chosen_algorithm(upload.record)
    if chosen is not None:
        _check_checksum(chosen, upload.record.document.get("checksumType"), body.algorithm)
    protection = part_protection(context, upload.record, request.headers)
    place = await part_destination(context, upload.record, number, protection)
    stored = await store_body(context, body, place, chosen or DEFAULT_ALGORITHM)
    await commit_part(context, upload, number, stored)
    shown = chosen or body.algorithm
    checksum = stored.checksum(shown) if shown is not None else None
    told = {"ETag": f'"{stored.md5}"', **checksum_headers(checksum, part=True)}
    return Reply(200, told | part_headers(upload.record, protection))


def part_headers(upload: UploadRecord, protection: Protection | None) -> dict[str, str]:
    """What a reply says of how a part is encrypted; of the context, nothing."""
    if protection is None:
        return {}
    return customer_headers(protection.customer_key) or server_headers(upload.document)


async def part_destination(
    context: Context, upload: UploadRecord, number: int, protection: Protection | None
) -> Destination:
    """Where the bytes of a part go, and how they are encrypted."""
    found = handle_of(context, upload)
    place = destination(context, upload.location, described_by(upload), upload.tags)
    if found is None:
        return await sealed_destination(context, replace(place, part=number), protection)
    store, handle = found
    return replace(place, store=store, part=number, upload=handle)


async def commit_part(
    context: Context, upload: StoredUpload, number: int, stored: StoredBody
) -> PartRecord:
    """Make stored bytes a part of the upload; they are removed again when it has ended."""
    checksums = {algorithm.value: value for algorithm, value in stored.checksums.items()}
    part = PartRecord(number, stored.size, stored.md5, now(), stored.locations, checksums)
    value = part.serialise(upload.upload_id)
    failpoint(FailPoint.AFTER_DATA_STORED)
    try:
        check_age(context, stored.complete_at)
        await context.services.uploads.put_part(
            context.bucket.name,
            upload,
            (number, value),
            context.request_id,
            stored.carried,
            stored.notes,
        )
    except ChangedError as error:
        await give_up(context, stored)
        raise no_such_upload(upload.upload_id) from error
    except OutcomeUnknownError:
        raise  # the bytes may be the part's, so they stay
    except S3Error:
        await give_up(context, stored)
        raise
    failpoint(FailPoint.AFTER_RECORD_COMMIT)
    return part


def _check_checksum(chosen: Algorithm, kind: str | None, given: Algorithm | None) -> None:
    """A part's checksum is of the upload's algorithm, and only a full object's goes without."""
    if given is chosen or (given is None and kind == FULL_OBJECT):
        return
    actual = "null" if given is None else given.lower()
    raise S3Error(
        "InvalidRequest",
        f"Checksum Type mismatch occurred, expected checksum Type: {chosen.lower()}, actual "
        f"checksum Type: {actual}",
    )


def _reads_bucket(_headers: Headers, _bucket: BucketRecord) -> bool:
    """Any request reads the bucket, with the upload."""
    return True


UPLOAD_PART = Operation(
    "UploadPart",
    Level.OBJECT,
    upload_part,
    ("s3:PutObject",),
    headers=BODY | PART_ENCRYPTION,
    unread=_reads_bucket,
)
