"""Data that nothing names any more goes away, and not before its readers are done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.clients_boto3 import s3_client
from tests.servers import Cluster, cluster, wait_for
from tests.unit.dmd.data.harness import keys_in

PART = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def eager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two front-ends that delete at once."""
    folder = tmp_path_factory.mktemp("eager")
    with cluster(folder, fronts=2, settings={"deleteDelaySeconds": 0}) as running:
        yield running


def blobs(servers: Cluster) -> set[str]:
    """The blobs that the data directory holds."""
    return keys_in(servers.folder / "data")


@pytest.fixture
def s3(eager: Cluster) -> Any:
    return s3_client(eager.fronts[0])


@pytest.fixture
def bucket(s3: Any, eager: Cluster) -> str:
    wait_for(lambda: not blobs(eager), "the data of earlier tests to go")
    name = f"bucket-{os.urandom(6).hex()}"
    s3.create_bucket(Bucket=name)
    return name


def test_overwritten_data_goes(s3: Any, eager: Cluster, bucket: str) -> None:
    for number in range(20):
        s3.put_object(Bucket=bucket, Key="key", Body=b"%d" % number)
    wait_for(lambda: len(blobs(eager)) == 1, "overwritten data to go")
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"19"
    s3.delete_object(Bucket=bucket, Key="key")
    wait_for(lambda: not blobs(eager), "deleted data to go")


def test_data_of_many_deletions_goes(s3: Any, eager: Cluster, bucket: str) -> None:
    keys = [f"key-{number}" for number in range(250)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"body")
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    wait_for(lambda: not blobs(eager), "deleted data to go")


def test_data_of_uploads_goes(s3: Any, eager: Cluster, bucket: str) -> None:
    aborted = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    for number in (1, 1, 2):
        s3.upload_part(Bucket=bucket, Key="key", UploadId=aborted, PartNumber=number, Body=b"part")
    s3.abort_multipart_upload(Bucket=bucket, Key="key", UploadId=aborted)
    completed = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    for number in (1, 2):
        part = s3.upload_part(
            Bucket=bucket, Key="key", UploadId=completed, PartNumber=number, Body=b"kept"
        )
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="key",
        UploadId=completed,
        MultipartUpload={"Parts": [{"PartNumber": 2, "ETag": part["ETag"]}]},
    )
    wait_for(lambda: len(blobs(eager)) == 1, "all parts but the one that is used to go")
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"kept"
    s3.delete_object(Bucket=bucket, Key="key")
    s3.delete_bucket(Bucket=bucket)
    wait_for(lambda: not blobs(eager), "the object's data to go")


def test_deletion_waits_for_the_data_daemon(s3: Any, eager: Cluster, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"body")
    eager.dmd_data.kill()
    s3.delete_object(Bucket=bucket, Key="key")
    eager.start_daemons()
    wait_for(lambda: not blobs(eager), "deleted data to go")


def test_a_read_survives_overwrite_and_deletion(tmp_path: Path) -> None:
    """With the usual delay, every part is there until the reader has come to it."""
    parts = [os.urandom(PART) for _ in range(6)]
    with cluster(tmp_path) as servers:
        s3 = s3_client(servers.fronts[0])
        s3.create_bucket(Bucket="bucket")
        upload_id = s3.create_multipart_upload(Bucket="bucket", Key="key")["UploadId"]
        sent = []
        for number, part in enumerate(parts, start=1):
            answer = s3.upload_part(
                Bucket="bucket", Key="key", UploadId=upload_id, PartNumber=number, Body=part
            )
            sent.append({"PartNumber": number, "ETag": answer["ETag"]})
        s3.complete_multipart_upload(
            Bucket="bucket", Key="key", UploadId=upload_id, MultipartUpload={"Parts": sent}
        )
        body = s3.get_object(Bucket="bucket", Key="key")["Body"]
        start = body.read(1000)
        s3.put_object(Bucket="bucket", Key="key", Body=b"new")
        s3.delete_object(Bucket="bucket", Key="key")
        assert start + body.read() == b"".join(parts)


def test_bad_tags_are_refused_before_any_data_is_stored(
    s3: Any, eager: Cluster, bucket: str
) -> None:
    with pytest.raises(ClientError, match="InvalidTag"):
        s3.put_object(Bucket=bucket, Key="key", Body=b"data", Tagging="k%3F=v")
    assert not blobs(eager)
