"""Objects in places that others run: what is stored there, and what is never left behind."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from shared.records.names import DELETIONS, STRAYS
from tests.backends.native_cluster import PLACES, Stage, native_cluster
from tests.backends.native_support import CHOICE, code_of, end_faults, there
from tests.clients_boto3 import s3_client
from tests.servers import wait_for

SIZES = (1, 1000, 300_000, 3_000_000)
CONTENT = random.Random(3).randbytes(max(SIZES))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with native_cluster(tmp_path_factory.mktemp("native"), fronts=2) as stage:
        yield stage


@pytest.fixture
def client(stage: Stage) -> Any:
    return s3_client(stage.running.fronts[0])


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def bucket(client: Any, place: str) -> str:
    name = f"b{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": place})
    return name


@pytest.fixture(autouse=True)
def no_faults(stage: Stage) -> Iterator[None]:
    yield
    end_faults(stage)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_put_is_got(stage: Stage, client: Any, bucket: str, place: str, size: int) -> None:
    data = CONTENT[:size]
    stored = client.put_object(
        Bucket=bucket,
        Key="a/key",
        Body=data,
        ContentType="text/x-test",
        CacheControl="no-cache",
        Metadata={"colour": "blue"},
        Tagging="a=b",
    )
    assert stored["ETag"].strip('"') == hashlib.md5(data, usedforsecurity=False).hexdigest()
    found = client.get_object(Bucket=bucket, Key="a/key")
    assert found["Body"].read() == data
    assert found["Metadata"] == {"colour": "blue"}
    part = client.get_object(Bucket=bucket, Key="a/key", Range=f"bytes={size // 2}-{size - 1}")
    assert part["Body"].read() == data[size // 2 :]
    blobs = there(stage, bucket)
    assert b"".join(blob.content for blob in blobs if len(blobs) == 1) in (data, b"")
    assert {blob.content_type for blob in blobs} == {"text/x-test"}
    assert blobs[0].user_metadata == {"colour": "blue"}
    assert blobs[0].headers == {"cache-control": "no-cache"}
    assert blobs[0].tags == {"a": "b"}
    assert len(blobs) == (1 if place != "small" else -(-size // 100_000))
    assert not stage.records(STRAYS)
    client.delete_object(Bucket=bucket, Key="a/key")
    stage.wait_until_settled()
    assert there(stage, bucket) == []


def test_a_natural_name_where_nothing_is_overwritten(
    stage: Stage, client: Any, bucket: str, place: str
) -> None:
    for number in range(3):
        client.put_object(Bucket=bucket, Key="key", Body=b"%d" % number)
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"2"
    stage.wait_until_settled()
    (blob,) = there(stage, bucket)
    assert blob.content == b"2"
    if PLACES[place].get("versions"):
        assert blob.name == f"{bucket}/key"
        assert blob.version
    else:
        assert blob.name.startswith(f"{bucket}/key~")


@pytest.mark.parametrize("size", [10, 300_000, 20_000_000])
def test_a_form_is_one_blob_where_the_place_can(
    stage: Stage, client: Any, bucket: str, place: str, size: int
) -> None:
    data = random.Random(size).randbytes(size)
    form = client.generate_presigned_post(bucket, "form")
    response = requests.post(form["url"], form["fields"], files={"file": data}, timeout=30)
    assert response.status_code == 204, response.text
    assert client.get_object(Bucket=bucket, Key="form")["Body"].read() == data
    blobs = there(stage, bucket)
    if place in ("all", "all-plain", "versions", "plain") and size < 10_000_000:
        assert len(blobs) == 1
    if PLACES[place].get("multipart") and not PLACES[place].get("blobBytesMax"):
        assert [blob.content for blob in blobs] == [data]
    assert not stage.records(STRAYS)


def test_a_put_that_is_refused_leaves_nothing(stage: Stage, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"first")
    for data in (CONTENT[:10], CONTENT[:300_000]):
        with pytest.raises(ClientError) as error:
            client.put_object(Bucket=bucket, Key="key", Body=data, ContentMD5="1" * 22 + "==")
        assert code_of(error) in ("BadDigest", "InvalidDigest")
    assert [blob.content for blob in there(stage, bucket)] == [b"first"]
    assert not stage.records(STRAYS)


def test_a_record_that_is_refused_takes_its_blob_with_it(
    stage: Stage, client: Any, bucket: str, place: str
) -> None:
    """Another front-end stores the object while the bytes are on their way."""
    other, elsewhere = s3_client(stage.running.fronts[1]), {CHOICE: "us-east-1"}
    held = stage.places[place].fault("put", "hold")
    before = stage.places[place].calls().count("put")
    with ThreadPoolExecutor() as threads:
        putting = threads.submit(
            client.put_object, Bucket=bucket, Key="key", Body=b"late", IfNoneMatch="*"
        )
        wait_for(lambda: stage.places[place].calls().count("put") > before, "the put to arrive")
        other.put_object(Bucket=bucket, Key="key", Body=b"first", Metadata=elsewhere)
        held.unlink()
        with pytest.raises(ClientError) as error:
            putting.result()
    assert code_of(error) == "PreconditionFailed"
    assert there(stage, bucket) == []
    assert not stage.records(STRAYS)
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"first"


@pytest.mark.parametrize("size", [10, 300_000])
def test_other_bytes_than_were_sent_are_an_error(
    stage: Stage, client: Any, bucket: str, place: str, size: int
) -> None:
    for verb in ("put", "put_part"):
        stage.places[place].fault(verb, "other-md5")
    with pytest.raises(ClientError) as error:
        client.put_object(Bucket=bucket, Key="key", Body=CONTENT[:size])
    assert code_of(error) == "InternalError"
    assert there(stage, bucket) == []
    assert not stage.records(STRAYS)
    assert "a place stored other bytes than it was sent" in stage.running.fronts[0].process.output


@pytest.mark.parametrize("trouble", ["unreached", "busy", "failed", "refused", "broken", "silent"])
def test_a_place_that_fails_is_an_error_and_leaves_nothing(
    stage: Stage, client: Any, bucket: str, place: str, trouble: str
) -> None:
    fault = stage.places[place].fault("put", trouble)
    with pytest.raises(ClientError) as error:
        client.put_object(Bucket=bucket, Key="key", Body=b"lost")
    codes = {"busy": "SlowDown", "failed": "SlowDown", "broken": "InternalError"}
    assert code_of(error) == codes.get(trouble, "ServiceUnavailable")
    with pytest.raises(ClientError) as error:
        client.get_object(Bucket=bucket, Key="key")
    assert code_of(error) == "NoSuchKey"
    assert bool(there(stage, bucket)) == (trouble in ("silent", "failed"))
    fault.unlink()
    stage.wait_until_settled()
    assert there(stage, bucket) == []


def test_what_was_done_and_is_asked_for_again_is_not_left_there(
    stage: Stage, client: Any, bucket: str, place: str
) -> None:
    stage.places[place].fault("put", "failed-once")
    client.put_object(Bucket=bucket, Key="key", Body=b"twice")
    assert len(there(stage, bucket)) == 2
    stage.wait_until_settled()
    assert len(there(stage, bucket)) == 1
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"twice"
    client.delete_object(Bucket=bucket, Key="key")
    stage.wait_until_settled()
    assert there(stage, bucket) == []


def test_a_commit_that_comes_after_its_blob_was_removed_fails(
    stage: Stage, client: Any, bucket: str, place: str
) -> None:
    """The place holds the bytes up for longer than a note may become old."""
    held = stage.places[place].fault("put", "hold")
    with ThreadPoolExecutor() as threads:
        putting = threads.submit(client.put_object, Bucket=bucket, Key="key", Body=b"late")
        wait_for(lambda: len(stage.records(STRAYS)) == 1, "the note")
        wait_for(lambda: not stage.records(STRAYS), "the worker")
        held.unlink()
        with pytest.raises(ClientError) as error:
            putting.result()
    assert code_of(error) == "ServiceUnavailable"
    assert there(stage, bucket) == []
    with pytest.raises(ClientError):
        client.get_object(Bucket=bucket, Key="key")


def test_small_bodies_of_the_data_daemon_have_no_notes(stage: Stage, client: Any) -> None:
    name = f"b{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    before, queued = set(stage.records(STRAYS)), set(stage.records(DELETIONS))
    client.put_object(Bucket=name, Key="key", Body=b"here")
    client.put_object(Bucket=name, Key="large", Body=CONTENT)
    # The worker may be at what tests before have left.
    assert set(stage.records(STRAYS)) <= before
    assert set(stage.records(DELETIONS)) <= queued
