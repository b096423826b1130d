"""Data in places that others run, over a metadata daemon that has the original's calls alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shared.records.names import DELETIONS, STRAYS
from tests.backends.native_cluster import Stage, native_cluster
from tests.backends.native_support import refusal, there
from tests.clients_boto3 import s3_client
from tests.interop.foreign_daemon import ForeignDaemon
from tests.interop.test_foreign_metadata import foreign_in_a_thread
from tests.servers import wait_for


@pytest.fixture(scope="module")
def daemon() -> Iterator[ForeignDaemon]:
    with foreign_in_a_thread() as running:
        yield running


@pytest.fixture(scope="module")
def stage(daemon: ForeignDaemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    client = {"host": "127.0.0.1", "port": daemon.port, "callTimeoutMs": 1000}
    folder = tmp_path_factory.mktemp("foreign")
    with native_cluster(folder, settings={"metadataClient": client}) as stage:
        yield stage


@pytest.fixture
def client(stage: Stage) -> Any:
    return s3_client(stage.running.fronts[0])


@pytest.fixture(params=["all", "plain"])
def bucket(client: Any, request: pytest.FixtureRequest) -> str:
    name = f"foreign-{request.param}-{abs(hash(request.node.name)) % 10**8}"
    where = {"LocationConstraint": request.param}
    client.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    return name


def queued(daemon: ForeignDaemon) -> int:
    return sum(len(daemon.records.get((level,), {})) for level in (STRAYS, DELETIONS))


def test_a_note_goes_before_the_record_comes(
    stage: Stage, daemon: ForeignDaemon, client: Any, bucket: str
) -> None:
    """A crash in between may leave bytes to nobody, and never an object without its bytes."""
    before = len(daemon.calls)
    client.put_object(Bucket=bucket, Key="key", Body=b"data")
    calls = [
        (name, call["subLevel"][0])
        for name, call in daemon.calls[before:]
        if name in ("put", "del") and call["subLevel"][0] in (STRAYS, bucket)
    ]
    assert calls == [("put", STRAYS), ("del", STRAYS), ("put", bucket)]
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"data"
    client.delete_object(Bucket=bucket, Key="key")
    wait_for(lambda: there(stage, bucket) == [], "the blob to be deleted")


def test_what_was_refused_leaves_nothing(
    stage: Stage, daemon: ForeignDaemon, client: Any, bucket: str
) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"data")
    named = {"Bucket": bucket, "Key": "key"}
    assert refusal(client.put_object, **named, Body=b"x", IfNoneMatch="*") == "PreconditionFailed"
    fault = stage.places["all"].fault("put", "silent")
    stage.places["plain"].fault("put", "silent")
    assert refusal(client.put_object, **named, Body=b"lost") == "ServiceUnavailable"
    fault.unlink()
    (stage.places["plain"].root / "faults" / "put").unlink()
    wait_for(lambda: not queued(daemon), "empty queues")
    assert [blob.content for blob in there(stage, bucket)] == [b"data"]


def test_uploads_end_there_as_well(
    stage: Stage, daemon: ForeignDaemon, client: Any, bucket: str
) -> None:
    for ends in ("complete", "abort"):
        named = {"Bucket": bucket, "Key": ends}
        upload = {**named, "UploadId": client.create_multipart_upload(**named)["UploadId"]}
        etag = client.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
        if ends == "complete":
            parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
            client.complete_multipart_upload(**upload, MultipartUpload=parts)
        else:
            client.abort_multipart_upload(**upload)
    assert client.get_object(Bucket=bucket, Key="complete")["Body"].read() == b"part"
    wait_for(lambda: not queued(daemon), "empty queues")
    assert [blob.content for blob in there(stage, bucket)] == [b"part"]
    assert stage.places["all"].uploads() == []
