"""PutObject.

Order (DESIGN, section 5): the bytes are durable in their location before the record that names
them is committed; that commit also queues the bytes of what it replaced for deletion. A body that
fails, in its length, a signature or a digest, leaves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

import msgspec
from msgspec.structs import replace

from s3front.bodies.checksums import DEFAULT_ALGORITHM, Algorithm, ExpectedDigests
from s3front.bodies.digested_body import Source
from s3front.bodies.object_reader import CopiedBody, HeldBody, ObjectData
from s3front.bodies.object_writer import store_body
from s3front.bodies.stored_body import StoredBody, check_age, give_up
from s3front.bodies.upload_body import UploadBody
from s3front.context import Context
from s3front.encryption.sse import Protection
from s3front.encryption.told import made_headers
from s3front.metadata.gateway import OutcomeUnknownError
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.object_store import ObjectCommit, StoredObject, planned, record_of
from s3front.objects.object_lock import UNLOCKED, Lock, has_lock_headers, wanted_lock
from s3front.objects.object_record import Checksum, NewObject, ObjectRecord
from s3front.objects.protection import MustEncryptError
from s3front.objects.put_plan import check_put, is_plain, plan_put, plan_unread
from s3front.objects.ranges import ByteRange
from s3front.objects.tag_sets import tags_of_header
from s3front.objects.versioning import version_headers
from s3front.operations.chosen_location import chosen_location, destination, sealed_destination
from s3front.operations.decide_again import commit_decided, commit_unread, read_now
from s3front.operations.granting import Acl, acl_member, owned_again, owner_of, wanted_acl
from s3front.operations.honoured import BODY, DESCRIPTION, PROTECTION, WRITE_CONDITIONS
from s3front.operations.metadata_only import Existing, adopted, existing_blob
from s3front.operations.object_encryption import wanted_protection
from s3front.operations.object_headers import (
    DescribedObject,
    checksum_headers,
    new_object_headers,
)
from s3front.operations.put_version import PUT_VERSION, refuse_put_version
from s3front.port.request import Headers, Reply, Request
from s3front.routes import CONDITION_ACTIONS, WRITE_ACTIONS, Level, Operation
from s3front.s3_errors import S3Error
from shared.failpoints import FailPoint, failpoint
from shared.records.bucket import BucketRecord
from shared.records.members import UnreadableRecordError
from shared.records.times import now


async def put_object(context: Context, request: Request) -> Reply:
    """Store an object (Amazon S3 API reference, PutObject)."""
    headers = request.headers
    if PUT_VERSION in headers:
        await refuse_put_version(context, headers)
    check_put(headers, record_of(context.current))
    described, tags = new_object_headers(headers), tags_of_header(headers)
    locks = has_lock_headers(headers)
    lock = wanted_lock(headers, context.bucket.record.document, now()) if locks else UNLOCKED
    acl = wanted_acl(context, headers)
    location, protection = chosen_location(context, headers), wanted_protection(context, headers)
    body = UploadBody(context.identity, request)
    if locks:
        require_digest(headers, body.expected)
    algorithm = body.algorithm or DEFAULT_ALGORITHM
    existing = existing_blob(headers, body.size)
    wanted = WantedObject(
        described,
        tags,
        lock,
        location,
        algorithm,
        existing=existing,
        protection=protection,
        acl=acl,
    )
    record, checksum = await store_object(context, headers, body, wanted)
    told = {
        "ETag": f'"{record.etag}"',
        **version_headers(record),
        **checksum_headers(checksum),
        **made_headers(record.document, protection),
    }
    return Reply(200, told)


class WantedObject(msgspec.Struct, frozen=True, gc=False):
    """An object as its request wants it, but for its bytes: those go to ``location``, and
    ``algorithm`` is that of the checksum which it gets. ``origin`` is the event that it causes.
    ``existing`` is a blob that is there, and takes the place of a body without bytes.
    ``protection`` is how it is to be encrypted, None: not at all. ``acl`` is the list that it is to
    have, None: its owner's alone."""

    described: DescribedObject
    tags: Mapping[str, str]
    lock: Lock
    location: str
    algorithm: Algorithm
    origin: str = "s3:ObjectCreated:Put"
    existing: Existing | None = None
    protection: Protection | None = None
    acl: Acl | None = None


async def store_object(
    context: Context, headers: Headers, source: Source, wanted: WantedObject
) -> tuple[ObjectRecord, Checksum | None]:
    """Store the bytes of an object, then commit its record; returns that as it is stored, and its
    checksum, if it was computed. The bytes go again when the record is refused."""
    place = destination(context, wanted.location, wanted.described, wanted.tags)
    if wanted.protection is not None:
        place = await sealed_destination(context, place, wanted.protection)
    stored = await store_body(context, source, place, wanted.algorithm)
    if wanted.existing is not None and not stored.size:
        stored = await adopted(place, wanted.existing, stored)
    return await commit_object(context, headers, stored, wanted)


async def commit_object(
    context: Context, headers: Headers, stored: StoredBody, wanted: WantedObject
) -> tuple[ObjectRecord, Checksum | None]:
    """The same of bytes that are stored already."""
    described, bucket = wanted.described, context.bucket.record
    owner = owner_of(context, bucket, wanted.acl)
    checksum = stored.checksum(wanted.algorithm) if stored.checksums else None
    new = NewObject(
        key=context.key,
        owner_id=owner.id,
        owner_name=owner.name,
        size=stored.size,
        etag=stored.md5,
        content_type=described.content_type,
        modified=now(),
        locations=stored.locations,
        store_name=wanted.location,
        headers=described.standard,
        user_metadata=described.user_metadata,
        checksum=checksum,
        website_redirect=described.website_redirect,
        storage_class=described.storage_class,
        tags=wanted.tags,
        origin=wanted.origin,
        lock=wanted.lock.members(),
        encryption=stored.members,
        acl=acl_member(wanted.acl),
    )
    record = ObjectRecord.create(new)
    failpoint(FailPoint.AFTER_DATA_STORED)
    try:
        made, context = await _made(context, headers, record, stored, wanted)
        if made is None:
            return await _store_again(context, headers, record, stored, wanted)
    except OutcomeUnknownError:
        raise  # the bytes may belong to the object, so they stay
    except (S3Error, UnreadableRecordError):
        await give_up(context, stored)
        raise
    failpoint(FailPoint.AFTER_RECORD_COMMIT)
    return made, checksum


def require_digest(headers: Headers, declared: ExpectedDigests) -> None:
    """Refuse an upload that asks for a lock and says nothing of its bytes: damaged ones would be
    kept for as long (Amazon S3 user guide, "Considerations for using Object Lock")."""
    if has_lock_headers(headers) and declared.content_md5 is None and declared.checksum is None:
        raise S3Error(
            "InvalidRequest",
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with "
            "Object Lock parameters",
        )


async def _made(
    context: Context,
    headers: Headers,
    record: ObjectRecord,
    stored: StoredBody,
    wanted: WantedObject,
) -> tuple[ObjectRecord | None, Context]:
    """Make the record the object; None where its bytes have to be stored otherwise, as the bucket
    has it by now. And the surroundings as they were read at last."""
    made_for = context.bucket.record
    try:
        if context.unread:
            made = await _commit_unread(context, record, stored)
            if made is not None:
                return made, context
            context = await read_now(context)
            if chosen_location(context, headers) != wanted.location:
                return None, context
            if wanted_protection(context, headers) != wanted.protection:
                return None, context
        return await _commit(context, headers, record, stored, wanted, made_for), context
    except MustEncryptError:
        return None, await read_now(context)


async def _commit_unread(
    context: Context, record: ObjectRecord, stored: StoredBody
) -> ObjectRecord | None:
    """Make the record the object though nothing was read; None where something has to be."""
    check_age(context, stored.complete_at)
    plan = plan_unread(context.bucket.record, record)
    done = await commit_unread(context, plan, stored.carried, stored.notes)
    if done is None:
        return None
    commit, version_ids = done
    return commit.stored(version_ids)


async def _store_again(
    context: Context,
    headers: Headers,
    record: ObjectRecord,
    stored: StoredBody,
    wanted: WantedObject,
) -> tuple[ObjectRecord, Checksum | None]:
    """Store the bytes of a record that is not committed where the bucket has them now, and as it
    has them: it is another one than that which was known."""
    customer_key = None if wanted.protection is None else wanted.protection.customer_key
    wanted = replace(
        wanted,
        location=chosen_location(context, headers),
        protection=wanted_protection(context, headers),
    )
    if stored.carried is not None:
        content = stored.carried.content if stored.plain is None else stored.plain
        return await store_object(context, headers, HeldBody(content), wanted)
    whole = ByteRange(0, record.size - 1)
    with closing(await ObjectData.open(context, record, whole, customer_key)) as data:
        body = CopiedBody(data, whole.length)
        made = await store_object(context, headers, body, wanted)
    await give_up(context, stored)
    return made


async def _commit(
    context: Context,
    headers: Headers,
    record: ObjectRecord,
    stored: StoredBody,
    wanted: WantedObject,
    made_for: BucketRecord,
) -> ObjectRecord:
    """Make the record, as it is in a bucket as ``made_for``, the object."""
    oldest_id = context.services.objects.oldest_version_id

    def decide(bucket: StoredBucket, current: StoredObject | None) -> ObjectCommit:
        check_age(context, stored.complete_at)
        its = bucket.record
        made = record if its is made_for else owned_again(context, its, record, wanted.acl)
        plan = plan_put(its, record_of(current), made, headers, oldest_id)
        commit = planned(bucket, context.key, current, plan, carried=stored.carried)
        return commit.with_notes(stored.notes)

    commit, version_ids = await commit_decided(context, decide, "ConditionalRequestConflict")
    return commit.stored(version_ids)


PUT_OBJECT = Operation(
    "PutObject",
    Level.OBJECT,
    put_object,
    ("s3:PutObject",),
    header_actions={**WRITE_ACTIONS, **CONDITION_ACTIONS},
    headers=BODY | DESCRIPTION | PROTECTION | WRITE_CONDITIONS | {PUT_VERSION},
    unread=is_plain,
)
