"""Whether a sender may bypass governance mode: an access of its own, beside the request's."""

from __future__ import annotations

from msgspec import structs

from s3front.authz.access import BYPASS_GOVERNANCE, arn
from s3front.authz.decide import decide
from s3front.context import Context
from s3front.metadata.kept_buckets import StoredBucket
from s3front.objects.object_record import ObjectRecord


def may_bypass(context: Context, bucket: StoredBucket, key: str, record: ObjectRecord) -> bool:
    """Whether the retention of a version may be bypassed, as it was read (Amazon S3 user guide,
    "Governance mode"). Who may not is told what anybody is of a version that is locked."""
    access = structs.replace(
        context.access,
        actions=(BYPASS_GOVERNANCE,),
        resource=arn(bucket.name, key),
        bucket=bucket.record,
        object=record,
    )
    return decide(access).allowed
