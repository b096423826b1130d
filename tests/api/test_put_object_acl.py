"""PutObjectAcl and GetObjectAcl, and the lists that objects are made with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.access_lists import (
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
from tests.api.support import CANONICAL_ID, code_of, put_version, set_versioning
from tests.forms import form_body, form_request, signed_v4
from tests.raw_http import anonymous, call, exchange, host_of
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

FULL = (CANONICAL_ID, "FULL_CONTROL")


@pytest.fixture
def bucket(s3: Any) -> str:
    """A bucket in which lists count, with an object, ``key``."""
    name = new_bucket(s3)
    s3.put_object(Bucket=name, Key="key", Body=b"body")
    return name


def acl_of(s3: Any, bucket: str, key: str = "key", **version: str) -> list[tuple[str, str]]:
    return grants(s3.get_object_acl(Bucket=bucket, Key=key, **version))


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("private", []),
        ("public-read", [(EVERYBODY, "READ")]),
        ("public-read-write", [(EVERYBODY, "READ"), (EVERYBODY, "WRITE")]),
        ("authenticated-read", [(SIGNERS, "READ")]),
        ("bucket-owner-read", []),
        ("bucket-owner-full-control", []),
    ],
)
def test_a_canned_list(s3: Any, bucket: str, name: str, more: list[tuple[str, str]]) -> None:
    before = s3.head_object(Bucket=bucket, Key="key")
    s3.put_object_acl(Bucket=bucket, Key="key", ACL=name)
    assert acl_of(s3, bucket) == [*more, FULL]
    after = s3.head_object(Bucket=bucket, Key="key")
    assert (after["ETag"], after["LastModified"]) == (before["ETag"], before["LastModified"])


def test_a_document_and_headers(s3: Any, bucket: str) -> None:
    rows = [(OTHER_ID, "READ"), (OTHER_ID, "WRITE_ACP"), FULL]
    s3.put_object_acl(Bucket=bucket, Key="key", AccessControlPolicy=policy(*rows))
    assert acl_of(s3, bucket) == rows
    headers = {"GrantRead": f'emailAddress="{OTHER_EMAIL}"', "GrantWrite": f'id="{OTHER_ID}"'}
    s3.put_object_acl(Bucket=bucket, Key="key", **headers)
    assert acl_of(s3, bucket) == [(OTHER_ID, "READ"), (OTHER_ID, "WRITE")]


def test_everybody_reads_what_is_public(front: Front, s3: Any, bucket: str) -> None:
    assert anonymous(front, "GET", f"/{bucket}/key").status == 403
    s3.put_object_acl(Bucket=bucket, Key="key", ACL="public-read")
    assert anonymous(front, "GET", f"/{bucket}/key").body == b"body"
    assert anonymous(front, "GET", f"/{bucket}/key?acl").status == 403
    assert anonymous(front, "PUT", f"/{bucket}/key", b"").status == 403


def test_what_each_grant_lets_another_account_do(other_s3: Any, s3: Any, bucket: str) -> None:
    key = {"Bucket": bucket, "Key": "key"}
    calls: dict[str, Callable[[], Any]] = {
        "READ": lambda: other_s3.get_object(**key),
        "READ_ACP": lambda: other_s3.get_object_acl(**key),
        "WRITE_ACP": lambda: other_s3.put_object_acl(**key, ACL="private"),
    }
    for given in (*calls, "WRITE", "FULL_CONTROL"):
        for wanted, ask in calls.items():
            s3.put_object_acl(**key, AccessControlPolicy=policy((OTHER_ID, given)))
            if given in (wanted, "FULL_CONTROL"):
                ask()
            else:
                assert code_of(ask) == DENIED
    assert code_of(other_s3.put_object, **key, Body=b"") == DENIED


# --- Versions -------------------------------------------------------------------------------------


def test_each_version_has_its_own(front: Front, s3: Any, bucket: str) -> None:
    set_versioning(s3, bucket, "Enabled")
    older = put_version(s3, bucket, "key", b"older")
    latest = put_version(s3, bucket, "key", b"latest")
    version = f"?acl&versionId={older}"
    response = call(front, "PUT", f"/{bucket}/key{version}", headers={"x-amz-acl": "public-read"})
    assert (response.status, response.headers["x-amz-version-id"]) == (200, older)
    assert acl_of(s3, bucket, VersionId=older) == [(EVERYBODY, "READ"), FULL]
    assert acl_of(s3, bucket, VersionId=latest) == acl_of(s3, bucket) == [FULL]
    assert anonymous(front, "GET", f"/{bucket}/key?versionId={older}").body == b"older"
    assert anonymous(front, "GET", f"/{bucket}/key").status == 403


def test_a_delete_marker_has_none(s3: Any, bucket: str) -> None:
    set_versioning(s3, bucket, "Enabled")
    marker = s3.delete_object(Bucket=bucket, Key="key")["VersionId"]
    key = {"Bucket": bucket, "Key": "key", "ACL": "private"}
    assert code_of(s3.put_object_acl, **key, VersionId=marker) == (405, "MethodNotAllowed")
    assert code_of(s3.put_object_acl, **key) == (405, "MethodNotAllowed")


def test_an_object_that_is_not_there(s3: Any, bucket: str) -> None:
    key = {"Bucket": bucket, "Key": "gone", "ACL": "private"}
    assert code_of(s3.put_object_acl, **key) == (404, "NoSuchKey")


# --- New objects ----------------------------------------------------------------------------------


def put(s3: Any, bucket: str, **settings: Any) -> None:
    s3.put_object(Bucket=bucket, Key="new", Body=b"new", **settings)


def copy(s3: Any, bucket: str, **settings: Any) -> None:
    source = {"Bucket": bucket, "Key": "key"}
    s3.copy_object(Bucket=bucket, Key="new", CopySource=source, **settings)


def upload(s3: Any, bucket: str, **settings: Any) -> None:
    key = {"Bucket": bucket, "Key": "new"}
    key["UploadId"] = s3.create_multipart_upload(**key, **settings)["UploadId"]
    etag = s3.upload_part(**key, PartNumber=1, Body=b"new")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(**key, MultipartUpload=parts)


MAKE = pytest.mark.parametrize("make", [put, copy, upload])


@MAKE
def test_an_object_is_made_with_a_canned_list(
    front: Front, s3: Any, bucket: str, make: Callable[..., None]
) -> None:
    make(s3, bucket, ACL="public-read")
    assert acl_of(s3, bucket, "new") == [(EVERYBODY, "READ"), FULL]
    assert anonymous(front, "GET", f"/{bucket}/new").status == 200


@MAKE
def test_an_object_is_made_with_grants(s3: Any, bucket: str, make: Callable[..., None]) -> None:
    make(s3, bucket, GrantRead=f'id="{OTHER_ID}"', GrantReadACP=f'uri="{SIGNERS}"')
    assert acl_of(s3, bucket, "new") == [(OTHER_ID, "READ"), (SIGNERS, "READ_ACP")]


@MAKE
def test_no_list_is_taken_over(s3: Any, bucket: str, make: Callable[..., None]) -> None:
    """A copy begins with its own, and so does an object in the place of another."""
    s3.put_object_acl(Bucket=bucket, Key="key", ACL="public-read")
    put(s3, bucket, ACL="public-read")
    make(s3, bucket)
    assert acl_of(s3, bucket, "new") == [FULL]


@MAKE
@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"ACL": "log-delivery-write"}, "InvalidArgument"),
        ({"GrantRead": "id=nobody"}, "InvalidArgument"),
        ({"ACL": "private", "GrantRead": f"id={OTHER_ID}"}, "InvalidRequest"),
    ],
)
def test_no_object_is_made_with_a_bad_list(
    s3: Any, bucket: str, make: Callable[..., None], settings: dict[str, str], code: str
) -> None:
    assert code_of(make, s3=s3, bucket=bucket, **settings) == (400, code)
    assert code_of(s3.head_object, Bucket=bucket, Key="new") == (404, "404")


@MAKE
def test_where_lists_do_not_count(s3: Any, make: Callable[..., None]) -> None:
    bucket = new_bucket(s3, "BucketOwnerEnforced")
    s3.put_object(Bucket=bucket, Key="key", Body=b"body")
    for acl in ("public-read", "private"):
        assert code_of(make, s3=s3, bucket=bucket, ACL=acl) == NOT_SUPPORTED
    grant = f'id="{OTHER_ID}"'
    assert code_of(make, s3=s3, bucket=bucket, GrantRead=grant) == NOT_SUPPORTED
    make(s3, bucket, ACL="bucket-owner-full-control")
    make(s3, bucket, GrantFullControl=f'id="{CANONICAL_ID}"')
    assert acl_of(s3, bucket, "new") == [FULL]
    setting = {"Bucket": bucket, "Key": "new", "ACL": "private"}
    assert code_of(s3.put_object_acl, **setting) == NOT_SUPPORTED


def test_a_form_says_it_in_a_field(front: Front, s3: Any, bucket: str) -> None:
    fields = signed_v4({"key": "form", "acl": "public-read"}, bucket)
    request = form_request(host_of(front), f"/{bucket}", form_body(fields, b"body"), {})
    assert exchange(front, request).status == 204
    assert acl_of(s3, bucket, "form") == [(EVERYBODY, "READ"), FULL]
    fields = signed_v4({"key": "form", "x-amz-grant-read": f'id="{OTHER_ID}"'}, bucket)
    request = form_request(host_of(front), f"/{bucket}", form_body(fields, b"body"), {})
    assert exchange(front, request).status == 204
    assert acl_of(s3, bucket, "form") == [(OTHER_ID, "READ")]


# --- Of another account ---------------------------------------------------------------------------


def test_an_object_of_another_account(s3: Any, other_s3: Any, bucket: str) -> None:
    """Its owner says who may read it, not that of the bucket."""
    s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=policy(FULL, (OTHER_ID, "WRITE")))
    other_s3.put_object(Bucket=bucket, Key="theirs", Body=b"theirs")
    key = {"Bucket": bucket, "Key": "theirs"}
    found = other_s3.get_object_acl(**key)
    assert (found["Owner"], grants(found)) == (OTHER, [(OTHER_ID, "FULL_CONTROL")])
    assert code_of(s3.get_object, **key) == DENIED
    assert code_of(s3.get_object_acl, **key) == DENIED
    other_s3.put_object_acl(**key, ACL="bucket-owner-read")
    assert s3.get_object(**key)["Body"].read() == b"theirs"
    other_s3.put_object_acl(**key, ACL="bucket-owner-full-control")
    found = s3.get_object_acl(**key)
    assert found["Owner"] == OTHER
    assert grants(found) == [FULL, (OTHER_ID, "FULL_CONTROL")]
    assert found["Grants"][0]["Grantee"] == {"Type": "CanonicalUser", **OWNER}
    assert code_of(s3.put_object_acl, **key, AccessControlPolicy=policy(FULL)) == DENIED
