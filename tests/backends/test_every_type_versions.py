"""Versions, over a location of every type."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.support import body_of, code_of, put_version, set_versioning, versions_of
from tests.backends.bodies import MIB, PART, body_of_size
from tests.backends.places import Server

SIZES = (0, 100, 300_000)


@pytest.fixture
def versioned(s3: Any, bucket: str) -> str:
    set_versioning(s3, bucket, "Enabled")
    return bucket


@pytest.mark.parametrize("size", SIZES)
def test_each_version_has_its_bytes(at: Server, s3: Any, versioned: str, size: int) -> None:
    bodies = [body_of_size(size, seed) for seed in range(4)]
    names = [put_version(s3, versioned, "key", body) for body in bodies]
    assert len(set(names)) == 4
    for name, body in zip(names, bodies, strict=True):
        assert body_of(at.client(1), versioned, "key", VersionId=name) == body
    assert body_of(s3, versioned, "key") == bodies[-1]
    shown = [row[1] for row in versions_of(at.front, versioned)]
    assert [name.lstrip("*") for name in shown] == names[::-1]


def test_a_range_of_an_earlier_version(s3: Any, versioned: str) -> None:
    body = body_of_size(2 * MIB)
    name = put_version(s3, versioned, "key", body)
    put_version(s3, versioned, "key", b"later")
    wanted = {"VersionId": name, "Range": "bytes=65530-1100000"}
    found = s3.get_object(Bucket=versioned, Key="key", **wanted)
    assert found["Body"].read() == body[65530:1_100_001]


def test_a_version_is_deleted_and_no_other(at: Server, s3: Any, versioned: str) -> None:
    before = at.blobs()
    names = [put_version(s3, versioned, "key", body_of_size(70_000, seed)) for seed in range(3)]
    s3.delete_object(Bucket=versioned, Key="key", VersionId=names[1])
    missing = {"Bucket": versioned, "Key": "key", "VersionId": names[1]}
    assert code_of(s3.get_object, **missing) == (404, "NoSuchVersion")
    for seed in (0, 2):
        found = body_of(s3, versioned, "key", VersionId=names[seed])
        assert found == body_of_size(70_000, seed)
    s3.delete_object(Bucket=versioned, Key="key", VersionId=names[2])
    assert body_of(s3, versioned, "key") == body_of_size(70_000, 0)
    with at.left_nothing():
        pass
    s3.delete_object(Bucket=versioned, Key="key", VersionId=names[0])
    at.wait_until_holding(before)


def test_a_delete_marker_hides_what_stays(s3: Any, versioned: str) -> None:
    name = put_version(s3, versioned, "key", body_of_size(70_000))
    marker = s3.delete_object(Bucket=versioned, Key="key")["VersionId"]
    assert code_of(s3.get_object, Bucket=versioned, Key="key") == (404, "NoSuchKey")
    assert body_of(s3, versioned, "key", VersionId=name) == body_of_size(70_000)
    s3.delete_object(Bucket=versioned, Key="key", VersionId=marker)
    assert body_of(s3, versioned, "key") == body_of_size(70_000)


def test_the_null_version_is_overwritten(at: Server, s3: Any, bucket: str) -> None:
    before = at.blobs()
    s3.put_object(Bucket=bucket, Key="key", Body=body_of_size(70_000, 0))
    set_versioning(s3, bucket, "Enabled")
    name = put_version(s3, bucket, "key", body_of_size(70_000, 1))
    set_versioning(s3, bucket, "Suspended")
    assert put_version(s3, bucket, "key", body_of_size(70_000, 2)) == "null"
    assert body_of(s3, bucket, "key", VersionId="null") == body_of_size(70_000, 2)
    assert body_of(s3, bucket, "key", VersionId=name) == body_of_size(70_000, 1)
    assert put_version(s3, bucket, "key", body_of_size(70_000, 3)) == "null"
    assert body_of(s3, bucket, "key") == body_of_size(70_000, 3)
    assert body_of(s3, bucket, "key", VersionId=name) == body_of_size(70_000, 1)
    for version in (name, "null"):
        s3.delete_object(Bucket=bucket, Key="key", VersionId=version)
    at.wait_until_holding(before)


def test_a_marker_while_suspended_replaces_the_null_version(
    at: Server, s3: Any, versioned: str
) -> None:
    before = at.blobs()
    set_versioning(s3, versioned, "Suspended")
    put_version(s3, versioned, "key", body_of_size(70_000))
    assert s3.delete_object(Bucket=versioned, Key="key")["VersionId"] == "null"
    assert code_of(s3.get_object, Bucket=versioned, Key="key") == (404, "NoSuchKey")
    at.wait_until_holding(before)


def test_an_upload_of_parts_is_a_version(s3: Any, versioned: str) -> None:
    first = put_version(s3, versioned, "key", b"first")
    address = {"Bucket": versioned, "Key": "key"}
    upload = {**address, "UploadId": s3.create_multipart_upload(**address)["UploadId"]}
    bodies = [body_of_size(PART), body_of_size(1000)]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"],
        }
        for number, body in enumerate(bodies, 1)
    ]
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    put_version(s3, versioned, "key", b"third")
    found = body_of(s3, versioned, "key", VersionId=done["VersionId"])
    assert found == b"".join(bodies)
    assert body_of(s3, versioned, "key", VersionId=first) == b"first"
    s3.delete_object(**address, VersionId=done["VersionId"])
    assert body_of(s3, versioned, "key") == b"third"


def test_tags_of_a_version(s3: Any, versioned: str) -> None:
    names = [put_version(s3, versioned, "key", body_of_size(70_000, seed)) for seed in range(2)]
    address = {"Bucket": versioned, "Key": "key"}
    for name in names:
        tag = {"TagSet": [{"Key": "version", "Value": name[:8]}]}
        s3.put_object_tagging(**address, VersionId=name, Tagging=tag)
    for name in names:
        found = s3.get_object_tagging(**address, VersionId=name)["TagSet"]
        assert found == [{"Key": "version", "Value": name[:8]}]


def test_versions_are_deleted_at_once(at: Server, s3: Any, versioned: str) -> None:
    before = at.blobs()
    named = [
        {"Key": key, "VersionId": put_version(s3, versioned, key, body_of_size(70_000, seed))}
        for key in ("a", "b")
        for seed in range(3)
    ]
    s3.delete_objects(Bucket=versioned, Delete={"Objects": named[1:]})
    assert body_of(s3, versioned, "a") == body_of_size(70_000, 0)
    assert code_of(s3.get_object, Bucket=versioned, Key="b") == (404, "NoSuchKey")
    s3.delete_objects(Bucket=versioned, Delete={"Objects": named[:1]})
    s3.delete_bucket(Bucket=versioned)
    at.wait_until_holding(before)
