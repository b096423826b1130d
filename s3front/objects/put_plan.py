"""What becomes of a key when bytes that are stored are made its object: decided here alone. Pure.

PutObject, PostObject, CopyObject and CompleteMultipartUpload, whatever brought them their bytes,
have the plan made on what was read of the bucket and of the key. It says what is written, what
gives up its data, and what the commit rests on, which is no more than was decided on. When that
does not hold any more, the same is asked again of what has been read since
(``s3front.operations.decide_again``).
"""

from __future__ import annotations

from s3front.objects.object_lock import UNLOCKED, Lock, is_enabled, lock_of_new
from s3front.objects.object_record import ObjectRecord
from s3front.objects.preconditions import check_write, is_conditional_write
from s3front.objects.protection import refuse_bucket
from s3front.objects.versioning import Plan, depending, plan_write
from s3front.port.request import Headers
from shared.records.bucket import BucketRecord


def plan_put(
    bucket: BucketRecord,
    master: ObjectRecord | None,
    record: ObjectRecord,
    headers: Headers,
    oldest_id: str,
) -> Plan:
    """How ``record`` becomes the object at its key, whose ``master`` was read.

    ``headers`` have the conditions of the request. A new version gets the default retention of the
    bucket, unless it has a lock of its own. ``oldest_id``: see ``plan_write``. Raises what
    ``check_put`` does, InvalidRequest for a lock where there is no object lock, and NotImplemented
    where the object had to be encrypted.
    """
    check_put(headers, master)
    refuse_bucket(bucket)
    plan = plan_write(bucket.versioning, master, _locked(record, bucket), oldest_id)
    return depending(plan) if is_conditional_write(headers) else plan


def check_put(headers: Headers, master: ObjectRecord | None) -> None:
    """Let a write pass, given what it would replace; asked before the body is, too. Raises
    PreconditionFailed, NoSuchKey, NotImplemented."""
    check_write(headers, None if master is None or master.is_delete_marker else master.etag)


def _locked(record: ObjectRecord, bucket: BucketRecord) -> ObjectRecord:
    wanted = Lock.of(record.document)
    if wanted == UNLOCKED and not is_enabled(bucket.document):
        return record  # as nearly always, so it costs little
    lock = lock_of_new(wanted, bucket.document, record.modified)
    return record if lock == wanted else record.changed(lock.members())
