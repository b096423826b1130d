"""Multipart uploads: every call, AWS's errors, and what is left of them in both stores."""

from __future__ import annotations

import hashlib
import os
import zlib
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3front.bodies.checksums import Algorithm
from tests.clients_boto3 import s3_client
from tests.multipart import completion
from tests.raw_http import call, connected, sign
from tests.servers import Front

PART = 5 * 1024 * 1024
BIG = os.urandom(PART)


def error_of(caught: pytest.ExceptionInfo[ClientError]) -> dict[str, Any]:
    error: dict[str, Any] = caught.value.response["Error"]
    return error


def begin(s3: Any, bucket: str, key: str = "key", **arguments: Any) -> str:
    upload_id: str = s3.create_multipart_upload(Bucket=bucket, Key=key, **arguments)["UploadId"]
    return upload_id


def send(s3: Any, bucket: str, upload_id: str, number: int, body: bytes, key: str = "key") -> Any:
    response = s3.upload_part(
        Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=body
    )
    checksums = {name: value for name, value in response.items() if name.startswith("Checksum")}
    return {"PartNumber": number, "ETag": response["ETag"], **checksums}


def complete(
    s3: Any, bucket: str, upload_id: str, parts: list[Any], key: str = "key", **arguments: Any
) -> Any:
    return s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, **arguments
    )


def multipart_etag(*bodies: bytes) -> str:
    digests = b"".join(hashlib.md5(body, usedforsecurity=False).digest() for body in bodies)
    whole = hashlib.md5(digests, usedforsecurity=False).hexdigest()
    return f'"{whole}-{len(bodies)}"'


def test_parts_become_an_object(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, Metadata={"a": "b"}, ContentType="text/plain", Tagging="x=y")
    parts = [send(s3, bucket, upload_id, 1, BIG), send(s3, bucket, upload_id, 7, b"end")]
    answer = complete(s3, bucket, upload_id, parts)
    assert answer["ETag"] == multipart_etag(BIG, b"end")
    found = s3.get_object(Bucket=bucket, Key="key")
    assert found["Body"].read() == BIG + b"end"
    assert found["ETag"] == answer["ETag"]
    assert found["Metadata"] == {"a": "b"}
    assert found["ContentType"] == "text/plain"
    assert found["TagCount"] == 1


@pytest.mark.parametrize(
    ("first", "last"), [(0, 10), (PART - 1, PART), (PART, PART + 2), (PART - 3, PART + 4)]
)
def test_a_range_crosses_parts(s3: Any, bucket: str, first: int, last: int) -> None:
    upload_id = begin(s3, bucket)
    parts = [send(s3, bucket, upload_id, 1, BIG), send(s3, bucket, upload_id, 2, b"tail-of-it")]
    complete(s3, bucket, upload_id, parts)
    found = s3.get_object(Bucket=bucket, Key="key", Range=f"bytes={first}-{last}")
    assert found["Body"].read() == (BIG + b"tail-of-it")[first : last + 1]


def test_a_part_that_is_sent_again_replaces_the_first(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket)
    send(s3, bucket, upload_id, 1, b"first")
    part = send(s3, bucket, upload_id, 1, b"second")
    complete(s3, bucket, upload_id, [part])
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"second"


def test_parts_that_are_not_listed_are_left_out(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket)
    kept = send(s3, bucket, upload_id, 2, b"kept")
    send(s3, bucket, upload_id, 1, b"dropped")
    complete(s3, bucket, upload_id, [kept])
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"kept"


def test_a_repeated_complete_is_answered_again(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket)
    parts = [send(s3, bucket, upload_id, 1, b"body")]
    assert complete(s3, bucket, upload_id, parts)["ETag"] == multipart_etag(b"body")
    assert complete(s3, bucket, upload_id, parts)["ETag"] == multipart_etag(b"body")


@pytest.mark.parametrize(
    ("declared", "code"),
    [
        ({"ChecksumCRC32": "right"}, None),
        ({"ChecksumCRC32": "without the number of parts"}, None),
        ({"ChecksumCRC32": "right", "ChecksumType": "COMPOSITE", "MpuObjectSize": PART + 3}, None),
        ({"ChecksumCRC32": "AAAAAA==-2"}, "BadDigest"),
        ({"ChecksumCRC32": "bad"}, "BadDigest"),
        ({"ChecksumSHA256": "AAAAAA=="}, "InvalidRequest"),
        ({"ChecksumType": "FULL_OBJECT"}, "InvalidRequest"),
        ({"MpuObjectSize": PART}, "InvalidRequest"),
    ],
)
def test_what_a_completion_says_of_the_object(
    s3: Any, bucket: str, declared: dict[str, Any], code: str | None
) -> None:
    """It is compared with the object, and not with the document that carries it."""
    upload_id = begin(s3, bucket, ChecksumAlgorithm="CRC32")
    parts = []
    for number, body in ((1, BIG), (2, b"end")):
        parts.append(send(s3, bucket, upload_id, number, body))
    digests = [zlib.crc32(body).to_bytes(4, "big") for body in (BIG, b"end")]
    right = b64encode(zlib.crc32(b"".join(digests)).to_bytes(4, "big")).decode()
    values = {"right": f"{right}-2", "without the number of parts": right}
    declared = {name: values.get(value, value) for name, value in declared.items()}
    if code is not None:
        with pytest.raises(ClientError) as caught:
            complete(s3, bucket, upload_id, parts, **declared)
        assert error_of(caught)["Code"] == code
        # The upload is as it was.
        assert len(s3.list_parts(Bucket=bucket, Key="key", UploadId=upload_id)["Parts"]) == 2
        declared = {}
    answer = complete(s3, bucket, upload_id, parts, **declared)
    assert answer["ChecksumCRC32"] == f"{right}-2"
    assert complete(s3, bucket, upload_id, parts, **declared)["ETag"] == answer["ETag"]


def test_a_completion_that_names_the_algorithm_of_its_object(
    s3: Any, front: Front, bucket: str
) -> None:
    upload_id = begin(s3, bucket, ChecksumAlgorithm="SHA256")
    part = {"Bucket": bucket, "Key": "key", "UploadId": upload_id, "PartNumber": 1}
    s3.upload_part(**part, Body=b"body", ChecksumAlgorithm="SHA256")
    digest = b64encode(hashlib.sha256(hashlib.sha256(b"body").digest()).digest()).decode()
    headers = {"x-amz-sdk-checksum-algorithm": "SHA256", "x-amz-checksum-sha256": f"{digest}-1"}
    target = f"/{bucket}/key?uploadId={upload_id}"
    response = call(front, "POST", target, completion({1: b"body"}, Algorithm.SHA256), headers)
    parsed = response.parsed("CompleteMultipartUpload")
    assert (response.status, parsed["ChecksumSHA256"]) == (200, f"{digest}-1")


def test_sha256_of_parts_as_s3_writes_it(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, ChecksumAlgorithm="SHA256")
    response = s3.upload_part(
        Bucket=bucket,
        Key="key",
        UploadId=upload_id,
        PartNumber=1,
        Body=b"body",
        ChecksumAlgorithm="SHA256",
    )
    part = {"PartNumber": 1, "ETag": response["ETag"], "ChecksumSHA256": response["ChecksumSHA256"]}
    digest = hashlib.sha256(hashlib.sha256(b"body").digest()).digest()
    answer = complete(s3, bucket, upload_id, [part])
    assert answer["ChecksumSHA256"] == f"{b64encode(digest).decode()}-1"
    assert answer["ChecksumType"] == "COMPOSITE"


# --- Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 10_001])
def test_part_numbers_have_bounds(s3: Any, bucket: str, number: int) -> None:
    upload_id = begin(s3, bucket)
    with pytest.raises(ClientError) as caught:
        send(s3, bucket, upload_id, number, b"x")
    assert error_of(caught)["Code"] == "InvalidArgument"


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("upload_part", {"PartNumber": 1, "Body": b"x"}),
        (
            "complete_multipart_upload",
            {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": "x"}]}},
        ),
        ("abort_multipart_upload", {}),
        ("list_parts", {}),
    ],
)
def test_an_upload_that_does_not_exist(
    s3: Any, bucket: str, operation: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(s3, operation)(Bucket=bucket, Key="key", UploadId="0" * 32, **arguments)
    assert error_of(caught)["Code"] == "NoSuchUpload"


def test_the_upload_of_another_key(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket)
    with pytest.raises(ClientError) as caught:
        send(s3, bucket, upload_id, 1, b"x", key="other")
    assert error_of(caught)["Code"] == "NoSuchUpload"


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([{"PartNumber": 2, "ETag": "x"}, {"PartNumber": 1, "ETag": "x"}], "InvalidPartOrder"),
        ([{"PartNumber": 1, "ETag": "x"}, {"PartNumber": 1, "ETag": "x"}], "InvalidPartOrder"),
        ([{"PartNumber": 9, "ETag": "x"}], "InvalidPart"),
        ([{"PartNumber": 1, "ETag": "0" * 32}], "InvalidPart"),
        ([], "InvalidRequest"),
    ],
)
def test_a_bad_list_of_parts(s3: Any, bucket: str, parts: list[Any], code: str) -> None:
    upload_id = begin(s3, bucket)
    send(s3, bucket, upload_id, 1, b"x")
    with pytest.raises(ClientError) as caught:
        complete(s3, bucket, upload_id, parts)
    assert error_of(caught)["Code"] == code
    assert len(s3.list_parts(Bucket=bucket, Key="key", UploadId=upload_id)["Parts"]) == 1


def test_only_the_last_part_may_be_small(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket)
    parts = [send(s3, bucket, upload_id, 1, b"small"), send(s3, bucket, upload_id, 2, b"last")]
    with pytest.raises(ClientError) as caught:
        complete(s3, bucket, upload_id, parts)
    error = error_of(caught)
    assert (error["Code"], error["ProposedSize"], error["PartNumber"]) == (
        "EntityTooSmall",
        "5",
        "1",
    )


def test_an_aborted_upload_is_gone(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket)
    part = send(s3, bucket, upload_id, 1, b"x")
    s3.abort_multipart_upload(Bucket=bucket, Key="key", UploadId=upload_id)
    with pytest.raises(ClientError) as caught:
        complete(s3, bucket, upload_id, [part])
    assert error_of(caught)["Code"] == "NoSuchUpload"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    s3.delete_bucket(Bucket=bucket)


def test_an_upload_does_not_keep_its_bucket(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket)
    send(s3, bucket, upload_id, 1, b"part")
    s3.put_object(Bucket=bucket, Key="object")
    with pytest.raises(ClientError) as caught:
        s3.delete_bucket(Bucket=bucket)
    assert error_of(caught)["Code"] == "BucketNotEmpty"
    assert len(s3.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1
    s3.delete_object(Bucket=bucket, Key="object")
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    with pytest.raises(ClientError) as caught:
        send(s3, bucket, upload_id, 2, b"part")
    assert error_of(caught)["Code"] == "NoSuchUpload"


def test_a_foreign_upload(s3: Any, other_s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket)
    with pytest.raises(ClientError) as caught:
        send(other_s3, bucket, upload_id, 1, b"x")
    assert error_of(caught)["Code"] == "AccessDenied"


@pytest.mark.parametrize("condition", [{"IfNoneMatch": "*"}, {"IfMatch": '"x"'}])
def test_a_condition_on_completion(s3: Any, bucket: str, condition: dict[str, str]) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"before")
    upload_id = begin(s3, bucket)
    part = send(s3, bucket, upload_id, 1, b"after")
    with pytest.raises(ClientError) as caught:
        s3.complete_multipart_upload(
            Bucket=bucket,
            Key="key",
            UploadId=upload_id,
            MultipartUpload={"Parts": [part]},
            **condition,
        )
    assert error_of(caught)["Code"] == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"before"


def test_a_completion_of_what_must_not_exist_is_answered_again(s3: Any, bucket: str) -> None:
    """The object that stands in its way is its own."""
    upload_id = begin(s3, bucket)
    parts = [send(s3, bucket, upload_id, 1, b"body")]
    first = complete(s3, bucket, upload_id, parts, IfNoneMatch="*")
    assert complete(s3, bucket, upload_id, parts, IfNoneMatch="*")["ETag"] == first["ETag"]


def test_a_completion_of_what_must_be_the_same(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket)
    parts = [send(s3, bucket, upload_id, 1, b"after")]
    with pytest.raises(ClientError) as caught:
        complete(s3, bucket, upload_id, parts, IfMatch='"etag"')
    assert error_of(caught)["Code"] == "NoSuchKey"
    with pytest.raises(ClientError) as caught:
        complete(s3, bucket, upload_id, parts, IfMatch="*")
    assert error_of(caught)["Code"] == "NotImplemented"
    etag = s3.put_object(Bucket=bucket, Key="key", Body=b"before")["ETag"]
    with pytest.raises(ClientError) as caught:
        complete(s3, bucket, upload_id, parts, IfNoneMatch=etag)
    assert error_of(caught)["Code"] == "NotImplemented"
    upload_id = begin(s3, bucket)
    parts = [send(s3, bucket, upload_id, 1, b"after")]
    assert complete(s3, bucket, upload_id, parts, IfMatch=etag)["ETag"] == multipart_etag(b"after")


def conflict_of(s3: Any, bucket: str, upload_id: str, **condition: str) -> tuple[int, str, str]:
    parts = [send(s3, bucket, upload_id, 1, b"part")]
    with pytest.raises(ClientError) as caught:
        complete(s3, bucket, upload_id, parts, **condition)
    error = caught.value.response
    status = error["ResponseMetadata"]["HTTPStatusCode"]
    return status, error["Error"]["Code"], error["Error"]["Condition"]


def test_a_condition_that_a_change_during_the_upload_makes_true(s3: Any, bucket: str) -> None:
    """The upload was begun for another object, or for none."""
    address = {"Bucket": bucket, "Key": "key"}
    conflict = (409, "ConditionalRequestConflict")
    s3.put_object(**address, Body=b"x")
    upload_id = begin(s3, bucket)
    s3.delete_object(**address)
    condition = {"IfNoneMatch": "*"}
    assert conflict_of(s3, bucket, upload_id, **condition) == (*conflict, "If-None-Match")
    upload_id = begin(s3, bucket)
    etag = s3.put_object(**address, Body=b"x")["ETag"]
    assert conflict_of(s3, bucket, upload_id, IfMatch=etag) == (*conflict, "If-Match")
    upload_id = begin(s3, bucket)
    assert s3.put_object(**address, Body=b"x")["ETag"] == etag  # the same again
    assert conflict_of(s3, bucket, upload_id, IfMatch=etag) == (*conflict, "If-Match")
    upload_id = begin(s3, bucket)
    s3.put_object_tagging(**address, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    parts = [send(s3, bucket, upload_id, 1, b"part")]
    complete(s3, bucket, upload_id, parts, IfMatch=etag)  # tags are not the object


def test_the_address_of_a_completed_object(s3: Any, front: Front, bucket: str) -> None:
    """As AWS writes it: with the slashes of the key encoded."""
    key = "dir/k \u00e9+"
    upload_id = begin(s3, bucket, key)
    parts = [send(s3, bucket, upload_id, 1, b"part", key)]
    answer = complete(s3, bucket, upload_id, parts, key)
    assert answer["Location"] == f"{front.url}/{bucket}/dir%2Fk%20%C3%A9%2B"
    again = complete(s3, bucket, upload_id, parts, key)
    assert again["Location"] == answer["Location"]


def test_a_completion_whose_document_comes_after_another_completion(
    front: Front, s3: Any, bucket: str
) -> None:
    upload_id = begin(s3, bucket)
    send(s3, bucket, upload_id, 1, b"part")
    target, document = f"/{bucket}/key?uploadId={upload_id}", completion({1: b"part"})
    request = sign(front, "POST", target, document, {"Expect": "100-continue"})
    with connected(front) as connection:
        connection.send(replace(request, body=b""))
        assert connection.receive_interim() == 100  # what the request is about was read
        first = call(front, "POST", target, document)
        connection.send(document)
        second = connection.receive()
    assert (first.status, second.status) == (200, 200)
    assert first.xml.findtext("ETag") == second.xml.findtext("ETag")


# --- Listings -------------------------------------------------------------------------------------


def test_parts_are_listed_in_pages(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket)
    for number in (3, 1, 12, 7):
        send(s3, bucket, upload_id, number, b"x" * number)
    pages = s3.get_paginator("list_parts").paginate(
        Bucket=bucket, Key="key", UploadId=upload_id, PaginationConfig={"PageSize": 3}
    )
    found = [(part["PartNumber"], part["Size"]) for page in pages for part in page["Parts"]]
    assert found == [(1, 1), (3, 3), (7, 7), (12, 12)]


# "a!" sorts before "a" in the store, whose keys go on behind the object's key.
KEYS = ["a", "a", "a!", "a/b", "a/c", "a..|..b", "ä", "z/1/2"]


def test_uploads_are_listed_by_key_and_age(s3: Any, bucket: str) -> None:
    begun = [(key, begin(s3, bucket, key)) for key in KEYS]
    expected = sorted(begun, key=lambda entry: entry[0])
    for size in (1, 2, 3, 100):
        pages = s3.get_paginator("list_multipart_uploads").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": size}
        )
        found = [(up["Key"], up["UploadId"]) for page in pages for up in page.get("Uploads", [])]
        assert found == expected


def test_uploads_behind_a_delimiter(s3: Any, bucket: str) -> None:
    for key in KEYS:
        begin(s3, bucket, key)
    for size in (1, 2, 100):
        pages = list(
            s3.get_paginator("list_multipart_uploads").paginate(
                Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": size}
            )
        )
        uploads = [up["Key"] for page in pages for up in page.get("Uploads", [])]
        prefixes = [p["Prefix"] for page in pages for p in page.get("CommonPrefixes", [])]
        assert (uploads, prefixes) == (["a", "a", "a!", "a..|..b", "ä"], ["a/", "z/"])


def test_uploads_of_a_prefix(s3: Any, bucket: str) -> None:
    for key in KEYS:
        begin(s3, bucket, key)
    answer = s3.list_multipart_uploads(Bucket=bucket, Prefix="a/")
    assert [upload["Key"] for upload in answer["Uploads"]] == ["a/b", "a/c"]


def test_over_https(tls_front: Front, bucket: str) -> None:
    s3 = s3_client(tls_front)
    upload_id = begin(s3, bucket)
    parts = [send(s3, bucket, upload_id, 1, BIG), send(s3, bucket, upload_id, 2, b"end")]
    complete(s3, bucket, upload_id, parts)
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == BIG + b"end"
