"""Which operation a request is."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.operations import routes
from s3front.port.target import Target, parse_target
from s3front.routes import Level, Operation, Routes
from s3front.s3_errors import S3Error

ROUTES = routes()


def find(
    method: str,
    raw_target: str,
    headers: Mapping[str, str] | None = None,
    table: Routes = ROUTES,
) -> Operation:
    target = parse_target(raw_target, "localhost", ["localhost"])
    assert isinstance(target, Target)
    return table.find(method, target, CIMultiDictProxy(CIMultiDict(headers or {})))


def refusal(method: str, raw_target: str, headers: Mapping[str, str] | None = None) -> S3Error:
    with pytest.raises(S3Error) as caught:
        find(method, raw_target, headers)
    return caught.value


@pytest.mark.parametrize(
    ("method", "raw_target", "name"),
    [
        ("GET", "/", "ListBuckets"),
        ("GET", "/?x-id=ListBuckets", "ListBuckets"),
        ("PUT", "/bucket", "CreateBucket"),
        ("PUT", "/bucket/", "CreateBucket"),
        ("HEAD", "/bucket", "HeadBucket"),
        ("DELETE", "/bucket", "DeleteBucket"),
        ("GET", "/bucket?location", "GetBucketLocation"),
        ("GET", "/bucket", "ListObjects"),
        ("GET", "/bucket?list-type=2", "ListObjectsV2"),
        ("GET", "/bucket?prefix=acl", "ListObjects"),
        ("POST", "/bucket?delete", "DeleteObjects"),
        ("POST", "/bucket?delete=", "DeleteObjects"),
        ("PUT", "/bucket/key", "PutObject"),
        ("GET", "/bucket/key", "GetObject"),
        ("GET", "/bucket/key?partNumber=1", "GetObject"),
        ("HEAD", "/bucket/key?versionId=null&partNumber=1", "HeadObject"),
        ("GET", "/bucket/key?attributes", "GetObjectAttributes"),
        ("GET", "/bucket/key?versionId=null", "GetObject"),
        ("GET", "/bucket/key?response-content-type=a", "GetObject"),
        ("GET", "/bucket/key?X-Amz-Signature=a", "GetObject"),
        ("GET", "/bucket/key?unknown", "GetObject"),
        ("HEAD", "/bucket/key", "HeadObject"),
        ("DELETE", "/bucket/key", "DeleteObject"),
        ("GET", "/bucket?object-lock", "GetObjectLockConfiguration"),
        ("PUT", "/bucket/key?retention&versionId=null", "PutObjectRetention"),
        ("PUT", "/bucket/key?legal-hold", "PutObjectLegalHold"),
    ],
)
def test_an_operation(method: str, raw_target: str, name: str) -> None:
    assert find(method, raw_target).name == name


@pytest.mark.parametrize(
    ("method", "raw_target", "code"),
    [
        ("PUT", "/", "MethodNotAllowed"),
        ("DELETE", "/", "MethodNotAllowed"),
        ("POST", "/bucket/key", "MethodNotAllowed"),
        ("PATCH", "/bucket/key", "MethodNotAllowed"),
        ("GET", "/bucket/key?torrent", "NotImplemented"),
        ("POST", "/bucket/key?select&select-type=2", "NotImplemented"),
        ("DELETE", "/bucket?metrics", "NotImplemented"),
        ("HEAD", "/bucket/key?uploadId=a", "NotImplemented"),
        ("DELETE", "/bucket?location", "NotImplemented"),
        ("GET", "/?x-id=ListDirectoryBuckets", "NotImplemented"),
        ("GET", "/bucket?uploadId=", "InvalidRequest"),
        ("PUT", "/bucket?partNumber=1&uploadId=a", "InvalidRequest"),
        ("GET", "/bucket?retention", "InvalidRequest"),
        ("DELETE", "/?uploadId=a", "InvalidRequest"),
    ],
)
def test_what_is_no_operation(method: str, raw_target: str, code: str) -> None:
    assert refusal(method, raw_target).code == code


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-copy-source-server-side-encryption-customer-key", "key"),
        ("x-amz-write-offset-bytes", "0"),
    ],
)
def test_a_header_that_asks_for_what_there_is_not(name: str, value: str) -> None:
    error = refusal("PUT", "/bucket/key", {name: value})
    assert (error.code, error.fields) == ("NotImplemented", {"Header": name})


@pytest.mark.parametrize(
    ("name", "value"), [("x-amz-acl", "private"), ("x-amz-tagging", "a=b"), ("x-amz-unknown", "a")]
)
def test_a_header_that_asks_for_nothing(name: str, value: str) -> None:
    assert find("PUT", "/bucket/key", {name: value}).name == "PutObject"


def test_a_lock_is_for_new_objects_only() -> None:
    headers = {"x-amz-object-lock-legal-hold": "ON"}
    for method, target in (("PUT", "/bucket/key"), ("POST", "/bucket/key?uploads")):
        find(method, target, headers)
    find("PUT", "/bucket/key", headers | {"x-amz-copy-source": "a/b"})
    for target in ("/bucket/key?tagging", "/bucket/key?partNumber=1&uploadId=a", "/bucket"):
        assert refusal("PUT", target, headers).code == "NotImplemented"


def test_a_list_of_grants_is_for_what_has_one() -> None:
    for headers in ({"x-amz-acl": "public-read"}, {"x-amz-grant-read": "id=1"}):
        for target in ("/bucket", "/bucket?acl", "/bucket/key", "/bucket/key?acl"):
            find("PUT", target, headers)
        for target in ("/bucket/key?tagging", "/bucket/key?partNumber=1&uploadId=a"):
            assert refusal("PUT", target, headers).code == "NotImplemented"


def test_a_bucket_with_object_lock() -> None:
    name = "x-amz-bucket-object-lock-enabled"
    assert find("PUT", "/bucket", {name: "true"}).name == "CreateBucket"
    assert refusal("PUT", "/bucket", {name: "yes"}).code == "InvalidArgument"
    assert refusal("PUT", "/bucket/key", {name: "true"}).code == "NotImplemented"


def test_a_condition_of_a_deletion_is_for_objects_only() -> None:
    """Elsewhere, ignoring one would delete or replace what was to be kept."""
    headers = {"x-amz-if-match-size": "1"}
    assert find("DELETE", "/bucket/key", headers).name == "DeleteObject"
    for method, target in (("DELETE", "/bucket"), ("DELETE", "/bucket/key?tagging")):
        assert refusal(method, target, headers).code == "NotImplemented"
    assert refusal("PUT", "/bucket/key", headers).code == "NotImplemented"


def test_reads_are_not_refused_for_headers_of_writes() -> None:
    assert find("GET", "/bucket/key", {"x-amz-acl": "public-read"}).name == "GetObject"


@pytest.mark.parametrize(
    ("method", "raw_target", "allowed"),
    [
        ("PUT", "/", "GET, OPTIONS"),
        ("PATCH", "/bucket", "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
        ("POST", "/bucket/key", "DELETE, GET, HEAD, PUT"),
    ],
)
def test_what_is_allowed_is_said(method: str, raw_target: str, allowed: str) -> None:
    assert refusal(method, raw_target).headers["Allow"] == allowed


def test_a_sub_resource_of_a_row_never_reaches_its_bucket_or_object() -> None:
    """Though it is in no list: the row is enough."""
    table = routes()
    reading = Operation(
        "GetBucketPaint", Level.BUCKET, next(iter(table)).handler, ("s3:GetBucketPaint",)
    )
    table.add("GET", reading, "paint")
    assert find("GET", "/bucket?paint", table=table) is reading
    for method, target in (
        ("PUT", "/bucket?paint"),
        ("DELETE", "/bucket?paint"),
        ("DELETE", "/bucket?paint="),
        ("DELETE", "/bucket?x=1&paint"),
        ("PUT", "/bucket/key?paint"),
        ("DELETE", "/bucket/key?paint"),
    ):
        with pytest.raises(S3Error, match=rf"NotImplemented: .*{method} \?paint"):
            find(method, target, table=table)


@pytest.mark.parametrize("made_up", ["(copy)", "(copied%20part)", "(page)", "analytics%26id"])
def test_what_only_the_table_knows_selects_nothing(made_up: str) -> None:
    assert find("PUT", f"/bucket/key?{made_up}").name == "PutObject"
    assert find("GET", f"/bucket?{made_up}").name == "ListObjects"
