"""The records that the manual prints in its section 7.1, after the calls that it makes.

Its numbers are those of its examples. Records are read from the metadata daemon itself: a key, or a
key and, behind a NUL, a version ID. CloudServer makes several calls for what is one commit here, so
the steps in between (2A, 3A, 4A) are never seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from s3front.auth.sigv4 import uri_encode
from shared import version_id
from tests.api.support import keys_in, put_version, set_versioning
from tests.faults.stores import stored_records
from tests.raw_http import call
from tests.servers import Cluster, Front

OLDEST = "99999999999999999999RG001  "
"""The "non-versioned object id"."""

Table = list[tuple[str, str]]


@pytest.fixture
def records(shared_cluster: Cluster, bucket: str) -> Callable[[], dict[str, Any]]:
    """What is stored of the bucket's objects."""
    return lambda: stored_records(shared_cluster, [bucket])[bucket]


def table(records: dict[str, Any], *versions: str) -> Table:
    """The records as the manual prints them: ``versions`` are the IDs that it calls v1, v2, …; a
    value is what was put, with its null versions marked."""
    names = {version: f"v{number}" for number, version in enumerate(versions, start=1)}
    rows = []
    for key, record in records.items():
        name, _, version = key.partition("\0")
        value = record["x-amz-meta-value"] if not record["isDeleteMarker"] else "marker"
        null = " (null)" if record.get("isNull") else ""
        rows.append((f"{name}.{names[version]}{null}" if version else f"{name}{null}", value))
    return rows


def put(s3: Any, bucket: str, value: str, key: str = "foo") -> str:
    """Put an object; the internal ID of its version, if the answer tells it."""
    answer = s3.put_object(Bucket=bucket, Key=key, Body=value.encode(), Metadata={"value": value})
    version: str = answer.get("VersionId", "null")
    return version if version == "null" else version_id.decode(version)


def test_the_keys_of_versions(s3: Any, bucket: str, records: Callable[[], dict[str, Any]]) -> None:
    """7.1.3, "Version ID and Metadata Key Format"."""
    set_versioning(s3, bucket, "Enabled")
    made = [put(s3, bucket, value, "foo/bar") for value in "ABC"]
    assert list(records()) == ["foo/bar", *(f"foo/bar\0{version}" for version in made[::-1])]
    assert made == sorted(made, reverse=True)
    for version in made:
        assert version[20:27] == "RG001  "
        assert version_id.encode(version) == version.encode().hex()


def test_the_master_version(s3: Any, bucket: str, records: Callable[[], dict[str, Any]]) -> None:
    """7.1.3, "Master Version", and 7.1.4, "Creation of New Versions", (1) and (2)."""
    set_versioning(s3, bucket, "Enabled")
    first = put(s3, bucket, "A")
    assert table(records(), first) == [("foo", "A"), ("foo.v1", "A")]
    second = put(s3, bucket, "B")
    found = records()
    assert table(found, first, second) == [("foo", "B"), ("foo.v2", "B"), ("foo.v1", "A")]
    assert found["foo"] == found[f"foo\0{second}"]
    assert found["foo"]["versionId"] == second


def test_a_listing_of_masters(s3: Any, bucket: str) -> None:
    """7.1.3, "LIST"."""
    put(s3, bucket, "A", "bar")
    set_versioning(s3, bucket, "Enabled")
    for key in ("foo/bar", "qux/quz", "quz"):
        put(s3, bucket, "A", key)
        put(s3, bucket, "B", key)
    assert keys_in(s3, bucket) == ["bar", "foo/bar", "qux/quz", "quz"]


def test_case_1_without_versions(
    s3: Any, bucket: str, records: Callable[[], dict[str, Any]]
) -> None:
    """The record has no version ID, as the rest of the manual presumes."""
    put(s3, bucket, "A")
    put(s3, bucket, "B")
    assert table(records()) == [("foo", "B")]
    assert "versionId" not in records()["foo"]


def test_case_1_suspended(s3: Any, bucket: str, records: Callable[[], dict[str, Any]]) -> None:
    """(1) to (2B)."""
    set_versioning(s3, bucket, "Suspended")
    assert put(s3, bucket, "A") == "null"
    assert table(records()) == [("foo (null)", "A")]
    first = records()["foo"]["versionId"]
    assert put(s3, bucket, "B") == "null"
    assert table(records()) == [("foo (null)", "B")]
    assert records()["foo"]["versionId"] < first


def test_cases_2_and_3(s3: Any, bucket: str, records: Callable[[], dict[str, Any]]) -> None:
    """(1) to (4B): a null version is preserved, and replaced when it is not the latest."""
    set_versioning(s3, bucket, "Suspended")
    put(s3, bucket, "A")
    put(s3, bucket, "B")
    null_id = records()["foo"]["versionId"]
    set_versioning(s3, bucket, "Enabled")
    second = put(s3, bucket, "C")
    found = records()
    assert table(found, null_id, second) == [("foo", "C"), ("foo.v2", "C"), ("foo.v1 (null)", "B")]
    named = {key: record.get("nullVersionId") for key, record in found.items()}
    assert named == {"foo": null_id, f"foo\0{second}": null_id, f"foo\0{null_id}": None}
    assert found[f"foo\0{null_id}"]["versionId"] == null_id
    set_versioning(s3, bucket, "Suspended")
    put(s3, bucket, "D")
    assert table(records(), null_id, second) == [("foo (null)", "D"), ("foo.v2", "C")]


def test_what_was_put_before_versions_gets_the_oldest_id(
    s3: Any, bucket: str, records: Callable[[], dict[str, Any]]
) -> None:
    """(3A), ``<non-versioned object id>``."""
    put(s3, bucket, "B")
    set_versioning(s3, bucket, "Enabled")
    second = put(s3, bucket, "C")
    found = records()
    expected = [("foo", "C"), ("foo.v2", "C"), ("foo.v1 (null)", "B")]
    assert table(found, OLDEST, second) == expected
    assert found["foo"]["nullVersionId"] == OLDEST
    assert found[f"foo\0{OLDEST}"]["versionId"] == OLDEST


def test_later_versions_hand_the_null_version_on(
    s3: Any, bucket: str, records: Callable[[], dict[str, Any]]
) -> None:
    """ "PUT Example", "Versioning Enabled" and "Null Version Mapping"."""
    put(s3, bucket, "A")
    set_versioning(s3, bucket, "Enabled")
    made = [put(s3, bucket, value) for value in "BC"]
    found = records()
    assert [found[f"foo\0{version}"]["nullVersionId"] for version in made] == [OLDEST, OLDEST]
    assert table(found, OLDEST, *made) == [
        ("foo", "C"),
        ("foo.v3", "C"),
        ("foo.v2", "B"),
        ("foo.v1 (null)", "A"),
    ]
    got = s3.get_object(Bucket=bucket, Key="foo", VersionId="null")
    assert got["Body"].read() == b"A"


def test_no_version_can_be_put(s3: Any, front: Front, bucket: str) -> None:
    """ "Specifying Versions in APIs for Putting Versions"."""
    set_versioning(s3, bucket, "Enabled")
    version = put_version(s3, bucket, "foo", b"A")
    refused = call(front, "PUT", f"/{bucket}/foo?versionId={uri_encode(version)}", b"B")
    assert (refused.status, refused.error["Code"]) == (400, "InvalidArgument")


def test_an_update_of_the_latest_reaches_both_records(
    s3: Any, bucket: str, records: Callable[[], dict[str, Any]]
) -> None:
    """ "Behavior of Object-Targeting APIs"."""
    set_versioning(s3, bucket, "Enabled")
    version = put(s3, bucket, "A")
    tags = {"TagSet": [{"Key": "k", "Value": "v"}]}
    s3.put_object_tagging(Bucket=bucket, Key="foo", Tagging=tags)
    found = records()
    assert found["foo"] == found[f"foo\0{version}"]
    assert found["foo"]["tags"] == {"k": "v"}


def test_delete_markers(s3: Any, bucket: str, records: Callable[[], dict[str, Any]]) -> None:
    """ "Delete Markers" and "DELETE Example"."""
    set_versioning(s3, bucket, "Enabled")
    first = put(s3, bucket, "A")
    marker = s3.delete_object(Bucket=bucket, Key="foo")["VersionId"]
    second = version_id.decode(marker)
    found = records()
    expected = [("foo", "marker"), ("foo.v2", "marker"), ("foo.v1", "A")]
    assert table(found, first, second) == expected
    assert (found["foo"]["content-length"], found["foo"]["location"]) == (0, None)
    # To restore, the marker is deleted as any other version, and the next one is the master.
    s3.delete_object(Bucket=bucket, Key="foo", VersionId=marker)
    assert table(records(), first) == [("foo", "A"), ("foo.v1", "A")]
    s3.delete_object(Bucket=bucket, Key="foo", VersionId=version_id.encode(first))
    assert records() == {}


def test_a_delete_marker_of_a_suspended_bucket(
    s3: Any, bucket: str, records: Callable[[], dict[str, Any]]
) -> None:
    put(s3, bucket, "A")
    set_versioning(s3, bucket, "Enabled")
    second = put(s3, bucket, "B")
    set_versioning(s3, bucket, "Suspended")
    s3.delete_object(Bucket=bucket, Key="foo")
    expected = [("foo (null)", "marker"), ("foo.v2", "B")]
    assert table(records(), OLDEST, second) == expected


def test_a_null_version_becomes_the_master_again(
    s3: Any, bucket: str, records: Callable[[], dict[str, Any]]
) -> None:
    """The first edge case of the footnotes: then it is at both places, and goes from both."""
    put(s3, bucket, "A")
    set_versioning(s3, bucket, "Enabled")
    second = version_id.encode(put(s3, bucket, "B"))
    s3.delete_object(Bucket=bucket, Key="foo", VersionId=second)
    assert table(records(), OLDEST) == [("foo (null)", "A"), ("foo.v1 (null)", "A")]
    set_versioning(s3, bucket, "Suspended")
    put(s3, bucket, "C")
    assert table(records(), OLDEST) == [("foo (null)", "C")]
