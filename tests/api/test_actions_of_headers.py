"""What headers ask for besides their operation, of a user who may do nothing else; and a policy of
a bucket by which its writer would lock himself out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.api.access_lists import DENIED
from tests.api.encrypting import encrypting_cluster
from tests.api.support import ACCOUNT_ID, new_name
from tests.api.test_access_of_users import Users, statement
from tests.bucket_documents import PUT_BODIES
from tests.raw_http import Response, call
from tests.servers import Front


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder: Path = tmp_path_factory.mktemp("headers")
    with encrypting_cluster(folder) as started:
        yield started.fronts[0]


@pytest.fixture(scope="module")
def users(front: Front) -> Users:
    return Users(front)


WRITER = {"x-amz-object-ownership": "ObjectWriter"}

OF_BUCKETS: list[tuple[dict[str, str], tuple[str, ...]]] = [
    (WRITER, ("s3:PutBucketOwnershipControls",)),
    ({"x-amz-acl": "private"}, ("s3:PutBucketAcl",)),
    (
        {"x-amz-grant-read": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"', **WRITER},
        ("s3:PutBucketAcl", "s3:PutBucketOwnershipControls"),
    ),
    (
        {"x-amz-bucket-object-lock-enabled": "true"},
        ("s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning"),
    ),
    (
        {"x-amz-scal-server-side-encryption": "AES256"},
        ("s3:PutEncryptionConfiguration",),
    ),
]
OF_OBJECTS: list[tuple[dict[str, str], tuple[str, ...]]] = [
    ({"x-amz-acl": "bucket-owner-full-control"}, ("s3:PutObjectAcl",)),
    (
        {"x-amz-grant-full-control": 'emailAddress="sampleaccount1@sampling.com"'},
        ("s3:PutObjectAcl",),
    ),
    ({"x-amz-tagging": "a=b"}, ("s3:PutObjectTagging",)),
]


def refusal(response: Response) -> tuple[int, str]:
    return response.status, response.error["Code"]


def check(
    front: Front, users: Users, target: str, action: str, headers: dict[str, str], *needed: str
) -> None:
    """A user may with exactly that, and may not with any of it missing."""
    body = b"body" if target.count("/") > 1 else b""
    for missing in needed:
        allowed = [each for each in (action, *needed) if each != missing]
        user = users.with_policy(*(statement("Allow", each) for each in allowed))
        assert refusal(call(front, "PUT", target, body, headers, key=user.key)) == DENIED
    user = users.with_policy(*(statement("Allow", each) for each in (action, *needed)))
    assert call(front, "PUT", target, body, headers, key=user.key).status == 200


@pytest.mark.parametrize(("headers", "needed"), OF_BUCKETS, ids=str)
def test_headers_of_a_new_bucket(
    front: Front, users: Users, headers: dict[str, str], needed: tuple[str, ...]
) -> None:
    check(front, users, f"/{new_name()}", "s3:CreateBucket", headers, *needed)


@pytest.mark.parametrize(("headers", "needed"), OF_OBJECTS, ids=str)
def test_headers_of_a_new_object(
    front: Front, users: Users, headers: dict[str, str], needed: tuple[str, ...]
) -> None:
    bucket = new_name()
    assert call(front, "PUT", f"/{bucket}").status == 200
    check(front, users, f"/{bucket}/key", "s3:PutObject", headers, *needed)


def test_the_block_of_an_account(front: Front, users: Users) -> None:
    """No header of a bucket, but one that names an account."""
    target, headers = "/v20180820/configuration/publicAccessBlock", {"x-amz-account-id": ACCOUNT_ID}
    body = PUT_BODIES["PutPublicAccessBlock"]
    reader = users.with_policy(statement("Allow", "s3:GetAccountPublicAccessBlock"))
    writer = users.with_policy(statement("Allow", "s3:PutAccountPublicAccessBlock"))
    assert refusal(call(front, "PUT", target, body, headers, key=reader.key)) == DENIED
    assert refusal(call(front, "DELETE", target, b"", headers, key=reader.key)) == DENIED
    assert refusal(call(front, "GET", target, b"", headers, key=writer.key)) == DENIED
    assert call(front, "PUT", target, body, headers, key=writer.key).status == 201
    assert call(front, "GET", target, b"", headers, key=reader.key).status == 200
    assert call(front, "DELETE", target, b"", headers, key=writer.key).status == 204


def policy_of(bucket: str, **members: Any) -> bytes:
    said: Mapping[str, Any] = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutBucketPolicy",
        "Resource": f"arn:aws:s3:::{bucket}",
        **members,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": said}).encode()


def test_who_would_lock_himself_out_has_to_confirm_it(front: Front, users: Users) -> None:
    bucket, user = new_name(), users.with_policy(statement("Allow", "s3:*"))
    assert call(front, "PUT", f"/{bucket}").status == 200
    target, denied = f"/{bucket}?policy", policy_of(bucket)
    refused = call(front, "PUT", target, denied, key=user.key)
    assert refusal(refused) == DENIED
    assert "x-amz-confirm-remove-self-bucket-access" in refused.error["Message"]
    assert call(front, "GET", target).status == 404
    confirmed = {"x-amz-confirm-remove-self-bucket-access": "true"}
    assert call(front, "PUT", target, denied, confirmed, key=user.key).status == 204
    assert refusal(call(front, "PUT", target, denied, confirmed, key=user.key)) == DENIED
    # The account itself repairs it, whatever the policy says.
    assert call(front, "PUT", target, denied).status == 204
    assert call(front, "DELETE", target).status == 204
