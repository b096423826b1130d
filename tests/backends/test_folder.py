"""A folder that others use as well: objects made of its files, and what is left alone."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.encrypting import by_customer, encryption_settings
from tests.clients_boto3 import s3_client
from tests.etags import etag_of
from tests.servers import Cluster, cluster, wait_for

LARGE = random.Random(1).randbytes(5_000_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folder")


@pytest.fixture(scope="module")
def running(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with the folder in two locations: one is only read."""
    own = tmp_path_factory.mktemp("cluster")
    locations = own / "locations.json"
    details = {"path": str(folder), "bucketMatch": True}
    document = {
        "us-east-1": {"type": "file", "details": {}},
        "read": {"type": "folder", "details": details},
        "written": {"type": "folder", "details": {**details, "readOnly": False}},
    }
    locations.write_text(json.dumps(document))
    environ = {"S3_LOCATION_FILE": str(locations)}
    settings = {"deleteDelaySeconds": 0, **encryption_settings(own)}
    with cluster(own, settings=settings, environ=environ) as started:
        yield started


@pytest.fixture(scope="module")
def s3(running: Cluster) -> Any:
    made = s3_client(running.fronts[0])
    for name in ("read", "written"):
        constraint = {"LocationConstraint": name}
        made.create_bucket(Bucket=f"bucket-{name}", CreateBucketConfiguration=constraint)
    return made


def adopt(s3: Any, key: str, data: bytes, bucket: str = "bucket-read", **more: str) -> str:
    """Make an object of a file; its ETag."""
    metadata = {"mdonly": "true", "size": str(len(data)), **more}
    etag: str = s3.put_object(Bucket=bucket, Key=key, Body=b"", Metadata=metadata)["ETag"]
    return etag


def md5_of(data: bytes) -> str:
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def content(s3: Any, key: str, bucket: str = "bucket-read", **options: Any) -> bytes:
    data: bytes = s3.get_object(Bucket=bucket, Key=key, **options)["Body"].read()
    return data


def refusal(call: Any, **arguments: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


@pytest.mark.parametrize("size", [1, 100_000, len(LARGE)])
def test_a_file_becomes_an_object(s3: Any, folder: Path, size: int) -> None:
    data = LARGE[:size]
    (folder / "trip").mkdir(exist_ok=True)
    (folder / "trip" / f"{size}.jpg").write_bytes(data)
    key = f"trip/{size}.jpg"
    assert adopt(s3, key, data, md5chksum=md5_of(data)) == etag_of(data)
    head = s3.head_object(Bucket="bucket-read", Key=key)
    assert (head["ContentLength"], head["ETag"]) == (size, etag_of(data))
    assert content(s3, key) == data
    assert content(s3, key, Range=f"bytes={size // 2}-") == data[size // 2 :]


def test_without_an_md5_the_etag_is_that_of_no_bytes(s3: Any, folder: Path) -> None:
    (folder / "a").write_bytes(b"a file")
    etag = adopt(s3, "a", b"a file")
    assert etag.endswith('-1"')
    assert content(s3, "a", IfMatch=etag) == b"a file"


def test_a_copy_elsewhere(s3: Any, folder: Path) -> None:
    (folder / "copied").write_bytes(LARGE)
    adopt(s3, "copied", LARGE)
    if "bucket-disk" not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket="bucket-disk")
    source = {"Bucket": "bucket-read", "Key": "copied"}
    s3.copy_object(Bucket="bucket-disk", Key="copy", CopySource=source, MetadataDirective="REPLACE")
    assert content(s3, "copy", "bucket-disk") == LARGE


def test_what_is_not_as_was_said(s3: Any, folder: Path) -> None:
    (folder / "b").write_bytes(b"a file")
    metadata = {"mdonly": "true", "size": "7"}
    asked = {"Bucket": "bucket-read", "Body": b"", "Metadata": metadata}
    assert refusal(s3.put_object, Key="b", **asked) == (400, "InvalidRequest")
    assert refusal(s3.put_object, Key="missing", **asked) == (400, "InvalidRequest")
    assert refusal(s3.put_object, Key="trip", **asked) == (400, "InvalidRequest")
    assert refusal(s3.put_object, Key="../b", **asked) == (400, "InvalidRequest")


def test_a_file_is_not_encrypted_by_making_an_object_of_it(s3: Any, folder: Path) -> None:
    """What somebody was promised to be encrypted would lie there as it is."""
    (folder / "plain").write_bytes(b"a file")
    asked = {"Bucket": "bucket-read", "Key": "plain", "Body": b""}
    metadata = {"mdonly": "true", "size": "6"}
    for said in ({"ServerSideEncryption": "AES256"}, by_customer()):
        sent = {**asked, "Metadata": metadata, **said}
        assert refusal(s3.put_object, **sent) == (501, "NotImplemented")
    adopt(s3, "plain", b"a file")
    copy = {"Bucket": "bucket-written", "Key": "encrypted", "CopySource": "bucket-read/plain"}
    s3.copy_object(**copy, ServerSideEncryption="AES256")
    assert content(s3, "encrypted", "bucket-written") == b"a file"
    assert b"a file" not in (folder / "encrypted").read_bytes()


def test_in_a_location_of_our_own_it_is_an_empty_object(s3: Any) -> None:
    metadata = {"mdonly": "true", "size": "7", "scal-location-constraint": "us-east-1"}
    s3.put_object(Bucket="bucket-read", Key="empty", Body=b"", Metadata=metadata)
    assert content(s3, "empty") == b""


def test_a_file_that_was_changed_is_an_error_until_it_is_put_again(s3: Any, folder: Path) -> None:
    (folder / "changing").write_bytes(b"before")
    adopt(s3, "changing", b"before")
    os.utime(folder / "changing", ns=(0, 0))
    asked = {"Bucket": "bucket-read", "Key": "changing"}
    assert refusal(s3.get_object, **asked) == (500, "InternalError")
    (folder / "changing").write_bytes(b"behind")
    adopt(s3, "changing", b"behind")
    assert content(s3, "changing") == b"behind"
    (folder / "changing").unlink()
    assert refusal(s3.get_object, **asked) == (500, "InternalError")


def test_a_folder_that_is_only_read_takes_no_bytes(s3: Any, folder: Path) -> None:
    asked = {"Bucket": "bucket-read", "Key": "new", "Body": b"bytes"}
    assert refusal(s3.put_object, **asked) == (501, "NotImplemented")
    assert not (folder / "new").exists()


@pytest.mark.parametrize("bucket", ["bucket-read", "bucket-written"])
def test_files_that_were_there_outlive_their_objects(s3: Any, folder: Path, bucket: str) -> None:
    (folder / "theirs").write_bytes(b"somebody's")
    for _ in range(2):
        adopt(s3, "theirs", b"somebody's", bucket)
    s3.delete_object(Bucket=bucket, Key="theirs")
    s3.put_object(Bucket="bucket-written", Key="ours", Body=b"to be removed after it")
    s3.delete_object(Bucket="bucket-written", Key="ours")
    wait_for(lambda: not (folder / "ours").exists(), "what came later to be removed")
    assert (folder / "theirs").read_bytes() == b"somebody's"


def test_an_object_is_written_beside_the_file_it_takes_the_place_of(s3: Any, folder: Path) -> None:
    (folder / "shared").write_bytes(b"somebody's")
    adopt(s3, "shared", b"somebody's", "bucket-written")
    s3.put_object(Bucket="bucket-written", Key="shared", Body=b"ours")
    assert content(s3, "shared", "bucket-written") == b"ours"
    assert (folder / "shared").read_bytes() == b"somebody's"
    assert [path.read_bytes() for path in folder.glob("shared~*")] == [b"ours"]
    s3.delete_object(Bucket="bucket-written", Key="shared")
    wait_for(lambda: not list(folder.glob("shared~*")), "our file to be removed")
    assert (folder / "shared").read_bytes() == b"somebody's"


def test_the_file_of_one_object_does_not_become_another(s3: Any, folder: Path) -> None:
    s3.put_object(Bucket="bucket-written", Key="mine", Body=b"mine alone")
    assert (folder / "mine").read_bytes() == b"mine alone"
    metadata = {"mdonly": "true", "size": "10"}
    asked = {"Key": "mine", "Body": b"", "Metadata": metadata}
    for bucket in ("bucket-read", "bucket-written"):
        assert refusal(s3.put_object, Bucket=bucket, **asked) == (400, "InvalidRequest")
    assert content(s3, "mine", "bucket-written") == b"mine alone"
