"""CopyObject and UploadPartCopy."""

from __future__ import annotations

import os
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3front.bodies.checksums import Algorithm
from tests.api.support import (
    ODD_KEYS,
    checksum_members,
    checksum_of,
    code_of,
    error_of,
    key_id,
    md5_hex,
    new_name,
)
from tests.multipart import upload_parts
from tests.raw_http import call
from tests.servers import Front

MEBIBYTE = 1024 * 1024


@pytest.fixture
def source(s3: Any, bucket: str) -> str:
    """The key of an object with metadata and tags."""
    s3.put_object(
        Bucket=bucket,
        Key="source",
        Body=b"body",
        ContentType="text/plain",
        CacheControl="no-store",
        Metadata={"a": "b"},
        Tagging="x=y",
    )
    return "source"


def copy(s3: Any, bucket: str, key: str = "copy", **arguments: Any) -> Any:
    arguments.setdefault("CopySource", {"Bucket": bucket, "Key": "source"})
    return s3.copy_object(Bucket=bucket, Key=key, **arguments)


@pytest.mark.usefixtures("source")
def test_a_copy_is_the_source_again(s3: Any, bucket: str) -> None:
    answer = copy(s3, bucket)["CopyObjectResult"]
    found = s3.get_object(Bucket=bucket, Key="copy")
    assert found["Body"].read() == b"body"
    assert answer["ETag"] == found["ETag"] == f'"{md5_hex(b"body")}"'
    assert (found["ContentType"], found["CacheControl"]) == ("text/plain", "no-store")
    assert (found["Metadata"], found["TagCount"]) == ({"a": "b"}, 1)


@pytest.mark.usefixtures("source")
def test_a_copy_outlives_its_source(s3: Any, bucket: str) -> None:
    copy(s3, bucket)
    s3.delete_object(Bucket=bucket, Key="source")
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"body"


@pytest.mark.usefixtures("source")
def test_metadata_and_tags_can_be_replaced(s3: Any, bucket: str) -> None:
    copy(
        s3,
        bucket,
        MetadataDirective="REPLACE",
        TaggingDirective="REPLACE",
        Metadata={"c": "d"},
        ContentType="image/png",
        Tagging="",
    )
    found = s3.head_object(Bucket=bucket, Key="copy")
    assert (found["Metadata"], found["ContentType"]) == ({"c": "d"}, "image/png")
    assert "CacheControl" not in found
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == []


@pytest.mark.usefixtures("source")
def test_a_copy_to_itself_must_change_something(s3: Any, bucket: str) -> None:
    assert code_of(copy, s3=s3, bucket=bucket, key="source") == (400, "InvalidRequest")
    copy(s3, bucket, "source", MetadataDirective="REPLACE", Metadata={"new": "one"})
    found = s3.get_object(Bucket=bucket, Key="source")
    assert (found["Metadata"], found["Body"].read()) == ({"new": "one"}, b"body")


@pytest.mark.parametrize("key", ODD_KEYS, ids=key_id)
def test_sources_with_odd_keys(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    copy(s3, bucket, CopySource={"Bucket": bucket, "Key": key})
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == key.encode()


@pytest.mark.parametrize("form", ["{}/source", "/{}/source", "{}%2Fsource", "/{}/%73ource"])
@pytest.mark.usefixtures("source")
def test_forms_of_a_source(front: Front, bucket: str, form: str) -> None:
    headers = {"x-amz-copy-source": form.format(bucket)}
    assert call(front, "PUT", f"/{bucket}/copy", b"", headers).status == 200
    assert call(front, "GET", f"/{bucket}/copy").body == b"body"


@pytest.mark.parametrize(
    ("form", "key"), [("a+b", "a b"), ("a%20b", "a b"), ("a%2Bb", "a+b"), ("a%2bb", "a+b")]
)
def test_a_plus_in_a_source_is_a_space(
    front: Front, s3: Any, bucket: str, form: str, key: str
) -> None:
    for name in ("a b", "a+b"):
        s3.put_object(Bucket=bucket, Key=name, Body=name.encode())
    headers = {"x-amz-copy-source": f"/{bucket}/{form}"}
    assert call(front, "PUT", f"/{bucket}/copy", b"", headers).status == 200
    assert call(front, "GET", f"/{bucket}/copy").body == key.encode()


@pytest.mark.parametrize("form", ["", "/", "source", "/bucket-only", "b/", "%zz"])
def test_what_is_no_source(front: Front, bucket: str, form: str) -> None:
    response = call(front, "PUT", f"/{bucket}/copy", b"", {"x-amz-copy-source": form})
    assert (response.status, response.error["Code"]) == (400, "InvalidArgument")


def test_a_source_that_is_not_there(s3: Any, bucket: str) -> None:
    gone = {"Bucket": bucket, "Key": "gone"}
    assert code_of(copy, s3=s3, bucket=bucket, CopySource=gone) == (404, "NoSuchKey")
    nowhere = {"Bucket": new_name(), "Key": "source"}
    assert code_of(copy, s3=s3, bucket=bucket, CopySource=nowhere) == (404, "NoSuchBucket")


@pytest.mark.usefixtures("source")
def test_a_foreign_source(other_s3: Any, bucket: str) -> None:
    mine = new_name()
    other_s3.create_bucket(Bucket=mine)
    theirs = {"Bucket": bucket, "Key": "source"}
    assert code_of(copy, s3=other_s3, bucket=mine, CopySource=theirs) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("condition", "passes"),
    [
        ({"CopySourceIfMatch": md5_hex(b"body")}, True),
        ({"CopySourceIfMatch": "other"}, False),
        ({"CopySourceIfNoneMatch": "other"}, True),
        ({"CopySourceIfNoneMatch": md5_hex(b"body")}, False),
        ({"CopySourceIfModifiedSince": "2020-01-01T00:00:00Z"}, True),
        ({"CopySourceIfModifiedSince": "2999-01-01T00:00:00Z"}, True),
        ({"CopySourceIfUnmodifiedSince": "2999-01-01T00:00:00Z"}, True),
        ({"CopySourceIfUnmodifiedSince": "2020-01-01T00:00:00Z"}, False),
    ],
)
@pytest.mark.usefixtures("source")
def test_conditions_on_the_source(
    s3: Any, bucket: str, condition: dict[str, str], passes: bool
) -> None:
    if passes:
        copy(s3, bucket, **condition)
    else:
        error = error_of(copy, s3=s3, bucket=bucket, **condition)
        assert (error["status"], error["Code"]) == (412, "PreconditionFailed")
        words = error["Condition"].removeprefix("x-amz-copy-source-").split("-")
        assert {f"CopySource{''.join(words)}"} == set(condition)


@pytest.mark.usefixtures("source")
def test_a_condition_on_the_target(s3: Any, bucket: str) -> None:
    assert code_of(copy, s3=s3, bucket=bucket, IfMatch='"etag"') == (404, "NoSuchKey")
    assert code_of(copy, s3=s3, bucket=bucket, IfMatch="*") == (501, "NotImplemented")
    etag = copy(s3, bucket, IfNoneMatch="*")["CopyObjectResult"]["ETag"]
    for condition in ({"IfNoneMatch": "*"}, {"IfMatch": '"other"'}):
        error = error_of(copy, s3=s3, bucket=bucket, **condition)
        assert (error["status"], error["Code"]) == (412, "PreconditionFailed")
    assert code_of(copy, s3=s3, bucket=bucket, IfNoneMatch=etag) == (501, "NotImplemented")
    copy(s3, bucket, IfMatch=etag)


@pytest.mark.parametrize("size", [0, 1, 300 * 1024, 6 * MEBIBYTE])
def test_sizes(s3: Any, bucket: str, size: int) -> None:
    body = os.urandom(size)
    s3.put_object(Bucket=bucket, Key="source", Body=body)
    copy(s3, bucket)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == body


@pytest.mark.parametrize("source", [None, *Algorithm])
@pytest.mark.parametrize("wanted", [None, Algorithm.CRC32, Algorithm.XXHASH128])
def test_the_checksum_of_a_copy(
    front: Front, s3: Any, bucket: str, source: Algorithm | None, wanted: Algorithm | None
) -> None:
    """It is the request's choice, else that of the source, which has one at least by default."""
    given = {} if source is None else {source.header: checksum_of(source, b"body")}
    assert call(front, "PUT", f"/{bucket}/source", b"body", given).status == 200
    chosen = {} if wanted is None else {"ChecksumAlgorithm": wanted.value}
    answer = copy(s3, bucket, **chosen)["CopyObjectResult"]
    its = wanted or source or Algorithm.CRC64NVME
    found = s3.head_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")
    assert checksum_members(answer) == checksum_members(found) == full_object(its, b"body")


def test_the_copy_of_an_object_in_parts_is_in_one_piece(front: Front, s3: Any, bucket: str) -> None:
    bodies = {1: b"a" * 5 * MEBIBYTE, 2: b"end"}
    upload_parts(front, f"/{bucket}/source", bodies, Algorithm.SHA512)
    answer = copy(s3, bucket)["CopyObjectResult"]
    expected = full_object(Algorithm.SHA512, b"".join(bodies.values()))
    assert checksum_members(answer) == expected


def full_object(algorithm: Algorithm, body: bytes) -> dict[str, str]:
    return {f"Checksum{algorithm}": checksum_of(algorithm, body), "ChecksumType": "FULL_OBJECT"}


# --- UploadPartCopy -------------------------------------------------------------------------------


def test_parts_from_ranges_of_an_object(s3: Any, bucket: str) -> None:
    body = os.urandom(11 * MEBIBYTE)
    s3.put_object(Bucket=bucket, Key="source", Body=body)
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="copy")["UploadId"]
    parts = []
    for number, (first, last) in enumerate(
        [(0, 5 * MEBIBYTE - 1), (5 * MEBIBYTE, len(body) - 1)], start=1
    ):
        answer = s3.upload_part_copy(
            Bucket=bucket,
            Key="copy",
            UploadId=upload_id,
            PartNumber=number,
            CopySource={"Bucket": bucket, "Key": "source"},
            CopySourceRange=f"bytes={first}-{last}",
        )["CopyPartResult"]
        assert answer["ETag"] == f'"{md5_hex(body[first : last + 1])}"'
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    s3.complete_multipart_upload(
        Bucket=bucket, Key="copy", UploadId=upload_id, MultipartUpload={"Parts": parts}
    )
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == body


def test_metadata_that_the_directive_ignores_may_be_of_any_size(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"body", Metadata={"kept": "yes"})
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/source"}
    s3.copy_object(**copy, Metadata={"ignored": "x" * 3000}, MetadataDirective="COPY")
    assert s3.head_object(Bucket=bucket, Key="copy")["Metadata"] == {"kept": "yes"}
    with pytest.raises(ClientError, match="MetadataTooLarge"):
        s3.copy_object(**copy, Metadata={"given": "x" * 3000}, MetadataDirective="REPLACE")
