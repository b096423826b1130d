"""PutPublicAccessBlock, GetPublicAccessBlock and DeletePublicAccessBlock, and what they block."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.access_lists import DENIED, EVERYBODY, OTHER_ID, SIGNERS, new_bucket
from tests.api.support import code_of, error_of
from tests.api.test_put_object_acl import MAKE
from tests.raw_http import anonymous, call
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

SETTINGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
NOT_FOUND = (404, "NoSuchPublicAccessBlockConfiguration")


@pytest.fixture
def bucket(s3: Any) -> str:
    """A bucket in which lists count, with an object, ``key``."""
    name = new_bucket(s3)
    s3.put_object(Bucket=name, Key="key", Body=b"body")
    return name


def block(s3: Any, bucket: str, *names: str) -> None:
    settings = dict.fromkeys(names, True)
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=settings)


def public_policy(bucket: str, principal: Any = "*") -> str:
    statement = {
        "Effect": "Allow",
        "Principal": principal,
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_alone(s3: Any, bucket: str, name: str) -> None:
    assert code_of(s3.get_public_access_block, Bucket=bucket) == NOT_FOUND
    block(s3, bucket, name)
    found = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert found == {each: each == name for each in SETTINGS}
    block(s3, bucket, *SETTINGS)
    found = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert found == dict.fromkeys(SETTINGS, True)
    s3.delete_public_access_block(Bucket=bucket)
    assert code_of(s3.get_public_access_block, Bucket=bucket) == NOT_FOUND
    s3.delete_public_access_block(Bucket=bucket)


@pytest.mark.parametrize(
    "content",
    [
        "<BlockPublicAcls>yes</BlockPublicAcls>",
        "<BlockPublicAcls/>",
        "<BlockPublicAcls>true</BlockPublicAcls>" * 2,
        "<BlockEverything>true</BlockEverything>",
    ],
)
def test_a_document_that_is_none(front: Front, s3: Any, bucket: str, content: str) -> None:
    body = f"<PublicAccessBlockConfiguration>{content}</PublicAccessBlockConfiguration>".encode()
    error = call(front, "PUT", f"/{bucket}?publicAccessBlock", body).error
    assert (error["status"], error["Code"]) == ("400", "MalformedXML")
    assert code_of(s3.get_public_access_block, Bucket=bucket) == NOT_FOUND


def test_a_document_that_says_nothing(front: Front, bucket: str) -> None:
    body = b"<PublicAccessBlockConfiguration/>"
    error = call(front, "PUT", f"/{bucket}?publicAccessBlock", body).error
    assert (error["status"], error["Code"]) == ("400", "InvalidRequest")
    assert error["Message"] == "Must specify at least one configuration."


PUBLIC: list[dict[str, str]] = [
    {"ACL": "public-read"},
    {"ACL": "public-read-write"},
    {"ACL": "authenticated-read"},
    {"GrantRead": f'uri="{EVERYBODY}"'},
    {"GrantReadACP": f'uri="{SIGNERS}"'},
]


@pytest.mark.parametrize("settings", PUBLIC, ids=str)
def test_no_public_list_is_set(s3: Any, bucket: str, settings: dict[str, str]) -> None:
    block(s3, bucket, "BlockPublicAcls")
    assert code_of(s3.put_bucket_acl, Bucket=bucket, **settings) == DENIED
    assert code_of(s3.put_object_acl, Bucket=bucket, Key="key", **settings) == DENIED


@MAKE
@pytest.mark.parametrize("settings", PUBLIC, ids=str)
def test_no_object_is_made_with_one(
    s3: Any, bucket: str, make: Any, settings: dict[str, str]
) -> None:
    block(s3, bucket, "BlockPublicAcls")
    assert code_of(make, s3=s3, bucket=bucket, **settings) == DENIED
    make(s3, bucket, GrantRead=f'id="{OTHER_ID}"')
    make(s3, bucket, ACL="private")


def test_an_upload_that_began_before(s3: Any, bucket: str) -> None:
    key = {"Bucket": bucket, "Key": "new"}
    key["UploadId"] = s3.create_multipart_upload(**key, ACL="public-read")["UploadId"]
    etag = s3.upload_part(**key, PartNumber=1, Body=b"new")["ETag"]
    block(s3, bucket, "BlockPublicAcls")
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    assert code_of(s3.complete_multipart_upload, **key, MultipartUpload=parts) == DENIED
    s3.delete_public_access_block(Bucket=bucket)
    s3.complete_multipart_upload(**key, MultipartUpload=parts)


def test_public_lists_give_nothing(front: Front, s3: Any, other_s3: Any, bucket: str) -> None:
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    s3.put_object_acl(Bucket=bucket, Key="key", ACL="public-read")
    targets = (f"/{bucket}/key", f"/{bucket}?list-type=2")
    assert [anonymous(front, "GET", target).status for target in targets] == [200, 200]
    block(s3, bucket, "IgnorePublicAcls")
    assert [anonymous(front, "GET", target).status for target in targets] == [403, 403]
    assert code_of(other_s3.get_object, Bucket=bucket, Key="key") == DENIED
    s3.put_object_acl(Bucket=bucket, Key="key", GrantRead=f'id="{OTHER_ID}"')
    assert other_s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"body"


def test_no_public_policy_is_set(s3: Any, bucket: str) -> None:
    block(s3, bucket, "BlockPublicPolicy")
    error = error_of(s3.put_bucket_policy, Bucket=bucket, Policy=public_policy(bucket))
    assert (error["status"], error["Code"]) == DENIED
    assert "BlockPublicPolicy" in error["Message"]
    assert code_of(s3.get_bucket_policy, Bucket=bucket) == (404, "NoSuchBucketPolicy")
    named = public_policy(bucket, {"CanonicalUser": OTHER_ID})
    s3.put_bucket_policy(Bucket=bucket, Policy=named)


def test_a_public_policy_gives_other_accounts_nothing(
    front: Front, s3: Any, other_s3: Any, bucket: str
) -> None:
    s3.put_bucket_policy(Bucket=bucket, Policy=public_policy(bucket))
    assert anonymous(front, "GET", f"/{bucket}/key").status == 200
    block(s3, bucket, "RestrictPublicBuckets")
    assert anonymous(front, "GET", f"/{bucket}/key").status == 403
    assert code_of(other_s3.get_object, Bucket=bucket, Key="key") == DENIED
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"body"
    named = public_policy(bucket, {"CanonicalUser": OTHER_ID})
    s3.put_bucket_policy(Bucket=bucket, Policy=named)
    assert other_s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"body"
