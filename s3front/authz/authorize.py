"""May they: the one place that says yes.

Until access control lists and policies exist, the owner of a bucket may do everything in it and
everybody else nothing.
"""

from __future__ import annotations

import re

from s3front.auth.identity import Identity
from s3front.metadata.bucket_store import StoredBucket
from s3front.port.request import Headers
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error

_ACCOUNT_ID = re.compile(r"[0-9]{12}\Z")


def authorize(
    identity: Identity,
    operation: Operation,
    bucket_name: str | None,
    bucket: StoredBucket | None,
    headers: Headers,
) -> None:
    """Let an operation pass, or raise AccessDenied or NoSuchBucket."""
    if operation.open:
        return
    account = identity.account
    if operation.level in (Level.SERVICE, Level.NEW_BUCKET):
        if account is None:
            raise S3Error("AccessDenied")
        return
    expected_owner = headers.get("x-amz-expected-bucket-owner")
    authorize_bucket(identity, bucket_name, bucket, expected_owner)


def authorize_bucket(
    identity: Identity,
    bucket_name: str | None,
    bucket: StoredBucket | None,
    expected_owner: str | None,
) -> None:
    """Let anything in a bucket pass, or raise AccessDenied, NoSuchBucket or, of an owner that is no
    account ID, InvalidBucketOwnerAWSAccountID.

    ``expected_owner`` is the account ID that the request says the bucket belongs to.
    """
    account = identity.account
    if bucket is None:
        raise S3Error("NoSuchBucket", fields={"BucketName": bucket_name or ""})
    if account is None or bucket.record.owner_id != account.canonical_id:
        raise S3Error("AccessDenied")
    if expected_owner is not None and expected_owner != account.short_id:
        if _ACCOUNT_ID.match(expected_owner) is None:
            raise S3Error(
                "InvalidBucketOwnerAWSAccountID",
                "The value of the expected bucket owner parameter must be an AWS Account ID... "
                f"[{expected_owner}]",
            )
        raise S3Error("AccessDenied")
