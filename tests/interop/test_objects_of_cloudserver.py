"""Our halves over what CloudServer has stored encrypted (``written_by_cloudserver``).

Every object is read, whole and in part, also those that it cannot read itself. What nobody here has
the key of is refused, and none of its ciphertext is ever answered.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from shared.blob_files import blob_file
from tests.api.support import body_of, code_of
from tests.clients_boto3 import s3_client
from tests.interop.written_by_cloudserver import (
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
every_refused = pytest.mark.parametrize("written", REFUSED, ids=name_of)


def which(written: Written) -> dict[str, str]:
    found = {"Bucket": written.bucket, "Key": written.key}
    return found | ({"VersionId": written.version_id} if written.version_id else {})


LOST = "made-of-a-key-that-is-lost"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A front-end over what both installations had."""
    folder = tmp_path_factory.mktemp("cloudserver")
    for found in (BY_FILE_KMS, BY_MEM_KMS):
        for key, stored in found.blobs.items():
            path = Path(blob_file(str(folder / "data"), key))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(stored)
    debugging = free_port()
    settings = {
        "metadataDaemon": {"restEnabled": True, "restPort": debugging},
        "multipartMinPartSizeBytes": 1,
    }
    with cluster(folder, fronts=0, settings=settings) as running:
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
