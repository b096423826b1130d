"""Reading versions: GetObject, HeadObject, GetObjectAttributes, tags, and sources of copies."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.support import (
    NO_VERSION,
    body_of,
    code_of,
    error_of,
    md5_hex,
    put_version,
    set_versioning,
    versions_of,
)
from tests.raw_http import call
from tests.servers import Front

TAGS = {"TagSet": [{"Key": "k", "Value": "v"}]}


@pytest.fixture
def versioned(s3: Any, bucket: str) -> tuple[str, list[str]]:
    """A bucket with three versions of ``key``, the oldest one null, and their IDs."""
    put_version(s3, bucket, "key", b"null")
    set_versioning(s3, bucket, "Enabled")
    made = [put_version(s3, bucket, "key", body) for body in (b"first", b"second")]
    return bucket, ["null", *made]


@pytest.fixture
def marked(s3: Any, bucket: str) -> tuple[str, str, str]:
    """A bucket whose ``key`` was deleted: the IDs of the version and of the delete marker."""
    set_versioning(s3, bucket, "Enabled")
    version = put_version(s3, bucket, "key", b"body")
    return bucket, version, s3.delete_object(Bucket=bucket, Key="key")["VersionId"]


def test_every_version_has_its_bytes(s3: Any, versioned: tuple[str, list[str]]) -> None:
    bucket, versions = versioned
    for version, body in zip(versions, (b"null", b"first", b"second"), strict=True):
        got = s3.get_object(Bucket=bucket, Key="key", VersionId=version)
        assert (got["Body"].read(), got["VersionId"]) == (body, version)
        head = s3.head_object(Bucket=bucket, Key="key", VersionId=version)
        assert (head["ContentLength"], head["VersionId"]) == (len(body), version)
        found = s3.get_object_attributes(
            Bucket=bucket, Key="key", VersionId=version, ObjectAttributes=["ETag", "ObjectSize"]
        )
        assert (found["ETag"], found["ObjectSize"], found["VersionId"]) == (
            md5_hex(body),
            len(body),
            version,
        )
    latest = s3.get_object(Bucket=bucket, Key="key")
    assert (latest["Body"].read(), latest["VersionId"]) == (b"second", versions[-1])


def test_a_range_and_a_condition_of_a_version(s3: Any, versioned: tuple[str, list[str]]) -> None:
    bucket, (_, first, second) = versioned
    asked = {"Bucket": bucket, "Key": "key", "VersionId": first}
    got = s3.get_object(**asked, Range="bytes=1-2")
    assert (got["Body"].read(), got["VersionId"]) == (b"ir", first)
    etag = s3.head_object(Bucket=bucket, Key="key", VersionId=second)["ETag"]
    assert code_of(s3.get_object, **asked, IfMatch=etag)[0] == 412
    assert code_of(s3.get_object, Bucket=bucket, Key="key", IfNoneMatch=etag)[0] == 304


def test_null_is_the_latest_one_too(s3: Any, bucket: str) -> None:
    put_version(s3, bucket, "key", b"before")
    assert "VersionId" not in s3.get_object(Bucket=bucket, Key="key")
    set_versioning(s3, bucket, "Enabled")
    for version in ({}, {"VersionId": "null"}):
        got = s3.get_object(Bucket=bucket, Key="key", **version)
        assert (got["Body"].read(), got["VersionId"]) == (b"before", "null")


def test_versions_that_there_are_not(s3: Any, versioned: tuple[str, list[str]]) -> None:
    bucket, versions = versioned
    for read in (s3.get_object, s3.get_object_tagging):
        error = error_of(read, Bucket=bucket, Key="key", VersionId=NO_VERSION)
        assert (error["status"], error["Code"]) == (404, "NoSuchVersion")
        assert (error["Key"], error["VersionId"]) == ("key", NO_VERSION)
        # A version of another key.
        other = code_of(read, Bucket=bucket, Key="other", VersionId=versions[1])
        assert other == (404, "NoSuchVersion")
        assert code_of(read, Bucket=bucket, Key="other", VersionId="null") == other
        error = error_of(read, Bucket=bucket, Key="key", VersionId="x")
        assert (error["status"], error["Code"]) == (400, "InvalidArgument")
        assert error["Message"] == "Invalid version id specified"
    assert code_of(s3.head_object, Bucket=bucket, Key="key", VersionId=NO_VERSION) == (404, "404")
    assert code_of(s3.head_object, Bucket=bucket, Key="key", VersionId="x") == (400, "400")
    s3.delete_object(Bucket=bucket, Key="key", VersionId="null")
    assert code_of(s3.get_object, Bucket=bucket, Key="key", VersionId="null") == (
        404,
        "NoSuchVersion",
    )


def test_the_internal_id_of_a_null_version_names_nothing(s3: Any, bucket: str) -> None:
    set_versioning(s3, bucket, "Suspended")
    for key in ("a", "b"):
        put_version(s3, bucket, key, b"null")
    marker = s3.list_object_versions(Bucket=bucket, MaxKeys=1)["NextVersionIdMarker"]
    assert marker != "null"
    assert code_of(s3.get_object, Bucket=bucket, Key="a", VersionId=marker) == (
        404,
        "NoSuchVersion",
    )


def test_the_latest_is_a_delete_marker(front: Front, marked: tuple[str, str, str]) -> None:
    bucket, _, marker = marked
    for method in ("GET", "HEAD"):
        found = call(front, method, f"/{bucket}/key")
        assert found.status == 404
        assert found.headers["x-amz-delete-marker"] == "true"
        assert found.headers["x-amz-version-id"] == marker
        assert "Last-Modified" not in found.headers
    assert call(front, "GET", f"/{bucket}/key").error["Code"] == "NoSuchKey"
    attributes = {"x-amz-object-attributes": "ETag"}
    found = call(front, "GET", f"/{bucket}/key?attributes", headers=attributes)
    assert (found.error["Code"], found.headers["x-amz-delete-marker"]) == ("NoSuchKey", "true")


def test_a_delete_marker_by_its_version(front: Front, marked: tuple[str, str, str]) -> None:
    bucket, version, marker = marked
    for method in ("GET", "HEAD"):
        found = call(front, method, f"/{bucket}/key?versionId={marker}")
        assert found.status == 405
        assert found.headers["x-amz-delete-marker"] == "true"
        assert found.headers["Allow"] == "DELETE"
        assert found.headers["Last-Modified"].endswith(" GMT")
    error = call(front, "GET", f"/{bucket}/key?versionId={marker}").error
    assert (error["Code"], error["ResourceType"]) == ("MethodNotAllowed", "DeleteMarker")
    under = call(front, "GET", f"/{bucket}/key?versionId={version}")
    assert (under.status, under.body) == (200, b"body")
    assert "x-amz-delete-marker" not in under.headers


def test_tags_are_those_of_a_version(s3: Any, versioned: tuple[str, list[str]]) -> None:
    bucket, versions = versioned
    for version in versions:
        named = {"Bucket": bucket, "Key": "key", "VersionId": version}
        tags = {"TagSet": [{"Key": "version", "Value": version[:10]}]}
        assert s3.put_object_tagging(**named, Tagging=tags)["VersionId"] == version
    for version in versions:
        named = {"Bucket": bucket, "Key": "key", "VersionId": version}
        found = s3.get_object_tagging(**named)
        assert found["TagSet"] == [{"Key": "version", "Value": version[:10]}]
        assert found["VersionId"] == version
        assert s3.get_object(**named)["TagCount"] == 1
    assert s3.get_object_tagging(Bucket=bucket, Key="key")["VersionId"] == versions[-1]
    for version in versions[:2]:
        named = {"Bucket": bucket, "Key": "key", "VersionId": version}
        assert s3.delete_object_tagging(**named)["VersionId"] == version
        assert s3.get_object_tagging(**named)["TagSet"] == []
    assert s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"]


def test_tags_of_the_latest_are_seen_by_its_id(
    s3: Any, front: Front, versioned: tuple[str, list[str]]
) -> None:
    bucket, versions = versioned
    before = versions_of(front, bucket)
    s3.put_object_tagging(Bucket=bucket, Key="key", Tagging=TAGS)
    found = s3.get_object_tagging(Bucket=bucket, Key="key", VersionId=versions[-1])
    assert found["TagSet"] == TAGS["TagSet"]
    assert versions_of(front, bucket) == before


@pytest.mark.parametrize("state", [None, "Enabled", "Suspended"])
def test_tags_of_a_null_version_that_is_the_latest(
    s3: Any, front: Front, bucket: str, state: str | None
) -> None:
    """Tagged, preserved under a newer version, and the latest again, it is still one version."""
    if state is not None:
        set_versioning(s3, bucket, state)
        set_versioning(s3, bucket, "Suspended")
    put_version(s3, bucket, "key", b"null")
    s3.put_object_tagging(Bucket=bucket, Key="key", Tagging=TAGS)
    set_versioning(s3, bucket, "Enabled")
    newer = put_version(s3, bucket, "key", b"newer")
    assert versions_of(front, bucket) == [("key", f"*{newer}"), ("key", "null")]
    named = {"Bucket": bucket, "Key": "key", "VersionId": "null"}
    assert s3.get_object_tagging(**named)["TagSet"] == TAGS["TagSet"]
    s3.delete_object(Bucket=bucket, Key="key", VersionId=newer)
    s3.delete_object_tagging(Bucket=bucket, Key="key")
    assert s3.get_object_tagging(**named)["TagSet"] == []
    assert versions_of(front, bucket) == [("key", "*null")]
    put_version(s3, bucket, "key", b"newer")
    assert s3.get_object_tagging(**named)["TagSet"] == []
    set_versioning(s3, bucket, "Suspended")
    put_version(s3, bucket, "key", b"other")
    assert [version for _, version in versions_of(front, bucket)].count("*null") == 1
    assert body_of(s3, bucket, "key", VersionId="null") == b"other"


def test_a_delete_marker_has_no_tags(s3: Any, marked: tuple[str, str, str]) -> None:
    bucket, _, marker = marked
    latest, named = {"Bucket": bucket, "Key": "key"}, {"VersionId": marker}
    assert code_of(s3.get_object_tagging, **latest) == (404, "NoSuchKey")
    refused = (405, "MethodNotAllowed")
    assert code_of(s3.get_object_tagging, **latest, **named) == refused
    assert code_of(s3.put_object_tagging, **latest, Tagging=TAGS) == refused
    assert code_of(s3.put_object_tagging, **latest, **named, Tagging=TAGS) == refused
    assert code_of(s3.delete_object_tagging, **latest) == refused


def test_a_version_is_the_source_of_a_copy(s3: Any, versioned: tuple[str, list[str]]) -> None:
    bucket, versions = versioned
    for version, body in zip(versions, (b"null", b"first", b"second"), strict=True):
        source = {"Bucket": bucket, "Key": "key", "VersionId": version}
        copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
        assert copied["CopySourceVersionId"] == version
        got = s3.get_object(Bucket=bucket, Key="copy")
        assert (got["Body"].read(), got["VersionId"]) == (body, copied["VersionId"])
    latest = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "key"})
    assert latest["CopySourceVersionId"] == versions[-1]


def test_a_copy_from_a_bucket_without_versions_names_none(s3: Any, bucket: str) -> None:
    put_version(s3, bucket, "key", b"body")
    source = {"Bucket": bucket, "Key": "key"}
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    assert "CopySourceVersionId" not in copied
    assert "VersionId" not in copied


def test_a_former_version_becomes_the_latest_by_a_copy_onto_itself(
    s3: Any, versioned: tuple[str, list[str]]
) -> None:
    bucket, (_, first, second) = versioned
    source = {"Bucket": bucket, "Key": "key", "VersionId": first}
    copied = s3.copy_object(Bucket=bucket, Key="key", CopySource=source)
    assert body_of(s3, bucket, "key") == b"first"
    assert copied["VersionId"] not in (first, second)
    itself = {"Bucket": bucket, "Key": "key"}
    refused = code_of(s3.copy_object, Bucket=bucket, Key="key", CopySource=itself)
    assert refused == (400, "InvalidRequest")


def test_the_header_names_the_version_of_a_source(
    s3: Any, front: Front, versioned: tuple[str, list[str]]
) -> None:
    bucket, (_, first, _) = versioned
    headers = {"x-amz-copy-source": f"/{bucket}/key", "x-amz-copy-source-version-id": first}
    assert call(front, "PUT", f"/{bucket}/copy", headers=headers).status == 200
    assert body_of(s3, bucket, "copy") == b"first"


def test_sources_that_cannot_be_copied(s3: Any, marked: tuple[str, str, str]) -> None:
    bucket, version, marker = marked
    upload = s3.create_multipart_upload(Bucket=bucket, Key="copy")["UploadId"]
    for copy, more in (
        (s3.copy_object, {}),
        (s3.upload_part_copy, {"UploadId": upload, "PartNumber": 1}),
    ):

        def code(version_id: str | None, copy: Any = copy, more: Any = more) -> tuple[int, str]:
            source = {"Bucket": bucket, "Key": "key"}
            if version_id is not None:
                source["VersionId"] = version_id
            return code_of(copy, Bucket=bucket, Key="copy", CopySource=source, **more)

        assert code(None) == (404, "NoSuchKey")
        assert code(marker) == (400, "InvalidRequest")
        assert code(NO_VERSION) == (404, "NoSuchVersion")
        assert code("null") == (404, "NoSuchVersion")
        assert code("x") == (400, "InvalidArgument")
        source = {"Bucket": bucket, "Key": "key", "VersionId": version}
        copied = copy(Bucket=bucket, Key="copy", CopySource=source, **more)
        assert copied["CopySourceVersionId"] == version
