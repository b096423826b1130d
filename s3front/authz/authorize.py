"""May they: the one place that says yes.

Until access control lists and policies exist, the owner of a bucket may do everything in it and
everybody else nothing.
"""

from __future__ import annotations

from s3front.auth.identity import Identity
from s3front.metadata.store import StoredBucket
from s3front.request import Headers
from s3front.routes import Level, Operation
from shared.errors import ServiceError


def authorize(
    identity: Identity,
    operation: Operation,
    bucket_name: str | None,
    bucket: StoredBucket | None,
    headers: Headers,
) -> None:
    """Let an operation pass, or raise AccessDenied or NoSuchBucket."""
    account = identity.account
    if operation.level in (Level.SERVICE, Level.NEW_BUCKET):
        if account is None:
            raise ServiceError("AccessDenied")
        return
    expected_owner = headers.get("x-amz-expected-bucket-owner")
    authorize_bucket(identity, bucket_name, bucket, expected_owner)


def authorize_bucket(
    identity: Identity,
    bucket_name: str | None,
    bucket: StoredBucket | None,
    expected_owner: str | None,
) -> None:
    """Let anything in a bucket pass, or raise AccessDenied or NoSuchBucket.

    ``expected_owner`` is the account ID that the request says the bucket belongs to.
    """
    account = identity.account
    if bucket is None:
        raise ServiceError("NoSuchBucket", fields={"BucketName": bucket_name or ""})
    if account is None or bucket.record.owner_id != account.canonical_id:
        raise ServiceError("AccessDenied")
    if expected_owner is not None and expected_owner != account.short_id:
        raise ServiceError("AccessDenied")
