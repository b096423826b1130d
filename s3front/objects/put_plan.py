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
from s3front.objects.protection import require_encryption
from s3front.objects.versioning import Plan, depending, plan_write, plan_write_unread
from s3front.port.request import Headers
from shared.records.bucket import BucketRecord, Versioning
from shared.records.members import UnreadableRecordError


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
    ``check_put`` does, InvalidRequest for a lock where there is no object lock, and
    MustEncryptError for an object that had to be encrypted.
    """
    check_put(headers, master)
    require_encryption(bucket, record)
    plan = plan_write(bucket.versioning, master, _locked(record, bucket), oldest_id)
    return depending(plan) if is_conditional_write(headers) else plan


def is_plain(headers: Headers, bucket: BucketRecord) -> bool:
    """Whether a put is decided by its bucket alone, whatever is at the key, so that ``plan_unread``
    may plan it.

    Whatever else comes to depend on the object that is replaced (how much a quota leaves, a
    condition of a policy) is to be asked for here.
    """
    if is_conditional_write(headers):
        return False
    if is_enabled(bucket.document):
        return False
    try:
        return bucket.versioning is not Versioning.SUSPENDED
    except UnreadableRecordError:
        return False


def plan_unread(bucket: BucketRecord, record: ObjectRecord) -> Plan:
    """The plan of a put that ``is_plain``, of whose key nothing was read. When its commit is
    refused, it has to be. Raises MustEncryptError."""
    require_encryption(bucket, record)
    return plan_write_unread(bucket.versioning, record)


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
