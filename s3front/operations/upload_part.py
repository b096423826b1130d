"""UploadPart: like PutObject, into an upload instead of a key.

The part's record is only committed while the upload is under way (DESIGN, section 5), so a part
that is late for a Complete or an Abort is refused and leaves nothing. One that is not encrypted is
only committed while its bucket does not demand it.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from s3front.bodies.checksums import DEFAULT_ALGORITHM, FULL_OBJECT, Algorithm
from s3front.bodies.object_reader import HeldBody
from s3front.bodies.object_writer import store_body
from s3front.bodies.stored_body import Destination, StoredBody, check_age, give_up
from s3front.bodies.upload_body import UploadBody
from s3front.context import Context
from s3front.encryption.sse import Protection
from s3front.encryption.told import customer_headers, server_headers
from s3front.metadata.gateway import ChangedError, OutcomeUnknownError
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.upload_store import PartWrite, StoredUpload
from s3front.operations.chosen_location import destination, sealed_destination
from s3front.operations.decide_again import ATTEMPTS_MAX
from s3front.operations.encrypted_uploads import part_protection, stored_again
from s3front.operations.honoured import BODY, PART_ENCRYPTION
from s3front.operations.object_headers import checksum_headers
from s3front.operations.parameters import part_number
from s3front.operations.place_uploads import handle_of
from s3front.operations.told_by_upload import KEYS_OF_UPLOADS, decided
from s3front.operations.uploads import (
    WritableUpload,
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
from shared.records.members import UnreadableRecordError
from shared.records.times import now
from shared.records.upload import PartRecord


class WantedPart(msgspec.Struct, frozen=True, gc=False):
    """A part as it is to be stored: its ``number``, the upload that it is of, and the ``bucket``
    that this was decided on. ``protection`` is how it is encrypted, None: not at all."""

    number: int
    upload: StoredUpload
    bucket: StoredBucket
    protection: Protection | None

    @property
    def headers(self) -> dict[str, str]:
        """What a reply says of how it is encrypted; of the context, nothing."""
        if self.protection is None:
            return {}
        customer_key = self.protection.customer_key
        return customer_headers(customer_key) or server_headers(self.upload.record.document)


async def upload_part(context: Context, request: Request) -> Reply:
    """Store a part (Amazon S3 API reference, UploadPart)."""
    context = await decided(context)
    number = part_number(context.target.query)
    found = await writable_upload(context)
    record = found.upload.record
    body = UploadBody(context.identity, request)
    chosen = chosen_algorithm(record)
    if chosen is not None:
        _check_checksum(chosen, record.document.get("checksumType"), body.algorithm)
    part = wanted_part(context, request.headers, number, found)
    place = await part_destination(context, part)
    stored = await store_body(context, body, place, chosen or DEFAULT_ALGORITHM)
    part, _ = await commit_part(context, request.headers, part, stored)
    shown = chosen or body.algorithm
    checksum = stored.checksum(shown) if shown is not None else None
    told = {"ETag": f'"{stored.md5}"', **checksum_headers(checksum, part=True)}
    return Reply(200, told | part.headers)


def wanted_part(
    context: Context, headers: Headers, number: int, found: WritableUpload
) -> WantedPart:
    """A part as its upload has it. Raises what ``part_protection`` does."""
    protection = part_protection(context, found.upload.record, headers)
    return WantedPart(number, found.upload, found.bucket, protection)


async def part_destination(context: Context, part: WantedPart) -> Destination:
    """Where the bytes of a part go, and how they are encrypted."""
    upload = part.upload.record
    found = handle_of(context, upload)
    place = destination(context, upload.location, described_by(upload), upload.tags)
    if found is None:
        return await sealed_destination(context, replace(place, part=part.number), part.protection)
    store, handle = found
    return replace(place, store=store, part=part.number, upload=handle)


async def commit_part(
    context: Context, headers: Headers, part: WantedPart, stored: StoredBody
) -> tuple[WantedPart, PartRecord]:
    """Make stored bytes a part of the upload; they are removed again when it has ended. When its
    bucket demands encryption by now, they are stored again, encrypted. What was stored, at last,
    and its record."""
    failpoint(FailPoint.AFTER_DATA_STORED)
    try:
        for _ in range(ATTEMPTS_MAX):
            try:
                record = await _committed(context, part, stored)
            except ChangedError as error:
                if part.protection is not None:
                    raise no_such_upload(part.upload.upload_id) from error
                found = await writable_upload(context, again=True)
                part = wanted_part(context, headers, part.number, found)
                if part.protection is not None and stored.size:
                    stored = await _encrypted(context, part, stored)
                continue
            failpoint(FailPoint.AFTER_RECORD_COMMIT)
            return part, record
        raise S3Error("OperationAborted")
    except OutcomeUnknownError:
        raise  # the bytes may be the part's, so they stay
    except (S3Error, UnreadableRecordError):
        await give_up(context, stored)
        raise


async def _committed(context: Context, part: WantedPart, stored: StoredBody) -> PartRecord:
    """Commit the record of a part. Raises ChangedError when something that it rests on has
    changed."""
    check_age(context, stored.complete_at)
    record = _record_of(part, stored)
    write = PartWrite(
        part.number,
        record.serialise(part.upload.upload_id),
        stored.carried,
        stored.notes,
        plain_in=part.bucket if part.protection is None else None,
    )
    uploads = context.services.uploads
    await uploads.put_part(context.bucket.name, part.upload, write, context.request_id)
    return record


async def _encrypted(context: Context, part: WantedPart, stored: StoredBody) -> StoredBody:
    """Plain bytes that no record names yet, stored again as the part is wanted."""
    place = await part_destination(context, part)
    if stored.carried is not None:
        source = HeldBody(stored.carried.content)
        made = await store_body(context, source, place, DEFAULT_ALGORITHM)
    else:
        made = await stored_again(context, _record_of(part, stored), place)
        await give_up(context, stored)
    return replace(made, checksums=stored.checksums)


def _record_of(part: WantedPart, stored: StoredBody) -> PartRecord:
    checksums = {algorithm.value: value for algorithm, value in stored.checksums.items()}
    return PartRecord(part.number, stored.size, stored.md5, now(), stored.locations, checksums)


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
    body_keys=KEYS_OF_UPLOADS,
)
