"""S3 over a metadata daemon that has the original's calls and no more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from botocore.exceptions import ClientError

from tests.api.support import body_of, put_version, set_versioning, versions_of
from tests.clients_boto3 import s3_client
from tests.etags import multipart_etag_of
from tests.interop.foreign_daemon import ForeignDaemon, foreign_daemon
from tests.raw_http import call
from tests.servers import Front, cluster


@contextmanager
def foreign_in_a_thread() -> Iterator[ForeignDaemon]:
    """A foreign daemon that a synchronous test can have."""
    started: Future[ForeignDaemon] = Future()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        async with foreign_daemon() as daemon:
            started.set_result(daemon)
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    try:
        yield started.result(20)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def daemon() -> Iterator[ForeignDaemon]:
    with foreign_in_a_thread() as running:
        yield running


@pytest.fixture(scope="module")
def front(daemon: ForeignDaemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A front-end whose metadata is elsewhere, and whose data is here."""
    client = {"host": "127.0.0.1", "port": daemon.port}
    settings = {"metadataClient": client, "multipartMinPartSizeBytes": 1, "deleteDelaySeconds": 0}
    with cluster(tmp_path_factory.mktemp("foreign"), settings=settings) as running:
        yield running.fronts[0]


@pytest.fixture
def s3(front: Front) -> Any:
    return s3_client(front)


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    name = f"foreign-{abs(hash(request.node.name)) % 10**8}"
    s3.create_bucket(Bucket=name)
    return name


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> str:
    code: str = caught.value.response["Error"]["Code"]
    return code


def test_objects_live_as_usual(s3: Any, bucket: str, daemon: ForeignDaemon) -> None:
    s3.put_object(Bucket=bucket, Key="a b/ü", Body=b"first", Metadata={"x": "y"})
    s3.put_object(Bucket=bucket, Key="a b/ü", Body=b"second", Metadata={"x": "z"})
    reply = s3.get_object(Bucket=bucket, Key="a b/ü")
    assert (reply["Body"].read(), reply["Metadata"]) == (b"second", {"x": "z"})
    tags = {"TagSet": [{"Key": "k", "Value": "v"}]}
    s3.put_object_tagging(Bucket=bucket, Key="a b/ü", Tagging=tags)
    assert s3.get_object_tagging(Bucket=bucket, Key="a b/ü")["TagSet"] == tags["TagSet"]
    with pytest.raises(ClientError) as caught:
        s3.delete_bucket(Bucket=bucket)
    assert code_of(caught) == "BucketNotEmpty"
    s3.delete_object(Bucket=bucket, Key="a b/ü")
    s3.delete_bucket(Bucket=bucket)
    assert bucket not in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    assert {name for name, _ in daemon.calls} <= {
        *("put", "get", "del", "createReadStream", "getManifest"),
    }


def test_conditions_are_checked(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    assert code_of(caught) == "PreconditionFailed"
    s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag)
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=etag)
    assert code_of(caught) == "PreconditionFailed"


def test_keys_above_the_basic_plane_are_seen(s3: Any, bucket: str) -> None:
    """The original's streams leave them out, unless they are told where to end."""
    key = "\U0010ffff" * 256
    s3.put_object(Bucket=bucket, Key=key, Body=b"")
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    with pytest.raises(ClientError) as caught:
        s3.delete_bucket(Bucket=bucket)
    assert code_of(caught) == "BucketNotEmpty"


@pytest.mark.parametrize("page", [1, 3, 1000])
def test_listings_run_over_streams(s3: Any, bucket: str, page: int) -> None:
    keys = [f"{folder}/{number:02}" for folder in "abc" for number in range(30)] + ["d", "e\x01"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": page}
    )
    found: list[str] = []
    for reply in pages:
        found += [entry["Prefix"] for entry in reply.get("CommonPrefixes", [])]
        found += [entry["Key"] for entry in reply.get("Contents", [])]
    assert found == ["a/", "b/", "c/", "d", "e\x01"]
    inside = s3.list_objects_v2(Bucket=bucket, Prefix="b/", StartAfter="b/27")
    assert [entry["Key"] for entry in inside["Contents"]] == ["b/28", "b/29"]


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_uploads_are_listed_over_streams(s3: Any, bucket: str, page: int) -> None:
    keys = ["a", "a", "a!", *(f"b/{number}" for number in range(20)), "c"]
    begun = [(key, s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]) for key in keys]
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": page}
    )
    found: list[Any] = []
    for reply in pages:
        found += [(entry["Key"], entry["UploadId"]) for entry in reply.get("Uploads", [])]
        found += [entry["Prefix"] for entry in reply.get("CommonPrefixes", [])]
    assert sorted(found, key=str) == sorted([*begun[:3], begun[-1], "b/"], key=str)
    assert [entry for entry in found if entry != "b/"] == [*begun[:3], begun[-1]]


def test_uploads_and_copies(s3: Any, front: Front, bucket: str) -> None:
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    etags = [
        s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]
        for number, body in enumerate((b"one", b"two"), 1)
    ]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    completed = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert completed["ETag"] == multipart_etag_of([b"one", b"two"])
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "parts"})
    s3.delete_object(Bucket=bucket, Key="parts")
    assert call(front, "GET", f"/{bucket}/copy").body == b"onetwo"


def test_a_bucket_is_deleted_with_its_uploads(s3: Any, bucket: str) -> None:
    upload = {"Bucket": bucket, "Key": "\U0001f600"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    s3.upload_part(**upload, PartNumber=1, Body=b"part")
    s3.put_object(Bucket=bucket, Key="object")
    with pytest.raises(ClientError) as caught:
        s3.delete_bucket(Bucket=bucket)
    assert code_of(caught) == "BucketNotEmpty"
    assert len(s3.list_parts(**upload)["Parts"]) == 1
    s3.delete_object(Bucket=bucket, Key="object")
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    s3.delete_bucket(Bucket=bucket)


def test_an_object_is_not_renamed_half_way(s3: Any, bucket: str) -> None:
    """A daemon that may stop between two steps could leave one blob to two objects."""
    s3.put_object(Bucket=bucket, Key="old", Body=b"body")
    with pytest.raises(ClientError) as caught:
        s3.rename_object(Bucket=bucket, Key="new", RenameSource=f"{bucket}/old")
    assert caught.value.response["Error"]["Code"] == "NotImplemented"
    assert [entry["Key"] for entry in s3.list_objects(Bucket=bucket)["Contents"]] == ["old"]


def test_versions(s3: Any, front: Front, bucket: str, daemon: ForeignDaemon) -> None:
    """The same rules, by the original's calls, one after the other."""
    put_version(s3, bucket, "k", b"null")
    set_versioning(s3, bucket, "Enabled")
    first, second = (put_version(s3, bucket, "k", body) for body in (b"1", b"2"))
    assert versions_of(front, bucket) == [("k", f"*{second}"), ("k", first), ("k", "null")]
    for version, body in ((second, b"2"), (first, b"1"), ("null", b"null")):
        assert body_of(s3, bucket, "k", VersionId=version) == body
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    assert call(front, "GET", f"/{bucket}/k").headers["x-amz-delete-marker"] == "true"
    for version in (marker, second):
        s3.delete_object(Bucket=bucket, Key="k", VersionId=version)
    assert body_of(s3, bucket, "k") == b"1"
    set_versioning(s3, bucket, "Suspended")
    for body in (b"other", b"another"):
        put_version(s3, bucket, "k", body)
        assert body_of(s3, bucket, "k", VersionId="null") == body
        assert versions_of(front, bucket) == [("k", "*null"), ("k", first)]
    tags = {"TagSet": [{"Key": "k", "Value": "v"}]}
    for version in ("null", first):
        named = {"Bucket": bucket, "Key": "k", "VersionId": version}
        s3.put_object_tagging(**named, Tagging=tags)
        assert s3.get_object_tagging(**named)["TagSet"] == tags["TagSet"]
        s3.delete_object(**named)
    s3.delete_bucket(Bucket=bucket)
    assert {name for name, _ in daemon.calls} <= {
        *("put", "get", "del", "createReadStream", "getManifest"),
    }


def test_a_bucket_that_is_changed_by_somebody_else(
    s3: Any, bucket: str, daemon: ForeignDaemon
) -> None:
    records = daemon.records[("__metastore",)]
    assert "VersionId" not in s3.put_object(Bucket=bucket, Key="k")
    document = orjson.loads(records[bucket])
    versioned = {**document, "versioningConfiguration": {"Status": "Enabled"}}
    records[bucket] = orjson.dumps(versioned).decode()
    assert s3.put_object(Bucket=bucket, Key="k")["VersionId"]
    records[bucket] = orjson.dumps({**document, "owner": "somebody else"}).decode()
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k")
    assert code_of(caught) == "AccessDenied"
    records[bucket] = orjson.dumps(document).decode()
    assert s3.get_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_versions_are_listed_over_streams(s3: Any, bucket: str, page: int) -> None:
    set_versioning(s3, bucket, "Enabled")
    made = [(key, put_version(s3, bucket, key, b"")) for key in ("a", "a", "b/1", "b/2", "c")]
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": page}
    )
    found: list[Any] = []
    for reply in pages:
        found += [(entry["Key"], entry["VersionId"]) for entry in reply.get("Versions", [])]
        found += [entry["Prefix"] for entry in reply.get("CommonPrefixes", [])]
    assert sorted(found, key=str) == sorted([*made[:2], made[-1], "b/"], key=str)


def test_replaced_null_versions_give_their_data_up(
    s3: Any, bucket: str, daemon: ForeignDaemon
) -> None:
    set_versioning(s3, bucket, "Suspended")
    queue = daemon.records.setdefault(("..deletions",), {})
    put_version(s3, bucket, "k", b"1")
    (old,) = orjson.loads(daemon.records[(bucket,)]["k"])["location"]
    queue.clear()
    put_version(s3, bucket, "k", b"2")
    (new,) = orjson.loads(daemon.records[(bucket,)]["k"])["location"]
    assert body_of(s3, bucket, "k") == b"2"
    calls = [params["rpcArgs"] for name, params in daemon.calls if name == "put"]
    queued = [orjson.loads(value) for key, value, _ in calls if value.startswith('{"location"')]
    given_up = [location["key"] for entry in queued for location in entry["location"]]
    assert old["key"] in given_up
    assert new["key"] not in given_up
