"""After a commit whose requirements did not hold: read again, so that the caller decides again."""

from __future__ import annotations

from collections.abc import Sequence

from s3front.context import Context
from s3front.metadata.store import StoredBucket, StoredObject
from shared.errors import ServiceError

ATTEMPTS_MAX = 10
"""Decisions of one request. Each loss means that somebody else's write went through."""


async def read_again(
    context: Context, bucket: StoredBucket
) -> tuple[StoredBucket, StoredObject | None]:
    """The bucket and the object at the target's key as they are now.

    Raises NoSuchBucket, and AccessDenied when somebody else owns the bucket by now.
    """
    found, current = await context.services.metadata.read(
        bucket.name, context.target.key, context.request_id
    )
    return same_bucket(bucket, found), current


async def read_objects_again(
    context: Context, bucket: StoredBucket, keys: Sequence[str]
) -> tuple[StoredBucket, list[StoredObject | None]]:
    """The same for some objects of the bucket."""
    found, objects = await context.services.metadata.read_objects(
        bucket.name, keys, context.request_id
    )
    return same_bucket(bucket, found), objects


def same_bucket(bucket: StoredBucket, found: StoredBucket | None) -> StoredBucket:
    """The bucket as it is now; raises NoSuchBucket and AccessDenied as above."""
    if found is None:
        raise ServiceError("NoSuchBucket", fields={"BucketName": bucket.name})
    if found.record.owner_id != bucket.record.owner_id:
        raise ServiceError("AccessDenied")
    return found
