"""Object lock of a version: its retention and its legal hold.

What is allowed is in ``s3front.objects.object_lock``, how a record is changed in ``changes``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from s3front.authz.condition_keys import LEGAL_HOLD, MODE, REMAINING, UNTIL
from s3front.bodies.request_document import interpreted, read_document
from s3front.context import Context
from s3front.metadata.kept_buckets import StoredBucket
from s3front.objects.object_lock import (
    BYPASS_HEADER,
    Lock,
    check_change,
    is_enabled,
    legal_hold_xml,
    missing_configuration,
    parse_legal_hold,
    parse_retention,
    retention_xml,
    wants_bypass,
)
from s3front.objects.object_record import ObjectRecord
from s3front.operations.body_keys import with_said
from s3front.operations.changes import change_version
from s3front.operations.get_object import existing_record
from s3front.operations.governance_bypass import may_bypass
from s3front.operations.honoured import DOCUMENT
from s3front.port.reply import xml_reply
from s3front.port.request import Reply, Request
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error
from shared import limits
from shared.records.times import now, to_iso


async def get_object_retention(context: Context, _request: Request) -> Reply:
    """Until when a version is retained (Amazon S3 API reference)."""
    retention = _lock(context).retention
    if retention is None:
        raise S3Error("NoSuchObjectLockConfiguration")
    return xml_reply("Retention", retention_xml(retention))


async def put_object_retention(context: Context, request: Request) -> Reply:
    """Set, prolong, or lift the retention of a version (Amazon S3 API reference)."""
    _check_lockable(context)
    body = await read_document(context, request, limits.XML_BODY_BYTES_MAX, digest_required=True)
    wanted = await interpreted(body, partial(parse_retention, now=now()))
    said = {}
    if wanted is not None:
        said = {MODE: wanted.mode, UNTIL: to_iso(wanted.until)}
    context = with_said(context, said)
    bypasses = wants_bypass(request.headers)

    def change(bucket: StoredBucket, record: ObjectRecord) -> Lock:
        lock = Lock.of(record.document)
        bypass = bypasses and may_bypass(context, bucket, context.key, record)
        check_change(lock.retention, wanted, now(), bypass=bypass)
        return Lock(wanted, lock.legal_hold)

    return await _change(context, change, "s3:ObjectRetention:Put")


async def get_object_legal_hold(context: Context, _request: Request) -> Reply:
    """Whether a version has a legal hold (Amazon S3 API reference)."""
    legal_hold = _lock(context).legal_hold
    if legal_hold is None:
        raise S3Error("NoSuchObjectLockConfiguration")
    return xml_reply("LegalHold", legal_hold_xml(legal_hold))


async def put_object_legal_hold(context: Context, request: Request) -> Reply:
    """Set or lift the legal hold of a version (Amazon S3 API reference)."""
    _check_lockable(context)
    body = await read_document(context, request, limits.XML_BODY_BYTES_MAX, digest_required=True)
    wanted = await interpreted(body, parse_legal_hold)
    context = with_said(context, {LEGAL_HOLD: "ON" if wanted else "OFF"})

    def change(_bucket: StoredBucket, record: ObjectRecord) -> Lock:
        return Lock(Lock.of(record.document).retention, wanted)

    return await _change(context, change, "s3:ObjectLegalHold:Put")


def _lock(context: Context) -> Lock:
    """The lock of the version that a request reads."""
    _check_enabled(context.bucket)
    return Lock.of(existing_record(context, context.current).document)


def _check_lockable(context: Context) -> None:
    """Refuse a change before its document is asked for, to those who may know why."""
    if not context.undecided:
        _check_enabled(context.bucket)
        existing_record(context, context.current, changes=True)


def _check_enabled(bucket: StoredBucket) -> None:
    if not is_enabled(bucket.record.document):
        raise missing_configuration()


async def _change(
    context: Context, change: Callable[[StoredBucket, ObjectRecord], Lock], origin: str
) -> Reply:
    """Change the lock of a version as ``change`` decides."""

    def changed(bucket: StoredBucket, record: ObjectRecord) -> ObjectRecord:
        _check_enabled(bucket)
        lock = change(bucket, record)
        return ObjectRecord(lock.put_into(record.document)).changed({"originOp": origin})

    await change_version(context, changed)
    return Reply(200)


GET_OBJECT_RETENTION = Operation(
    "GetObjectRetention",
    Level.OBJECT,
    get_object_retention,
    ("s3:GetObjectRetention",),
    version_actions=("s3:GetObjectRetention",),
)
PUT_OBJECT_RETENTION = Operation(
    "PutObjectRetention",
    Level.OBJECT,
    put_object_retention,
    ("s3:PutObjectRetention",),
    version_actions=("s3:PutObjectRetention",),
    headers=DOCUMENT | {BYPASS_HEADER},
    body_keys=frozenset((MODE, REMAINING, UNTIL)),
)
GET_OBJECT_LEGAL_HOLD = Operation(
    "GetObjectLegalHold",
    Level.OBJECT,
    get_object_legal_hold,
    ("s3:GetObjectLegalHold",),
    version_actions=("s3:GetObjectLegalHold",),
)
PUT_OBJECT_LEGAL_HOLD = Operation(
    "PutObjectLegalHold",
    Level.OBJECT,
    put_object_legal_hold,
    ("s3:PutObjectLegalHold",),
    version_actions=("s3:PutObjectLegalHold",),
    headers=DOCUMENT,
    body_keys=frozenset((LEGAL_HOLD,)),
)
