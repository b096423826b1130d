"""ListObjectVersions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.support import (
    CANONICAL_ID,
    NO_VERSION,
    ODD_KEYS,
    error_of,
    md5_hex,
    new_name,
    put_all,
    put_version,
    set_versioning,
    versions_of,
)
from tests.raw_http import call
from tests.servers import Front


@pytest.fixture
def filled(s3: Any, front: Front, bucket: str) -> tuple[str, list[tuple[str, str]]]:
    """A bucket with versions of all kinds, and what ``versions_of`` says of it."""
    put_all(s3, bucket, ["a", "b/1", "c"], b"null")
    set_versioning(s3, bucket, "Enabled")
    for _ in range(3):
        put_all(s3, bucket, ["a", "b/1", "b/2", "ü"], b"version")
    s3.delete_object(Bucket=bucket, Key="b/2")
    set_versioning(s3, bucket, "Suspended")
    put_all(s3, bucket, ["b/1"], b"null again")
    s3.delete_object(Bucket=bucket, Key="c")
    return bucket, versions_of(front, bucket)


def test_what_is_said_of_a_version(s3: Any, bucket: str) -> None:
    set_versioning(s3, bucket, "Enabled")
    put = s3.put_object(Bucket=bucket, Key="key", Body=b"body", ChecksumAlgorithm="SHA256")
    head = s3.head_object(Bucket=bucket, Key="key")
    deleted = s3.delete_object(Bucket=bucket, Key="key")
    page = s3.list_object_versions(Bucket=bucket)
    (version,), (marker,) = page["Versions"], page["DeleteMarkers"]
    assert version.pop("LastModified").replace(microsecond=0) == head["LastModified"]
    owner = {"ID": CANONICAL_ID, "DisplayName": "Bart"}
    assert marker.pop("LastModified") is not None
    assert version == {
        "Key": "key",
        "VersionId": put["VersionId"],
        "IsLatest": False,
        "ETag": f'"{md5_hex(b"body")}"',
        "Size": 4,
        "StorageClass": "STANDARD",
        "Owner": owner,
        "ChecksumAlgorithm": ["SHA256"],
        "ChecksumType": "FULL_OBJECT",
    }
    assert marker == {
        "Key": "key",
        "VersionId": deleted["VersionId"],
        "IsLatest": True,
        "Owner": owner,
    }
    assert (page["Name"], page["MaxKeys"], page["IsTruncated"]) == (bucket, 1000, False)
    assert (page["KeyMarker"], page["VersionIdMarker"], page["Prefix"]) == ("", "", "")
    assert "NextKeyMarker" not in page


def test_newest_first_and_by_key(filled: tuple[str, list[tuple[str, str]]]) -> None:
    _, rows = filled
    assert [key for key, _ in rows] == ["a"] * 4 + ["b/1"] * 4 + ["b/2"] * 4 + ["c"] + ["ü"] * 3
    latest = [(key, mark) for key, mark in rows if "*" in mark]
    assert [key for key, _ in latest] == ["a", "b/1", "b/2", "c", "ü"]
    nulls = [(key, mark) for key, mark in rows if mark.endswith("null")]
    assert nulls == [("a", "null"), ("b/1", "*null"), ("c", "-*null")]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_pages_are_the_whole(
    s3: Any, filled: tuple[str, list[tuple[str, str]]], size: int, delimiter: str
) -> None:
    bucket, rows = filled
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket=bucket, Delimiter=delimiter, PaginationConfig={"PageSize": size}
    )
    found: list[tuple[str, str]] = []
    prefixes: list[str] = []
    for page in pages:
        entries = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        found += [(entry["Key"], entry["VersionId"]) for entry in entries]
        prefixes += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        assert len(entries) + len(page.get("CommonPrefixes", [])) <= size
    expected = [(key, mark.lstrip("-*")) for key, mark in rows]
    if delimiter:
        expected = [row for row in expected if not row[0].startswith("b/")]
    assert sorted(found) == sorted(expected)
    assert prefixes == (["b/"] if delimiter else [])


def test_a_prefix(s3: Any, filled: tuple[str, list[tuple[str, str]]]) -> None:
    bucket, _ = filled
    page = s3.list_object_versions(Bucket=bucket, Prefix="b/2")
    assert [entry["Key"] for entry in page["Versions"]] == ["b/2"] * 3
    assert [entry["Key"] for entry in page["DeleteMarkers"]] == ["b/2"]
    assert page["Prefix"] == "b/2"


def test_markers(s3: Any, filled: tuple[str, list[tuple[str, str]]]) -> None:
    bucket, rows = filled
    page = s3.list_object_versions(Bucket=bucket, KeyMarker="b/2")
    assert [entry["Key"] for entry in page["Versions"]] == ["ü"] * 3
    for key, mark in rows[:8]:
        named = mark.lstrip("-*")
        page = s3.list_object_versions(
            Bucket=bucket, KeyMarker=key, VersionIdMarker=named, MaxKeys=1
        )
        assert (page["KeyMarker"], page["VersionIdMarker"]) == (key, named)
        entries = page.get("Versions", []) + page.get("DeleteMarkers", [])
        following = rows[rows.index((key, mark)) + 1]
        expected = [(following[0], following[1].lstrip("-*"))]
        assert [(entry["Key"], entry["VersionId"]) for entry in entries] == expected


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    ("key_marker", "version_id_marker", "keys"),
    [
        ("b", None, ["b/", "c", "ü"]),
        ("b/", None, ["c", "ü"]),
        ("b/1", None, ["c", "ü"]),
        ("b/1", "null", ["c", "ü"]),
        ("a", "null", ["b/", "c", "ü"]),
        ("absent", None, ["b/", "c", "ü"]),
        ("absent", "null", ["b/", "c", "ü"]),
        ("absent", NO_VERSION, ["b/", "c", "ü"]),
        ("c", "null", ["ü"]),
        ("z", None, ["ü"]),
        ("ü", None, []),
        ("\U0010ffff", "null", []),
    ],
)
def test_markers_with_a_delimiter(
    s3: Any,
    filled: tuple[str, list[tuple[str, str]]],
    key_marker: str,
    version_id_marker: str | None,
    keys: list[str],
    size: int,
) -> None:
    asked = {"Bucket": filled[0], "Delimiter": "/", "MaxKeys": size, "KeyMarker": key_marker}
    if version_id_marker is not None:
        asked["VersionIdMarker"] = version_id_marker
    found = []
    truncated = True
    while truncated:
        page = s3.list_object_versions(**asked)
        entries = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        found += [entry["Key"] for entry in entries]
        found += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        truncated = page["IsTruncated"]
        if truncated:
            asked["KeyMarker"] = page["NextKeyMarker"]
            asked.pop("VersionIdMarker", None)
            if "NextVersionIdMarker" in page:
                asked["VersionIdMarker"] = page["NextVersionIdMarker"]
    assert sorted(set(found)) == keys
    assert len(found) == sum({"ü": 3}.get(key, 1) for key in keys)


def test_behind_a_version_that_was_deleted(
    s3: Any, filled: tuple[str, list[tuple[str, str]]]
) -> None:
    """A page goes on where the version was."""
    bucket, rows = filled
    second = rows[1][1]
    s3.delete_object(Bucket=bucket, Key="a", VersionId=second)
    page = s3.list_object_versions(Bucket=bucket, KeyMarker="a", VersionIdMarker=second, MaxKeys=1)
    (version,) = page["Versions"]
    assert (version["Key"], version["VersionId"]) == rows[2]
    assert version["IsLatest"] is False


def test_what_was_asked_and_where_to_go_on_come_encoded(front: Front, s3: Any, bucket: str) -> None:
    put_all(s3, bucket, ["a b/1", "a b/2", "a b+c", "a b+d"])
    query = "versions&encoding-type=url&prefix=a%20&delimiter=%2F&max-keys=1&key-marker=a%20"
    xml = call(front, "GET", f"/{bucket}?{query}").xml
    said = {name: xml.findtext(name) for name in ("Prefix", "Delimiter", "KeyMarker")}
    assert said == {"Prefix": "a%20", "Delimiter": "/", "KeyMarker": "a%20"}
    assert (xml.findtext("Version/Key"), xml.findtext("NextKeyMarker")) == ("a%20b%2Bc",) * 2
    assert xml.findtext("NextVersionIdMarker") == "null"
    xml = call(front, "GET", f"/{bucket}?{query}b%2Bd").xml
    assert xml.findtext("CommonPrefixes/Prefix") == "a%20b/"
    assert (xml.find("NextKeyMarker"), xml.find("NextVersionIdMarker")) == (None, None)


@pytest.mark.parametrize("value", ["NULL", "%00", "0" * 32, "g" * 56, "%C3%BC", "9" * 5000])
def test_a_version_id_marker_that_is_none(front: Front, bucket: str, value: str) -> None:
    query = f"versions&key-marker=a&version-id-marker={value}"
    error = call(front, "GET", f"/{bucket}?{query}").error
    assert (error["status"], error["Code"]) == ("400", "InvalidArgument")
    assert error["ArgumentName"] == "version-id-marker"


def test_no_keys_at_all(s3: Any, filled: tuple[str, list[tuple[str, str]]]) -> None:
    page = s3.list_object_versions(Bucket=filled[0], MaxKeys=0)
    assert (page["MaxKeys"], page["IsTruncated"]) == (0, False)
    assert "Versions" not in page


def test_a_bucket_without_versions(s3: Any, bucket: str) -> None:
    put_version(s3, bucket, "key", b"body")
    (entry,) = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert (entry["Key"], entry["VersionId"], entry["IsLatest"]) == ("key", "null", True)


def test_odd_keys_are_encoded(s3: Any, front: Front, bucket: str) -> None:
    set_versioning(s3, bucket, "Enabled")
    put_all(s3, bucket, ODD_KEYS)
    page = s3.list_object_versions(Bucket=bucket)  # botocore asks for encoding-type=url
    assert sorted(entry["Key"] for entry in page["Versions"]) == sorted(ODD_KEYS)
    raw = call(front, "GET", f"/{bucket}?versions&encoding-type=url&prefix=a%2B").xml
    assert (raw.findtext("Prefix"), raw.findtext("EncodingType")) == ("a%2Bb"[:-1], "url")
    assert raw.findtext("Version/Key") == "a%2Bb"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"VersionIdMarker": NO_VERSION},
            "A version-id marker cannot be specified without a key marker.",
        ),
        (
            {"VersionIdMarker": NO_VERSION, "KeyMarker": ""},
            "A version-id marker cannot be specified without a key marker.",
        ),
        ({"VersionIdMarker": "", "KeyMarker": "a"}, "A version-id marker cannot be empty."),
        ({"VersionIdMarker": "x", "KeyMarker": "a"}, "Invalid version id specified"),
        (
            {"MaxKeys": -1},
            "Argument maxKeys must be an integer between 0 and 2147483647",
        ),
    ],
)
def test_what_cannot_be_asked(s3: Any, bucket: str, asked: dict[str, Any], message: str) -> None:
    error = error_of(s3.list_object_versions, Bucket=bucket, **asked)
    assert (error["status"], error["Code"], error["Message"]) == (400, "InvalidArgument", message)


def test_who_may(s3: Any, other_s3: Any, bucket: str) -> None:
    assert error_of(other_s3.list_object_versions, Bucket=bucket)["Code"] == "AccessDenied"
    assert error_of(s3.list_object_versions, Bucket=new_name())["Code"] == "NoSuchBucket"
