"""The jobs of ``dmd`` over records of data in places that others run: none of it is theirs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.jobs import dmd
from tests.backends.native_cluster import Stage, native_cluster
from tests.backends.native_support import CHOICE
from tests.clients_boto3 import s3_client
from tests.raw_http import call
from tests.servers import wait_for

DATA = random.Random(13).randbytes(150_000)
UPLOAD = {"Bucket": "bucket", "Key": "upload"}
WHERE = ("us-east-1", "plain", "all", "small")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Objects, former versions and an upload in progress, here and elsewhere."""
    with native_cluster(tmp_path / "cluster", settings={"gcQuarantineSeconds": 0}) as stage:
        client = s3_client(stage.running.fronts[0])
        where = {"LocationConstraint": "all"}
        client.create_bucket(Bucket="bucket", CreateBucketConfiguration=where)
        for name in WHERE:
            client.put_object(Bucket="bucket", Key=name, Body=b"null", Metadata={CHOICE: name})
        enabled = {"Status": "Enabled"}
        client.put_bucket_versioning(Bucket="bucket", VersioningConfiguration=enabled)
        for name in WHERE:
            client.put_object(Bucket="bucket", Key=name, Body=DATA, Metadata={CHOICE: name})
        upload_id = client.create_multipart_upload(**UPLOAD)["UploadId"]
        client.upload_part(**UPLOAD, UploadId=upload_id, PartNumber=1, Body=DATA)
        yield stage


def assert_whole(stage: Stage) -> None:
    """Everything is there, and the upload can be completed."""
    client = s3_client(stage.running.fronts[0])
    for name in WHERE:
        assert client.get_object(Bucket="bucket", Key=name)["Body"].read() == DATA
        former = client.get_object(Bucket="bucket", Key=name, VersionId="null")
        assert former["Body"].read() == b"null"
    (upload,) = client.list_multipart_uploads(Bucket="bucket")["Uploads"]
    named = {**UPLOAD, "UploadId": upload["UploadId"]}
    (part,) = client.list_parts(**named)["Parts"]
    parts: list[Any] = [{name: part[name] for name in ("PartNumber", "ETag")}]
    client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    assert client.get_object(**UPLOAD)["Body"].read() == DATA


def test_check_and_gc(stage: Stage) -> None:
    checked = dmd(stage.running, "check")
    assert checked.code == 0, checked.output
    assert "no problems" in checked.output
    collected = dmd(stage.running, "gc", "--adopt")
    assert collected.code == 0, collected.errors
    assert_whole(stage)
    assert dmd(stage.running, "check").code == 0


def test_backup_and_dump(stage: Stage, tmp_path: Path) -> None:
    """What is restored, or loaded, names the same data."""
    running = stage.running
    backed_up = dmd(running, "backup", str(tmp_path / "copy"))
    assert backed_up.code == 0, backed_up.errors
    assert "not copied" in backed_up.errors
    assert dmd(running, "dump", str(tmp_path / "dump")).code == 0
    loaded = tmp_path / "loaded"
    loaded.mkdir()
    finished = dmd(running, "load", "--keep-uuid", str(tmp_path / "dump"), metadata=loaded)
    assert finished.code == 0, finished.errors
    running.work.stop()
    running.dmd_metadata.stop()
    running.dmd_metadata.environ["S3METADATAPATH"] = str(loaded)
    running.start_daemons()
    wait_for(lambda: call(running.fronts[0], "HEAD", "/bucket").status == 200, "the front-end")
    assert_whole(stage)
