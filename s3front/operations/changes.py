"""Changes of a record that keeps its place: a bucket's attributes, a version's tags or lock.

A change is decided on the record that was read and committed with the requirement that this is what
it replaces (DESIGN, section 5), so that it never undoes one of somebody else, and what was deleted
meanwhile does not come back; when it is another one meanwhile, that is what is decided on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from s3front.context import Context
from s3front.metadata.gateway import ChangedError, Operation
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.object_store import ObjectCommit, StoredObject, planned
from s3front.objects.object_record import ObjectRecord
from s3front.objects.versioning import plan_change
from s3front.operations.decide_again import commit_decided, read_again
from s3front.operations.get_object import existing_record
from s3front.s3_errors import S3Error
from shared.records.bucket import BucketRecord

_BUCKET_ATTEMPTS_MAX: Final = 100
"""Every document of a bucket is in its one record, so that many may be set at once."""
_PAUSE_SECONDS: Final = 0.002
_PAUSES_MAX: Final = 25


async def change_bucket(context: Context, change: Callable[[BucketRecord], BucketRecord]) -> None:
    """Replace the record of the request's bucket by what ``change`` makes of it."""
    bucket = context.bucket
    for attempt in range(_BUCKET_ATTEMPTS_MAX):
        record = change(bucket.record)
        try:
            await context.services.buckets.replace(bucket, record, context.request_id)
        except ChangedError:
            longest = _PAUSE_SECONDS * min(attempt, _PAUSES_MAX)
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311  # a pause
            bucket, _current = await read_again(context, bucket)
        else:
            return
    raise S3Error("OperationAborted")


async def change_version(
    context: Context,
    change: Callable[[StoredBucket, ObjectRecord], ObjectRecord],
    outbox: Callable[[ObjectRecord], Sequence[Operation]] | None = None,
) -> ObjectRecord:
    """Replace the record of the request's version by what ``change`` makes of it, which is
    returned. ``change`` is given the bucket as well, as it was read with the version. ``outbox`` is
    who has to hear of the changed record, and hears of it."""

    def decide(bucket: StoredBucket, current: StoredObject | None) -> ObjectCommit:
        changed = change(bucket, existing_record(context, current, changes=True))
        assert current is not None
        plan = plan_change(bucket.record.versioning, current.record, current.place, changed)
        commit = planned(bucket, context.key, current, plan)
        return commit if outbox is None else replace(commit, outbox=outbox(changed))

    commit, _ = await commit_decided(context, decide, "OperationAborted")
    assert commit.record is not None
    return commit.record
