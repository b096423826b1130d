"""After a commit whose requirements did not hold: read again, so that the caller decides again."""

from __future__ import annotations

from collections.abc import Sequence

from s3front.context import Context
from s3front.metadata.bucket_store import StoredBucket
from s3front.metadata.object_store import StoredObject
from s3front.objects.versioning import Version
from s3front.s3_errors import S3Error

ATTEMPTS_MAX = 10
"""Decisions of one request. Each loss means that somebody else's write went through."""


async def read_again(
    context: Context, bucket: StoredBucket
) -> tuple[StoredBucket, StoredObject | None]:
    """The bucket and the version that the request names as they are now.

    Raises NoSuchBucket, and AccessDenied when somebody else owns the bucket by now.
    """
    found, current = await context.services.objects.read(
        bucket.name, context.target.key, context.request_id, context.version
    )
    return same_bucket(bucket, found), current


async def read_versions_again(
    context: Context, bucket: StoredBucket, wanted: Sequence[tuple[str, Version]]
) -> tuple[StoredBucket, list[StoredObject | None]]:
    """The same for versions of some objects of the bucket."""
    found, objects = await context.services.objects.read_versions(
        bucket.name, wanted, context.request_id
    )
    return same_bucket(bucket, found), objects


def same_bucket(bucket: StoredBucket, found: StoredBucket | None) -> StoredBucket:
    """The bucket as it is now; raises NoSuchBucket and AccessDenied as above."""
    if found is None:
        raise S3Error("NoSuchBucket", fields={"BucketName": bucket.name})
    if found.record.owner_id != bucket.record.owner_id:
        raise S3Error("AccessDenied")
    return found
