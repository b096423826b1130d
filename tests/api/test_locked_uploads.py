"""Uploads of every kind that ask for a lock, or get the default retention of their bucket."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from s3front.auth.sigv4 import PayloadForm
from s3front.bodies.checksums import Algorithm
from shared.records.times import from_iso, to_iso
from tests.api.locks import SOON, configure, lock_of, rule
from tests.api.support import checksum_of, code_of, md5_base64, put_version
from tests.faults.stores import stored_records
from tests.forms import form_body, form_request, signed_v4
from tests.raw_http import Connection, Response, call, exchange, host_of, sign, sign_chunked
from tests.servers import Cluster, Front, wait_for

pytestmark = pytest.mark.usefixtures("undisturbed")

HEADERS = {
    "x-amz-object-lock-mode": "GOVERNANCE",
    "x-amz-object-lock-retain-until-date": to_iso(SOON),
    "x-amz-object-lock-legal-hold": "ON",
}


def by_put(s3: Any, bucket: str, **lock: Any) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"body", **lock)


def by_copy(s3: Any, bucket: str, **lock: Any) -> None:
    held = {"ObjectLockLegalHoldStatus": "ON"}
    s3.put_object(Bucket=bucket, Key="source", Body=b"body", **held)
    source = {"Bucket": bucket, "Key": "source"}
    s3.copy_object(Bucket=bucket, Key="key", CopySource=source, **lock)


def by_parts(s3: Any, bucket: str, **lock: Any) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key", **lock)["UploadId"]
    complete(s3, bucket, upload)


def complete(s3: Any, bucket: str, upload: str) -> None:
    named = {"Bucket": bucket, "Key": "key", "UploadId": upload}
    part = s3.upload_part(**named, PartNumber=1, Body=b"body")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(**named, MultipartUpload=parts)


MAKERS = pytest.mark.parametrize("make", [by_put, by_copy, by_parts])


@MAKERS
def test_an_upload_with_a_lock(s3: Any, locked: str, make: Callable[..., None]) -> None:
    configure(s3, locked, rule("COMPLIANCE", Days=1))
    make(
        s3,
        locked,
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=SOON,
        ObjectLockLegalHoldStatus="ON",
    )
    assert lock_of(s3, locked) == ("GOVERNANCE", SOON, "ON")
    found = s3.get_object(Bucket=locked, Key="key")
    assert found["ObjectLockRetainUntilDate"] == SOON


@MAKERS
def test_the_default_retention_counts_from_the_commit(
    s3: Any, shared_cluster: Cluster, locked: str, make: Callable[..., None]
) -> None:
    configure(s3, locked, rule(Days=3))
    make(s3, locked, ObjectLockLegalHoldStatus="OFF")
    record = stored_records(shared_cluster, [locked])[locked]["key"]
    until = from_iso(record["last-modified"]) + timedelta(days=3)
    assert lock_of(s3, locked) == ("GOVERNANCE", until, "OFF")
    s3.delete_object(Bucket=locked, Key="key")
    assert "retentionMode" not in stored_records(shared_cluster, [locked])[locked]["key"]


@MAKERS
def test_a_copy_takes_no_lock_along(s3: Any, locked: str, make: Callable[..., None]) -> None:
    make(s3, locked)
    assert lock_of(s3, locked) == (None, None, None)


def test_a_default_that_is_set_while_an_upload_is_under_way(
    s3: Any, front: Front, locked: str
) -> None:
    upload = s3.create_multipart_upload(Bucket=locked, Key="key")["UploadId"]
    headers = {"Expect": "100-continue"}
    request = sign(front, "PUT", f"/{locked}/key", b"body", headers)
    with Connection(front) as connection:
        connection.send(request.head)
        assert connection.receive_interim() == 100
        configure(s3, locked, rule("COMPLIANCE", Days=1))
        connection.send(request.body)
        assert connection.receive("PUT").status == 200
    assert lock_of(s3, locked)[0] == "COMPLIANCE"
    configure(s3, locked, rule(Days=1))
    complete(s3, locked, upload)
    assert lock_of(s3, locked)[0] == "GOVERNANCE"


def test_a_retention_that_is_over_before_its_upload(s3: Any, locked: str) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
    upload = s3.create_multipart_upload(Bucket=locked, Key="key", **lock)["UploadId"]
    wait_for(lambda: datetime.now(UTC) > until, "the retention to be over")
    complete(s3, locked, upload)
    assert lock_of(s3, locked)[0] == "COMPLIANCE"
    version = s3.head_object(Bucket=locked, Key="key")["VersionId"]
    s3.delete_object(Bucket=locked, Key="key", VersionId=version)
    assert code_of(s3.head_object, Bucket=locked, Key="key") == (404, "404")


def post(front: Front, bucket: str, fields: dict[str, str]) -> Response:
    signed = signed_v4({"key": "key", **fields}, bucket)
    return exchange(front, form_request(host_of(front), f"/{bucket}", form_body(signed, b"body")))


def test_a_form_with_a_lock(s3: Any, front: Front, locked: str) -> None:
    assert post(front, locked, HEADERS).error["Code"] == "InvalidRequest"
    digest = {"Content-MD5": md5_base64(b"body")}
    assert post(front, locked, HEADERS | digest).status == 204
    assert lock_of(s3, locked) == ("GOVERNANCE", SOON, "ON")


def test_a_lock_needs_a_digest_of_the_body(s3: Any, front: Front, locked: str) -> None:
    def put(headers: dict[str, str]) -> Response:
        return call(front, "PUT", f"/{locked}/key", b"body", headers)

    for name in ("x-amz-object-lock-legal-hold", "x-amz-object-lock-mode"):
        error = put(HEADERS if name.endswith("mode") else {name: "ON"}).error
        assert (error["status"], error["Code"]) == ("400", "InvalidRequest")
        assert error["Message"] == (
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with "
            "Object Lock parameters"
        )
    assert code_of(s3.head_object, Bucket=locked, Key="key") == (404, "404")
    assert put(HEADERS | {"Content-MD5": md5_base64(b"body")}).status == 200
    assert put(HEADERS | {"x-amz-checksum-crc32": "2GtItg=="}).error["Code"] == "BadDigest"
    trailer = {"x-amz-checksum-crc32": checksum_of(Algorithm.CRC32, b"body")}
    form = PayloadForm.STREAMING_UNSIGNED_TRAILER
    request = sign_chunked(front, f"/{locked}/key", b"body", form, trailer, HEADERS)
    assert exchange(front, request).status == 200
    assert lock_of(s3, locked) == ("GOVERNANCE", SOON, "ON")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (HEADERS | {"x-amz-object-lock-mode": "NONE"}, "InvalidArgument"),
        (HEADERS | {"x-amz-object-lock-retain-until-date": "2020-01-01"}, "InvalidArgument"),
        ({"x-amz-object-lock-mode": "GOVERNANCE"}, "InvalidArgument"),
        ({"x-amz-object-lock-legal-hold": "yes"}, "InvalidArgument"),
    ],
    ids=str,
)
def test_a_lock_that_is_none(
    s3: Any, front: Front, locked: str, headers: dict[str, str], code: str
) -> None:
    digest = {"Content-MD5": md5_base64(b"body")}
    assert call(front, "PUT", f"/{locked}/key", b"body", headers | digest).error["Code"] == code
    copied = headers | {"x-amz-copy-source": f"{locked}/source"}
    put_version(s3, locked, "source", b"body")
    assert call(front, "PUT", f"/{locked}/key", headers=copied).error["Code"] == code
    assert call(front, "POST", f"/{locked}/key?uploads", headers=headers).error["Code"] == code
    assert post(front, locked, headers | digest).error["Code"] == code


@MAKERS
def test_a_lock_in_a_bucket_without_is_refused(
    s3: Any, bucket: str, locked: str, make: Callable[..., None]
) -> None:
    if make is by_copy:
        s3.put_object(Bucket=bucket, Key="key", Body=b"body")
        source = {"CopySource": {"Bucket": bucket, "Key": "key"}, "Key": "copy"}
        refused = code_of(s3.copy_object, Bucket=bucket, ObjectLockLegalHoldStatus="ON", **source)
    else:
        refused = code_of(make, s3=s3, bucket=bucket, ObjectLockLegalHoldStatus="ON")
    assert refused == (400, "InvalidRequest")
