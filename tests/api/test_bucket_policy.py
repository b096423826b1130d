"""PutBucketPolicy, GetBucketPolicy, DeleteBucketPolicy and GetBucketPolicyStatus.

What policies mean is in tests/unit/s3front/policies, and what they give whom in
tests/unit/s3front/authz.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.access_lists import DENIED, OTHER_ID
from tests.api.support import OTHER_ACCOUNT_ID, code_of, error_of
from tests.raw_http import anonymous, call
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

NONE = (404, "NoSuchBucketPolicy")


def statement(bucket: str, **members: Any) -> dict[str, Any]:
    """That the other account may read what is in a bucket, but for ``members``."""
    return {
        "Effect": "Allow",
        "Principal": {"AWS": OTHER_ACCOUNT_ID},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    } | members


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def test_a_policy_is_set_replaced_and_removed(front: Front, s3: Any, bucket: str) -> None:
    assert code_of(s3.get_bucket_policy, Bucket=bucket) == NONE
    first, second = policy(statement(bucket)), policy(statement(bucket, Sid="other"))
    response = call(front, "PUT", f"/{bucket}?policy", first.encode())
    assert (response.status, response.body) == (204, b"")
    response = call(front, "GET", f"/{bucket}?policy")
    assert response.headers["Content-Type"] == "application/json"
    assert json.loads(response.body) == json.loads(first)
    s3.put_bucket_policy(Bucket=bucket, Policy=second)
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == json.loads(second)
    s3.delete_bucket_policy(Bucket=bucket)
    assert code_of(s3.get_bucket_policy, Bucket=bucket) == NONE
    s3.delete_bucket_policy(Bucket=bucket)


def test_it_counts_at_once(front: Front, s3: Any, other_s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"body")
    assert code_of(other_s3.get_object, Bucket=bucket, Key="key") == DENIED
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(statement(bucket)))
    assert other_s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"body"
    assert anonymous(front, "GET", f"/{bucket}/key").status == 403
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(statement(bucket, Effect="Deny")))
    assert code_of(other_s3.get_object, Bucket=bucket, Key="key") == DENIED
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(statement(bucket, Principal="*")))
    assert anonymous(front, "GET", f"/{bucket}/key").body == b"body"


@pytest.mark.parametrize(
    ("members", "public"),
    [
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({}, False),
        ({"Principal": "*", "Effect": "Deny"}, False),
        ({"Principal": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/24"}}}, False),
    ],
    ids=str,
)
def test_whether_it_is_public(s3: Any, bucket: str, members: dict[str, Any], public: bool) -> None:
    assert code_of(s3.get_bucket_policy_status, Bucket=bucket) == NONE
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(statement(bucket, **members)))
    status = s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]
    assert status == {"IsPublic": public}


# --- Refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "Policies must be valid JSON and the first byte must be '{'"),
        ("[]", "Policies must be valid JSON and the first byte must be '{'"),
        ("{", "This policy contains invalid Json"),
        ('{"Version": "2012-10-17"}', "Missing required field Statement"),
    ],
)
def test_a_text_that_is_no_policy(s3: Any, bucket: str, text: str, message: str) -> None:
    error = error_of(s3.put_bucket_policy, Bucket=bucket, Policy=text)
    assert (error["status"], error["Code"], error["Message"]) == (400, "MalformedPolicy", message)
    assert code_of(s3.get_bucket_policy, Bucket=bucket) == NONE


def test_no_text_at_all(front: Front, bucket: str) -> None:
    error = call(front, "PUT", f"/{bucket}?policy", b"").error
    assert (error["status"], error["Code"]) == ("400", "MissingRequestBodyError")


def test_a_policy_of_more_than_20_kib(s3: Any, bucket: str) -> None:
    text = policy(*(statement(bucket, Sid=f"s{n}" * 20) for n in range(120)))
    error = error_of(s3.put_bucket_policy, Bucket=bucket, Policy=text)
    assert error["status"] == 400
    assert "exceeds the maximum allowed" in error["Message"]
    assert code_of(s3.get_bucket_policy, Bucket=bucket) == NONE


@pytest.mark.parametrize(
    "principal",
    [
        {"AWS": "999999999999"},
        {"AWS": "arn:aws:iam::999999999999:root"},
        {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT_ID}:user/nobody"},
        {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT_ID}:role/nobody"},
        {"AWS": [OTHER_ACCOUNT_ID, f"arn:aws:sts::{OTHER_ACCOUNT_ID}:assumed-role/nobody/x"]},
        {"CanonicalUser": "nobody"},
    ],
    ids=str,
)
def test_a_principal_that_is_not_there(s3: Any, bucket: str, principal: dict[str, Any]) -> None:
    text = policy(statement(bucket, Principal=principal))
    error = error_of(s3.put_bucket_policy, Bucket=bucket, Policy=text)
    assert (error["status"], error["Code"]) == (400, "MalformedPolicy")
    assert error["Message"] == "Invalid principal in policy"
    assert code_of(s3.get_bucket_policy, Bucket=bucket) == NONE


def test_a_resource_of_another_bucket(s3: Any, bucket: str) -> None:
    text = policy(statement("another-bucket"))
    error = error_of(s3.put_bucket_policy, Bucket=bucket, Policy=text)
    assert (error["status"], error["Code"]) == (400, "MalformedPolicy")
    assert error["Message"] == "Policy has invalid resource"


# --- Who may change it ----------------------------------------------------------------------------


def test_the_owner_can_always_repair_it(s3: Any, bucket: str) -> None:
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    denied = statement(bucket, Effect="Deny", Principal="*", Action="s3:*", Resource=resources)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(denied))
    assert code_of(s3.list_objects_v2, Bucket=bucket) == DENIED
    s3.get_bucket_policy(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(denied))
    s3.delete_bucket_policy(Bucket=bucket)
    s3.list_objects_v2(Bucket=bucket)


def test_it_is_for_the_account_of_the_bucket_alone(s3: Any, other_s3: Any, bucket: str) -> None:
    """Whatever the policy says, as AWS does."""
    resource = f"arn:aws:s3:::{bucket}"
    allowed = policy(statement(bucket, Action="s3:*BucketPolicy", Resource=resource))
    assert code_of(other_s3.get_bucket_policy, Bucket=bucket) == DENIED
    s3.put_bucket_policy(Bucket=bucket, Policy=allowed)
    refused = (405, "MethodNotAllowed")
    assert code_of(other_s3.put_bucket_policy, Bucket=bucket, Policy=allowed) == refused
    assert code_of(other_s3.get_bucket_policy, Bucket=bucket) == refused
    assert code_of(other_s3.delete_bucket_policy, Bucket=bucket) == refused
    s3.get_bucket_policy(Bucket=bucket)


def test_who_may_list_a_prefix_is_told_which_of_its_keys_are_not_there(
    s3: Any, other_s3: Any, bucket: str
) -> None:
    condition = {"StringLike": {"s3:prefix": "public/*"}}
    listed = statement(
        bucket, Action="s3:ListBucket", Resource=f"arn:aws:s3:::{bucket}", Condition=condition
    )
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(listed))
    readable = statement(bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(listed, readable))
    assert code_of(other_s3.head_object, Bucket=bucket, Key="public/gone") == (404, "404")
    assert code_of(other_s3.head_object, Bucket=bucket, Key="private/gone") == (403, "403")


def test_by_canonical_id(s3: Any, other_s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"body")
    text = policy(statement(bucket, Principal={"CanonicalUser": OTHER_ID}))
    s3.put_bucket_policy(Bucket=bucket, Policy=text)
    assert other_s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"body"
