"""Records whose members other writers, or damage, left in any form, over the wire. Which forms
there are, ``tests/unit/shared/records/test_unreadable_records.py`` says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shared.records.names import METASTORE, UPLOADS_PREFIX, USERS_BUCKET, owner_entry_key
from tests.api.support import CANONICAL_ID
from tests.faults.stores import call_metadata, stored_records
from tests.raw_http import call
from tests.servers import Cluster, Front

NOT_HERE = (501, "NotImplemented")
DAMAGED: dict[str, Any] = {
    "last-modified": "yesterday",
    "creation-time": None,
    "checksum": {"checksumAlgorithm": {"a": 1}},
    "tags": ["a"],
    "parts": [["x", 1]],
    "versionId": {"a": 1},
    "cache-control": ["x"],
    "content-type": {"a": 1},
    "x-amz-storage-class": [1],
    "content-md5": [1],
}
"""What does not keep the bytes from being read."""

Store = Callable[[list[str], str, dict[str, Any]], None]


@pytest.fixture
def store(shared_cluster: Cluster) -> Store:
    def put(sub_level: list[str], key: str, members: dict[str, Any]) -> None:
        record = stored_records(shared_cluster, sub_level)[sub_level[0]][key]
        call_metadata(shared_cluster, "put", [key, json.dumps(record | members), {}], sub_level)

    return put


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]


@pytest.mark.usefixtures("undisturbed")
def test_an_object_is_read_listed_copied_and_changed(s3: Any, bucket: str, store: Store) -> None:
    key = {"Bucket": bucket, "Key": "key"}
    s3.put_object(**key, Body=b"0123", Tagging="a=b")
    s3.put_object(Bucket=bucket, Key="well", Body=b"")
    store([bucket], "key", DAMAGED)
    read = s3.get_object(**key, ChecksumMode="ENABLED", Range="bytes=1-2")
    assert read["Body"].read() == b"12"
    assert read["LastModified"].year == 1970
    assert s3.head_object(**key, PartNumber=1)["ContentLength"] == 4
    wanted = ["ETag", "Checksum", "ObjectParts", "ObjectSize", "StorageClass"]
    assert s3.get_object_attributes(**key, ObjectAttributes=wanted)["ObjectSize"] == 4
    assert s3.get_object_tagging(**key)["TagSet"] == []
    for listing, rows in (("list_objects_v2", "Contents"), ("list_object_versions", "Versions")):
        found = getattr(s3, listing)(Bucket=bucket)[rows]
        assert {row["Key"]: row["LastModified"].year for row in found}["key"] == 1970
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=key)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"0123"
    s3.put_object_tagging(**key, Tagging={"TagSet": [{"Key": "c", "Value": "d"}]})
    s3.delete_object(**key)


@pytest.mark.usefixtures("undisturbed")
def test_characters_that_no_xml_can_carry(s3: Any, bucket: str, store: Store) -> None:
    """One object's must not keep a client from reading a page."""
    key = {"Bucket": bucket, "Key": "key"}
    s3.put_object(**key, Body=b"0123")
    bad, shown = "a\r\n\0\ufffe", "a\r\n\ufffd\ufffd"
    names = ("content-md5", "owner-id", "owner-display-name", "x-amz-storage-class")
    store([bucket], "key", dict.fromkeys(names, bad) | {"tags": {bad: bad}})
    for listing, rows in (
        ("list_objects", "Contents"),
        ("list_objects_v2", "Contents"),
        ("list_object_versions", "Versions"),
    ):
        (row,) = getattr(s3, listing)(Bucket=bucket)[rows]
        assert row["StorageClass"] == shown
    assert s3.get_object_tagging(**key)["TagSet"] == [{"Key": shown, "Value": shown}]
    # In a new bucket, whatever an object says of its owner, it is the bucket's.
    assert s3.get_object_acl(**key)["Owner"]["ID"] == CANONICAL_ID
    assert s3.get_object_attributes(**key, ObjectAttributes=["ETag"])["ETag"] == shown
    upload = {"Bucket": bucket, "Key": "upload"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    overview = f"overview..|..upload..|..{upload['UploadId']}"
    person = {"ID": bad, "DisplayName": bad}
    members = {"initiator": person, "checksumAlgorithm": bad, "checksumType": bad}
    store([UPLOADS_PREFIX + bucket], overview, members)
    (row,) = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert row["Initiator"]["ID"] == s3.list_parts(**upload)["Initiator"]["ID"] == shown


@pytest.mark.parametrize("size", ["x", 1.5, -1, [1], 10**30])
def test_an_object_of_no_known_size(s3: Any, bucket: str, store: Store, size: Any) -> None:
    """It neither is served nor keeps the others from being listed, and it can be replaced."""
    key = {"Bucket": bucket, "Key": "key"}
    s3.put_object(**key, Body=b"0123")
    store([bucket], "key", {"content-length": size})
    assert refused(s3.get_object, **key) == NOT_HERE
    assert refused(s3.copy_object, Bucket=bucket, Key="copy", CopySource=key) == NOT_HERE
    for listing in ("list_objects_v2", "list_objects"):
        assert [row["Size"] for row in getattr(s3, listing)(Bucket=bucket)["Contents"]] == [0]
    assert s3.list_object_versions(Bucket=bucket)["Versions"][0]["Size"] == 0
    s3.put_object(**key, Body=b"new")
    assert s3.get_object(**key)["Body"].read() == b"new"


def test_a_lock_that_is_not_understood_still_protects(
    s3: Any, locked: str, shared_cluster: Cluster
) -> None:
    version = s3.put_object(Bucket=locked, Key="key", Body=b"0")["VersionId"]
    records = stored_records(shared_cluster, [locked])[locked]
    for key, record in records.items():
        document = record | {"retentionMode": "GOVERNANCE", "retentionDate": ["x"]}
        call_metadata(shared_cluster, "put", [key, json.dumps(document), {}], [locked])
    named = {"Bucket": locked, "Key": "key", "VersionId": version}
    assert s3.get_object(**named)["Body"].read() == b"0"
    bypass = {"BypassGovernanceRetention": True}
    assert refused(s3.delete_object, **named, **bypass) == NOT_HERE
    assert refused(s3.get_object_retention, **named) == NOT_HERE
    assert s3.get_object(**named)["Body"].read() == b"0"


def test_a_bucket(s3: Any, bucket: str, store: Store, front: Front) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"0")
    metastore = [METASTORE]
    store(metastore, bucket, {"name": 5, "creationDate": 5, "locationConstraint": {"a": "\r\n"}})
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"0"
    assert [row["Key"] for row in s3.list_objects(Bucket=bucket)["Contents"]] == ["key"]
    assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == "us-east-1"
    s3.get_bucket_location(Bucket=bucket)
    assert s3.create_bucket(Bucket=bucket)["Location"] == f"/{bucket}"
    store(metastore, bucket, {"versioningConfiguration": [1]})
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    store(metastore, bucket, {"versioningConfiguration": None})
    s3.put_object(Bucket=bucket, Key="key", Body=b"1")
    store(metastore, bucket, {"versioningConfiguration": {"Status": "Paused"}})
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"1"
    # As if there were no versions, it would destroy one.
    assert refused(s3.put_object, Bucket=bucket, Key="key", Body=b"2") == NOT_HERE
    store(metastore, bucket, {"owner": None})
    assert call(front, "GET", f"/{bucket}").error["Code"] == "NotImplemented"


@pytest.mark.parametrize("entry", ["{}", "[]", "x", '{"creationDate":5}'])
def test_an_entry_of_the_list_of_buckets(
    s3: Any, bucket: str, shared_cluster: Cluster, entry: str
) -> None:
    owner = s3.list_buckets()["Owner"]["ID"]
    key = owner_entry_key(owner, bucket)
    call_metadata(shared_cluster, "put", [key, entry, {}], [USERS_BUCKET])
    found = {each["Name"]: each["CreationDate"].year for each in s3.list_buckets()["Buckets"]}
    assert found[bucket] == 1970
    # What reads the whole store afterwards expects documents.
    s3.delete_bucket(Bucket=bucket)


def test_an_upload(s3: Any, bucket: str, store: Store, shared_cluster: Cluster) -> None:
    upload = {"Bucket": bucket, "Key": "key"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"0123")["ETag"]
    level = [UPLOADS_PREFIX + bucket]
    overview, part = (
        next(
            key for key in stored_records(shared_cluster, level)[level[0]] if key.startswith(begin)
        )
        for begin in ("overview", upload["UploadId"])
    )
    damage = {"initiated": 5, "checksumAlgorithm": [1], "tags": 5, "initiator": [1]}
    store(level, overview, damage)
    store(level, part, {"last-modified": [1], "checksum": [1]})
    (row,) = s3.list_parts(**upload)["Parts"]
    assert (row["Size"], row["LastModified"].year) == (4, 1970)
    (shown,) = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert shown["Initiated"].year == 1970
    store(level, part, {"partLocations": [{"key": 5}]})
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    done = refused(s3.complete_multipart_upload, **upload, MultipartUpload=parts)
    assert done == NOT_HERE
    s3.upload_part(**upload, PartNumber=1, Body=b"0123")
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"0123"
