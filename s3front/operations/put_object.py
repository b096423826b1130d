"""PutObject.

Order (DESIGN, section 5): the bytes are durable in their location before the record that names
them is committed; that commit also queues the bytes of what it replaced for deletion. A body that
fails, in its length, a signature or a digest, leaves nothing.
"""

from __future__ import annotations

from s3front.bodies.checksums import DEFAULT_ALGORITHM, ExpectedDigests
from s3front.bodies.object_writer import check_age, delete_data, store_body
from s3front.bodies.upload_body import UploadBody
from s3front.context import Context
from s3front.metadata.gateway import ChangedError, OutcomeUnknownError, Requirement
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.object_store import StoredObject, object_requirement
from s3front.objects.object_lock import LOCK_HEADERS, has_lock_headers, wanted_lock
from s3front.objects.object_record import NewObject, ObjectRecord
from s3front.objects.preconditions import check_write, is_conditional_write
from s3front.objects.versioning import version_headers
from s3front.operations.chosen_location import chosen_location, destination
from s3front.operations.decide_again import ATTEMPTS_MAX, read_again
from s3front.operations.object_headers import checksum_headers, new_object_headers
from s3front.operations.put_version import PUT_VERSION, refuse_put_version
from s3front.operations.tag_sets import tags_of_header
from s3front.port.request import Headers, Reply, Request
from s3front.routes import WRITE_ACTIONS, Level, Operation
from s3front.s3_errors import S3Error
from shared.failpoints import FailPoint, failpoint
from shared.records.times import now


async def put_object(context: Context, request: Request) -> Reply:
    """Store an object (Amazon S3 API reference, PutObject)."""
    headers = request.headers
    if PUT_VERSION in headers:
        await refuse_put_version(context, headers)
    check_write_conditions(headers, context.current)
    described, tags = new_object_headers(headers), tags_of_header(headers)
    lock = wanted_lock(headers, context.bucket.record.document, now())
    location = chosen_location(context, headers)
    body = UploadBody(context.identity, request)
    require_digest(headers, body.expected)
    algorithm = body.algorithm or DEFAULT_ALGORITHM
    place = destination(context, location, described)
    stored = await store_body(context, body, place, algorithm)
    checksum = stored.checksum(algorithm)
    principal = context.principal
    record = await commit_object(
        context,
        headers,
        NewObject(
            key=context.key,
            owner_id=principal.canonical_id,
            owner_name=principal.name,
            size=stored.size,
            etag=stored.md5,
            content_type=described.content_type,
            modified=now(),
            locations=stored.locations,
            store_name=location,
            headers=described.standard,
            user_metadata=described.user_metadata,
            checksum=checksum,
            website_redirect=described.website_redirect,
            storage_class=described.storage_class,
            tags=tags,
            lock=lock.members(),
        ),
        stored.complete_at,
    )
    told = {"ETag": f'"{record.etag}"', **version_headers(record)}
    return Reply(200, {**told, **checksum_headers(checksum)})


async def commit_object(
    context: Context, headers: Headers, new: NewObject, complete_at: float
) -> ObjectRecord:
    """Commit the record of bytes that a location holds, and return it as it is stored; the bytes
    go when it is refused.

    ``complete_at``: see ``check_age``.
    """
    record = ObjectRecord.create(new)
    failpoint(FailPoint.AFTER_DATA_STORED)
    try:
        stored = await _commit(context, headers, record, complete_at)
    except OutcomeUnknownError:
        raise  # the bytes may belong to the object, so they stay
    except S3Error:
        await delete_data(context, new.locations)
        raise
    failpoint(FailPoint.AFTER_RECORD_COMMIT)
    return stored


def require_digest(headers: Headers, declared: ExpectedDigests) -> None:
    """Refuse an upload that asks for a lock and says nothing of its bytes: damaged ones would be
    kept for as long (Amazon S3 user guide, "Considerations for using Object Lock")."""
    if has_lock_headers(headers) and declared.content_md5 is None and declared.checksum is None:
        raise S3Error(
            "InvalidRequest",
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with "
            "Object Lock parameters",
        )


def check_write_conditions(headers: Headers, current: StoredObject | None) -> None:
    """Let a write pass, given the object that it would replace."""
    etag = current.record.etag if current and not current.record.is_delete_marker else None
    check_write(headers, etag)


async def _commit(
    context: Context, headers: Headers, record: ObjectRecord, complete_at: float
) -> ObjectRecord:
    """Make the record the object, deciding again when the bucket or the object has changed."""
    bucket, current = context.bucket, context.current
    objects = context.services.objects
    for _ in range(ATTEMPTS_MAX):
        check_age(context, complete_at)
        requirement = write_requirement(headers, bucket, context.key, current)
        try:
            return await objects.put(bucket, current, record, requirement, context.request_id)
        except ChangedError:
            bucket, current = await read_again(context, bucket)
            check_write_conditions(headers, current)
    raise S3Error("ConditionalRequestConflict", fields={"Key": context.key})


def write_requirement(
    headers: Headers, bucket: StoredBucket, key: str, current: StoredObject | None
) -> Requirement | None:
    """What the commit of a write requires of the current object: no more than was decided on.

    A write that no condition was put on does not depend on it, so writers of one key never stand
    in each other's way.
    """
    if not is_conditional_write(headers):
        return None
    return object_requirement(bucket, key, current)


PUT_OBJECT = Operation(
    "PutObject",
    Level.OBJECT,
    put_object,
    ("s3:PutObject",),
    header_actions=WRITE_ACTIONS,
    honours=LOCK_HEADERS | {PUT_VERSION},
)
