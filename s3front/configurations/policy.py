"""The policy of a bucket. Pure."""

from __future__ import annotations

import orjson

from s3front.configurations.base import Configuration, not_found, value_of
from s3front.port.request import Reply
from shared.records.bucket import BucketRecord

_MEMBER = "bucketPolicy"
_UNSET = not_found("NoSuchBucketPolicy")


def show_policy(record: BucketRecord) -> Reply:
    """The policy's JSON (Amazon S3 API reference, GetBucketPolicy)."""
    document = orjson.dumps(value_of(record, _MEMBER))
    return Reply(200, {"Content-Type": "application/json"}, document)


POLICY = Configuration(
    "policy",
    "GetBucketPolicy",
    "s3:GetBucketPolicy",
    _UNSET,
    delete="DeleteBucketPolicy",
    delete_action="s3:DeleteBucketPolicy",
    member=_MEMBER,
    show=show_policy,
)
POLICY_STATUS = Configuration(
    "policyStatus", "GetBucketPolicyStatus", "s3:GetBucketPolicyStatus", _UNSET, member=_MEMBER
)
"""Whether the policy makes the bucket public, which takes an evaluation of it."""
