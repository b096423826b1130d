"""PutBucketAcl and GetBucketAcl, and the list that a bucket is made with."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.access_lists import (
    DELIVERY,
    DENIED,
    EVERYBODY,
    NOT_SUPPORTED,
    OTHER,
    OTHER_EMAIL,
    OTHER_ID,
    OWNER,
    SIGNERS,
    grants,
    new_bucket,
    policy,
)
from tests.api.support import CANONICAL_ID, code_of, error_of, new_name
from tests.raw_http import anonymous, call
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

FULL = (CANONICAL_ID, "FULL_CONTROL")


@pytest.fixture
def bucket(s3: Any) -> str:
    """A bucket in which lists count."""
    return new_bucket(s3)


CANNED = {
    "private": [],
    "public-read": [(EVERYBODY, "READ")],
    "public-read-write": [(EVERYBODY, "READ"), (EVERYBODY, "WRITE")],
    "authenticated-read": [(SIGNERS, "READ")],
    "log-delivery-write": [(DELIVERY, "WRITE"), (DELIVERY, "READ_ACP")],
    "bucket-owner-full-control": [],
}


@pytest.mark.parametrize("name", CANNED)
def test_a_canned_list(front: Front, s3: Any, bucket: str, name: str) -> None:
    response = call(front, "PUT", f"/{bucket}?acl", headers={"x-amz-acl": name})
    assert (response.status, response.body) == (200, b"")
    found = s3.get_bucket_acl(Bucket=bucket)
    assert found["Owner"] == OWNER
    assert grants(found) == [*CANNED[name], FULL]


@pytest.mark.parametrize("name", ["public-read", "authenticated-read", "private"])
def test_a_bucket_is_made_with_one(s3: Any, name: str) -> None:
    bucket = new_bucket(s3, ACL=name)
    assert grants(s3.get_bucket_acl(Bucket=bucket)) == [*CANNED[name], FULL]


def test_a_document(s3: Any, bucket: str) -> None:
    rows = [(EVERYBODY, "READ"), (OTHER_ID, "WRITE"), (SIGNERS, "READ_ACP"), FULL]
    s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=policy(*rows))
    found = s3.get_bucket_acl(Bucket=bucket)
    assert grants(found) == rows
    assert found["Grants"][1]["Grantee"] == {"Type": "CanonicalUser", **OTHER}


def test_an_address_becomes_an_id(s3: Any, bucket: str) -> None:
    s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=policy((OTHER_EMAIL, "READ")))
    assert grants(s3.get_bucket_acl(Bucket=bucket)) == [(OTHER_ID, "READ")]


def test_grants_in_headers(s3: Any, bucket: str) -> None:
    s3.put_bucket_acl(
        Bucket=bucket,
        GrantFullControl=f'id="{CANONICAL_ID}"',
        GrantRead=f'uri="{EVERYBODY}", emailAddress="{OTHER_EMAIL}"',
        GrantWrite=f"id={OTHER_ID}",
        GrantReadACP=f'id="{OTHER_ID}"',
        GrantWriteACP=f'uri="{SIGNERS}"',
    )
    assert grants(s3.get_bucket_acl(Bucket=bucket)) == [
        (EVERYBODY, "READ"),
        (OTHER_ID, "READ"),
        (OTHER_ID, "WRITE"),
        (OTHER_ID, "READ_ACP"),
        (SIGNERS, "WRITE_ACP"),
        FULL,
    ]


def test_a_bucket_is_made_with_grants(s3: Any) -> None:
    bucket = new_bucket(s3, GrantRead=f'id="{OTHER_ID}"')
    assert grants(s3.get_bucket_acl(Bucket=bucket)) == [(OTHER_ID, "READ")]


def test_all_grants_can_be_taken_away_and_given_again(s3: Any, bucket: str) -> None:
    s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=policy())
    assert grants(s3.get_bucket_acl(Bucket=bucket)) == []
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    assert grants(s3.get_bucket_acl(Bucket=bucket)) == [FULL]


# --- What grants give -----------------------------------------------------------------------------


def test_what_each_grant_lets_another_account_do(other_s3: Any, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"")
    calls: dict[str, Callable[[], Any]] = {
        "READ": lambda: other_s3.list_objects_v2(Bucket=bucket),
        "WRITE": lambda: other_s3.put_object(Bucket=bucket, Key="theirs", Body=b""),
        "READ_ACP": lambda: other_s3.get_bucket_acl(Bucket=bucket),
        "WRITE_ACP": lambda: other_s3.put_bucket_acl(Bucket=bucket, ACL="private"),
    }
    for given in (*calls, "FULL_CONTROL"):
        for wanted, ask in calls.items():
            s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=policy((OTHER_ID, given)))
            if given in (wanted, "FULL_CONTROL"):
                ask()
            else:
                assert code_of(ask) == DENIED


def test_everybody_may_list_and_write(front: Front, s3: Any, bucket: str) -> None:
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    assert anonymous(front, "PUT", f"/{bucket}/new", b"body").status == 200
    assert "<Key>new</Key>" in anonymous(front, "GET", f"/{bucket}?list-type=2").body.decode()
    # What nobody in particular has written is the bucket owner's, and private.
    assert anonymous(front, "GET", f"/{bucket}/new").status == 403
    assert s3.get_object_acl(Bucket=bucket, Key="new")["Owner"] == OWNER
    assert anonymous(front, "DELETE", f"/{bucket}/new").status == 204


def test_everybody_who_signs(front: Front, s3: Any, other_s3: Any, bucket: str) -> None:
    s3.put_bucket_acl(Bucket=bucket, ACL="authenticated-read")
    other_s3.head_bucket(Bucket=bucket)
    assert anonymous(front, "GET", f"/{bucket}").status == 403


# --- Refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "body", "status", "refused"),
    [
        ({}, b"", 400, ("MissingSecurityHeader", "Your request was missing a required header")),
        ({"x-amz-acl": "fake"}, b"", 400, ("InvalidArgument", None)),
        ({"x-amz-acl": "aws-exec-read"}, b"", 501, ("NotImplemented", None)),
        (
            {"x-amz-acl": "private", "x-amz-grant-read": f'id="{OTHER_ID}"'},
            b"",
            400,
            ("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed"),
        ),
        (
            {"x-amz-acl": "private"},
            b"<AccessControlPolicy/>",
            400,
            ("UnexpectedContent", "This request does not support content"),
        ),
        ({"x-amz-grant-read": 'id="nobody"'}, b"", 400, ("InvalidArgument", "Invalid id")),
        ({"x-amz-grant-read": 'uri="nothing"'}, b"", 400, ("InvalidArgument", "Invalid group uri")),
        (
            {"x-amz-grant-write": 'name="x"'},
            b"",
            400,
            ("InvalidArgument", "Argument format not recognized"),
        ),
        (
            {"x-amz-grant-write": 'emailAddress="a@b.c"'},
            b"",
            400,
            (
                "UnresolvableGrantByEmailAddress",
                "The e-mail address you provided does not match any account on record.",
            ),
        ),
        ({}, b"<AccessControlPolicy/>", 400, ("MalformedACLError", None)),
        ({}, b"nonsense", 400, ("MalformedACLError", None)),
        ({}, b"<AccessControlPolicy>" + b" " * 1_100_000, 400, ("MaxMessageLengthExceeded", None)),
        ({"Content-MD5": "XrY7u+Ae7tCTyyK7j1rNww=="}, b"<a/>", 400, ("BadDigest", None)),
    ],
)
def test_a_list_that_is_refused(
    front: Front,
    s3: Any,
    bucket: str,
    headers: dict[str, str],
    body: bytes,
    status: int,
    refused: tuple[str, str | None],
) -> None:
    code, message = refused
    error = call(front, "PUT", f"/{bucket}?acl", body, headers).error
    assert (error["status"], error["Code"]) == (str(status), code)
    if message is not None:
        assert error["Message"] == message
    assert grants(s3.get_bucket_acl(Bucket=bucket)) == [FULL]


def test_the_owner_cannot_be_changed(s3: Any, bucket: str) -> None:
    given = policy((OTHER_ID, "READ"), owner=OTHER)
    refused = code_of(s3.put_bucket_acl, Bucket=bucket, AccessControlPolicy=given)
    assert refused == DENIED


def test_a_bucket_is_not_made_with_a_bad_list(front: Front, s3: Any) -> None:
    name = new_name()
    error = call(front, "PUT", f"/{name}", headers={"x-amz-grant-read": 'id="x"'}).error
    assert (error["Code"], error["Message"]) == ("InvalidArgument", "Invalid id")
    assert (error["ArgumentName"], error["ArgumentValue"]) == ("id", "x")
    assert code_of(s3.head_bucket, Bucket=name) == (404, "404")


# --- Where lists do not count ---------------------------------------------------------------------


@pytest.fixture
def enforced(s3: Any) -> str:
    """A bucket as it is unless somebody says otherwise."""
    name = new_name()
    s3.create_bucket(Bucket=name)
    return name


@pytest.mark.parametrize(
    "settings",
    [
        {"ACL": "private"},
        {"ACL": "public-read"},
        {"GrantRead": f'id="{OTHER_ID}"'},
        {"AccessControlPolicy": policy((OTHER_ID, "READ"))},
    ],
    ids=str,
)
def test_none_can_be_set(s3: Any, enforced: str, settings: dict[str, Any]) -> None:
    error = error_of(s3.put_bucket_acl, Bucket=enforced, **settings)
    assert (error["status"], error["Code"]) == NOT_SUPPORTED
    assert error["Message"] == "The bucket does not allow ACLs"
    assert grants(s3.get_bucket_acl(Bucket=enforced)) == [FULL]


def test_what_holds_anyway_can_be_said(s3: Any, enforced: str) -> None:
    s3.put_bucket_acl(Bucket=enforced, AccessControlPolicy=policy(FULL))
    s3.put_bucket_acl(Bucket=enforced, ACL="bucket-owner-full-control")
    assert grants(s3.get_bucket_acl(Bucket=enforced)) == [FULL]


@pytest.mark.parametrize(
    "settings", [{"ACL": "public-read"}, {"GrantRead": f'id="{OTHER_ID}"'}], ids=str
)
def test_no_bucket_begins_with_one(s3: Any, settings: dict[str, Any]) -> None:
    name = new_name()
    error = error_of(s3.create_bucket, Bucket=name, **settings)
    assert (error["status"], error["Code"]) == (400, "InvalidBucketAclWithObjectOwnership")
    assert error["Message"] == (
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
    )
    assert code_of(s3.head_bucket, Bucket=name) == (404, "404")


def test_a_bucket_may_begin_private(s3: Any) -> None:
    name = new_name()
    s3.create_bucket(Bucket=name, ACL="private")
    assert grants(s3.get_bucket_acl(Bucket=name)) == [FULL]


def test_many_set_one_at_once(s3: Any, bucket: str) -> None:
    """All of them succeed: the last one counts."""
    with ThreadPoolExecutor(40) as pool:
        asked = [
            pool.submit(s3.put_bucket_acl, Bucket=bucket, ACL="public-read") for _ in range(40)
        ]
        assert {each.result()["ResponseMetadata"]["HTTPStatusCode"] for each in asked} == {200}
