"""Decisions that are committed, and made again on what was read again when they do not hold.

Whether the request is allowed is decided again as well, whole, on what was read: a bucket may have
another owner by now, or other rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from s3front.authz.access import Access
from s3front.authz.decide import authorize
from s3front.context import Context
from s3front.metadata.gateway import Carried, ChangedError
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.object_store import ObjectCommit, StoredObject, planned, record_of
from s3front.metadata.strays import StrayNote
from s3front.objects.versioning import Plan, Version
from s3front.s3_errors import S3Error

ATTEMPTS_MAX = 10
"""Decisions of one request. Each loss means that somebody else's write went through."""


async def commit_decided(
    context: Context,
    decide: Callable[[StoredBucket, StoredObject | None], ObjectCommit],
    conflict: str,
) -> tuple[ObjectCommit, Sequence[str | None]]:
    """Commit what ``decide`` makes of the request's bucket and version, as they were read; what was
    committed, and what its operations answered.

    Raises what ``decide`` and ``authorize`` do, and ``conflict`` when somebody else was faster each
    time.
    """
    bucket, current = context.bucket, context.current
    objects = context.services.objects
    for _ in range(ATTEMPTS_MAX):
        commit = decide(bucket, current)
        try:
            return commit, await objects.commit(bucket, (commit,), context.request_id)
        except ChangedError:
            bucket, current = await read_again(context, bucket)
    raise S3Error(conflict, fields={"Key": context.key})


async def commit_unread(
    context: Context, plan: Plan, carried: Carried | None = None, notes: Sequence[StrayNote] = ()
) -> tuple[ObjectCommit, Sequence[str | None]] | None:
    """Commit a plan that rests on the bucket alone, as it was told, with the bytes that it may
    bring, or their notes; what was committed, and what its operations answered. None when it does
    not hold: then ``read_now`` comes first."""
    bucket, services = context.bucket, context.services
    if services.buckets.told(bucket.name) is not bucket:
        return None  # something newer is known by now, or it was told over another connection
    commit = planned(bucket, context.key, None, plan, carried=carried).with_notes(notes)
    try:
        return commit, await services.objects.commit(bucket, (commit,), context.request_id)
    except ChangedError:
        # Should it be the bucket that has changed, the next read tells it anew.
        services.buckets.read_first(bucket)
        return None


async def read_again(
    context: Context, bucket: StoredBucket
) -> tuple[StoredBucket, StoredObject | None]:
    """The bucket and the version that the request names as they are now.

    Raises what ``authorize`` does.
    """
    found, current = await context.services.objects.read(
        bucket.name, context.target.key, context.request_id, context.version
    )
    return allowed_again(context.access, found, current), current


async def read_now(context: Context) -> Context:
    """The surroundings of a request of which nothing was read, once it has to be. Raises what
    ``authorize`` does."""
    bucket, current = await read_again(context, context.bucket)
    access = context.access.on(bucket.record, record_of(current))
    return replace(context, access=access, stored_bucket=bucket, current=current, unread=False)


async def read_versions_again(
    context: Context, bucket: StoredBucket, wanted: Sequence[tuple[str, Version]]
) -> tuple[StoredBucket, list[StoredObject | None]]:
    """The same for versions of some objects of the bucket; each of them is the caller's to decide
    on."""
    found, objects = await context.services.objects.read_versions(
        bucket.name, wanted, context.request_id
    )
    return allowed_again(context.access, found, None), objects


def allowed_again(
    access: Access, found: StoredBucket | None, current: StoredObject | None
) -> StoredBucket:
    """The bucket as it is now, where the access is still allowed; raises what ``authorize``
    does."""
    bucket = None if found is None else found.record
    authorize(access.on(bucket, None if current is None else current.record))
    assert found is not None
    return found
