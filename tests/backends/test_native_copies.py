"""Copies that a place makes itself, and those that come through a front-end."""

from __future__ import annotations

import hashlib
import json
import random
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from shared.records.names import STRAYS
from tests.api.encrypting import by_customer, encryption_settings, part_under_way, put_default
from tests.backends.native_cluster import Stage, native_cluster
from tests.backends.native_place import NativePlace
from tests.backends.native_support import CHOICE, end_faults, refusal, there
from tests.clients_boto3 import s3_client
from tests.raw_http import call as http_call
from tests.servers import wait_for

DATA = random.Random(5).randbytes(300_000)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("native")
    with native_cluster(folder, settings=encryption_settings(folder)) as stage:
        yield stage


@pytest.fixture
def client(stage: Stage) -> Any:
    return s3_client(stage.running.fronts[0])


@pytest.fixture(params=["all", "all-plain"])
def place(stage: Stage, request: pytest.FixtureRequest) -> NativePlace:
    return stage.places[request.param]


@pytest.fixture
def bucket(client: Any, place: NativePlace) -> str:
    name = f"b{uuid.uuid4().hex[:12]}"
    where = {"LocationConstraint": place.root.name}
    client.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    return name


@pytest.fixture(autouse=True)
def no_faults(stage: Stage) -> Iterator[None]:
    yield
    end_faults(stage)


def copy(client: Any, bucket: str, key: str = "copy", **options: Any) -> Any:
    source = {"Bucket": bucket, "Key": "source"}
    return client.copy_object(Bucket=bucket, Key=key, CopySource=source, **options)


def content(client: Any, bucket: str, key: str = "copy") -> bytes:
    found: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return found


def test_the_place_copies_it_itself(
    stage: Stage, client: Any, bucket: str, place: NativePlace
) -> None:
    put = client.put_object(
        Bucket=bucket, Key="source", Body=DATA, Metadata={"colour": "blue"}, Tagging="a=b"
    )
    before = place.calls()
    copied = copy(client, bucket)["CopyObjectResult"]
    assert copied["ETag"] == put["ETag"]
    assert copied["ChecksumCRC32"] == put["ChecksumCRC32"]
    assert place.calls()[len(before) :] == ["copy"]
    assert content(client, bucket) == DATA
    blobs = {blob.key: blob for blob in there(stage, bucket)}
    assert blobs["copy"].user_metadata == {"colour": "blue"}
    assert blobs["copy"].tags == {"a": "b"}
    assert blobs["copy"].mark != blobs["source"].mark
    assert not stage.records(STRAYS)
    client.delete_object(Bucket=bucket, Key="source")
    stage.wait_until_settled()
    assert content(client, bucket) == DATA


def test_what_the_copy_says_is_new_there(
    stage: Stage, client: Any, bucket: str, place: NativePlace
) -> None:
    client.put_object(Bucket=bucket, Key="source", Body=DATA, Metadata={"colour": "blue"})
    copy(
        client,
        bucket,
        MetadataDirective="REPLACE",
        Metadata={"colour": "red"},
        ContentType="text/x-new",
        TaggingDirective="REPLACE",
        Tagging="c=d",
    )
    blobs = {blob.key: blob for blob in there(stage, bucket)}
    assert blobs["copy"].user_metadata == {"colour": "red"}
    assert blobs["copy"].content_type == "text/x-new"
    assert blobs["copy"].tags == {"c": "d"}
    assert "copy" in place.calls()


def test_what_is_to_be_encrypted_comes_through_the_front_end(
    stage: Stage, client: Any, bucket: str, place: NativePlace
) -> None:
    """The place would store it as it is there; and so it would the parts of an upload of its own.
    An encrypted source is not for the place either: it would be bound to its name."""
    client.put_object(Bucket=bucket, Key="source", Body=DATA)
    before = len(place.calls())
    upload = {"Bucket": bucket, "Key": "parts"}
    for said, key in (({"ServerSideEncryption": "AES256"}, {}), (by_customer(), by_customer())):
        copy(client, bucket, **said)
        copied = client.get_object(Bucket=bucket, Key="copy", **key)
        assert copied["Body"].read() == DATA
        begun = client.create_multipart_upload(**upload, **said)
        part = {**upload, "UploadId": begun["UploadId"], "PartNumber": 1}
        etag = client.upload_part(**part, Body=DATA, **key)["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        del part["PartNumber"]
        client.complete_multipart_upload(**part, MultipartUpload=parts)
        assert client.get_object(Bucket=bucket, Key="parts", **key)["Body"].read() == DATA
        plain = [blob.key for blob in there(stage, bucket) if DATA[:64] in blob.content]
        assert plain == ["source"]
    assert not {"copy", "begin_upload", "complete_upload"}.intersection(place.calls()[before:])
    source = {"CopySource": f"{bucket}/copy", **by_customer(prefix="CopySource")}
    client.copy_object(Bucket=bucket, Key="again", **source)
    assert content(client, bucket, "again") == DATA
    assert "copy" not in place.calls()[before:]


def test_a_part_at_its_place_when_its_bucket_comes_to_demand_encryption(
    stage: Stage, client: Any, bucket: str, place: NativePlace
) -> None:
    """Nobody can encrypt what is there, so it is refused, and goes with its upload."""
    before = len(place.uploads())
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    connection, request = part_under_way(stage.running.fronts[0], upload, DATA)
    with connection:
        put_default(client, bucket)
        connection.send(request.body)
        response = connection.receive("PUT")
    assert (response.status, response.error["Code"]) == (400, "InvalidRequest")
    assert "Begin another one" in response.error["Message"]
    assert "Parts" not in client.list_parts(**upload)
    client.abort_multipart_upload(**upload)
    wait_for(lambda: len(place.uploads()) <= before, "the upload to end at its place")
    assert not there(stage, bucket)


def test_from_one_location_to_another_of_the_type(
    stage: Stage, client: Any, bucket: str, place: NativePlace
) -> None:
    client.put_object(Bucket=bucket, Key="source", Body=DATA)
    other = "all-plain" if place.root.name == "all" else "all"
    before = stage.places[other].calls().count("copy")
    copy(client, bucket, MetadataDirective="REPLACE", Metadata={CHOICE: other})
    assert stage.places[other].calls().count("copy") == before + 1
    assert content(client, bucket) == DATA


STREAMED = {
    "another checksum": ({}, {"ChecksumAlgorithm": "SHA256"}),
    "a place that does not copy": (
        {},
        {"MetadataDirective": "REPLACE", "Metadata": {CHOICE: "versions"}},
    ),
    "the data daemon": ({}, {"MetadataDirective": "REPLACE", "Metadata": {CHOICE: "us-east-1"}}),
    "from the data daemon": ({"Metadata": {CHOICE: "us-east-1"}}, {"MetadataDirective": "REPLACE"}),
}


@pytest.mark.parametrize(("source", "target"), STREAMED.values(), ids=STREAMED)
def test_all_else_comes_through_here(
    client: Any, bucket: str, place: NativePlace, source: Any, target: Any
) -> None:
    client.put_object(Bucket=bucket, Key="source", Body=DATA, **source)
    before = place.calls().count("copy")
    copy(client, bucket, **target)
    assert place.calls().count("copy") == before
    assert content(client, bucket) == DATA


def test_an_object_of_parts_gets_the_md5_that_the_place_says(
    client: Any, bucket: str, place: NativePlace
) -> None:
    named = {"Bucket": bucket, "Key": "source"}
    upload = client.create_multipart_upload(
        **named, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
    )["UploadId"]
    parts = []
    for number, data in enumerate((DATA[:200_000], DATA[200_000:]), start=1):
        sent = client.upload_part(
            **named, UploadId=upload, PartNumber=number, Body=data, ChecksumAlgorithm="CRC32"
        )
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    client.complete_multipart_upload(**named, UploadId=upload, MultipartUpload={"Parts": parts})
    before = place.calls().count("copy")
    etag = copy(client, bucket)["CopyObjectResult"]["ETag"]
    assert etag.strip('"') == hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    assert place.calls().count("copy") == before + 1
    assert content(client, bucket) == DATA


def test_other_bytes_than_the_source_has(
    stage: Stage, client: Any, bucket: str, place: NativePlace
) -> None:
    client.put_object(Bucket=bucket, Key="source", Body=DATA)
    place.fault("copy", "other-md5")
    assert refusal(copy, client=client, bucket=bucket) == "InternalError"
    assert [blob.key for blob in there(stage, bucket)] == ["source"]
    assert not stage.records(STRAYS)


@pytest.mark.parametrize("trouble", ["refused", "silent"])
def test_a_copy_that_fails_leaves_nothing(
    stage: Stage, client: Any, bucket: str, place: NativePlace, trouble: str
) -> None:
    client.put_object(Bucket=bucket, Key="source", Body=DATA)
    place.fault("copy", trouble)
    assert refusal(copy, client=client, bucket=bucket) == "ServiceUnavailable"
    end_faults(stage)
    stage.wait_until_settled()
    assert [blob.key for blob in there(stage, bucket)] == ["source"]


def test_a_copy_that_was_made_and_is_asked_for_again_is_not_left_there(
    stage: Stage, client: Any, bucket: str, place: NativePlace
) -> None:
    client.put_object(Bucket=bucket, Key="source", Body=DATA)
    place.fault("copy", "failed-once")
    copy(client, bucket)
    assert len(there(stage, bucket)) == 3
    stage.wait_until_settled()
    assert [blob.key for blob in there(stage, bucket)] == ["copy", "source"]
    assert content(client, bucket) == DATA


@pytest.mark.parametrize("verb", ["copy_object", "upload_part_copy"])
def test_a_copy_that_has_nowhere_to_go_lets_go_of_its_source(
    stage: Stage, client: Any, bucket: str, place: NativePlace, verb: str
) -> None:
    """The target refuses before a byte of the source is read."""
    client.put_object(Bucket=bucket, Key="source", Body=random.Random(6).randbytes(2_000_000))
    asked: dict[str, Any] = {"Bucket": bucket, "Key": "copy"}
    if verb == "copy_object":
        asked["Metadata"] = {CHOICE: "plain"}
        asked["MetadataDirective"] = "REPLACE"
    else:
        begun = client.create_multipart_upload(**asked, Metadata={CHOICE: "plain"})
        asked |= {"UploadId": begun["UploadId"], "PartNumber": 1}
    stage.places["plain"].fault("put", "refused")
    source = {"Bucket": bucket, "Key": "source"}
    call = getattr(client, verb)
    assert refusal(call, CopySource=source, **asked) == "ServiceUnavailable"
    said = json.loads(http_call(stage.running.fronts[0], "GET", "/_/healthcheck").body)
    assert said["locations"][place.root.name]["reading"] == 0


def test_a_condition_that_fails_takes_the_copy_back(
    stage: Stage, client: Any, bucket: str, place: NativePlace
) -> None:
    client.put_object(Bucket=bucket, Key="source", Body=DATA)
    client.put_object(Bucket=bucket, Key="copy", Body=b"there")
    assert refusal(copy, client=client, bucket=bucket, IfNoneMatch="*") == "PreconditionFailed"
    assert content(client, bucket) == b"there"
    assert len(there(stage, bucket)) == 2
