"""GetObject and HeadObject of one part (``partNumber``)."""

from __future__ import annotations

from typing import Any

import pytest

from s3front.bodies.checksums import Algorithm
from tests.api.support import checksum_of, put_all
from tests.etags import etag_of
from tests.multipart import upload_parts
from tests.raw_http import FOREIGNER, anonymous, call
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

BODIES = {3: b"a" * (5 << 20), 4: b"b" * ((5 << 20) + 1), 9: b"end"}
"""Parts by their numbers in the upload, which has gaps."""
SIZE = sum(map(len, BODIES.values()))


@pytest.mark.parametrize("algorithm", [None, Algorithm.CRC32, Algorithm.CRC64NVME])
def test_each_part(front: Front, bucket: str, algorithm: Algorithm | None) -> None:
    etag = upload_parts(front, f"/{bucket}/key", BODIES, algorithm)
    start = 0
    for number, body in enumerate(BODIES.values(), start=1):
        target = f"/{bucket}/key?partNumber={number}"
        headers = {"x-amz-checksum-mode": "ENABLED"}
        response = call(front, "GET", target, headers=headers)
        head = call(front, "HEAD", target, headers=headers)
        assert (response.status, response.body) == (206, body)
        assert head.status == 206
        parsed = response.parsed("GetObject")
        for found in (parsed, head.parsed("HeadObject")):
            assert (found["PartsCount"], found["ETag"]) == (3, etag)
            assert found["ContentLength"] == len(body)
            assert found["ContentRange"] == f"bytes {start}-{start + len(body) - 1}/{SIZE}"
            if algorithm is Algorithm.CRC32:
                assert found["ChecksumCRC32"] == checksum_of(algorithm, body)
                assert found["ChecksumType"] == "COMPOSITE"
            else:
                # Of the full object there is one, and none of its parts.
                assert not [name for name in found if name.startswith("Checksum")]
        assert not [
            name for name in call(front, "GET", target).headers if "checksum" in name.lower()
        ]
        start += len(body)


def test_the_only_part_is_the_full_object(front: Front, bucket: str) -> None:
    upload_parts(front, f"/{bucket}/key", {1: b"body"}, Algorithm.CRC64NVME)
    headers = {"x-amz-checksum-mode": "ENABLED"}
    found = call(front, "GET", f"/{bucket}/key?partNumber=1", headers=headers).parsed("GetObject")
    assert found["ChecksumCRC64NVME"] == checksum_of(Algorithm.CRC64NVME, b"body")
    assert found["ChecksumType"] == "FULL_OBJECT"


def test_without_a_part_number_nothing_is_said_of_parts(front: Front, bucket: str) -> None:
    upload_parts(front, f"/{bucket}/key", {1: b"body"})
    response = call(front, "GET", f"/{bucket}/key")
    assert (response.status, response.body) == (200, b"body")
    assert "x-amz-mp-parts-count" not in response.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("key", "number", "count"), [("parts", 2, 1), ("parts", 10_000, 1), ("plain", 2, 1)]
)
def test_a_part_that_there_is_not(
    front: Front, s3: Any, bucket: str, method: str, key: str, number: int, count: int
) -> None:
    upload_parts(front, f"/{bucket}/parts", {1: b"body"})
    put_all(s3, bucket, ["plain"], b"body")
    response = call(front, method, f"/{bucket}/{key}?partNumber={number}")
    assert response.status == 416
    if method == "GET":
        error = response.error
        assert error["Code"] == "InvalidPartNumber"
        assert error["PartNumberRequested"] == str(number)
        assert error["ActualPartCount"] == str(count)


def test_an_object_that_was_not_uploaded_by_parts_is_its_first(
    front: Front, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"body", ChecksumAlgorithm="SHA256")
    headers = {"x-amz-checksum-mode": "ENABLED"}
    response = call(front, "GET", f"/{bucket}/key?partNumber=1", headers=headers)
    assert (response.status, response.body) == (206, b"body")
    assert response.headers["Content-Range"] == "bytes 0-3/4"
    assert response.headers["x-amz-checksum-sha256"] == checksum_of(Algorithm.SHA256, b"body")
    assert "x-amz-mp-parts-count" not in response.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_part_of_no_bytes(front: Front, s3: Any, bucket: str, method: str) -> None:
    put_all(s3, bucket, ["plain"])
    upload_parts(front, f"/{bucket}/parts", {1: b"a" * (5 << 20), 2: b""})
    for key, number in (("plain", 1), ("parts", 2)):
        response = call(front, method, f"/{bucket}/{key}?partNumber={number}")
        assert (response.status, response.body) == (200, b"")
        assert response.headers["Content-Length"] == "0"
        assert "Content-Range" not in response.headers
    assert response.headers["x-amz-mp-parts-count"] == "2"


@pytest.mark.parametrize("number", ["", "0", "-1", "10001", "one", "1.5", "99999999999999999999"])
def test_what_is_no_part_number(front: Front, s3: Any, bucket: str, number: str) -> None:
    put_all(s3, bucket, ["key"], b"body")
    error = call(front, "GET", f"/{bucket}/key?partNumber={number}").error
    assert (error["status"], error["Code"]) == ("400", "InvalidArgument")
    assert (error["ArgumentName"], error["ArgumentValue"]) == ("partNumber", number)


@pytest.mark.parametrize("range_header", ["bytes=0-1", "nonsense"])
def test_a_part_and_a_range(front: Front, s3: Any, bucket: str, range_header: str) -> None:
    put_all(s3, bucket, ["key"], b"body")
    target = f"/{bucket}/key?partNumber=1"
    error = call(front, "GET", target, headers={"Range": range_header}).error
    assert (error["status"], error["Code"]) == ("400", "InvalidRequest")


def test_conditions_come_before_the_part(front: Front, s3: Any, bucket: str) -> None:
    put_all(s3, bucket, ["key"], b"body")
    target = f"/{bucket}/key?partNumber=2"
    assert call(front, "GET", target, headers={"If-Match": '"other"'}).status == 412
    assert call(front, "GET", target, headers={"If-None-Match": etag_of(b"body")}).status == 304


def test_a_copy_has_no_parts(front: Front, s3: Any, bucket: str) -> None:
    upload_parts(front, f"/{bucket}/source", {1: b"body"})
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "source"})
    assert call(front, "GET", f"/{bucket}/copy?partNumber=2").status == 416
    response = call(front, "GET", f"/{bucket}/copy?partNumber=1")
    assert (response.status, response.body) == (206, b"body")
    assert "x-amz-mp-parts-count" not in response.headers


def test_absent_foreign_and_anonymous(front: Front, s3: Any, bucket: str) -> None:
    put_all(s3, bucket, ["key"], b"body")
    assert call(front, "GET", f"/{bucket}/absent?partNumber=1").error["Code"] == "NoSuchKey"
    target = f"/{bucket}/key?partNumber=1"
    assert call(front, "GET", target, key=FOREIGNER).error["Code"] == "AccessDenied"
    assert anonymous(front, "GET", target).error["Code"] == "AccessDenied"
    assert anonymous(front, "HEAD", target).status == 403
    # It is a parameter of reads, and of uploads by parts, only.
    assert call(front, "PUT", target, b"x").error["ArgumentName"] == "partNumber"
    assert call(front, "DELETE", target).error["Code"] == "NotImplemented"
