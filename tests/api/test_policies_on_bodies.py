"""Policies that hang on what the body of a request says (its tags, a retention, a legal hold), or
on what the upload said that it is of.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.access_lists import DENIED
from tests.api.support import OTHER_ACCOUNT_ID, code_of

pytestmark = pytest.mark.usefixtures("undisturbed")


def give(s3: Any, bucket: str, action: str, condition: Any, effect: str = "Allow") -> None:
    """Have the policy of a bucket give an action to the other account, or all but deny it."""
    statement = {
        "Effect": effect,
        "Principal": {"AWS": OTHER_ACCOUNT_ID},
        "Action": action,
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": condition,
    }
    allowed = {**statement, "Effect": "Allow", "Action": "s3:Put*", "Condition": {}}
    statements = [statement] if effect == "Allow" else [allowed, statement]
    policy = {"Version": "2012-10-17", "Statement": statements}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


def tag_set(key: str, value: str) -> dict[str, Any]:
    return {"TagSet": [{"Key": key, "Value": value}]}


def tagging(bucket: str, key: str = "key", name: str = "security", value: str = "public") -> Any:
    """The arguments of a call that sets a tag."""
    return {"Bucket": bucket, "Key": key, "Tagging": tag_set(name, value)}


def test_who_may_set_some_tags(s3: Any, other_s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"body")
    public = {"StringEquals": {"s3:RequestObjectTag/security": "public"}}
    give(s3, bucket, "s3:PutObjectTagging", public)
    assert code_of(other_s3.put_object_tagging, **tagging(bucket, value="private")) == DENIED
    other_s3.put_object_tagging(**tagging(bucket))
    found = s3.get_object_tagging(Bucket=bucket, Key="key")
    assert found["TagSet"] == tag_set("security", "public")["TagSet"]
    # The owner of the bucket needs no policy.
    s3.put_object_tagging(**tagging(bucket, value="private"))


def test_who_may_set_all_but_some_tags(s3: Any, other_s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"body")
    others = {"ForAnyValue:StringNotEquals": {"s3:RequestObjectTagKeys": "security"}}
    give(s3, bucket, "s3:PutObjectTagging", others, "Deny")
    other_s3.put_object_tagging(**tagging(bucket, value="any"))
    assert code_of(other_s3.put_object_tagging, **tagging(bucket, name="other")) == DENIED


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"aws:RequestTag/team": "x"}},
        {"ForAnyValue:StringEquals": {"aws:TagKeys": "team"}},
    ],
    ids=["tag", "keys"],
)
def test_who_may_set_some_tags_of_a_bucket(
    s3: Any, other_s3: Any, bucket: str, condition: Any
) -> None:
    """Nor does a header say it, which is for objects: removing them asks for the same action."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": OTHER_ACCOUNT_ID},
        "Action": "s3:PutBucketTagging",
        "Resource": f"arn:aws:s3:::{bucket}",
        "Condition": condition,
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    header = {"x-amz-tagging": "team=x"}

    def add(params: dict[str, Any], **_: Any) -> None:
        params["headers"].update(header)

    other_s3.meta.events.register("before-call.s3", add)
    try:
        other = {"Bucket": bucket, "Tagging": tag_set("other", "x")}
        assert code_of(other_s3.put_bucket_tagging, **other) == DENIED
        assert code_of(other_s3.delete_bucket_tagging, Bucket=bucket) == DENIED
        header.clear()
        other_s3.put_bucket_tagging(Bucket=bucket, Tagging=tag_set("team", "x"))
        assert code_of(other_s3.delete_bucket_tagging, Bucket=bucket) == DENIED
    finally:
        other_s3.meta.events.unregister("before-call.s3", add)
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tag_set("team", "x")["TagSet"]


def test_who_may_not_is_not_told_whether_a_key_is_there(
    s3: Any, other_s3: Any, bucket: str
) -> None:
    public = {"StringEquals": {"s3:RequestObjectTag/security": "public"}}
    give(s3, bucket, "s3:PutObjectTagging", public)
    for value in ("private", "public"):
        wanted = tagging(bucket, "missing", value=value)
        assert code_of(other_s3.put_object_tagging, **wanted) == DENIED


def test_how_long_somebody_may_retain(s3: Any, other_s3: Any, locked: str) -> None:
    s3.put_object(Bucket=locked, Key="key", Body=b"body")
    days = {"NumericLessThanEquals": {"s3:object-lock-remaining-retention-days": "2"}}
    give(s3, locked, "s3:PutObjectRetention", days)

    def wanted(length: int) -> dict[str, Any]:
        until = datetime.now(UTC) + timedelta(days=length) - timedelta(minutes=1)
        retention = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
        return {"Bucket": locked, "Key": "key", "Retention": retention}

    assert code_of(other_s3.put_object_retention, **wanted(3)) == DENIED
    other_s3.put_object_retention(**wanted(2))
    assert s3.get_object_retention(Bucket=locked, Key="key")["Retention"]["Mode"] == "GOVERNANCE"
    s3.put_object_retention(Bucket=locked, Key="key", Retention={}, BypassGovernanceRetention=True)


def test_who_may_only_set_a_legal_hold(s3: Any, other_s3: Any, locked: str) -> None:
    s3.put_object(Bucket=locked, Key="key", Body=b"body")
    on = {"StringEquals": {"s3:object-lock-legal-hold": "ON"}}
    give(s3, locked, "s3:PutObjectLegalHold", on)
    held = {"Bucket": locked, "Key": "key", "LegalHold": {"Status": "ON"}}
    other_s3.put_object_legal_hold(**held)
    freed = {**held, "LegalHold": {"Status": "OFF"}}
    assert code_of(other_s3.put_object_legal_hold, **freed) == DENIED
    s3.put_object_legal_hold(**freed)


def test_what_an_upload_said_when_it_began_counts_for_its_parts(
    s3: Any, other_s3: Any, bucket: str
) -> None:
    rules = [{"ObjectOwnership": "BucketOwnerPreferred"}]
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": rules})
    unshared = {"StringNotEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}
    give(s3, bucket, "s3:PutObject", unshared, "Deny")
    named = {"Bucket": bucket, "Key": "key"}
    assert code_of(other_s3.create_multipart_upload, **named) == DENIED
    begun = other_s3.create_multipart_upload(**named, ACL="bucket-owner-full-control")
    upload = {**named, "UploadId": begun["UploadId"]}
    etag = other_s3.upload_part(**upload, PartNumber=1, Body=b"body")["ETag"]
    # Who begins one is known, and what it said; of another, nothing is.
    unknown = {**upload, "UploadId": "0" * 32, "PartNumber": 1, "Body": b""}
    assert code_of(other_s3.upload_part, **unknown) == DENIED
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    assert (
        code_of(
            other_s3.complete_multipart_upload,
            **{**upload, "UploadId": "0" * 32},
            MultipartUpload=parts,
        )
        == DENIED
    )
    other_s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert s3.get_object(**named)["Body"].read() == b"body"


def test_what_the_upload_of_another_said_does_not(s3: Any, other_s3: Any, bucket: str) -> None:
    unshared = {"StringNotEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}
    give(s3, bucket, "s3:PutObject", unshared, "Deny")
    named = {"Bucket": bucket, "Key": "key"}
    begun = s3.create_multipart_upload(**named)
    upload = {**named, "UploadId": begun["UploadId"], "PartNumber": 1, "Body": b"body"}
    assert code_of(other_s3.upload_part, **upload) == DENIED
    s3.upload_part(**upload)
