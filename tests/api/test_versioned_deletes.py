"""DeleteObject and DeleteObjects in buckets with versions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.support import (
    NO_VERSION,
    body_of,
    code_of,
    keys_in,
    put_version,
    set_versioning,
    versions_of,
)
from tests.raw_http import call
from tests.servers import Front


@pytest.fixture
def enabled(s3: Any, bucket: str) -> str:
    """A bucket with versions."""
    set_versioning(s3, bucket, "Enabled")
    return bucket


def test_a_deletion_makes_a_marker(s3: Any, front: Front, enabled: str) -> None:
    version = put_version(s3, enabled, "key", b"body")
    deleted = s3.delete_object(Bucket=enabled, Key="key")
    assert deleted["DeleteMarker"] is True
    marker = deleted["VersionId"]
    assert versions_of(front, enabled) == [("key", f"-*{marker}"), ("key", version)]
    assert keys_in(s3, enabled) == []
    assert body_of(s3, enabled, "key", VersionId=version) == b"body"


def test_markers_stack_and_need_no_object(s3: Any, front: Front, enabled: str) -> None:
    made = [s3.delete_object(Bucket=enabled, Key="key")["VersionId"] for _ in range(3)]
    rows = [("key", f"-*{made[2]}"), ("key", f"-{made[1]}"), ("key", f"-{made[0]}")]
    assert versions_of(front, enabled) == rows


def test_an_object_is_restored_by_deleting_its_marker(s3: Any, enabled: str) -> None:
    version = put_version(s3, enabled, "key", b"body")
    marker = s3.delete_object(Bucket=enabled, Key="key")["VersionId"]
    deleted = s3.delete_object(Bucket=enabled, Key="key", VersionId=marker)
    assert (deleted["DeleteMarker"], deleted["VersionId"]) == (True, marker)
    got = s3.get_object(Bucket=enabled, Key="key")
    assert (got["Body"].read(), got["VersionId"]) == (b"body", version)
    assert keys_in(s3, enabled) == ["key"]


def test_a_version_goes_for_good(s3: Any, front: Front, enabled: str) -> None:
    versions = [put_version(s3, enabled, "key", b"%d" % number) for number in range(3)]
    for left, gone in ((2, 1), (0, 2), (None, 0)):
        deleted = s3.delete_object(Bucket=enabled, Key="key", VersionId=versions[gone])
        assert deleted["VersionId"] == versions[gone]
        assert "DeleteMarker" not in deleted
        named = {"Bucket": enabled, "Key": "key", "VersionId": versions[gone]}
        assert code_of(s3.get_object, **named) == (404, "NoSuchVersion")
        if left is not None:
            assert body_of(s3, enabled, "key") == b"%d" % left
    assert code_of(s3.get_object, Bucket=enabled, Key="key") == (404, "NoSuchKey")
    assert versions_of(front, enabled) == []
    s3.delete_bucket(Bucket=enabled)


def test_what_is_not_there_is_deleted_already(s3: Any, front: Front, enabled: str) -> None:
    version = put_version(s3, enabled, "key", b"body")
    for key in ("key", "other"):
        for named in (NO_VERSION, "null"):
            deleted = s3.delete_object(Bucket=enabled, Key=key, VersionId=named)
            assert (deleted["VersionId"], "DeleteMarker" in deleted) == (named, False)
    refused = code_of(s3.delete_object, Bucket=enabled, Key="key", VersionId="x")
    assert refused == (400, "InvalidArgument")
    assert versions_of(front, enabled) == [("key", f"*{version}")]


def test_a_null_marker_replaces_the_null_version(s3: Any, front: Front, bucket: str) -> None:
    put_version(s3, bucket, "key", b"null")
    set_versioning(s3, bucket, "Enabled")
    version = put_version(s3, bucket, "key", b"kept")
    set_versioning(s3, bucket, "Suspended")
    for _ in range(2):
        deleted = s3.delete_object(Bucket=bucket, Key="key")
        assert (deleted["DeleteMarker"], deleted["VersionId"]) == (True, "null")
        assert versions_of(front, bucket) == [("key", "-*null"), ("key", version)]
    assert call(front, "GET", f"/{bucket}/key?versionId=null").status == 405
    assert put_version(s3, bucket, "key", b"again") == "null"
    assert versions_of(front, bucket) == [("key", "*null"), ("key", version)]


@pytest.mark.parametrize("state", [None, "Enabled", "Suspended"])
def test_the_null_version_is_deleted_wherever_it_is(
    s3: Any, front: Front, bucket: str, state: str | None
) -> None:
    put_version(s3, bucket, "key", b"null")
    if state is not None:
        set_versioning(s3, bucket, "Enabled")
        version = put_version(s3, bucket, "key", b"kept")
        set_versioning(s3, bucket, state)
    deleted = s3.delete_object(Bucket=bucket, Key="key", VersionId="null")
    assert (deleted["VersionId"], "DeleteMarker" in deleted) == ("null", False)
    assert versions_of(front, bucket) == ([] if state is None else [("key", f"*{version}")])
    named = {"Bucket": bucket, "Key": "key", "VersionId": "null"}
    assert code_of(s3.get_object, **named) == (404, "NoSuchVersion")


def test_a_null_marker_is_deleted(s3: Any, front: Front, bucket: str) -> None:
    set_versioning(s3, bucket, "Enabled")
    version = put_version(s3, bucket, "key", b"body")
    set_versioning(s3, bucket, "Suspended")
    s3.delete_object(Bucket=bucket, Key="key")
    deleted = s3.delete_object(Bucket=bucket, Key="key", VersionId="null")
    assert (deleted["DeleteMarker"], deleted["VersionId"]) == (True, "null")
    assert versions_of(front, bucket) == [("key", f"*{version}")]


def test_conditions_are_those_of_the_version(s3: Any, enabled: str) -> None:
    versions = [put_version(s3, enabled, "key", body) for body in (b"old", b"new")]
    old, new = (
        s3.head_object(Bucket=enabled, Key="key", VersionId=version)["ETag"] for version in versions
    )
    named = {"Bucket": enabled, "Key": "key", "VersionId": versions[0]}
    assert code_of(s3.delete_object, **named, IfMatch=new) == (412, "PreconditionFailed")
    assert code_of(s3.delete_object, Bucket=enabled, Key="key", IfMatch=old)[0] == 412
    assert "DeleteMarker" not in s3.delete_object(**named, IfMatch=old)
    # What is gone is deleted, whatever it should have been.
    assert s3.delete_object(**named, IfMatch=old)["VersionId"] == versions[0]
    marker = s3.delete_object(Bucket=enabled, Key="key", IfMatch=new)
    assert marker["DeleteMarker"] is True
    assert code_of(s3.delete_object, Bucket=enabled, Key="key", IfMatch="*") == (404, "NoSuchKey")


def delete_many(s3: Any, bucket: str, *objects: dict[str, str], **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": list(objects), **more}
    )
    return answer


def test_many_markers_and_versions_at_once(s3: Any, front: Front, enabled: str) -> None:
    first, second = (put_version(s3, enabled, "a", body) for body in (b"1", b"2"))
    kept = put_version(s3, enabled, "b", b"3")
    marker = s3.delete_object(Bucket=enabled, Key="c")["VersionId"]
    answer = delete_many(
        s3,
        enabled,
        {"Key": "a", "VersionId": first},
        {"Key": "a", "VersionId": second},
        {"Key": "b"},
        {"Key": "c", "VersionId": marker},
        {"Key": "d"},
        {"Key": "e", "VersionId": NO_VERSION},
        {"Key": "f", "VersionId": "x"},
    )
    assert [(entry["Key"], entry["Code"], entry["VersionId"]) for entry in answer["Errors"]] == [
        ("f", "NoSuchVersion", "x")
    ]
    deleted = {(entry["Key"], entry.get("VersionId")): entry for entry in answer["Deleted"]}
    made = {key: deleted[key, None]["DeleteMarkerVersionId"] for key in ("b", "d")}
    assert deleted == {
        ("a", first): {"Key": "a", "VersionId": first},
        ("a", second): {"Key": "a", "VersionId": second},
        ("b", None): {"Key": "b", "DeleteMarker": True, "DeleteMarkerVersionId": made["b"]},
        ("c", marker): {
            "Key": "c",
            "VersionId": marker,
            "DeleteMarker": True,
            "DeleteMarkerVersionId": marker,
        },
        ("d", None): {"Key": "d", "DeleteMarker": True, "DeleteMarkerVersionId": made["d"]},
        ("e", NO_VERSION): {"Key": "e", "VersionId": NO_VERSION},
    }
    assert versions_of(front, enabled) == [
        ("b", f"-*{made['b']}"),
        ("b", kept),
        ("d", f"-*{made['d']}"),
    ]
    left = [
        {"Key": key, "VersionId": mark.lstrip("-*")} for key, mark in versions_of(front, enabled)
    ]
    assert "Deleted" not in delete_many(s3, enabled, *left, Quiet=True)
    assert versions_of(front, enabled) == []


def test_versions_of_a_key_may_come_together(s3: Any, front: Front, bucket: str) -> None:
    """Whatever is decided about one is decided on what the entries before have left."""
    put_version(s3, bucket, "key", b"null")
    set_versioning(s3, bucket, "Enabled")
    answer = delete_many(
        s3, bucket, {"Key": "key", "VersionId": "null"}, {"Key": "key"}, {"Key": "key"}
    )
    (made,) = [e["DeleteMarkerVersionId"] for e in answer["Deleted"] if "VersionId" not in e]
    assert versions_of(front, bucket) == [("key", f"-*{made}")]


def test_a_version_that_comes_twice_is_answered_once(s3: Any, front: Front, enabled: str) -> None:
    marker = s3.delete_object(Bucket=enabled, Key="key")["VersionId"]
    entry = {"Key": "key", "VersionId": marker}
    (answer,) = delete_many(s3, enabled, entry, entry)["Deleted"]
    assert answer == {**entry, "DeleteMarker": True, "DeleteMarkerVersionId": marker}
    assert versions_of(front, enabled) == []


def test_hundreds_of_versions_of_one_key(s3: Any, front: Front, enabled: str) -> None:
    made = [s3.delete_object(Bucket=enabled, Key="key")["VersionId"] for _ in range(250)]
    answer = delete_many(s3, enabled, *({"Key": "key", "VersionId": name} for name in made))
    assert len(answer["Deleted"]) == len(made)
    assert versions_of(front, enabled) == []


@pytest.mark.parametrize("state", ["Enabled", "Suspended"])
def test_conditions_of_entries(s3: Any, front: Front, bucket: str, state: str) -> None:
    set_versioning(s3, bucket, state)
    etag = s3.put_object(Bucket=bucket, Key="a", Body=b"a")["ETag"]
    put_version(s3, bucket, "b", b"b")
    answer = delete_many(s3, bucket, {"Key": "a", "ETag": etag}, {"Key": "b", "ETag": etag})
    assert [(entry["Key"], entry["Code"]) for entry in answer["Errors"]] == [
        ("b", "PreconditionFailed")
    ]
    assert [entry["Key"] for entry in answer["Deleted"]] == ["a"]
    assert keys_in(s3, bucket) == ["b"]
