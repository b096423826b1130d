"""Writing in buckets with versions: PutObject, PostObject, CopyObject, CompleteMultipartUpload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.support import (
    NO_VERSION,
    body_of,
    code_of,
    error_of,
    put_version,
    set_versioning,
    versions_of,
)
from tests.forms import form_body, form_request, signed_v4
from tests.raw_http import call, exchange, host_of
from tests.servers import Front

Write = Callable[[Any, Front, str, bytes], str]
"""Makes ``key`` in a bucket, with these bytes; the version ID of the answer, or nothing."""


def put(s3: Any, _front: Front, bucket: str, body: bytes) -> str:
    version: str = s3.put_object(Bucket=bucket, Key="key", Body=body).get("VersionId", "")
    return version


def copy(s3: Any, _front: Front, bucket: str, body: bytes) -> str:
    s3.put_object(Bucket=bucket, Key="source", Body=body)
    source = {"Bucket": bucket, "Key": "source"}
    copied = s3.copy_object(Bucket=bucket, Key="key", CopySource=source)
    version: str = copied.get("VersionId", "")
    return version


def upload(s3: Any, _front: Front, bucket: str, body: bytes) -> str:
    made = {"Bucket": bucket, "Key": "key"}
    made["UploadId"] = s3.create_multipart_upload(**made)["UploadId"]
    etag = s3.upload_part(**made, PartNumber=1, Body=body)["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    completed = s3.complete_multipart_upload(**made, MultipartUpload=parts)
    again = s3.complete_multipart_upload(**made, MultipartUpload=parts)
    version: str = completed.get("VersionId", "")
    assert again.get("VersionId", "") == version
    return version


def post(_s3: Any, front: Front, bucket: str, body: bytes) -> str:
    form = form_body(signed_v4({"key": "key"}, bucket), body)
    answer = exchange(front, form_request(host_of(front), f"/{bucket}", form))
    assert answer.status == 204, answer.body
    return answer.headers.get("x-amz-version-id", "")


WRITES = [put, copy, upload, post]


@pytest.mark.parametrize("write", WRITES)
def test_every_write_makes_a_version(s3: Any, front: Front, bucket: str, write: Write) -> None:
    assert write(s3, front, bucket, b"before") == ""
    set_versioning(s3, bucket, "Enabled")
    made = [write(s3, front, bucket, body) for body in (b"first", b"second")]
    rows = [row for row in versions_of(front, bucket) if row[0] == "key"]
    assert rows == [("key", f"*{made[1]}"), ("key", made[0]), ("key", "null")]
    bodies = [body_of(s3, bucket, "key", VersionId=version) for version in ("null", *made)]
    assert bodies == [b"before", b"first", b"second"]


@pytest.mark.parametrize("write", WRITES)
def test_every_write_replaces_the_null_version(
    s3: Any, front: Front, bucket: str, write: Write
) -> None:
    set_versioning(s3, bucket, "Enabled")
    kept = write(s3, front, bucket, b"kept")
    set_versioning(s3, bucket, "Suspended")
    # AWS leaves the null version's ID out of the answers to writes.
    assert write(s3, front, bucket, b"first") == ""
    assert write(s3, front, bucket, b"second") == ""
    rows = [row for row in versions_of(front, bucket) if row[0] == "key"]
    assert rows == [("key", "*null"), ("key", kept)]
    assert body_of(s3, bucket, "key", VersionId="null") == b"second"
    assert body_of(s3, bucket, "key", VersionId=kept) == b"kept"


def test_a_null_version_that_is_not_the_latest_is_replaced(
    s3: Any, front: Front, bucket: str
) -> None:
    put_version(s3, bucket, "key", b"first null")
    for number in range(3):
        set_versioning(s3, bucket, "Enabled")
        kept = put_version(s3, bucket, "key", b"%d" % number)
        assert body_of(s3, bucket, "key", VersionId=kept) == b"%d" % number
        set_versioning(s3, bucket, "Suspended")
        assert put_version(s3, bucket, "key", b"null %d" % number) == "null"
        assert body_of(s3, bucket, "key", VersionId="null") == b"null %d" % number
        shown = [version for _, version in versions_of(front, bucket)]
        assert shown[0] == "*null"
        assert "null" not in shown[1:]
        assert len(shown) == number + 2


def test_no_write_takes_a_version(s3: Any, front: Front, bucket: str) -> None:
    set_versioning(s3, bucket, "Enabled")
    version = put_version(s3, bucket, "key", b"kept")
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    source = {"x-amz-copy-source": f"/{bucket}/key"}
    for method, query, headers in (
        ("PUT", "", {}),
        ("PUT", "", source),
        ("PUT", f"partNumber=1&uploadId={upload_id}&", {}),
        ("POST", "uploads&", {}),
        ("POST", f"uploadId={upload_id}&", {}),
    ):
        for named in (version, "null", NO_VERSION, "x"):
            target = f"/{bucket}/key?{query}versionId={named}"
            error = call(front, method, target, b"", headers).error
            assert (error["status"], error["Code"]) == ("400", "InvalidArgument"), target
            assert error["Message"] == "This operation does not accept a version-id."
            assert (error["ArgumentName"], error["ArgumentValue"]) == ("versionId", named)
    assert versions_of(front, bucket) == [("key", f"*{version}")]


def test_conditions_are_those_of_the_latest(s3: Any, bucket: str) -> None:
    set_versioning(s3, bucket, "Enabled")
    first = s3.put_object(Bucket=bucket, Key="key", Body=b"first", IfNoneMatch="*")["ETag"]
    refused = code_of(s3.put_object, Bucket=bucket, Key="key", Body=b"x", IfNoneMatch="*")
    assert refused == (412, "PreconditionFailed")
    second = s3.put_object(Bucket=bucket, Key="key", Body=b"second", IfMatch=first)
    refused = code_of(s3.put_object, Bucket=bucket, Key="key", Body=b"x", IfMatch=first)
    assert refused == (412, "PreconditionFailed")
    s3.delete_object(Bucket=bucket, Key="key")
    refused = code_of(s3.put_object, Bucket=bucket, Key="key", Body=b"x", IfMatch=second["ETag"])
    assert refused == (404, "NoSuchKey")
    s3.put_object(Bucket=bucket, Key="key", Body=b"third", IfNoneMatch="*")


def test_a_version_keeps_what_was_said_of_it(s3: Any, bucket: str) -> None:
    """Also the null version, which is stored again when it is preserved."""
    described = {
        "Metadata": {"name": "value"},
        "ContentType": "text/plain",
        "CacheControl": "no-cache",
        "ChecksumAlgorithm": "SHA256",
    }
    s3.put_object(Bucket=bucket, Key="key", Body=b"null", **described)
    before = s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    set_versioning(s3, bucket, "Enabled")
    put_version(s3, bucket, "key", b"newer")
    named = {"Bucket": bucket, "Key": "key", "VersionId": "null"}
    after = s3.head_object(**named, ChecksumMode="ENABLED")
    assert after.pop("VersionId") == "null"
    for reply in (before, after):
        reply.pop("ResponseMetadata")
    assert after == before


def test_the_id_of_a_version_is_not_guessed_by_another_key(s3: Any, bucket: str) -> None:
    set_versioning(s3, bucket, "Enabled")
    version = put_version(s3, bucket, "a", b"a")
    put_version(s3, bucket, "a!", b"b")
    error = error_of(s3.get_object, Bucket=bucket, Key="a!", VersionId=version)
    assert error["Code"] == "NoSuchVersion"
