"""Tags of objects in places that keep tags as well."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from s3front.metadata.tag_changes import TAG_CHANGES
from shared.records.names import DEAD_LETTERS
from tests.backends.native_cluster import Stage, native_cluster
from tests.backends.native_place import NativePlace
from tests.backends.native_support import there
from tests.clients_boto3 import s3_client
from tests.servers import wait_for


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with native_cluster(tmp_path_factory.mktemp("native"), fronts=2) as stage:
        yield stage


@pytest.fixture
def client(stage: Stage) -> Any:
    return s3_client(stage.running.fronts[0])


@pytest.fixture(params=["all", "all-plain"])
def place(stage: Stage, request: pytest.FixtureRequest) -> NativePlace:
    return stage.places[request.param]


@pytest.fixture
def bucket(client: Any, place: NativePlace) -> str:
    return new_bucket(client, place.root.name)


def new_bucket(client: Any, where: str) -> str:
    name = f"b{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": where})
    return name


def put_tags(client: Any, bucket: str, tags: dict[str, str], **version: str) -> None:
    tag_set = [{"Key": key, "Value": value} for key, value in tags.items()]
    client.put_object_tagging(Bucket=bucket, Key="key", Tagging={"TagSet": tag_set}, **version)


def tags_there(stage: Stage, bucket: str) -> list[dict[str, str]]:
    wait_for(lambda: not stage.records(TAG_CHANGES), "the outbox to be empty")
    assert not stage.records(DEAD_LETTERS)
    return [blob.tags for blob in there(stage, bucket)]


def test_they_are_changed_there_as_well(stage: Stage, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"data", Tagging="a=b")
    assert tags_there(stage, bucket) == [{"a": "b"}]
    put_tags(client, bucket, {"c": "d", "e": "f"})
    assert tags_there(stage, bucket) == [{"c": "d", "e": "f"}]
    client.delete_object_tagging(Bucket=bucket, Key="key")
    assert tags_there(stage, bucket) == [{}]


def test_each_version_has_its_own(stage: Stage, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"null")
    enabled = {"Status": "Enabled"}
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
    versions = [
        client.put_object(Bucket=bucket, Key="key", Body=b"%d" % number)["VersionId"]
        for number in range(2)
    ]
    put_tags(client, bucket, {"of": "null"}, VersionId="null")
    put_tags(client, bucket, {"of": "0"}, VersionId=versions[0])
    put_tags(client, bucket, {"of": "1"})
    tags_there(stage, bucket)
    found = {blob.content: blob.tags["of"] for blob in there(stage, bucket)}
    assert found == {b"null": "null", b"0": "0", b"1": "1"}


def test_the_newest_tags_win(stage: Stage, bucket: str, place: NativePlace) -> None:
    """Two front-ends change them while the place is slow."""
    clients = [s3_client(front) for front in stage.running.fronts]
    clients[0].put_object(Bucket=bucket, Key="key", Body=b"data")
    held = place.fault("put_tags", "hold")
    with ThreadPoolExecutor() as threads:
        for number in range(20):
            threads.submit(put_tags, clients[number % 2], bucket, {"n": str(number)})
    held.unlink()
    (tag,) = clients[0].get_object_tagging(Bucket=bucket, Key="key")["TagSet"]
    assert tags_there(stage, bucket) == [{"n": tag["Value"]}]


def test_what_is_gone_or_replaced_is_done(
    stage: Stage, client: Any, bucket: str, place: NativePlace
) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"data")
    stage.running.work.stop()
    put_tags(client, bucket, {"a": "b"})
    client.put_object(Bucket=bucket, Key="key", Body=b"new", Tagging="c=d")
    other = new_bucket(client, place.root.name)
    client.put_object(Bucket=other, Key="key", Body=b"data")
    put_tags(client, other, {"a": "b"})
    client.delete_object(Bucket=other, Key="key")
    client.delete_bucket(Bucket=other)
    assert len(stage.records(TAG_CHANGES)) == 2
    stage.running.work.start()
    assert {"c": "d"} in tags_there(stage, bucket)


def test_a_place_that_is_away_is_waited_for(
    stage: Stage, client: Any, bucket: str, place: NativePlace
) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"data")
    faults = [place.fault(verb, "refused") for verb in ("put_tags", "look")]
    put_tags(client, bucket, {"a": "b"})
    other = "all" if place.root.name == "all-plain" else "all-plain"
    beside = new_bucket(client, other)
    client.put_object(Bucket=beside, Key="key", Body=b"data")
    put_tags(client, beside, {"c": "d"})
    wait_for(lambda: there(stage, beside)[0].tags == {"c": "d"}, "the other place")
    assert there(stage, bucket)[0].tags == {}
    for fault in faults:
        fault.unlink()
    assert tags_there(stage, bucket) == [{"a": "b"}]


@pytest.mark.parametrize("where", ["us-east-1", "versions"])
def test_nothing_is_said_to_a_place_without_tags(stage: Stage, client: Any, where: str) -> None:
    bucket = new_bucket(client, where)
    client.put_object(Bucket=bucket, Key="key", Body=b"data")
    stage.running.work.stop()
    put_tags(client, bucket, {"a": "b"})
    assert not stage.records(TAG_CHANGES)
    stage.running.work.start()
    found = client.get_object_tagging(Bucket=bucket, Key="key")["TagSet"]
    assert found == [{"Key": "a", "Value": "b"}]
