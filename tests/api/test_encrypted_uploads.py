"""Uploads by parts whose object is encrypted, copies from any encryption to any other, and new
names of encrypted objects."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from shared.records.names import UPLOADS_PREFIX
from tests.api.encrypting import (
    ALGORITHM,
    BY_KMS,
    BY_S3,
    BY_SECOND,
    CRC,
    OTHER_KEY,
    SECOND,
    TOLD_S3,
    by_customer,
    customer_headers,
    encrypting_cluster,
    part_under_way,
    put_default,
    told,
    told_customer,
)
from tests.api.support import code_of, error_of, set_versioning
from tests.clients_boto3 import s3_client
from tests.faults.stores import assert_consistent, call_metadata, stored_records
from tests.raw_http import exchange, sign
from tests.servers import Cluster, Front

PARTS = [os.urandom(5 * 1024 * 1024 + 1), os.urandom(5 * 1024 * 1024), b"end"]
WHOLE = b"".join(PARTS)

Kind = tuple[Mapping[str, Any], Mapping[str, Any], dict[str, str]]
KINDS: Mapping[str, Kind] = {
    "none": ({}, {}, {}),
    "SSE-S3": (BY_S3, {}, TOLD_S3),
    "SSE-KMS": (
        {**BY_SECOND, "BucketKeyEnabled": True},
        {},
        {"": "aws:kms", "-aws-kms-key-id": SECOND, "-bucket-key-enabled": "true"},
    ),
    "SSE-C": (by_customer(), by_customer(), told_customer()),
}
"""What a client says when it writes, and to a part or a reader, and what it is told."""

OTHER_CUSTOMER: Kind = (by_customer(OTHER_KEY), by_customer(OTHER_KEY), told_customer(OTHER_KEY))


@pytest.fixture(scope="module")
def encrypting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with encrypting_cluster(tmp_path_factory.mktemp("encrypting"), fronts=2) as running:
        yield running


@pytest.fixture(scope="module")
def front(encrypting: Cluster) -> Front:
    return encrypting.fronts[0]


@pytest.fixture(scope="module")
def s3(front: Front) -> Any:
    return s3_client(front)


def begun(s3: Any, bucket: str, key: str = "key", **said: Any) -> dict[str, Any]:
    upload = {"Bucket": bucket, "Key": key}
    return {**upload, "UploadId": s3.create_multipart_upload(**upload, **said)["UploadId"]}


@pytest.mark.parametrize("kind", KINDS)
def test_an_upload(s3: Any, bucket: str, kind: str) -> None:
    writes, with_key, expected = KINDS[kind]
    address = {"Bucket": bucket, "Key": "key"}
    made = s3.create_multipart_upload(**address, **writes)
    assert told(made) == expected
    upload = {**address, "UploadId": made["UploadId"]}
    sent = []
    for number, part in enumerate(PARTS, start=1):
        stored = s3.upload_part(**upload, PartNumber=number, Body=part, **with_key)
        assert told(stored) == expected
        sent.append({"PartNumber": number, "ETag": stored["ETag"]})
    listed = s3.list_parts(**upload)
    assert [part["Size"] for part in listed["Parts"]] == [len(part) for part in PARTS]
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent})
    assert told(done) == ({} if kind == "SSE-C" else expected)
    # As often as a client likes.
    again = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent})
    assert again["ETag"] == done["ETag"]
    got = s3.get_object(**address, **with_key)
    assert (got["Body"].read(), told(got), got["ETag"]) == (WHOLE, expected, done["ETag"])
    first = len(PARTS[0])
    part = s3.get_object(**address, Range=f"bytes={first - 3}-{first + 3}", **with_key)
    assert part["Body"].read() == WHOLE[first - 3 : first + 4]
    second = s3.get_object(**address, PartNumber=2, **with_key)
    assert (second["Body"].read(), second["PartsCount"]) == (PARTS[1], 3)


def test_parts_of_a_clients_key(front: Front, s3: Any, bucket: str) -> None:
    """As AWS was recorded to answer (LocalStack's ``test_s3.snapshot.json``)."""
    upload = begun(s3, bucket, **by_customer())
    part = {**upload, "PartNumber": 1}
    plain = begun(s3, bucket, "plain")
    missing = (
        "The multipart upload initiate requested encryption. Subsequent part requests must include "
        "the appropriate encryption parameters."
    )
    other = "The provided encryption parameters did not match the ones used originally."
    s3.put_object(Bucket=bucket, Key="source", Body=b"text")
    source = {"CopySource": f"{bucket}/source"}
    for call, said in ((s3.upload_part, {"Body": b"a"}), (s3.upload_part_copy, source)):
        for address, with_key, message in (
            (part, {}, missing),
            (part, by_customer(OTHER_KEY), other),
            ({**plain, "PartNumber": 1}, by_customer(), missing),
        ):
            error = error_of(call, **address, **said, **with_key)
            assert (error["status"], error["Code"]) == (400, "InvalidRequest")
            assert error["Message"] == message
    etag = s3.upload_part(**part, Body=b"a", **by_customer())["ETag"]
    complete = {**upload, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]}}
    wrong = error_of(s3.complete_multipart_upload, **complete, **by_customer(OTHER_KEY))
    assert (wrong["status"], wrong["Message"]) == (400, other)
    assert code_of(s3.list_parts, **upload, **by_customer(OTHER_KEY)) == (400, "InvalidRequest")
    assert s3.list_parts(**upload, **by_customer())["Parts"][0]["Size"] == 1
    done = s3.complete_multipart_upload(**complete, **by_customer())
    assert told(done) == told_customer()
    for key in ("key", "plain"):
        target = f"/{bucket}/{key}?uploadId={upload['UploadId']}"
        assert exchange(front, sign(front, "DELETE", target)).status in (204, 404)


def test_a_checksum_asks_for_the_key_when_it_is_completed(s3: Any, bucket: str) -> None:
    """Amazon S3 API reference, CompleteMultipartUpload."""
    upload = begun(s3, bucket, **by_customer(), ChecksumAlgorithm="CRC32")
    sent = s3.upload_part(
        **upload, PartNumber=1, Body=b"a", ChecksumAlgorithm="CRC32", **by_customer()
    )
    part = {"PartNumber": 1, "ETag": sent["ETag"], "ChecksumCRC32": sent["ChecksumCRC32"]}
    complete = {**upload, "MultipartUpload": {"Parts": [part]}}
    assert code_of(s3.complete_multipart_upload, **complete) == (400, "InvalidRequest")
    s3.complete_multipart_upload(**complete, **by_customer())


def test_an_upload_says_once_how_it_is_encrypted(front: Front, s3: Any, bucket: str) -> None:
    """A client may repeat it, which AWS does not let it."""
    upload = begun(s3, bucket, **BY_KMS)
    target = f"/{bucket}/key?partNumber=1&uploadId={upload['UploadId']}"
    for said, status in (("aws:kms", 200), ("AES256", 400)):
        part = sign(front, "PUT", target, b"a", {ALGORITHM: said})
        assert exchange(front, part).status == status


def test_parts_are_sealed_each_by_a_key_of_its_own(
    s3: Any, bucket: str, encrypting: Cluster
) -> None:
    upload = begun(s3, bucket, **BY_S3)
    for number in (1, 2):
        s3.upload_part(**upload, PartNumber=number, Body=b"the same" * 100)
    level = UPLOADS_PREFIX + bucket
    records = stored_records(encrypting, [level])[level]
    parts = [record for key, record in records.items() if not key.startswith("overview")]
    keys = {part["partLocations"][0]["cipheredDataKey"] for part in parts}
    assert len(keys) == 2
    s3.abort_multipart_upload(**upload)


def test_an_upload_that_another_server_began(s3: Any, bucket: str, encrypting: Cluster) -> None:
    """CloudServer says in the overview that it is encrypted, and by which key of its KMS: here that
    is the key itself, which nobody is shown."""
    upload = begun(s3, bucket)
    etag = s3.upload_part(**upload, PartNumber=1, Body=PARTS[0])["ETag"]
    level, key = UPLOADS_PREFIX + bucket, f"overview..|..key..|..{upload['UploadId']}"
    record = stored_records(encrypting, [level])[level][key]
    record |= {ALGORITHM: "aws:kms", f"{ALGORITHM}-aws-kms-key-id": "5e" * 32}
    call_metadata(encrypting, "put", [key, json.dumps(record), {}], [level])
    second = s3.upload_part(**upload, PartNumber=2, Body=b"end")
    assert told(second) == {"": "aws:kms"}
    parts = [{"PartNumber": 1, "ETag": etag}, {"PartNumber": 2, "ETag": second["ETag"]}]
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert told(done) == {"": "aws:kms"}
    got = s3.get_object(Bucket=bucket, Key="key")
    assert (got["Body"].read(), told(got)) == (PARTS[0] + b"end", {"": "aws:kms"})
    made = stored_records(encrypting, [bucket])[bucket]["key"]
    assert [each["cryptoScheme"] for each in made["location"]] == ["twofold-1"] * 2


# --- Parts that are under way when their bucket comes to demand encryption ------------------------


SIZES = [1, 6_400, 1_500_000]
"""Of bytes that come with their record, and of others."""


@pytest.mark.parametrize("size", SIZES)
def test_a_part_that_began_before_its_bucket_demanded_encryption(
    front: Front, s3: Any, bucket: str, encrypting: Cluster, size: int
) -> None:
    body = os.urandom(size)
    upload = begun(s3, bucket, ChecksumAlgorithm="CRC32")
    connection, request = part_under_way(front, upload, body)
    with connection:
        put_default(s3, bucket)
        connection.send(request.body)
        response = connection.receive("PUT")
    assert (response.status, response.headers.get(ALGORITHM)) == (200, "AES256")
    assert response.headers[CRC].encode() in request.body
    level = UPLOADS_PREFIX + bucket
    (part,) = (
        record
        for key, record in stored_records(encrypting, [level])[level].items()
        if not key.startswith("overview")
    )
    assert [each.get("cryptoScheme") for each in part["partLocations"]] == ["twofold-1"]
    assert_consistent(encrypting)
    sent = {"ETag": response.headers["ETag"], "ChecksumCRC32": response.headers[CRC]}
    parts = {"Parts": [{"PartNumber": 1, **sent}]}
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == body


def test_a_part_without_bytes_that_began_before(front: Front, s3: Any, bucket: str) -> None:
    upload = begun(s3, bucket)
    connection, request = part_under_way(front, upload, b"")
    with connection:
        put_default(s3, bucket)
        connection.send(request.body)
        response = connection.receive("PUT")
    assert (response.status, response.headers.get(ALGORITHM)) == (200, "AES256")


@pytest.mark.parametrize("size", SIZES)
def test_a_part_whose_bucket_changed_otherwise(
    front: Front, s3: Any, bucket: str, encrypting: Cluster, size: int
) -> None:
    upload = begun(s3, bucket)
    connection, request = part_under_way(front, upload, os.urandom(size))
    with connection:
        set_versioning(s3, bucket, "Enabled")
        connection.send(request.body)
        response = connection.receive("PUT")
    assert (response.status, response.headers.get(ALGORITHM)) == (200, None)
    assert s3.list_parts(**upload)["Parts"][0]["Size"] == size
    assert_consistent(encrypting)


def test_a_part_whose_upload_has_ended(
    front: Front, s3: Any, bucket: str, encrypting: Cluster
) -> None:
    for said in ({}, BY_S3):
        upload = begun(s3, bucket, **said)
        connection, request = part_under_way(front, upload, PARTS[1])
        with connection:
            s3.abort_multipart_upload(**upload)
            connection.send(request.body)
            response = connection.receive("PUT")
        assert (response.status, response.error["Code"]) == (404, "NoSuchUpload")
    assert_consistent(encrypting)


# --- Copies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "target"), list(itertools.product(KINDS, KINDS)))
def test_a_copy(s3: Any, bucket: str, source: str, target: str) -> None:
    """Encrypted as it is asked for, and not as its source is."""
    writes, with_key, _ = KINDS[source]
    new, with_new, expected = OTHER_CUSTOMER if target == "SSE-C" else KINDS[target]
    of_source = by_customer(prefix="CopySource") if with_key else {}
    s3.put_object(Bucket=bucket, Key="large", Body=PARTS[0], **writes)
    s3.put_object(Bucket=bucket, Key="small", Body=b"text", **writes)
    for key, body in (("small", b"text"), ("large", PARTS[0])):
        copy = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/{key}"}
        made = s3.copy_object(**copy, **new, **of_source)
        assert told(made) == expected
        got = s3.get_object(Bucket=bucket, Key="copy", **with_new)
        assert (got["Body"].read(), told(got)) == (body, expected)
    upload = begun(s3, bucket, "parts", **new)
    part = {**upload, "PartNumber": 1, "CopySource": f"{bucket}/large"}
    copied = s3.upload_part_copy(**part, CopySourceRange="bytes=5-70000", **with_new, **of_source)
    assert told(copied) == expected
    parts = [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    got = s3.get_object(Bucket=bucket, Key="parts", **with_new)
    assert got["Body"].read() == PARTS[0][5:70_001]


def test_a_source_with_a_clients_key(s3: Any, bucket: str) -> None:
    address = {"Bucket": bucket, "Key": "key"}
    s3.put_object(**address, Body=b"text", **by_customer())
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": address}
    other = by_customer(OTHER_KEY, prefix="CopySource")
    assert code_of(s3.copy_object, **copy) == (400, "InvalidRequest")
    assert code_of(s3.copy_object, **copy, **by_customer()) == (400, "InvalidRequest")
    assert code_of(s3.copy_object, **copy, **other) == (403, "AccessDenied")
    s3.put_object(**address, Body=b"text")
    assert code_of(s3.copy_object, **copy, **other) == (400, "InvalidRequest")


def test_a_copy_to_itself_may_change_the_encryption(s3: Any, bucket: str) -> None:
    address = {"Bucket": bucket, "Key": "key"}
    s3.put_object(**address, Body=b"text", Metadata={"a": "b"})
    copy = {**address, "CopySource": address}
    assert code_of(s3.copy_object, **copy) == (400, "InvalidRequest")
    of_source: dict[str, Any] = {}
    for writes, with_key, expected in [*list(KINDS.values())[1:], OTHER_CUSTOMER, KINDS["none"]]:
        made = s3.copy_object(**copy, **writes, **of_source)
        assert told(made) == expected
        got = s3.get_object(**address, **with_key)
        assert (got["Body"].read(), got["Metadata"]) == (b"text", {"a": "b"})
        of_source = {f"CopySource{name}": text for name, text in with_key.items()}
    assert code_of(s3.copy_object, **copy) == (400, "InvalidRequest")
    put_default(s3, bucket)
    for _ in range(2):
        assert told(s3.copy_object(**copy)) == TOLD_S3


def test_versions_are_copied_by_their_own_keys(s3: Any, bucket: str) -> None:
    set_versioning(s3, bucket, "Enabled")
    address = {"Bucket": bucket, "Key": "key"}
    first = s3.put_object(**address, Body=b"first", **by_customer())["VersionId"]
    s3.put_object(**address, Body=b"second", **by_customer(OTHER_KEY))
    copy = {"Bucket": bucket, "Key": "copy", **BY_S3}
    source = {**address, "VersionId": first}
    s3.copy_object(**copy, CopySource=source, **by_customer(prefix="CopySource"))
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"first"


# --- Names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_gets_another_name(
    front: Front, s3: Any, bucket: str, encrypting: Cluster, kind: str
) -> None:
    """Its blobs stay, and their keys are bound to the new name."""
    writes, with_key, expected = KINDS[kind]
    upload = begun(s3, bucket, "source", **writes)
    sent = []
    for number, body in enumerate(PARTS, start=1):
        part = s3.upload_part(**upload, PartNumber=number, Body=body, **with_key)
        sent.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent})
    s3.put_object(Bucket=bucket, Key="empty", **writes)
    before = stored_records(encrypting, [bucket])[bucket]["source"]["location"]
    headers = customer_headers() if with_key else {}
    for old, new, body in (("source", "new", WHOLE), ("empty", "void", b"")):
        said = {"x-amz-rename-source": f"/{bucket}/{old}", **headers}
        if with_key:
            request = sign(
                front,
                "PUT",
                f"/{bucket}/{new}?renameObject",
                headers={**said, **customer_headers(OTHER_KEY)},
            )
            assert exchange(front, request).status == 403
            request = sign(
                front,
                "PUT",
                f"/{bucket}/{new}?renameObject",
                headers={"x-amz-rename-source": f"/{bucket}/{old}"},
            )
            assert exchange(front, request).status == 400
        request = sign(front, "PUT", f"/{bucket}/{new}?renameObject", headers=said)
        response = exchange(front, request)
        assert response.status == 200, response.body
        got = s3.get_object(Bucket=bucket, Key=new, **with_key)
        assert (got["Body"].read(), told(got)) == (body, expected)
        assert code_of(s3.get_object, Bucket=bucket, Key=old) == (404, "NoSuchKey")
    after = stored_records(encrypting, [bucket])[bucket]["new"]["location"]
    assert [each["key"] for each in before] == [each["key"] for each in after]
    assert told(s3.head_object(Bucket=bucket, Key="new", **with_key)) == expected


def test_no_blob_is_nobodys(s3: Any, bucket: str, encrypting: Cluster) -> None:
    """Not after what was stored again, nor after what was refused."""
    upload = begun(s3, bucket)
    etag = s3.upload_part(**upload, PartNumber=1, Body=PARTS[0])["ETag"]
    put_default(s3, bucket)
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert_consistent(encrypting)
