"""Lists, policies and settings that are changed while a request is under way.

The request has been asked for its body, so it was decided on; the commit finds another bucket or
object than that, and decides again (DESIGN, section 5).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from s3front.auth.sigv4 import AccessKey
from tests.api.access_lists import (
    EVERYBODY,
    NOT_SUPPORTED,
    OTHER,
    OTHER_ID,
    OWNER,
    grants,
    new_bucket,
    policy,
)
from tests.api.support import CANONICAL_ID, code_of
from tests.raw_http import FOREIGNER, Response, connected, sign
from tests.raw_http import OWNER as ACCOUNT
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

Change = Callable[[], Any]


def answer(
    front: Front,
    target: str,
    body: bytes,
    meanwhile: Change,
    headers: dict[str, str] | None = None,
    key: AccessKey = ACCOUNT,
) -> Response:
    """The answer to a PUT whose body comes after a change."""
    expecting = {"Expect": "100-continue", **(headers or {})}
    request = sign(front, "PUT", target, body, expecting, key=key)
    with connected(front) as connection:
        connection.send(replace(request, body=b""))
        assert connection.receive_interim() == 100
        meanwhile()
        connection.send(body)
        return connection.receive("PUT")


@pytest.fixture
def bucket(s3: Any) -> str:
    """A bucket in which lists count, and which the other account may write to."""
    name = new_bucket(s3)
    s3.put_object(Bucket=name, Key="key", Body=b"before")
    rows = (CANONICAL_ID, "FULL_CONTROL"), (OTHER_ID, "WRITE")
    s3.put_bucket_acl(Bucket=name, AccessControlPolicy=policy(*rows))
    return name


def denied(bucket: str) -> str:
    """A policy that lets nobody write."""
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject*",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.mark.parametrize("key", ["key", "new"])
@pytest.mark.parametrize("signer", [ACCOUNT, FOREIGNER], ids=["owner", "another"])
def test_a_policy_that_denies_it(
    front: Front, s3: Any, bucket: str, key: str, signer: AccessKey
) -> None:
    def deny() -> None:
        s3.put_bucket_policy(Bucket=bucket, Policy=denied(bucket))

    response = answer(front, f"/{bucket}/{key}", b"after", deny, key=signer)
    assert (response.status, response.error["Code"]) == (403, "AccessDenied")
    s3.delete_bucket_policy(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"before"
    assert code_of(s3.head_object, Bucket=bucket, Key="new") == (404, "404")


def test_a_grant_that_is_taken_away(front: Front, s3: Any, bucket: str) -> None:
    def take_away() -> None:
        s3.put_bucket_acl(Bucket=bucket, ACL="private")

    response = answer(front, f"/{bucket}/key", b"after", take_away, key=FOREIGNER)
    assert response.status == 403
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"before"


def test_public_lists_are_blocked(front: Front, s3: Any, bucket: str) -> None:
    def block() -> None:
        settings = {"BlockPublicAcls": True}
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=settings)

    response = answer(front, f"/{bucket}/new", b"after", block, {"x-amz-acl": "public-read"})
    assert response.status == 403
    assert code_of(s3.head_object, Bucket=bucket, Key="new") == (404, "404")


def enforce(s3: Any, bucket: str) -> Change:
    def change() -> None:
        s3.put_bucket_acl(Bucket=bucket, ACL="private")
        rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)

    return change


def test_lists_do_not_count_any_more(front: Front, s3: Any, bucket: str) -> None:
    headers = {"x-amz-acl": "public-read"}
    response = answer(front, f"/{bucket}/new", b"after", enforce(s3, bucket), headers)
    assert (response.status, response.error["Code"]) == NOT_SUPPORTED
    assert code_of(s3.head_object, Bucket=bucket, Key="new") == (404, "404")


def test_all_objects_are_the_bucket_owners_now(front: Front, s3: Any, bucket: str) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"CanonicalUser": OTHER_ID},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.put_bucket_policy(Bucket=bucket, Policy=text)
    response = answer(front, f"/{bucket}/new", b"after", enforce(s3, bucket), key=FOREIGNER)
    assert response.status == 200
    rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
    assert s3.get_object_acl(Bucket=bucket, Key="new")["Owner"] == OWNER


LIST = (
    f'<AccessControlPolicy xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Owner><ID>'
    f'{CANONICAL_ID}</ID></Owner><AccessControlList><Grant><Grantee xsi:type="Group"><URI>'
    f"{EVERYBODY}</URI></Grantee><Permission>READ</Permission></Grant></AccessControlList>"
    "</AccessControlPolicy>"
).encode()


def test_a_list_of_an_object_that_is_overwritten(front: Front, s3: Any, bucket: str) -> None:
    """It is that of the object that is there now."""

    def overwrite() -> None:
        s3.put_object(Bucket=bucket, Key="key", Body=b"after")

    assert answer(front, f"/{bucket}/key?acl", LIST, overwrite).status == 200
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"after"
    assert grants(s3.get_object_acl(Bucket=bucket, Key="key")) == [(EVERYBODY, "READ")]


def test_a_list_of_an_object_that_is_somebody_elses_now(
    front: Front, s3: Any, other_s3: Any, bucket: str
) -> None:
    def overwrite() -> None:
        other_s3.put_object(Bucket=bucket, Key="key", Body=b"theirs")

    response = answer(front, f"/{bucket}/key?acl", LIST, overwrite)
    assert response.status == 403
    found = other_s3.get_object_acl(Bucket=bucket, Key="key")
    assert (found["Owner"], grants(found)) == (OTHER, [(OTHER_ID, "FULL_CONTROL")])


def test_a_list_of_an_object_that_is_deleted(front: Front, s3: Any, bucket: str) -> None:
    def delete() -> None:
        s3.delete_object(Bucket=bucket, Key="key")

    response = answer(front, f"/{bucket}/key?acl", LIST, delete)
    assert (response.status, response.error["Code"]) == (404, "NoSuchKey")
    assert code_of(s3.head_object, Bucket=bucket, Key="key") == (404, "404")
