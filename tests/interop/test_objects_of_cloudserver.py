"""Our halves over what CloudServer has stored encrypted (``written_by_cloudserver``).

Every object is read, whole and in part, also those that it cannot read itself. What nobody here has
the key of is refused, and none of its ciphertext is ever answered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from shared.blob_files import blob_file
from tests.api.encrypting import encryption_settings
from tests.api.support import body_of, code_of
from tests.clients_boto3 import s3_client
from tests.interop.written_by_cloudserver import (
    HEX_KEY,
    Upload,
    Written,
    fixture,
    plain_bytes,
)
from tests.servers import Front, cluster, free_port

BY_FILE_KMS = fixture("file")
BY_MEM_KMS = fixture("mem")
RANGES = ((0, 0), (0, 15), (1, 16), (14, 17), (16, 31), (31, 99), (999, 1000), (990, 1340))
SECONDS = 20


def name_of(written: Written | Upload) -> str:
    version = written.version_id if isinstance(written, Written) else None
    return "-".join(filter(None, (written.bucket, written.key, version and version[-2:])))


def is_by_named_key(written: Written) -> bool:
    """Whether the ID of its master key could be one of any KMS."""
    return "named-key" in f"{written.bucket}/{written.key}" and written.key != "before"


READABLE = [written for written in BY_FILE_KMS.objects if not is_by_named_key(written)]
REFUSED = [written for written in BY_FILE_KMS.objects if is_by_named_key(written)] + [
    written for written in BY_MEM_KMS.objects if written.body
]
every_object = pytest.mark.parametrize("written", READABLE, ids=name_of)
every_upload = pytest.mark.parametrize("upload", BY_FILE_KMS.uploads, ids=name_of)
every_refused = pytest.mark.parametrize("written", REFUSED, ids=name_of)


def which(written: Written) -> dict[str, str]:
    found = {"Bucket": written.bucket, "Key": written.key}
    return found | ({"VersionId": written.version_id} if written.version_id else {})


LOST = "made-of-a-key-that-is-lost"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A front-end without master keys over what both installations had."""
    with loaded(tmp_path_factory.mktemp("cloudserver"), {}) as running:
        yield running


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of another one that has some."""
    folder = tmp_path_factory.mktemp("keyed")
    with loaded(folder, encryption_settings(folder)) as running:
        yield s3_client(running)


@contextmanager
def loaded(folder: Path, settings: Mapping[str, Any]) -> Iterator[Front]:
    for found in (BY_FILE_KMS, BY_MEM_KMS):
        for key, stored in found.blobs.items():
            path = Path(blob_file(str(folder / "data"), key))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(stored)
    debugging = free_port()
    daemons = {
        "metadataDaemon": {"restEnabled": True, "restPort": debugging},
        "multipartMinPartSizeBytes": 1,
    }
    with cluster(folder, fronts=0, settings={**daemons, **settings}) as running:
        for found in (BY_FILE_KMS, BY_MEM_KMS):
            store_rows(debugging, found.rows)
        store_rows(debugging, lost_rows())
        yield running.add_front()


def lost_rows() -> Iterator[tuple[str, str, str]]:
    """Objects whose record, and bucket, name another key than that of their parts, in a bucket that
    never had it."""
    for level, key, value in BY_FILE_KMS.rows:
        if level == "key-changed" and key in ("parts-by-new-key", "copied-onto-itself"):
            record = json.loads(value)
            record["x-amz-server-side-encryption-aws-kms-key-id"] = "ab" * 32
            for location in record["location"]:
                location.pop("masterKeyId", None)
            if key == "copied-onto-itself":
                record["location"][0]["masterKeyId"] = "cd" * 32
            yield "header-aes256", f"{LOST}-{key}", json.dumps(record)


def store_rows(debugging: int, rows: Iterable[tuple[str, str, str]]) -> None:
    operations = [
        {"type": "put", "subLevel": [level], "key": key, "value": value}
        for level, key, value in rows
        if (level, key) != ("__metastore", "users..bucket")
    ]
    call = {"call": "batch", "args": {"rpcArgs": [operations], "subLevel": []}}
    url = f"http://127.0.0.1:{debugging}/MDFile/metadata"
    assert "result" in requests.post(url, json=call, timeout=SECONDS).json()


@pytest.fixture(scope="module")
def s3(front: Front) -> Any:
    return s3_client(front)


@every_object
def test_an_object_is_read_whole(s3: Any, written: Written) -> None:
    answer = s3.get_object(**which(written))
    assert answer["Body"].read() == written.body
    assert answer["ContentLength"] == len(written.body)


@every_object
def test_an_object_is_read_by_ranges(s3: Any, written: Written) -> None:
    ends = len(written.body)
    for start, end in (*RANGES, (max(ends - 17, 0), ends), (ends // 2, ends - 2)):
        if start < min(ends, end + 1):
            read = s3.get_object(**which(written), Range=f"bytes={start}-{end}")["Body"].read()
            assert read == written.body[start : end + 1], (start, end)


@every_object
def test_a_part_is_read(s3: Any, written: Written) -> None:
    if len(written.pieces) > 1:
        for number, piece in enumerate(written.pieces, 1):
            answer = s3.get_object(**which(written), PartNumber=number)
            assert answer["Body"].read() == plain_bytes(*piece)


@every_object
def test_a_copy_has_its_bytes(s3: Any, written: Written) -> None:
    s3.copy_object(Bucket="only-plain", Key="copied", CopySource=which(written))
    assert body_of(s3, "only-plain", "copied") == written.body


@every_refused
def test_what_nobody_has_the_key_of_is_refused(s3: Any, written: Written) -> None:
    for asked in ({}, {"Range": "bytes=0-0"}):
        assert code_of(s3.get_object, **which(written), **asked) == (501, "NotImplemented")
    copy = {"Bucket": "only-plain", "Key": "refused", "CopySource": which(written)}
    assert code_of(s3.copy_object, **copy) == (501, "NotImplemented")
    assert s3.head_object(**which(written))["ContentLength"] == len(written.body)


@pytest.mark.parametrize("key", ["parts-by-new-key", "copied-onto-itself"])
def test_no_wrong_key_is_taken_for_the_right_one(s3: Any, key: str) -> None:
    asked = {"Bucket": "header-aes256", "Key": f"{LOST}-{key}"}
    assert code_of(s3.get_object, **asked) == (501, "NotImplemented")
    assert code_of(s3.get_object, **asked, Range="bytes=3-5") == (501, "NotImplemented")


def test_nothing_needs_no_key(s3: Any) -> None:
    assert body_of(s3, "mem-header", "size-0") == b""


DEMANDING = [
    bucket
    for found in (BY_FILE_KMS, BY_MEM_KMS)
    for bucket, answer in found.bucket_answers.items()
    if answer.startswith("<")
]


@pytest.mark.parametrize("bucket", DEMANDING)
def test_without_a_master_key_a_bucket_takes_no_plain_text(s3: Any, bucket: str) -> None:
    put = {"Bucket": bucket, "Key": "new"}
    assert code_of(s3.put_object, **put, Body=b"secret") == (501, "NotImplemented")
    assert code_of(s3.create_multipart_upload, **put) == (501, "NotImplemented")
    copy = {**put, "CopySource": {"Bucket": "only-plain", "Key": "object"}}
    assert code_of(s3.copy_object, **copy) == (501, "NotImplemented")


@every_upload
def test_an_upload_is_completed(s3: Any, upload: Upload) -> None:
    where = {"Bucket": upload.bucket, "Key": upload.key, "UploadId": upload.upload_id}
    listed = s3.list_parts(**where)["Parts"]
    assert [part["Size"] for part in listed] == [size for _, size in upload.pieces]
    complete = {**where, "MultipartUpload": parts_of(listed)}
    if upload.bucket == "object-headers":
        # Its parts are plain, and it says that they are to be encrypted.
        asked = code_of(s3.complete_multipart_upload, **complete)
        assert asked == (501, "NotImplemented")
        return
    s3.complete_multipart_upload(**complete)
    if upload.bucket == "put-kms-named-key":
        asked = code_of(s3.get_object, Bucket=upload.bucket, Key=upload.key)
        assert asked == (501, "NotImplemented")
        return
    plain = b"".join(plain_bytes(*piece) for piece in upload.pieces)
    assert body_of(s3, upload.bucket, upload.key) == plain
    read = s3.get_object(Bucket=upload.bucket, Key=upload.key, Range="bytes=990-1009")
    assert read["Body"].read() == plain[990:1010]


def parts_of(listed: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return {"Parts": [{name: part[name] for name in ("PartNumber", "ETag")} for part in listed]}


@every_object
def test_headers_say_how_it_is_encrypted_and_never_by_what(s3: Any, written: Written) -> None:
    headers = s3.head_object(**which(written))["ResponseMetadata"]["HTTPHeaders"]
    algorithm = "x-amz-server-side-encryption"
    assert headers.get(algorithm) == written.headers.get(algorithm)
    assert not re.search("[0-9a-f]{64}", str(headers))


@pytest.mark.parametrize("bucket", BY_FILE_KMS.bucket_answers)
def test_the_configuration_of_a_bucket_is_the_same_but_for_keys(s3: Any, bucket: str) -> None:
    expected = BY_FILE_KMS.bucket_answers[bucket]
    if not expected.startswith("<"):
        assert code_of(s3.get_bucket_encryption, Bucket=bucket) == (404, expected)
        return
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    chosen = rule["ApplyServerSideEncryptionByDefault"]
    assert f"<SSEAlgorithm>{chosen['SSEAlgorithm']}</SSEAlgorithm>" in expected
    named = re.search("<KMSMasterKeyID>(.*)</KMS", expected)
    # Of the ``file`` KMS the ID is the key.
    shown = named[1] if named and named[1] != HEX_KEY else None
    assert chosen.get("KMSMasterKeyID") == shown
    assert rule["BucketKeyEnabled"] is False


@every_upload
def test_a_part_is_added(keyed: Any, upload: Upload) -> None:
    where = {"Bucket": upload.bucket, "Key": upload.key, "UploadId": upload.upload_id}
    added = b"added" * 5
    keyed.upload_part(**where, PartNumber=3, Body=added)
    parts = parts_of(keyed.list_parts(**where)["Parts"])
    keyed.complete_multipart_upload(**where, MultipartUpload=parts)
    asked = {"Bucket": upload.bucket, "Key": upload.key}
    assert keyed.get_object(**asked, PartNumber=3)["Body"].read() == added
    if upload.bucket == "put-kms-named-key":
        assert code_of(keyed.get_object, **asked) == (501, "NotImplemented")
        return
    plain = b"".join(plain_bytes(*piece) for piece in upload.pieces) + added
    assert body_of(keyed, upload.bucket, upload.key) == plain
    read = keyed.get_object(**asked, Range="bytes=1330-1339")
    assert read["Body"].read() == plain[1330:1340]


@pytest.mark.parametrize("bucket", DEMANDING)
def test_a_bucket_takes_new_objects_by_a_key_that_is_here(keyed: Any, bucket: str) -> None:
    put = {"Bucket": bucket, "Key": "new", "Body": b"secret"}
    if "KMSMasterKeyID" in BY_FILE_KMS.bucket_answers.get(bucket, ""):
        assert code_of(keyed.put_object, **put) == (400, "KMS.NotFoundException")
        return
    keyed.put_object(**put)
    assert body_of(keyed, bucket, "new") == b"secret"


@every_object
def test_an_object_is_encrypted_anew(keyed: Any, written: Written) -> None:
    copy = {"Bucket": "only-plain", "Key": "copied", "CopySource": which(written)}
    keyed.copy_object(**copy, ServerSideEncryption="AES256")
    answer = keyed.get_object(Bucket="only-plain", Key="copied")
    assert answer["Body"].read() == written.body
    assert answer["ServerSideEncryption"] == "AES256"
