"""RenameObject: an object gets another key in its bucket, and its bytes stay where they are.

AWS has it for directory buckets; here it works in every bucket without versions. The new record and
the removal of the old one are one commit, which requires that the source is still what was read
(DESIGN, section 5): of two renamings of one object one succeeds, and bytes never have two owners.
What the destination held before gives up its bytes as in an overwrite. Of an encrypted object the
keys are wrapped for the new name, as they are bound to it, and a client's own key (SSE-C) is asked
for; its bytes stay, too. All that is known of the object stays as it was, the time of its last
change included (Amazon S3 user guide, "Renaming objects in directory buckets").
"""

from __future__ import annotations

import re
import time

from msgspec import structs

from s3front.authz.access import MAKES, Access, arn
from s3front.context import Context
from s3front.encryption.key_wrapping import BoundTo
from s3front.metadata.gateway import ChangedError, Requirement
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.object_store import Renaming, StoredObject, object_requirement, record_of
from s3front.metadata.token_store import ClientToken
from s3front.objects.object_record import ObjectRecord
from s3front.objects.put_plan import check_put
from s3front.operations.complete_upload import end_made
from s3front.operations.copy_source import RENAME_SOURCE, check_conditions, parse_source
from s3front.operations.decide_again import ATTEMPTS_MAX, allowed_again
from s3front.operations.delete_objects import DELETE_OBJECT
from s3front.operations.get_object import GET_OBJECT
from s3front.operations.honoured import CUSTOMER_KEY, READ_CONDITIONS
from s3front.operations.object_encryption import reading_key
from s3front.operations.object_tagging import PUT_OBJECT_TAGGING
from s3front.port.request import Headers, Reply, Request
from s3front.routes import CONDITION_ACTIONS, Level, Operation
from s3front.s3_errors import S3Error, not_implemented
from shared.failpoints import FailPoint, failpoint

_TOKEN = "x-amz-client-token"  # noqa: S105 - the name of a header
_TOKEN_FORM = re.compile(r"[!-~]{1,64}\Z")
_CONDITIONS = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")


async def rename_object(context: Context, request: Request) -> Reply:
    """RenameObject (Amazon S3 API reference)."""
    headers, objects = request.headers, context.services.objects
    source_key = _source_key(context, headers)
    token = _client_token(context, headers, source_key)
    customer_key = reading_key(context, headers)
    bucket = context.bucket
    _check_bucket(bucket)
    if not await objects.can_rename():
        raise not_implemented("?renameObject, which the metadata daemon cannot do")
    for _ in range(ATTEMPTS_MAX):
        found, (source, replaced), done = await objects.read_with_token(
            bucket.name, [source_key, context.key], token, context.request_id
        )
        bucket = allowed_again(context.access, found, replaced)
        allowed_again(_access_to_source(context, source_key), found, source)
        if source is not None and source.record.tags:
            # They go with it, though no header says so.
            tagging = context.access.to(MAKES, *PUT_OBJECT_TAGGING.actions)
            allowed_again(tagging, found, replaced)
        _check_bucket(bucket)
        if token is not None and done is not None:
            if not token.is_same_request(done):
                raise S3Error("IdempotencyParameterMismatch")
            return Reply(200)
        stored, record = _renamed(headers, source_key, source, context.key)
        if record.is_encrypted or customer_key is not None:
            record = await _bound_again(context, source_key, record, customer_key)
        renaming = Renaming(source_key, stored, record)
        await _end_its_upload(context, renaming)
        requirement = _destination(headers, bucket, context.key, replaced)
        try:
            await objects.rename(bucket, renaming, requirement, token, context.request_id)
        except ChangedError:
            continue
        failpoint(FailPoint.AFTER_RECORD_COMMIT)
        return Reply(200)
    raise S3Error("ConditionalRequestConflict", fields={"Key": context.key})


async def _bound_again(
    context: Context, source_key: str, record: ObjectRecord, customer_key: bytes | None
) -> ObjectRecord:
    """The record of an encrypted object, whose keys are bound to its name. Raises InvalidRequest
    without the client's own key, AccessDenied for another one."""
    bucket = context.bucket.name
    move = BoundTo(bucket, source_key), BoundTo(bucket, context.key)
    keys = context.services.keys
    return record.changed(await keys.moved(record.document, record.locations, move, customer_key))


async def _end_its_upload(context: Context, renaming: Renaming) -> None:
    """End the upload that became the object, if the original has left it there: whoever ends it
    later looks for the object at its key, and would give up the bytes of the renamed one."""
    upload_id = renaming.record.upload_id
    if upload_id is None:
        return
    upload = await context.services.uploads.read(
        context.bucket.name, renaming.source_key, upload_id, context.request_id
    )
    if upload is not None:
        await end_made(context, upload, renaming.record)


def _access_to_source(context: Context, key: str) -> Access:
    """A renaming reads an object, and takes it away from where it is."""
    actions = (*GET_OBJECT.actions, *DELETE_OBJECT.actions)
    return structs.replace(context.access, actions=actions, resource=arn(context.bucket.name, key))


def _check_bucket(bucket: StoredBucket) -> None:
    if bucket.record.has_versions:
        raise S3Error("InvalidRequest", "Objects of a bucket with versions cannot be renamed.")


def _source_key(context: Context, headers: Headers) -> str:
    text = headers.get(RENAME_SOURCE, "")
    bucket, key, version = parse_source(RENAME_SOURCE, text)
    if bucket != context.bucket.name or version is not None:
        raise S3Error(
            "InvalidRequest", "The source of a renaming must be an object of the same bucket."
        )
    if key == context.key:
        raise S3Error("InvalidRequest", "An object cannot be renamed to itself.")
    return key


def _client_token(context: Context, headers: Headers, source_key: str) -> ClientToken | None:
    text = headers.get(_TOKEN)
    if text is None:
        return None
    if _TOKEN_FORM.match(text) is None:
        raise S3Error(
            "InvalidArgument",
            "A client token has 1 to 64 visible ASCII characters.",
            {"ArgumentName": _TOKEN, "ArgumentValue": text},
        )
    conditions = [
        f"{name}: {headers[name]}"
        for prefix in ("", f"{RENAME_SOURCE}-")
        for name in (prefix + condition for condition in _CONDITIONS)
        if name in headers
    ]
    sent = [context.bucket.name, context.key, source_key, *conditions]
    return ClientToken.create(context.principal.canonical_id, text, sent, time.time())


def _renamed(
    headers: Headers, key: str, source: StoredObject | None, new_key: str
) -> tuple[StoredObject, ObjectRecord]:
    """The source, and its record under the new key."""
    if source is None or source.record.is_delete_marker:
        raise S3Error("NoSuchKey", fields={"Key": key})
    check_conditions(headers, f"{RENAME_SOURCE}-", source.record)
    changed = {**source.record.document, "key": new_key, "originOp": "s3:ObjectCreated:Rename"}
    return source, ObjectRecord(changed)


def _destination(
    headers: Headers, bucket: StoredBucket, key: str, replaced: StoredObject | None
) -> Requirement | None:
    """What the commit requires of the object that is replaced, once its conditions hold."""
    check_put(headers, record_of(replaced))
    if not any(name in headers for name in _CONDITIONS):
        return None
    times = [name for name in _CONDITIONS[2:] if name in headers]
    if times and replaced is not None:
        check_conditions(headers, "", replaced.record)
    elif "If-Modified-Since" in times:
        # There must be an object that was changed since.
        raise S3Error("PreconditionFailed", fields={"Condition": "If-Modified-Since"})
    return object_requirement(bucket, key, replaced)


RENAME_OBJECT = Operation(
    "RenameObject",
    Level.OBJECT,
    rename_object,
    ("s3:PutObject",),
    header_actions={
        **CONDITION_ACTIONS,
        "if-modified-since": ("s3:GetObject",),
        "if-unmodified-since": ("s3:GetObject",),
    },
    headers=CUSTOMER_KEY
    | READ_CONDITIONS
    | {_TOKEN, RENAME_SOURCE, *(f"{RENAME_SOURCE}-{name}" for name in READ_CONDITIONS)},
)
